// Draws every plot of the page, again when its room changes, and opens what is printed.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const known = new Map();

function knownOf(group) {
  if (!known.has(group)) known.set(group, new Map());
  return known.get(group);
}

function drawFigure(figure) {
  const { group, plots } = data.reports[Number(figure.dataset.report)];
  drawPlot(figure.querySelector(".canvas"), plots[Number(figure.dataset.plot)], knownOf(group));
}

function drawAll() {
  for (const figure of document.querySelectorAll("figure[data-plot]")) drawFigure(figure);
  if (data.projection) project();
}

let lastWidth = 0;
new ResizeObserver(() => {
  const width = document.documentElement.clientWidth;
  if (width !== lastWidth) {
    lastWidth = width;
    drawAll();
  }
}).observe(document.documentElement);

// On paper what is folded cannot be opened.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
  drawAll();
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
  drawAll();
});

if (data.projection) setUpProjection();
drawAll();
document.documentElement.dataset.drawn = "yes";
