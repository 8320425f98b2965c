"use strict";
// Lines over the picture: rings, beam, borders, labels, the line of the profile.
NB.marks = { rings: [], center: [], borders: [] };
NB.labels = [];
NB.profileLine = null;

NB.drawOverlay = () => {
  const canvas = NB.id("overlay"), { width, height, ratio } = NB.size(), pen = canvas.getContext("2d");
  canvas.width = width;
  canvas.height = height;
  for (const port of NB.ports()) {
    pen.save();
    pen.beginPath();
    pen.rect(port.left, 0, port.width, port.height);
    pen.clip();
    NB.drawMarks(pen, port, ratio);
    pen.restore();
  }
};

NB.drawMarks = (pen, port, ratio) => {
  const { x, y, zoom } = NB.view, place = ([column, row]) => [port.left + (column - x) * zoom, (row - y) * zoom];
  const path = (line) => { pen.beginPath(); line.forEach((point, i) => pen[i ? "lineTo" : "moveTo"](...place(point))); pen.stroke(); };
  const word = (text, at, color) => {
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.lineWidth = 3 * ratio;
    pen.strokeStyle = "rgba(255,255,255,.85)";
    pen.strokeText(text, ...at);
    pen.fillStyle = color;
    pen.fillText(text, ...at);
  };
  if (NB.id("o-borders").checked) {
    pen.strokeStyle = "#57606a"; pen.lineWidth = ratio;
    for (const border of NB.marks.borders) {
      path(border.line);
      if (NB.marks.borders.length > 1 && NB.marks.borders.length <= 32) {
        const sum = border.line.slice(0, 4).reduce(([a, b], [c, d]) => [a + c / 4, b + d / 4], [0, 0]);
        word(border.name, place(sum), "#57606a");
      }
      pen.strokeStyle = "#57606a"; pen.lineWidth = ratio;
    }
  }
  if (NB.id("o-rings").checked) {
    const named = new Set();
    for (const ring of NB.marks.rings) {
      pen.strokeStyle = "#0969da"; pen.lineWidth = 1.2 * ratio; pen.setLineDash([5 * ratio, 4 * ratio]);
      path(ring.line);
      pen.setLineDash([]);
      const seen = ring.line.map(place).find(([a, b]) => a > port.left + 4 && a < port.left + port.width - 60 && b > 14 && b < port.height - 40);
      if (seen && !named.has(ring.d)) { named.add(ring.d); word(`${Number(ring.d.toPrecision(3))} Å`, seen, "#0550ae"); }
    }
  }
  if (NB.id("o-center").checked) for (const center of NB.marks.center) {
    const [a, b] = place(center), r = 8 * ratio;
    pen.strokeStyle = "#cf222e"; pen.lineWidth = 2 * ratio;
    pen.beginPath(); pen.moveTo(a - r, b); pen.lineTo(a + r, b); pen.moveTo(a, b - r); pen.lineTo(a, b + r); pen.stroke();
  }
  const taken = []; // of words: the brightest reflection comes first, and what would cover it has a square alone
  if (NB.id("o-labels").checked) for (const [column, row, text] of NB.labels) {
    const at = place([column, row]);
    if (at[0] < port.left || at[0] > port.left + port.width || at[1] < 0 || at[1] > port.height) continue;
    pen.strokeStyle = "#bc4c00"; pen.lineWidth = ratio;
    pen.strokeRect(at[0] - 4 * ratio, at[1] - 4 * ratio, 8 * ratio, 8 * ratio);
    const box = [at[0], at[1] - 16 * ratio, at[0] + (10 + 6 * text.length) * ratio, at[1] + 4 * ratio];
    if (taken.some(([a, b, c, d]) => a < box[2] && c > box[0] && b < box[3] && d > box[1])) continue;
    taken.push(box);
    word(text, [at[0] + 6 * ratio, at[1] - 4 * ratio], "#953800");
  }
  if (NB.maskLine) {
    const [[x0, y0], [x1, y1]] = NB.maskLine.map(place);
    pen.strokeStyle = "#8250df"; pen.lineWidth = 2 * ratio;
    pen.beginPath();
    if (NB.maskShape === "circle") pen.arc(x0, y0, Math.hypot(x1 - x0, y1 - y0), 0, 2 * Math.PI); else pen.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    pen.stroke();
  }
  if (NB.profileLine) { pen.strokeStyle = "#8250df"; pen.lineWidth = 2 * ratio; path(NB.profileLine); }
};

NB.hear("marks", (message) => { NB.marks = message.marks; NB.drawOverlay(); });
NB.hear("labels", (message) => { NB.labels = message.labels; NB.drawOverlay(); });
for (const name of ["o-rings", "o-center", "o-borders"]) NB.id(name).onchange = () => NB.drawOverlay();
NB.id("o-labels").onchange = (event) => { NB.say({ do: "labels", on: event.target.checked }); NB.drawOverlay(); };
