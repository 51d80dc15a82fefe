// Bars that lie, so that their names can be read: side by side or stacked, with whiskers.
"use strict";

const BAR = 16;

// Rows by name, in the order of their places on the axis.
function rowsOf(plot) {
  const rows = new Map();
  plot.series.forEach((series, at) => {
    for (const point of series.points) {
      const name = point.label || number(point.x);
      if (!rows.has(name)) rows.set(name, []);
      rows.get(name).push({ series, at, point });
    }
  });
  return [...rows.entries()].sort((a, b) => a[1][0].point.x - b[1][0].point.x);
}

function drawBars(chart) {
  const { plot, width, root } = chart;
  const rows = rowsOf(plot);
  const stacked = plot.shape === "stacked";
  const legend = plot.series.length > 1 ? legendOf(chart) : 0;
  const names = rows.map(([name]) => textWidth(name, 12));
  const left = Math.min(Math.max(40, ...names) + 14, width * 0.42);
  const box = { left, right: width - 64, top: legend + 26 };
  const heights = rows.map(([, bars]) => (stacked ? BAR + 4 : bars.length * BAR) + 8);
  box.bottom = box.top + heights.reduce((sum, height) => sum + height, 0);
  const values = stacked
    ? rows.map(([, bars]) => bars.reduce((sum, bar) => sum + bar.point.y, 0))
    : rows.flatMap(([, bars]) => bars.flatMap(({ point }) => [point.y, point.most]));
  values.push(...plot.references.map((line) => line.y));
  const x = scale(plot.y, values, box.left, box.right, Math.round((box.right - box.left) / 55));
  barGrid(chart, box, x, legend);
  let top = box.top;
  rows.forEach(([name, bars], at) => {
    const middle = top + heights[at] / 2;
    rowName(chart, name, left, middle);
    if (stacked) stack(chart, bars, x, middle);
    else bars.forEach((bar, nth) => oneBar(chart, bar, x, top + 4 + nth * BAR));
    top += heights[at];
  });
  return box.bottom + 44;
}

function rowName(chart, name, left, middle) {
  const room = Math.floor((left - 12) / (12 * 0.56));
  const short = name.length > room ? name.slice(0, room - 1) + "…" : name;
  const text = svg(chart.root, "text", { class: "row", x: left - 10, y: middle + 4, "text-anchor": "end" }, short);
  if (short !== name) svg(text, "title", {}, name);
}

function barGrid(chart, box, x, legend) {
  const { root, plot } = chart;
  for (const tick of x.ticks) {
    const at = x.place(tick);
    svg(root, "line", { class: tick === 0 ? "zero" : "grid", x1: at, x2: at, y1: box.top - 4, y2: box.bottom });
    svg(root, "text", { class: "tick", x: at, y: box.bottom + 16, "text-anchor": "middle" }, number(tick));
  }
  svg(root, "line", { class: "zero", x1: box.left, x2: box.left, y1: box.top - 4, y2: box.bottom });
  let free = -Infinity;
  for (const line of [...plot.references].sort((a, b) => a.y - b.y)) {
    const at = x.place(line.y);
    svg(root, "line", { class: "reference", x1: at, x2: at, y1: box.top - 4, y2: box.bottom });
    const half = textWidth(line.name, 11) / 2;
    if (at - half < free) continue;
    svg(root, "text", { class: "tick", x: Math.min(at, chart.width - half), y: legend + 14, "text-anchor": "middle" }, line.name);
    free = at + half + 8;
  }
  svg(root, "text", { class: "name", x: box.right, y: box.bottom + 36, "text-anchor": "end" }, axisName(plot.y) + (plot.y.scale === "log" ? " (log)" : ""));
}

function oneBar(chart, { series, at, point }, x, top) {
  const { root } = chart;
  const { colour } = styleOf(series.name, chart.known);
  const group = svg(root, "g", { class: "series", "data-series": at });
  const zero = x.place(x.low), end = x.place(point.y), middle = top + BAR / 2;
  const bar = svg(group, "rect", { x: zero, y: top + 2, width: Math.max(1, end - zero), height: BAR - 4, rx: 2, fill: colour });
  mark(chart, bar, at, point, series);
  let tip = end;
  if (point.least < point.most) {
    const [low, high] = [x.place(point.least), x.place(point.most)];
    svg(group, "path", { class: "whisker", d: `M${low},${middle} H${high} M${low},${middle - 4} V${middle + 4} M${high},${middle - 4} V${middle + 4}` });
    tip = Math.max(tip, high);
  }
  svg(group, "text", { class: "value", x: tip + 6, y: middle + 4 }, number(point.y));
}

function stack(chart, bars, x, middle) {
  let sum = 0;
  for (const { series, at, point } of bars) {
    const { colour } = styleOf(series.name, chart.known);
    const [from, to] = [x.place(sum), x.place(sum + point.y)];
    const group = svg(chart.root, "g", { class: "series", "data-series": at });
    const bar = svg(group, "rect", { x: from, y: middle - BAR / 2, width: Math.max(0, to - from), height: BAR, fill: colour });
    mark(chart, bar, at, point, series);
    sum += point.y;
  }
  svg(chart.root, "text", { class: "value", x: x.place(sum) + 6, y: middle + 4 }, number(sum));
}

// Names with their colours, over the bars; the height that they take.
function legendOf(chart) {
  let x = 0, y = 14;
  chart.plot.series.forEach((series, at) => {
    const { colour } = styleOf(series.name, chart.known);
    const room = textWidth(series.name, 12) + 30;
    if (x > 0 && x + room > chart.width) [x, y] = [0, y + 18];
    svg(chart.root, "rect", { x, y: y - 9, width: 11, height: 11, rx: 2, fill: colour });
    svg(chart.root, "text", { class: "legend", x: x + 17, y, "data-series": at }, series.name);
    x += room;
  });
  return y + 4;
}
