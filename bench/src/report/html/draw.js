// One plot as SVG: lines with spread bands, bars with whiskers, bars stacked.
"use strict";

const COLOURS = 8;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

// The same name has the same colour in all lines of a group, and in the bars of one plot.
function styleOf(name, known) {
  if (!known.has(name)) known.set(name, known.size);
  const at = known.get(name);
  return { colour: `var(--s${at % COLOURS})`, dash: DASHES[Math.floor(at / COLOURS) % DASHES.length] };
}

function describe(plot, series, point) {
  const x = point.label || onAxis(point.x, plot.x);
  const y = onAxis(point.y, plot.y);
  const ranged = point.least < point.most;
  const range = ranged ? `${number(point.least)}–${withUnit(point.most, plot.y.unit)}` : "";
  return { series: series.name, x, xName: point.label ? "" : plot.x.name, y, yName: plot.y.name, range, note: point.note };
}

// Everything that can be pointed at, in the order of the keyboard.
function mark(chart, element, at, point, series) {
  element.classList.add("mark");
  element.setAttribute("data-series", at);
  const said = describe(chart.plot, series, point);
  chart.marks.push({ element, at, said });
  return element;
}

function drawPlot(holder, plot, known) {
  holder.replaceChildren();
  const width = Math.max(280, Math.floor(holder.clientWidth));
  const chart = { plot, known: plot.shape === "lines" ? known : new Map(), width, marks: [], holder };
  const root = document.createElementNS(SVG, "svg");
  chart.root = root;
  root.setAttribute("role", "application");
  root.setAttribute("aria-roledescription", "plot");
  root.setAttribute("aria-label", `${plot.title}. Arrow keys move over the values.`);
  root.setAttribute("tabindex", "0");
  const height = plot.shape === "lines" ? drawLines(chart) : drawBars(chart);
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("width", width);
  root.setAttribute("height", height);
  holder.append(root);
  pointAt(chart);
}

function axisName(axis) {
  return axis.unit && axis.scale !== "percentile" ? `${axis.name}, ${axis.unit}` : axis.name;
}

function textWidth(text, size) {
  return text.length * size * 0.56;
}

function drawLines(chart) {
  const { plot, width, root } = chart;
  const all = plot.series.flatMap((series) => series.points);
  const ends = plot.series.length > 1 || plot.references.length > 0;
  const names = [...plot.series.map((series) => series.name), ...plot.references.map((line) => line.name)];
  const widest = Math.max(0, ...names.map((name) => textWidth(name, 12)));
  const right = ends ? Math.min(widest + 20, width * 0.42) : 16;
  const height = Math.round(Math.min(420, Math.max(250, width * 0.55, plot.series.length * 16 + 70)));
  const box = { left: 58, right: width - right, top: 30, bottom: height - 46 };
  const heights = all.flatMap((point) => [point.y, point.least, point.most]).concat(plot.references.map((line) => line.y));
  const y = scale(plot.y, heights, box.bottom, box.top, Math.round(height / 55));
  const places = all.map((point) => point.x);
  const inner = box.right - box.left;
  const bare = plot.x.scale === "linear" ? { ...plot.x } : plot.x;
  const x = scale(bare, places, box.left + 6, box.right - 6, Math.round(inner / 80));
  grid(chart, box, x, y, placesOf(plot.x, places, x.ticks, inner));
  const labels = [];
  for (const line of plot.references) {
    const at = y.place(line.y);
    svg(root, "line", { class: "reference", x1: box.left, x2: box.right, y1: at, y2: at });
    labels.push({ y: at, at, text: line.name, colour: "var(--muted)" });
  }
  plot.series.forEach((series, at) => {
    const group = svg(root, "g", { class: "series", "data-series": at });
    const end = oneLine(chart, group, series, at, x, y);
    if (ends && end) labels.push(end);
  });
  endLabels(chart, labels, box, right);
  return height;
}

function oneLine(chart, group, series, at, x, y) {
  const { colour, dash } = styleOf(series.name, chart.known);
  const points = series.points.filter((point) => Number.isFinite(point.y));
  const over = (value) => points.map((point) => `${x.place(point.x)},${y.place(value(point))}`);
  if (points.some((point) => point.least < point.most)) {
    const band = [...over((point) => point.least), ...over((point) => point.most).reverse()];
    svg(group, "polygon", { class: "band", points: band.join(" "), fill: colour });
  }
  svg(group, "polyline", { class: "line", points: over((point) => point.y).join(" "), stroke: colour, "stroke-dasharray": dash });
  const radius = points.length > 40 ? 1.6 : 3.4;
  for (const point of points) {
    const circle = svg(group, "circle", { cx: x.place(point.x), cy: y.place(point.y), r: radius, fill: colour });
    mark(chart, circle, at, point, series);
  }
  const last = points[points.length - 1];
  return last && { y: y.place(last.y), at: y.place(last.y), from: x.place(last.x), text: series.name, colour, series: at };
}

function endLabels(chart, labels, box, right) {
  const room = Math.floor((right - 18) / (12 * 0.56));
  for (const label of apart(labels, 14, box.top, box.bottom)) {
    const start = box.right + 4;
    svg(chart.root, "path", { class: "leader", d: `M${label.from ?? box.right},${label.at} L${start + 6},${label.y}`, stroke: label.colour });
    const short = label.text.length > room ? label.text.slice(0, room - 1) + "…" : label.text;
    const text = svg(chart.root, "text", { class: "end", x: start + 9, y: label.y + 4, style: `--c: ${label.colour}` }, short);
    if (label.series !== undefined) text.setAttribute("data-series", label.series);
    if (short !== label.text) svg(text, "title", {}, label.text);
  }
}

function grid(chart, box, x, y, columns) {
  const { root, plot } = chart;
  for (const tick of y.ticks) {
    const at = y.place(tick);
    svg(root, "line", { class: tick === 0 ? "zero" : "grid", x1: box.left, x2: box.right, y1: at, y2: at });
    svg(root, "text", { class: "tick", x: box.left - 8, y: at + 4, "text-anchor": "end" }, number(tick));
  }
  svg(root, "line", { class: "zero", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom });
  let free = -Infinity;
  for (const tick of columns) {
    const at = x.place(tick);
    svg(root, "line", { class: "notch", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 });
    const text = plot.x.scale === "percentile" ? percentile(tick) : number(tick);
    const half = textWidth(text, 11) / 2;
    if (at - half < free) continue;
    svg(root, "text", { class: "tick", x: at, y: box.bottom + 18, "text-anchor": "middle" }, text);
    free = at + half + 6;
  }
  svg(root, "text", { class: "name", x: 0, y: 14 }, axisName(plot.y) + (plot.y.scale === "log" ? " (log)" : ""));
  svg(root, "text", { class: "name", x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, axisName(plot.x));
}
