// Numbers as people read them, and the small SVG parts.

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** Three significant digits and a decimal prefix: [text, prefix]. */
function scaled(value) {
  const [by, prefix] = PREFIXES.find(([by]) => value >= by * 0.9995) ?? [1, ""];
  const number = value / by;
  const digits = number >= 99.95 || (prefix === "" && Number.isInteger(number)) ? 0 : number >= 9.995 ? 1 : 2;
  return [number.toFixed(prefix === "" && number >= 10 ? 0 : digits), prefix];
}

/** `1.23 Mpps` as [number, unit]. */
export function rate(value, unit) {
  const [number, prefix] = scaled(value);
  return [number, prefix + unit];
}

/** The same as one text. */
export const rateText = (value, unit) => rate(value, unit).join(" ");

/** Bytes a second as bits a second. */
export const bits = (bytes) => rateText(bytes * 8, "b/s");

/** `1,234,567`. */
export const count = (value) => value.toLocaleString("en-US");

/** One decimal; a dash for what is absent. */
export const decimal = (value, digits = 1) =>
  value === undefined || value === null ? "–" : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Nanoseconds in the unit that fits: [number, unit]. */
export function time(ns) {
  if (ns === undefined || ns === null) return ["–", ""];
  if (ns < 1e3) return [String(Math.round(ns)), "ns"];
  if (ns < 1e6) return [decimal(ns / 1e3, ns < 1e5 ? 1 : 0), "µs"];
  if (ns < 1e9) return [decimal(ns / 1e6, ns < 1e8 ? 1 : 0), "ms"];
  return [decimal(ns / 1e9), "s"];
}

export const timeText = (ns) => time(ns).join(" ").trim();

/** `1:02:03`. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and text. */
export function shape(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Draws `values`, oldest first, into `svg` as a curve over `length` places. */
export function spark(svg, values, length) {
  const [width, height] = [100, 38];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const most = Math.max(...values, 0);
  if (values.length < 2 || most <= 0) return svg.replaceChildren();
  const x = (at) => width - ((values.length - 1 - at) * width) / (length - 1);
  const y = (value) => height - 2 - ((height - 8) * value) / most;
  const points = values.map((value, at) => `${x(at).toFixed(2)} ${y(value).toFixed(2)}`).join("L");
  const area = `M${x(0).toFixed(2)} ${height}L${points}L${width} ${height}Z`;
  svg.replaceChildren(shape("path", { class: "area", d: area }), shape("path", { class: "curve", d: `M${points}` }));
}
