// Shows the documents that the run sends, and looks for the run again when it is gone.

import { bits, clock, count, decimal, rate, rateText, spark, time, timeText } from "./figures.js";
import { draw, fullness } from "./drawing.js";
import { Zoom } from "./zoom.js";

const HISTORY = 120;
const AGAIN_MS = 2000;

const byId = (id) => document.getElementById(id);
/** The last documents of this run, oldest first. */
const past = [];
const zoom = new Zoom(past, HISTORY);
let plan = null;
let shown = null;

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

/** Says how the run stands. */
function state(word, kind) {
  const chip = byId("state");
  chip.textContent = word;
  chip.className = `chip ${kind}`;
}

function tile(name, [number, unit], sub, of) {
  const box = byId(`tile-${name}`);
  const big = box.querySelector(".big");
  big.textContent = number;
  if (unit) big.append(" ", element("small", unit));
  box.querySelector(".sub").textContent = sub;
  spark(box.querySelector(".spark"), past.map(of), HISTORY);
  return box;
}

function tiles(live) {
  const { rates, books, latency } = live;
  const dropped = live.drops.reduce((sum, drop) => sum + drop.packets, 0);
  tile("in", rate(rates.offered_pps, "pps"), bits(rates.received_bytes_per_s), (live) => live.rates.offered_pps);
  tile("done", rate(rates.consumed_pps, "pps"), `${bits(rates.consumed_bytes_per_s)} of payload`, (live) => live.rates.consumed_pps);
  const lost = tile("lost", rate(rates.dropped_pps, "pps"), `${count(dropped)} in all`, (live) => live.rates.dropped_pps);
  lost.classList.toggle("alarm", rates.dropped_pps > 0);
  const waits = latency ? `p50 ${timeText(latency.p50_ns)}, max ${timeText(latency.max_ns)}` : "no stamped packets";
  tile("wait", time(latency?.p99_ns), waits, (live) => live.latency?.p99_ns ?? 0);
  const told = books.residual === 0 ? "the books close" : "packets unaccounted for";
  const residual = tile("residual", [count(books.residual), ""], `${told}; ${count(books.in_flight)} in flight`, (live) => live.books.residual);
  residual.classList.toggle("alarm", books.residual !== 0);
  residual.classList.toggle("fine", books.residual === 0);
}

/** Fills a table: columns are [heading, cell of a row, kind]; a cell is a text or an element. */
function table(id, columns, rows, none) {
  const into = byId(id);
  if (rows.length === 0) {
    const row = element("tr");
    row.append(element("td", none, "none"));
    return into.replaceChildren(row);
  }
  const head = element("tr");
  columns.forEach(([heading, , kind]) => head.append(element("th", heading, kind === "text" ? "text" : "")));
  const lines = rows.map((row) => {
    const line = element("tr");
    columns.forEach(([, cell, kind]) => {
      const found = cell(row);
      const box = element("td", undefined, kind === "bad" && !/^(0|–)/.test(found) ? "bad" : kind === "text" ? "text" : "");
      box.append(found);
      line.append(box);
    });
    return line;
  });
  into.replaceChildren(head, ...lines);
}

/** A bar with what it stands for. */
function meter(part, whole) {
  const share = whole > 0 ? part / whole : 0;
  const box = element("span");
  const bar = element("span", undefined, `meter ${fullness(share)}`);
  const fill = element("i");
  fill.style.width = `${Math.min(100, share * 100)}%`;
  bar.append(fill);
  box.append(bar, `${count(part)} / ${count(whole)}`);
  return box;
}

/** What is opened large by a click. */
function opens(text, key) {
  const button = element("button", text, "opens");
  button.dataset.zoom = key;
  return button;
}

function tables(live) {
  const core = (id) => live.cores.find((core) => core.core === id);
  const share = (value) => (value === undefined ? "–" : `${decimal(value * 100, 0)} %`);
  table("ops", [
    ["rule", (op) => op.rule, "text"], ["op", (op) => op.op, "text"],
    ["packets/s", (op) => rateText(op.pps, "")], ["payload", (op) => bits(op.bytes_per_s)],
    ["cycles/packet", (op) => decimal(op.cycles_per_packet)], ["cycles/byte", (op) => decimal(op.cycles_per_byte, 2)],
    ["packets", (op) => count(op.counters.messages)],
  ], live.ops, "no rule runs a program");
  table("workers", [
    ["worker", (of) => opens(String(of.worker), `worker ${of.worker}`), "text"], ["core", (of) => String(of.core)],
    ["packets/s", (of) => rateText(of.consumed_pps, "")], ["payload", (of) => bits(of.consumed_bytes_per_s)],
    ["program cycles", (of) => decimal(of.program_cycles)], ["lane cycles", (of) => decimal(of.lane_cycles)],
    ["wait p50", (of) => timeText(of.latency?.p50_ns)], ["p99", (of) => timeText(of.latency?.p99_ns)],
    ["p99.9", (of) => timeText(of.latency?.p999_ns)], ["max", (of) => timeText(of.latency?.max_ns)],
    ["busy", (of) => share(core(of.core)?.busy)], ["stolen", (of) => share(core(of.core)?.steal)],
  ], live.workers, "no worker");
  table("receivers", [
    ["source", (of) => of.source, "text"], ["core", (of) => String(of.core)], ["granted", (of) => of.granted, "text"],
    ["packets/s", (of) => rateText(of.offered_pps, "")], ["frames", (of) => bits(of.received_bytes_per_s)],
    ["lost/s", (of) => rateText(of.dropped_pps, ""), "bad"], ["frames on loan", (of) => meter(of.frames_on_loan, of.frames)],
    ["poll", (of) => decimal(of.cycles?.poll)], ["classify", (of) => decimal(of.cycles?.classify)],
    ["steer", (of) => decimal(of.cycles?.steer)], ["recycle cycles", (of) => decimal(of.cycles?.recycle)],
    ["stolen", (of) => share(core(of.core)?.steal)],
  ], live.receivers, "no receiver");
  table("lanes", [
    ["lane", (of) => opens(`${live.receivers[of.receiver]?.source ?? of.receiver} → worker ${of.worker}`, `lane ${of.receiver} ${of.worker}`), "text"],
    ["spans/s", (of) => rateText(of.spans_per_s, "")], ["in the ring", (of) => meter(of.queued, of.slots)],
    ["high water", (of) => count(of.high_water)],
    ["in flight", (of) => count(of.in_flight)],
  ], live.lanes, "none: programs run in the receivers' threads");
}

const BOOKS = ["offered", "filtered", "dropped_nic", "dropped_kernel", "dropped_no_frame", "dropped_ring_full", "dropped_malformed", "delivered", "consumed", "in_flight", "residual"];

function books(live) {
  const perSecond = { offered: live.rates.offered_pps, filtered: live.rates.filtered_pps, delivered: live.rates.delivered_pps, consumed: live.rates.consumed_pps };
  live.drops.forEach((drop) => { perSecond[drop.cause] = drop.pps; });
  const marked = (name) => {
    const box = element("span", count(live.books[name]));
    box.dataset.book = name;
    return box;
  };
  table("books", [
    ["", (name) => name.replaceAll("_", " "), "text"], ["packets", marked],
    ["packets/s", (name) => (perSecond[name] === undefined ? "" : rateText(perSecond[name], ""))],
  ], BOOKS, "");
}

/** Every counter of every thread, by the names that /metrics has. */
function counters(live) {
  const rows = [];
  const add = (group, who, totals) => Object.entries(totals).forEach(([name, value]) => rows.push({ group, who, name, value }));
  live.receivers.forEach((of) => {
    add("source", of.source, of.source_counters);
    add("receiver", of.source, of.counters);
  });
  live.workers.forEach((of) => {
    add("worker", `worker ${of.worker}`, of.counters);
    of.steps.forEach((step) => add("step", `worker ${of.worker}, ${step.rule}, ${step.op}`, step.counters));
    of.engines.forEach((engine) => add(engine.group, `worker ${of.worker}, ${engine.rule}, ${engine.op}`, engine.counters));
  });
  const value = (row) => {
    const box = element("span", count(row.value));
    box.dataset.counter = `${row.group}.${row.name}`;
    return box;
  };
  table("counters", [
    ["group", (row) => row.group, "text"], ["of", (row) => row.who, "text"], ["counter", (row) => row.name, "text"], ["total", value],
  ], rows, "none");
}

async function fetchPlan(run) {
  const answer = await fetch("/plan.json");
  if (answer.ok && shown && sameRun(shown.run, run)) plan = await answer.json();
}

const sameRun = (one, other) => one.pid === other.pid && one.started_unix_ms === other.started_unix_ms;

/** Another run than before: its history begins anew. */
function begin(live) {
  plan = null;
  past.length = 0;
  byId("name").textContent = live.run.name;
  byId("where").textContent = `${live.run.host} · pid ${live.run.pid}`;
  byId("version").textContent = `pfs ${live.run.pfs_version}`;
  document.title = `${live.run.name} · pfs`;
}

/** Draws anew what may have the focus, and gives it back. */
function render() {
  const focused = document.activeElement?.dataset.zoom;
  draw(byId("drawing"), shown, plan);
  tables(shown);
  books(shown);
  if (document.querySelector("details").open) counters(shown);
  if (focused && document.activeElement === document.body) document.querySelector(`[data-zoom="${focused}"]`)?.focus();
}

function show(live) {
  const fresh = !shown || !sameRun(shown.run, live.run);
  if (fresh) begin(live);
  shown = live;
  past.push(live);
  if (past.length > HISTORY) past.shift();
  state(live.state === "ended" ? "ended" : "running", live.state);
  byId("clock").textContent = clock(live.elapsed_s);
  tiles(live);
  render();
  zoom.show();
  if (plan === null && live.state === "running") fetchPlan(live.run).then(() => draw(byId("drawing"), shown, plan)).catch(() => {});
  document.documentElement.dataset.sequence = live.sequence;
  document.documentElement.dataset.state = live.state;
}

function listen() {
  const events = new EventSource("/events");
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    if (shown?.state !== "ended") state("run lost; looking for it", "lost");
    document.documentElement.dataset.state = shown?.state === "ended" ? "ended" : "lost";
    if (events.readyState !== EventSource.CLOSED) return;
    events.close();
    setTimeout(listen, AGAIN_MS);
  };
}

document.querySelector("details").addEventListener("toggle", () => { if (shown) counters(shown); });
let resizing = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => {
    if (shown) draw(byId("drawing"), shown, plan);
    zoom.show();
  });
});
listen();
