"use strict";
// Lines over the picture: rings, beam, borders, labels, the line of the profile.
NB.marks = { rings: [], center: [], borders: [] };
NB.labels = [];
NB.labelsOf = 0; // the number of their picture
NB.mostLabels = 250;
NB.spot = null;
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

// Inks of lines and words with what outlines them: on a bright map dark ones, on a dark map bright ones.
NB.inks = {
  bright: { halo: "255,255,255", ring: "#0969da", word: "#0550ae", border: "#57606a", name: "#424a53", center: "#cf222e", line: "#8250df", spot: "#1a7f37", crystals: ["#953800", "#116329", "#6639ba", "#99286e"] },
  dark: { halo: "0,0,0", ring: "#58a6ff", word: "#a5d6ff", border: "#b1bac4", name: "#f0f6fc", center: "#ff7b72", line: "#d2a8ff", spot: "#7ee787", crystals: ["#ffc680", "#7ee787", "#d2a8ff", "#ff9bce"] },
};

NB.drawMarks = (pen, port, ratio) => {
  const ink = NB.inks[NB.isDark(NB.last && NB.last.layer === "difference" ? "difference" : NB.id("map").value) ? "dark" : "bright"];
  const { x, y, zoom } = NB.view, place = ([column, row]) => [port.left + (column - x) * zoom, (row - y) * zoom];
  const path = (line) => { pen.beginPath(); line.forEach((point, i) => pen[i ? "lineTo" : "moveTo"](...place(point))); pen.stroke(); };
  pen.font = `${11 * ratio}px system-ui, sans-serif`;
  const word = (text, at, color) => {
    pen.lineWidth = 3 * ratio;
    pen.strokeStyle = `rgba(${ink.halo},.85)`;
    pen.strokeText(text, ...at);
    pen.fillStyle = color;
    pen.fillText(text, ...at);
  };
  const outlined = (draw, color, line) => { // seen on dark and on bright
    pen.strokeStyle = `rgba(${ink.halo},.6)`; pen.lineWidth = line + 2 * ratio; draw();
    pen.strokeStyle = color; pen.lineWidth = line; draw();
  };
  const high = 13 * ratio, taken = []; // boxes in which words stand, or must not
  const free = (box) => box[0] >= port.left && box[2] <= port.left + port.width && box[1] >= 0 && box[3] <= port.height
    && !taken.some(([a, b, c, d]) => a < box[2] && c > box[0] && b < box[3] && d > box[1]);
  const put = (text, places, color, later = null) => { // at the first of some places (lower left corners) that is free
    const wide = pen.measureText(text).width;
    for (const [toTheLeft, x0, y0] of places) {
      const at = [toTheLeft ? x0 - wide : x0, y0], box = [at[0] - 1, at[1] - high, at[0] + wide + 1, at[1] + 3 * ratio];
      if (!free(box)) continue;
      taken.push(box);
      if (later) later.push([text, at, color]); else word(text, at, color);
      return true;
    }
    return false;
  };
  for (const name of ["quality", "limits"]) {
    const box = NB.id(name).getBoundingClientRect(), stage = NB.id("stage").getBoundingClientRect();
    taken.push([box.left - stage.left, box.top - stage.top, box.right - stage.left, box.bottom - stage.top].map((x) => x * ratio));
  }
  if (NB.id("o-borders").checked) for (const border of NB.marks.borders) { pen.strokeStyle = ink.border; pen.lineWidth = ratio; path(border.line); }
  const words = [];
  if (NB.id("o-rings").checked) {
    for (const ring of NB.marks.rings) {
      outlined(() => { pen.setLineDash([5 * ratio, 4 * ratio]); path(ring.line); pen.setLineDash([]); }, ink.ring, 1.2 * ratio);
    }
    for (const d of new Set(NB.marks.rings.map((ring) => ring.d))) { // where it is seen, away from other words
      const points = NB.marks.rings.filter((ring) => ring.d === d).flatMap((ring) => ring.line).map(place);
      const text = `${Number(d.toPrecision(3))} Å`;
      for (const [a, b] of points) if (put(text, [[false, a + 3 * ratio, b - 2 * ratio]], ink.word, words)) break;
    }
  }
  if (NB.id("o-center").checked) for (const center of NB.marks.center) {
    const [a, b] = place(center), r = 8 * ratio;
    outlined(() => { pen.beginPath(); pen.moveTo(a - r, b); pen.lineTo(a + r, b); pen.moveTo(a, b - r); pen.lineTo(a, b + r); pen.stroke(); }, ink.center, 2 * ratio);
    taken.push([a - r, b - r, a + r, b + r]);
  }
  if (NB.id("o-borders").checked && NB.marks.borders.length > 1) {
    for (const { line, name } of NB.marks.borders) { // in the upper left corner of the panel, where it is wide enough for its name
      const corners = line.map(place), x0 = Math.min(...corners.map((p) => p[0])), x1 = Math.max(...corners.map((p) => p[0])), y0 = Math.min(...corners.map((p) => p[1]));
      if (name && pen.measureText(name).width + 8 * ratio < x1 - x0) put(name, [[false, Math.max(x0, port.left) + 4 * ratio, Math.max(y0, 0) + high]], ink.name, words);
    }
  }
  // Labels are those of one picture: while the crystal turns they would stand where the reflections were.
  const seen = !NB.id("o-labels").checked || !NB.last || NB.last.number !== NB.labelsOf ? [] : NB.labels.map(([column, row, text, crystal]) => [place([column, row]), text, crystal])
    .filter(([[a, b]]) => a >= port.left && a <= port.left + port.width && b >= 0 && b <= port.height).slice(0, NB.mostLabels);
  const colors = ink.crystals, several = NB.labels.some((one) => one[3] > 0), s = 4 * ratio;
  for (const [[a, b], , crystal] of seen) { // the brightest come first
    outlined(() => pen.strokeRect(a - s, b - s, 2 * s, 2 * s), colors[crystal % 4], ratio);
    taken.push([a - s, b - s, a + s, b + s]);
  }
  NB.named = [];
  for (const [[a, b], hkl, crystal] of seen) {
    const text = several ? `${crystal}: ${hkl}` : hkl, up = b - 3 * ratio, down = b + high - ratio, off = 6 * ratio;
    if (put(text, [[false, a + off, up], [true, a - off, up], [false, a + off, down], [true, a - off, down]], colors[crystal % 4], words)) NB.named.push(hkl);
  }
  for (const one of words) word(...one);
  if (NB.profileLine) outlined(() => path(NB.profileLine), ink.line, 2 * ratio);
  if (NB.spot) { // the pixel that the keys have chosen
    const [a, b] = place([NB.spot[0], NB.spot[1]]), size = Math.max(zoom, 5 * ratio), c = a + (zoom - size) / 2, e = b + (zoom - size) / 2;
    outlined(() => { pen.strokeRect(c, e, size, size); pen.beginPath(); pen.moveTo(c - 8 * ratio, e + size / 2); pen.lineTo(c, e + size / 2); pen.moveTo(c + size, e + size / 2); pen.lineTo(c + size + 8 * ratio, e + size / 2); pen.stroke(); }, ink.spot, 2 * ratio);
  }
  if (NB.maskLine) {
    const [[x0, y0], [x1, y1]] = NB.maskLine.map(place);
    outlined(() => {
      pen.beginPath();
      if (NB.id("tool").value === "circle") pen.arc(x0, y0, Math.hypot(x1 - x0, y1 - y0), 0, 2 * Math.PI); else pen.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
      pen.stroke();
    }, ink.line, 2 * ratio);
  }
};

NB.hear("marks", (message) => { NB.marks = message.marks; NB.drawOverlay(); });
NB.hear("labels", (message) => {
  Object.assign(NB, { labels: message.labels, labelsOf: message.number });
  NB.id("labels-said").textContent = message.said;
  NB.drawOverlay();
});
NB.hear("open", () => { if (NB.id("o-labels").checked) NB.say({ do: "labels", on: true }); }); // the connection is another one
for (const name of ["o-rings", "o-center", "o-borders"]) NB.id(name).onchange = () => NB.drawOverlay();
NB.id("o-labels").onchange = (event) => { NB.say({ do: "labels", on: event.target.checked }); NB.drawOverlay(); };
