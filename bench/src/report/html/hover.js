// What is under the pointer or the keyboard's place is said in words beside it.
"use strict";

function pointAt(chart) {
  const { root, marks, holder } = chart;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-live", "polite");
  holder.append(tip);
  let place = -1;
  const show = (at) => {
    marks[place]?.element.classList.remove("here");
    place = at;
    root.classList.toggle("pointed", at >= 0);
    tip.classList.toggle("shown", at >= 0);
    for (const one of root.querySelectorAll("[data-series]")) {
      const mine = at >= 0 && Number(one.getAttribute("data-series")) === marks[at].at;
      one.classList.toggle("mine", mine);
    }
    if (at < 0) return;
    marks[at].element.classList.add("here");
    say(tip, marks[at].said);
    beside(tip, marks[at].element, holder);
  };
  root.addEventListener("pointermove", (event) => show(nearest(marks, event, root)));
  root.addEventListener("pointerleave", () => show(-1));
  root.addEventListener("blur", () => show(-1));
  root.addEventListener("focus", () => { if (place < 0 && marks.length && root.matches(":focus-visible")) show(0); });
  root.addEventListener("keydown", (event) => {
    const to = step(marks, place, event.key);
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}

function say(tip, said) {
  const line = (name, text) => {
    const element = document.createElement("div");
    element.className = name;
    element.textContent = text;
    return element;
  };
  const x = said.xName ? `${said.xName} ${said.x}` : said.x;
  const parts = [line("tip-x", said.series ? `${said.series} · ${x}` : x), line("tip-y", said.y)];
  if (said.range) parts.push(line("tip-range", `range ${said.range}`));
  if (said.note) parts.push(line("tip-note", said.note));
  tip.replaceChildren(...parts);
}

// Under a bar, whose name is left of it; beside a point.
function beside(tip, element, holder) {
  const frame = holder.getBoundingClientRect(), mark = element.getBoundingClientRect();
  const right = mark.right - frame.left, bar = element.tagName === "rect";
  const flip = right + tip.offsetWidth + 14 > frame.width;
  const over = mark.left - frame.left - tip.offsetWidth - 10;
  const left = bar ? Math.min(right - 24, frame.width - tip.offsetWidth) : flip ? over : right + 10;
  const top = bar ? mark.bottom - frame.top + 8 : mark.top - frame.top - tip.offsetHeight / 2;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, top)}px`;
}

function nearest(marks, event, root) {
  let best = -1, least = 48 ** 2;
  marks.forEach(({ element }, at) => {
    const box = element.getBoundingClientRect();
    const inside = (low, high, value) => Math.max(low - value, 0, value - high);
    const away = inside(box.left, box.right, event.clientX) ** 2 + inside(box.top, box.bottom, event.clientY) ** 2;
    if (away < least) [best, least] = [at, away];
  });
  return root.contains(event.target) ? best : -1;
}

// Left and right along a series; up and down to the same place of another.
function step(marks, place, key) {
  if (key === "Escape") return -1;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: 0, End: 0 };
  if (!(key in moves) || !marks.length) return undefined;
  if (place < 0) return 0;
  const of = (at) => marks.filter((mark) => mark.at === at);
  const mine = of(marks[place].at), nth = mine.indexOf(marks[place]);
  const among = (list, at) => marks.indexOf(list[Math.min(list.length - 1, Math.max(0, at))]);
  if (key === "Home") return among(mine, 0);
  if (key === "End") return among(mine, mine.length - 1);
  if (key === "ArrowRight" || key === "ArrowLeft") return among(mine, nth + moves[key]);
  const series = [...new Set(marks.map((mark) => mark.at))];
  const other = (series.indexOf(marks[place].at) + moves[key] + series.length) % series.length;
  return among(of(series[other]), nth);
}
