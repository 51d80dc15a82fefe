// The running plan as a drawing: sources, workers, rules, sinks, and what flows between them.

import { decimal, rateText, shape } from "./figures.js";

const PAD = 12;
const LINE = 18;
const NARROW = 720;

/** Shortens a text that is longer than `most` letters. */
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** How full something is, as a class. */
export const fullness = (share) => (share >= 0.9 ? "full" : share >= 0.6 ? "high" : "");

function sources(live) {
  return live.receivers.map((of) => ({
    key: `source ${of.receiver}`,
    title: of.source,
    lines: [`core ${of.core} · ${of.granted}`, short(of.from, 30)],
    lost: of.dropped_pps > 0 ? `lost ${rateText(of.dropped_pps, "pps")}` : "nothing lost",
    bad: of.dropped_pps > 0,
  }));
}

function workers(live) {
  return live.workers.map((of) => {
    const core = live.cores.find((core) => core.core === of.core);
    const stolen = core && core.steal >= 0.005 ? ` · ${decimal(core.steal * 100, 0)} % stolen` : "";
    return {
      key: `worker ${of.worker}`,
      title: `worker ${of.worker}`,
      lines: [`core ${of.core}${stolen}`, `${decimal(of.program_cycles)} cycles/packet`],
    };
  });
}

function rules(live, plan) {
  return (plan?.rules ?? []).filter((rule) => live.ops.some((op) => op.rule === rule.name)).map((rule) => ({
    key: `rule ${rule.name}`,
    title: rule.name,
    lines: live.ops.filter((op) => op.rule === rule.name)
      .map((op) => `${short(op.op, 20)} · ${decimal(op.cycles_per_packet)} cyc`),
  }));
}

/** Where a rule's results go: each is a node, and the report is one of all. */
function sinksOf(rule) {
  const named = [["payload", rule.sink], ["ids", rule.ids], ["replies", rule.replies]];
  const sinks = named.filter(([, name]) => name).map(([kind, name]) => ({ key: `sink ${kind} ${name}`, title: name, lines: [kind] }));
  return sinks.length > 0 ? sinks : [{ key: "sink report", title: "report", lines: ["R0 … R3"] }];
}

function edges(live, plan, shown) {
  const flows = live.lanes.map((lane) => ({
    from: `source ${lane.receiver}`, to: `worker ${lane.worker}`, rate: lane.spans_per_s, share: lane.queued / lane.slots, peak: lane.high_water / lane.slots, zoom: `lane ${lane.receiver} ${lane.worker}`,
  }));
  if (live.lanes.length === 0) {
    live.workers.forEach((of) => flows.push({ from: `source ${of.worker}`, to: `worker ${of.worker}`, rate: of.consumed_pps }));
  }
  for (const of of live.workers) {
    for (const rule of shown) {
      const first = of.steps.find((step) => step.rule === rule.title);
      if (first) flows.push({ from: `worker ${of.worker}`, to: rule.key, rate: first.pps });
    }
  }
  for (const rule of plan?.rules ?? []) {
    const first = live.ops.find((op) => op.rule === rule.name);
    if (first) sinksOf(rule).forEach((sink) => flows.push({ from: `rule ${rule.name}`, to: sink.key, rate: first.pps }));
  }
  return flows;
}

const height = (node) => 2 * PAD + LINE * (1 + node.lines.length) + (node.lost === undefined ? 0 : LINE) - 4;

/** Gives nodes their places; returns the drawing's size. */
function place(layers, width) {
  if (width < NARROW) return placeDown(layers, width);
  const nodeWidth = Math.min(236, (width - (layers.length - 1) * 90) / layers.length);
  const gap = (width - nodeWidth * layers.length) / (layers.length - 1);
  const tall = layers.map((layer) => layer.nodes.reduce((sum, node) => sum + height(node) + 16, -16));
  const most = Math.max(...tall);
  layers.forEach((layer, at) => {
    layer.x = at * (nodeWidth + gap);
    layer.y = 12;
    let y = 26 + (most - tall[at]) / 2;
    for (const node of layer.nodes) {
      Object.assign(node, { x: layer.x, y, w: nodeWidth, h: height(node) });
      y += node.h + 16;
    }
  });
  return { width, height: most + 32, down: false };
}

/** One layer under the other, for narrow screens. */
function placeDown(layers, width) {
  const most = Math.max(...layers.map((layer) => layer.nodes.length));
  const wide = Math.max(width, most * 172 - 12);
  let y = 0;
  for (const layer of layers) {
    const nodeWidth = Math.min(260, (wide - 12 * (layer.nodes.length - 1)) / layer.nodes.length);
    const all = nodeWidth * layer.nodes.length + 12 * (layer.nodes.length - 1);
    layer.nodes.forEach((node, at) => {
      Object.assign(node, { x: (wide - all) / 2 + at * (nodeWidth + 12), y, w: nodeWidth, h: height(node) });
    });
    y += Math.max(...layer.nodes.map((node) => node.h)) + 78;
  }
  return { width: wide, height: y - 78 + 4, down: true };
}

function drawNode(svg, node) {
  svg.append(shape("rect", { class: "node", x: node.x + 0.5, y: node.y + 0.5, width: node.w - 1, height: node.h, rx: 9 }));
  const letters = Math.floor((node.w - 2 * PAD) / 6.6);
  let y = node.y + PAD + 11;
  const line = (text, kind) => {
    svg.append(shape("text", { class: kind, x: node.x + PAD, y }, short(text, letters)));
    y += LINE;
  };
  line(node.title, "title");
  node.lines.forEach((text) => line(text, "quiet"));
  if (node.lost) line(node.lost, node.bad ? "lost" : "quiet");
}

/** Gives each edge its own place on the sides that it leaves and enters. */
function ports(flows, nodes) {
  const spread = (end, other) => {
    const groups = Map.groupBy(flows, (edge) => edge[end]);
    for (const group of groups.values()) {
      const order = (edge) => nodes.get(edge[other]).x + nodes.get(edge[other]).y;
      group.sort((one, two) => order(one) - order(two));
      group.forEach((edge, at) => { edge[`${end}At`] = (at + 1) / (group.length + 1); });
    }
  };
  spread("from", "to");
  spread("to", "from");
}

/** Draws an edge; its label comes later, over all edges. */
function drawEdge(svg, edge, nodes, down, most) {
  const [from, to] = [nodes.get(edge.from), nodes.get(edge.to)];
  const idle = edge.rate > 0 ? "" : " idle";
  const [x0, y0] = down ? [from.x + from.w * edge.fromAt, from.y + from.h] : [from.x + from.w, from.y + from.h * edge.fromAt];
  const [x1, y1] = down ? [to.x + to.w * edge.toAt, to.y] : [to.x, to.y + to.h * edge.toAt];
  const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const bend = down ? [x0, my, x1, my] : [mx, y0, mx, y1];
  const width = 1.5 + (most > 0 ? 6 * Math.sqrt(edge.rate / most) : 0);
  svg.append(shape("path", { class: `edge${idle}`, d: `M${x0} ${y0}C${bend.join(" ")} ${x1} ${y1}`, "stroke-width": width.toFixed(2) }));
  // Nearer to where it comes from: there edges that cross are still apart.
  const t = 0.36;
  const at = (a, b, c, d) => (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t * t * c + t ** 3 * d;
  return () => drawLabel(svg, edge, idle, at(x0, bend[0], bend[2], x1), at(y0, bend[1], bend[3], y1));
}

/** How much flows, and how full the ring is that it flows through. */
function drawLabel(svg, edge, idle, x, y) {
  const text = rateText(edge.rate, "/s");
  const ring = edge.share !== undefined;
  const wide = Math.max(text.length * 6.8 + 10, ring ? 58 : 0);
  const tall = ring ? 28 : 18;
  svg.append(shape("rect", { class: "pill", x: x - wide / 2, y: y - tall / 2, width: wide, height: tall, rx: 5, ...(ring ? { "data-zoom": edge.zoom } : {}) }));
  svg.append(shape("text", { class: `label${idle}`, x, y: y - tall / 2 + 13, "text-anchor": "middle" }, text));
  if (!ring) return;
  svg.append(shape("rect", { class: "ring", x: x - 24, y: y + 5, width: 48, height: 5, rx: 2.5 }));
  if (edge.peak > 0) svg.append(shape("rect", { class: "peak", x: x - 25 + 48 * Math.min(1, edge.peak), y: y + 3, width: 2, height: 9 }));
  if (edge.share > 0) {
    const full = Math.max(2, 48 * Math.min(1, edge.share));
    svg.append(shape("rect", { class: `fill ${fullness(edge.share)}`, x: x - 24, y: y + 5, width: full, height: 5, rx: 2.5 }));
  }
}

/** Draws the plan with the rates of `live` into `place`. */
export function draw(box, live, plan) {
  const shown = rules(live, plan);
  const sinks = new Map((plan?.rules ?? []).filter((rule) => shown.some((node) => node.title === rule.name)).flatMap(sinksOf).map((sink) => [sink.key, sink]));
  const layers = [
    { head: "Sources", nodes: sources(live) },
    { head: "Workers", nodes: workers(live) },
    { head: "Rules", nodes: shown },
    { head: "Sinks", nodes: [...sinks.values()] },
  ].filter((layer) => layer.nodes.length > 0);
  if (layers.length < 2) return;
  const size = place(layers, Math.max(280, box.clientWidth - 32));
  const svg = shape("svg", { width: size.width, height: size.height, viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": "The plan, with packets a second on its edges" });
  const nodes = new Map(layers.flatMap((layer) => layer.nodes).map((node) => [node.key, node]));
  const flows = edges(live, plan, shown).filter((edge) => nodes.has(edge.from) && nodes.has(edge.to));
  const most = Math.max(...flows.map((edge) => edge.rate), 0);
  ports(flows, nodes);
  const labels = flows.map((edge) => drawEdge(svg, edge, nodes, size.down, most));
  nodes.forEach((node) => drawNode(svg, node));
  labels.forEach((label) => label());
  if (!size.down) layers.forEach((layer) => svg.append(shape("text", { class: "head", x: layer.x + 2, y: layer.y }, layer.head)));
  box.replaceChildren(svg);
}
