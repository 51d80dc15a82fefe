// A chart of the last documents, large enough to read: by pointer, by touch, or by arrow keys.

import { shape } from "./figures.js";

const HEIGHT = 200;
const [LEFT, RIGHT, TOP, BOTTOM] = [72, 14, 10, 24];
const STEPS = 4;

/** The next of 1, 2, 2.5, 4, 5 × 10^n that is no less than `value`. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 4, 5, 10].find((step) => step * power >= value * 0.9999) * power;
}

const ago = (seconds) => (seconds < 0.5 ? "now" : seconds < 90 ? `${Math.round(seconds)} s ago` : `${(seconds / 60).toFixed(1)} min ago`);

/** One chart: `series` are {name, of(live)}, `references` {name, of(live)}, `text` writes a value. */
export class Chart {
  constructor({ title, series, references = [], text }, places) {
    Object.assign(this, { title, series, references, text, places, past: [], at: null });
    this.element = document.createElement("figure");
    this.element.className = "chart";
    this.caption = this.element.appendChild(document.createElement("figcaption"));
    this.svg = this.element.appendChild(shape("svg", { tabindex: 0, role: "img", "aria-label": title }));
    this.tip = this.element.appendChild(document.createElement("p"));
    this.tip.className = "tip";
    this.tip.setAttribute("role", "status");
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.choose(null));
    this.svg.addEventListener("keydown", (event) => this.press(event));
  }

  /** Draws `past`, oldest first. */
  show(past) {
    this.past = past;
    this.draw();
  }

  /** Chooses the document `at` places before the newest; null lets go. */
  choose(at) {
    this.at = at === null ? null : Math.max(0, Math.min(this.past.length - 1, at));
    this.draw();
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    this.choose(Math.round((1 - share) * (this.places - 1)));
  }

  press(event) {
    const at = this.at ?? -1;
    const to = { ArrowLeft: at + 1, ArrowRight: Math.max(0, at - 1), Home: this.past.length - 1, End: 0 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(to);
  }

  draw() {
    const width = Math.max(280, this.element.clientWidth);
    const { svg, past } = this;
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", HEIGHT);
    const newest = past.at(-1);
    const marks = this.references.map(({ name, of }) => ({ name, value: of(newest) })).filter(({ value }) => value > 0);
    const values = this.series.flatMap(({ of }) => past.map((live) => of(live) ?? 0));
    const most = ceiling(Math.max(...values, ...marks.map(({ value }) => value)));
    const x = (before) => width - RIGHT - (before * (width - LEFT - RIGHT)) / (this.places - 1);
    const y = (value) => HEIGHT - BOTTOM - (value * (HEIGHT - TOP - BOTTOM)) / most;
    svg.replaceChildren();
    this.axes(width, most, x, y);
    marks.forEach(({ value }) => svg.append(shape("line", { class: "mark", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) })));
    this.series.forEach(({ of }, nth) => this.curve(of, nth, x, y));
    if (this.at !== null) svg.append(shape("line", { class: "cross", x1: x(this.at), x2: x(this.at), y1: TOP, y2: HEIGHT - BOTTOM }));
    this.write(newest, marks);
  }

  axes(width, most, x, y) {
    for (let step = 0; step <= STEPS; step += 1) {
      const value = (most * step) / STEPS;
      this.svg.append(shape("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
      this.svg.append(shape("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, this.text(value)));
    }
    [[this.places - 1, "start"], [(this.places - 1) / 2, "middle"], [0, "end"]].forEach(([before, anchor]) => {
      this.svg.append(shape("text", { x: x(before), y: HEIGHT - 6, "text-anchor": anchor }, ago(before)));
    });
  }

  /** A line of one series, with gaps where it has no value, and a dot where one is chosen. */
  curve(of, nth, x, y) {
    const last = this.past.length - 1;
    let path = "";
    let pen = "M";
    this.past.forEach((live, at) => {
      const value = of(live);
      if (value === undefined || value === null) {
        pen = "M";
        return;
      }
      path += `${pen}${x(last - at).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    });
    this.svg.append(shape("path", { class: `curve s${nth}`, d: path }));
    const value = this.at === null ? undefined : of(this.past[last - this.at]);
    if (value !== undefined && value !== null) this.svg.append(shape("circle", { class: `s${nth}`, cx: x(this.at), cy: y(value), r: 3.5 }));
  }

  /** The caption names the lines; the line under the chart has the values of the chosen moment. */
  write(newest, marks) {
    const name = (text, kind) => {
      const box = document.createElement("span");
      box.className = kind;
      box.textContent = text;
      return box;
    };
    const lines = this.series.length > 1 ? this.series.map(({ name: of }, nth) => name(of, `key s${nth}`)) : [];
    this.caption.replaceChildren(name(this.title, "title"), ...lines, ...marks.map((mark) => name(`${mark.name} ${this.text(mark.value)}`, "key mark")));
    const chosen = this.at === null ? newest : this.past[this.past.length - 1 - this.at];
    const value = ({ name: of, of: find }) => {
      const found = find(chosen);
      return `${of} ${found === undefined || found === null ? "–" : this.text(found)}`;
    };
    this.tip.textContent = `${ago(newest.elapsed_s - chosen.elapsed_s)}: ${this.series.map(value).join(", ")}`;
  }
}
