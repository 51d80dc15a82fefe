// From cycles a packet to cores for a line rate. All arithmetic of the page's projection is here.
"use strict";

const CORES = [1, 2, 4, 8, 16, 32, 64, 128];
const MOST_CORES = 128;
// Preamble and gap: on the wire beside every frame, whose size counts its check sequence.
const WIRE = 20;

function wireRate(gbps, bytes) {
  return (gbps * 1e9) / ((bytes + WIRE) * 8);
}

function field(name) {
  return document.querySelector(`#projection [name="${name}"]`);
}

function inputs() {
  const value = (name) => Number(field(name).value);
  return {
    ghz: value("ghz"),
    receive: value("receive"),
    kept: value("kept") / 100,
    bandwidth: value("channels") * value("channel") * (value("attained") / 100),
    touches: Number(field("touches").value),
    perLane: Number(field("mode").value),
    sizes: data.projection.sizes.map((size, at) => ({ ...size, cycles: value(`cycles${at}`) })),
  };
}

// Packets a second that `cores` cores carry: every doubling keeps a share of what it should add.
function byCores(given, size, cores) {
  const lanes = Math.floor(cores / given.perLane);
  const lane = (given.ghz * 1e9) / (size.cycles + given.receive);
  return lanes < 1 ? 0 : lanes * lane * given.kept ** Math.log2(lanes);
}

// Packets a second that memory carries: each of a frame's bytes crosses its bus so many times.
function byMemory(given, size) {
  return (given.bandwidth * 1e9) / (given.touches * size.bytes);
}

function coresFor(given, size, rate) {
  if (byMemory(given, size) < rate) return undefined;
  for (let cores = given.perLane; cores <= MOST_CORES; cores += given.perLane) {
    if (byCores(given, size, cores) >= rate) return cores;
  }
  return Infinity;
}

// The plot's data: what is reached on so many cores, as gigabits on the wire.
function projected(given) {
  const series = given.sizes.map((size) => ({
    name: size.name,
    points: CORES.filter((cores) => cores >= given.perLane).map((cores) => {
      const carried = byCores(given, size, cores), memory = byMemory(given, size);
      const rate = Math.min(carried, memory);
      const gbps = (rate * (size.bytes + WIRE) * 8) / 1e9;
      const bound = memory < carried ? "memory is the limit" : "the cores are the limit";
      return { x: cores, label: "", y: gbps, least: gbps, most: gbps, note: `${number(rate / 1e6)} Mpps; ${bound}` };
    }),
  }));
  return {
    title: "Projection: rate on the wire by cores",
    x: { name: "cores", unit: "", scale: "log" },
    y: { name: "rate on the wire", unit: "Gbit/s", scale: "log" },
    shape: "lines",
    references: data.projection.rates.map((rate) => ({ name: `${rate} GbE`, y: rate })),
    series,
  };
}

function cell(row, text, head) {
  const element = document.createElement(head ? "th" : "td");
  element.textContent = text;
  row.append(element);
  return element;
}

function fillCores(given) {
  const body = document.querySelector("#cores tbody");
  body.replaceChildren();
  for (const size of given.sizes) {
    const row = document.createElement("tr");
    cell(row, size.name, true).scope = "row";
    for (const rate of data.projection.rates) {
      const cores = coresFor(given, size, wireRate(rate, size.bytes));
      const text = cores === undefined ? "memory-bound" : cores === Infinity ? `> ${MOST_CORES}` : String(cores);
      cell(row, text).className = Number.isFinite(cores) ? "number" : "number beyond";
    }
    body.append(row);
  }
}

function arithmetic(given, size, gbps) {
  const rate = wireRate(gbps, size.bytes);
  const lane = (given.ghz * 1e9) / (size.cycles + given.receive);
  const memory = (rate * given.touches * size.bytes) / 1e9;
  const cores = coresFor(given, size, rate);
  const answer = cores === undefined
    ? `memory is the limit: at most ${number((byMemory(given, size) * (size.bytes + WIRE) * 8) / 1e9)} Gbit/s`
    : cores === Infinity ? `more than ${MOST_CORES} cores` : `${cores} core${cores > 1 ? "s" : ""}`;
  return [
    `${gbps} GbE, ${size.name}`,
    `${gbps}·10⁹ ÷ ((${number(size.bytes)} + ${WIRE}) · 8) = ${number(rate / 1e6)} Mpps`,
    `${number(given.ghz)}·10⁹ ÷ (${number(size.cycles)} + ${number(given.receive)}) = ${number(lane / 1e6)} Mpps`,
    `${number(rate / lane)} lanes of ${given.perLane} core${given.perLane > 1 ? "s" : ""} before scaling`,
    `${given.touches} · ${number(size.bytes)} B · ${number(rate / 1e6)} M = ${number(memory)} of ${number(given.bandwidth)} GB/s`,
    answer,
  ];
}

function fillArithmetic(given) {
  const body = document.querySelector("#arithmetic tbody");
  body.replaceChildren();
  for (const rate of data.projection.rates) {
    for (const size of given.sizes) {
      const row = document.createElement("tr");
      arithmetic(given, size, rate).forEach((text, at) => cell(row, text, at === 0));
      body.append(row);
    }
  }
}

function fillPoints(plot) {
  const table = document.querySelector("#projected");
  const head = document.createElement("tr");
  cell(head, "cores", true);
  for (const series of plot.series) cell(head, `${series.name}, Gbit/s`, true);
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...plot.series[0].points.map((point, at) => {
    const row = document.createElement("tr");
    cell(row, String(point.x), true);
    for (const series of plot.series) cell(row, number(series.points[at].y)).className = "number";
    return row;
  }));
}

// What cannot be reckoned with is said at its field, and nothing is drawn from it.
function project() {
  const form = document.querySelector("#projection form");
  if (!form.checkValidity()) return;
  const given = inputs();
  const plot = projected(given);
  drawPlot(document.querySelector("#projection .canvas"), plot, knownOf("projection"));
  fillCores(given);
  fillArithmetic(given);
  fillPoints(plot);
}

function setUpProjection() {
  const form = document.querySelector("#projection form");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "mode") {
      const mode = data.projection.modes[form.elements.mode.selectedIndex];
      mode.cycles.forEach((cycles, at) => { field(`cycles${at}`).value = cycles; });
    }
    if (event.target.name === "from") field("receive").value = event.target.value;
    project();
  });
  form.addEventListener("reset", () => setTimeout(project));
}
