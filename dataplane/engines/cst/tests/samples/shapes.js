#!/usr/bin/env node
// Things.
/* And more
 * of them. */
import fs, { readFile as read } from 'fs';
const { join } = require("path");

/** A class. */
// Of two comments.
class Store extends Base {
  #items = new Map();
  static count = 0;

  constructor(name) {
    super(name);
    this.name = name ?? `n${Store.count++}`;
  }

  // Gets.
  async get(key, ...rest) {
    return await this.#items.get(key)?.value;
  }
}

// An arrow.
const add = (a, b = 1) => a + b;
var sub = function (a) { return a - 1; };
let x = 1, y = undefined;

// One.

// Two.
function* walk(tree) {
  for (const node of tree) {
    if (node === null) continue;
    yield node;
  }
  label: while (true) { break label; }
}

exports.run = () => { console.log(add(1, 2), /a+b/gi, JSON.stringify({ a: 1, 'b': [1, 2], c() { return 1; } })); };
module.exports = { add, sub, handler: function () {}, other: (a) => a };
Store.prototype.put = function put(key) { this[key] = new Thing(key, true, null); };
try { eval("1"); } catch (error) { throw error; } finally { delete x.y; }
export default Store;
export const total = 3;
switch (x) { case 1: break; default: y = void 0; }
const view = <div className="a" {...props}>text {value}<b.C /></div>;
