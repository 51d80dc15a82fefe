// Numbers as text, places on axes, and the steps between them.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

// An SVG element with attributes, appended to `parent`.
function svg(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// Three significant digits, thousands apart: 0.0123, 4.57, 123, 12,300.
function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e9) return number(value / 1e9) + " G";
  if (size >= 1e6) return number(value / 1e6) + " M";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(size) + 1e-9));
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(digits, 6) });
}

function withUnit(value, unit) {
  return unit ? number(value) + "\u202f" + unit : number(value);
}

// A percentile axis counts what is left: 1 in 10 is 90 %.
function percentile(x) {
  const share = 100 * (1 - 1 / x);
  return share.toFixed(Math.max(0, Math.ceil(Math.log10(x) - 1e-9) - 2)) + "\u202f%";
}

function onAxis(value, axis) {
  return axis.scale === "percentile" ? percentile(value) : withUnit(value, axis.unit);
}

// Steps of 1, 2 or 5 times a power of ten that cover `low` to `high` in about `count`.
function linearTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) ticks.push(at * step);
  return ticks;
}

// Powers of ten; with 2 and 5 where there is room for them.
function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  const times = decades * 3 <= count ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const one of times) {
      const tick = one * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

// A scale from values to pixels, with its ticks. `values` are what must be on it.
function scale(axis, values, from, to, count) {
  const good = values.filter((value) => Number.isFinite(value) && (axis.scale === "linear" || value > 0));
  let low = Math.min(...good), high = Math.max(...good);
  if (!good.length) [low, high] = [1, 10];
  if (axis.scale === "linear") {
    low = Math.min(0, low);
    if (high === low) high = low + 1;
    const ticks = linearTicks(low, high * 1.02, count);
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : high;
    high = Math.max(high, Math.ceil(high / step - 0.25) * step);
    const place = (value) => from + ((value - low) / (high - low)) * (to - from);
    return { place, ticks: linearTicks(low, high, count), low, high };
  }
  if (high <= low * 1.0001) [low, high] = [low / 2, high * 2];
  const place = (value) =>
    from + (Math.log(Math.max(value, low) / low) / Math.log(high / low)) * (to - from);
  const ticks = axis.scale === "percentile" ? logTicks(low, high, 1) : logTicks(low, high, count);
  return { place, ticks, low, high };
}

// Ticks at the measured places themselves where these are few: core counts, burst sizes.
function placesOf(axis, values, fallback, width) {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (axis.scale !== "log" || distinct.length > 10 || distinct.length * 38 > width) return fallback;
  return distinct;
}

// Moves labels apart so that each has `gap` pixels, as near to where they belong as that allows.
function apart(labels, gap, low, high) {
  labels.sort((a, b) => a.y - b.y);
  labels.forEach((label, at) => {
    if (at > 0) label.y = Math.max(label.y, labels[at - 1].y + gap);
  });
  const over = labels.length ? labels[labels.length - 1].y - high : 0;
  if (over > 0) {
    labels[labels.length - 1].y = high;
    for (let at = labels.length - 2; at >= 0; at--) {
      labels[at].y = Math.max(low, Math.min(labels[at].y, labels[at + 1].y - gap));
    }
  }
  return labels;
}
