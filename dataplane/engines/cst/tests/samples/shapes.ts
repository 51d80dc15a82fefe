import type { A } from './a';

interface Shape<T> extends A {
  readonly area: number;
  name?: string;
  scale(by: number): Shape<T>;
}

abstract class Base<T> implements Shape<T> {
  private _n = 0;
  constructor(protected readonly area: number, public name?: string) {}
  abstract scale(by: number): Shape<T>;
  get n(): number { return this._n; }
}

type Pair<K extends string, V> = { [P in K]: V } | [K, V];
enum Color { Red = 1, Green }
namespace N { export function f(x: any): x is string { return typeof x === "string"; } }
declare module "m" { const v: unique symbol; }
function id<T>(x: T): T { return x as T; }
const y = <number>id(1)!;
let z: (a: number, b?: string) => void = (a, b) => { };
