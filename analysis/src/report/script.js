"use strict";
// Values under the pointer, and which conditions are shown. Without it the page is the same, but still.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  // Pixels of the figure within which a point is found.
  const REACH = 40;
  const tip = document.body.appendChild(document.createElement("div"));
  tip.id = "tip";
  tip.hidden = true;
  const written = (value, decimals) => value.toFixed(decimals).replace("-", "−");
  const plain = (value) => (Number.isInteger(value) ? String(value) : written(value, 3));

  function say(text, event) {
    tip.textContent = text;
    tip.hidden = false;
    const width = tip.offsetWidth;
    const left = event.clientX + 14 + width > document.documentElement.clientWidth ? event.clientX - width - 14 : event.clientX + 14;
    tip.style.left = Math.max(4, left + scrollX) + "px";
    tip.style.top = event.clientY + scrollY + 16 + "px";
  }

  function follow(figure) {
    const svg = figure.querySelector("svg");
    const source = figure.querySelector("script.values");
    if (!svg || !source) return;
    let plots = null;
    const ring = document.createElementNS(SVG, "circle");
    ring.setAttribute("class", "ring");
    ring.setAttribute("r", "6");
    const leave = () => { tip.hidden = true; ring.remove(); };
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointermove", (event) => {
      plots = plots || JSON.parse(source.textContent);
      const box = svg.getBoundingClientRect();
      const view = svg.viewBox.baseVal;
      const x = ((event.clientX - box.left) / box.width) * view.width;
      const y = ((event.clientY - box.top) / box.height) * view.height;
      const inside = ({ area: [left, top, width, height] }) => x >= left && x < left + width && y >= top && y < top + height;
      const plot = plots.find(inside);
      const found = plot && (plot.kind === "map" ? inMap(plot, x, y) : onLine(plot, x, y, figure));
      if (!found) return leave();
      say(found.text, event);
      if (!found.at) return ring.remove();
      ring.setAttribute("cx", found.at[0]);
      ring.setAttribute("cy", found.at[1]);
      svg.appendChild(ring);
    });
  }

  function inMap(plot, x, y) {
    const [left, top, width, height] = plot.area;
    const step = Math.floor(((x - left) / width) * plot.steps);
    const epoch = Math.floor(((top + height - y) / height) * plot.epochs);
    if (step < 0 || step >= plot.steps || epoch < 0 || epoch >= plot.epochs) return null;
    plot.bytes = plot.bytes || Uint8Array.from(atob(plot.cells), (letter) => letter.charCodeAt(0));
    const units = new DataView(plot.bytes.buffer).getInt16(2 * (epoch * plot.steps + step), true);
    const value = units === -32768 ? "none" : written(units / 1e4, 3);
    return { text: `${plot.name}\n${plot.value} ${value}\ntime step ${step + 1}, epoch ${epoch + 1}` };
  }

  function onLine(plot, x, y, figure) {
    const [left, top, width, height] = plot.area;
    const group = figure.closest(".group");
    const at = (axis, value) => (value - axis.range[0]) / (axis.range[1] - axis.range[0]);
    let best = null;
    for (const line of plot.lines) {
      if (group && line.mark && group.hidden_marks && group.hidden_marks.has(line.mark)) continue;
      for (const point of line.points) {
        const spot = [left + at(plot.x, point[0]) * width, top + height - at(plot.y, point[1]) * height];
        const distance = Math.hypot(spot[0] - x, spot[1] - y);
        if (distance < REACH && (!best || distance < best.distance)) best = { line, point, at: spot, distance };
      }
    }
    if (!best) return null;
    const [across, up, low, high] = best.point;
    const values = plot.along
      ? `${plot.along} ${low}\n${plot.x.name} ${written(across, 3)}, ${plot.y.name} ${written(up, 3)}`
      : `${plot.x.name} ${plain(across)}\n${plot.y.name} ${written(up, 3)}` +
        (low === undefined ? "" : ` [${written(low, 3)}, ${written(high, 3)}]`);
    return { text: `${best.line.name}\n${values}`, at: best.at };
  }

  function choose(group) {
    const chooser = group.querySelector(".chooser");
    if (!chooser) return;
    const buttons = [...chooser.querySelectorAll("button[data-c]")];
    const marks = buttons.map((button) => button.dataset.c);
    const drawn = [...group.querySelectorAll("svg [data-c]")];
    const kept = `curvefleet ${document.title} ${group.id}`;
    group.hidden_marks = new Set();
    const show = () => {
      for (const part of drawn) part.classList.toggle("off", group.hidden_marks.has(part.dataset.c));
      for (const button of buttons) button.setAttribute("aria-pressed", String(!group.hidden_marks.has(button.dataset.c)));
      try { sessionStorage.setItem(kept, JSON.stringify([...group.hidden_marks])); } catch { /* kept for this view alone */ }
    };
    const hide = (hidden) => { group.hidden_marks = new Set(hidden); show(); };
    const dim = (mark) => {
      group.classList.toggle("dimmed", mark !== null);
      for (const part of drawn) part.classList.toggle("hot", part.dataset.c === mark);
    };
    for (const button of buttons) {
      const mark = button.dataset.c;
      button.addEventListener("click", (event) => {
        if (event.shiftKey) return hide(marks.filter((other) => other !== mark && other[0] !== "S"));
        if (!group.hidden_marks.delete(mark)) group.hidden_marks.add(mark);
        show();
      });
      button.addEventListener("pointerenter", () => dim(mark));
      button.addEventListener("pointerleave", () => dim(null));
    }
    chooser.querySelector("[data-all]").addEventListener("click", () => hide([]));
    chooser.querySelector("[data-none]").addEventListener("click", () => hide(marks.filter((mark) => mark[0] !== "S")));
    chooser.hidden = false;
    try { hide(JSON.parse(sessionStorage.getItem(kept) || "[]")); } catch { hide([]); }
  }

  for (const group of document.querySelectorAll(".group")) choose(group);
  for (const figure of document.querySelectorAll("figure")) follow(figure);
  const renewed = document.querySelector("[data-renewed-seconds]");
  if (renewed) setTimeout(() => location.reload(), 1000 * Number(renewed.dataset.renewedSeconds));
})();
