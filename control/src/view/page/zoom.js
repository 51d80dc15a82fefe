// A tile, a lane or a worker, large: a dialog with the charts of its last minutes.

import { bits, count, decimal, rateText, timeText } from "./figures.js";
import { Chart } from "./chart.js";

const byId = (id) => document.getElementById(id);
const pps = (value) => rateText(value, "pps");
const whole = (value) => count(Math.round(value));
const one = (title, name, of, text) => ({ title, series: [{ name, of }], text });
const waits = (of) => ({
  title: "Wait, from arrival to the worker's turn",
  series: [["p50", "p50_ns"], ["p99", "p99_ns"], ["p99.9", "p999_ns"], ["max", "max_ns"]]
    .map(([name, field]) => ({ name, of: (live) => of(live)?.[field] })),
  text: timeText,
});

function losses(live) {
  return {
    title: "Lost, by cause",
    series: live.drops.map(({ cause }, at) => ({ name: cause.replace("dropped_", "").replaceAll("_", " "), of: (then) => then.drops[at]?.pps })),
    text: pps,
  };
}

const TILES = {
  in: () => [one("Packets", "in", (live) => live.rates.offered_pps, pps), one("Frames", "in", (live) => live.rates.received_bytes_per_s, bits)],
  done: () => [one("Packets", "processed", (live) => live.rates.consumed_pps, pps), one("Payload", "processed", (live) => live.rates.consumed_bytes_per_s, bits)],
  lost: (live) => [losses(live), one("Lost since the run began", "lost", (then) => then.drops.reduce((sum, drop) => sum + drop.packets, 0), whole)],
  wait: () => [waits((live) => live.latency)],
  residual: () => [one("Residual", "residual", (live) => live.books.residual, whole), one("In flight", "in flight", (live) => live.books.in_flight, whole)],
};

function worker(at) {
  const of = (live) => live.workers[at];
  return [
    one("Packets", "processed", (live) => of(live)?.consumed_pps, pps),
    waits((live) => of(live)?.latency),
    {
      title: "Cycles a packet",
      series: [{ name: "programs", of: (live) => of(live)?.program_cycles }, { name: "lanes", of: (live) => of(live)?.lane_cycles }],
      text: (value) => decimal(value),
    },
  ];
}

function lane(receiver, at) {
  const of = (live) => live.lanes.find((lane) => lane.receiver === receiver && lane.worker === at);
  const [, ...more] = worker(at);
  return [
    one("Spans", "through the ring", (live) => of(live)?.spans_per_s, (value) => rateText(value, "/s")),
    {
      title: "In the ring",
      series: [{ name: "queued", of: (live) => of(live)?.queued }, { name: "in flight", of: (live) => of(live)?.in_flight }],
      references: [{ name: "high water", of: (live) => of(live)?.high_water }],
      text: whole,
    },
    ...more,
  ];
}

/** Heading and charts of what `key` names: `tile in`, `worker 0`, `lane 0 1`. */
function subject(key, live) {
  const [kind, first, second] = key.split(" ");
  if (kind === "tile") return [byId(`tile-${first}`).querySelector("h2").textContent, TILES[first](live)];
  if (kind === "worker") return [`Worker ${first}, on core ${live.workers[first]?.core}`, worker(Number(first))];
  const source = live.receivers[first]?.source ?? first;
  const slots = live.lanes.find((of) => of.receiver === Number(first) && of.worker === Number(second))?.slots ?? 0;
  return [`${source} → worker ${second}, ${count(slots)} slots`, lane(Number(first), Number(second))];
}

/** Opens what a click or key falls on; `past` are the last documents, `places` how many there can be. */
export class Zoom {
  constructor(past, places) {
    Object.assign(this, { past, places, charts: [] });
    this.dialog = byId("zoom");
    document.addEventListener("click", (event) => this.open(event.target.closest?.("[data-zoom]")));
    document.addEventListener("keydown", (event) => {
      if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("article[data-zoom]")) {
        event.preventDefault();
        this.open(event.target);
      }
    });
    byId("zoom-close").addEventListener("click", () => this.dialog.close());
  }

  open(box) {
    const live = this.past.at(-1);
    if (!box || !live) return;
    const [title, charts] = subject(box.dataset.zoom, live);
    byId("zoom-title").textContent = title;
    this.charts = charts.map((of) => new Chart(of, this.places));
    byId("zoom-charts").replaceChildren(...this.charts.map((chart) => chart.element));
    if (!this.dialog.open) this.dialog.showModal();
    this.show();
  }

  /** Draws anew, if anything is open. */
  show() {
    if (this.dialog.open && this.past.length > 0) this.charts.forEach((chart) => chart.show(this.past));
  }
}
