"use strict";
// The picture: tiles from the server, drawn where the view has them.
NB.view = { x: 0, y: 0, zoom: 0 }; // place of the picture in the upper left corner, screen pixels per pixel; 0: not yet known
NB.shape = null;
NB.tiles = [];
NB.layer = "simulated";

NB.size = () => {
  const stage = NB.id("stage"), ratio = window.devicePixelRatio || 1;
  return { width: Math.max(1, Math.round(stage.clientWidth * ratio)), height: Math.max(1, Math.round(stage.clientHeight * ratio)), ratio };
};

// Ports: rectangles of the screen that show the picture; two when images stand beside each other.
NB.ports = () => {
  const { width, height } = NB.size();
  if (NB.layer !== "beside") return [{ name: null, left: 0, width, height }];
  const half = Math.floor(width / 2);
  return [{ name: "simulated", left: 0, width: half - 1, height }, { name: "measured", left: half + 1, width: width - half - 1, height }];
};

NB.fitAll = () => {
  if (!NB.shape) return;
  const port = NB.ports()[0], [rows, columns] = NB.shape;
  const zoom = Math.min(port.width / columns, port.height / rows);
  NB.view = { zoom, x: (columns - port.width / zoom) / 2, y: (rows - port.height / zoom) / 2 };
  NB.fitted = true; // and stays so in a window of another size
};

NB.number = (name) => { const text = NB.id(name).value.trim(); return text === "" || !isFinite(text) ? null : Number(text); };

NB.askTiles = () => {
  if (!NB.shape || NB.asked) return;
  NB.asked = true;
  requestAnimationFrame(() => {
    NB.asked = false;
    const port = NB.ports()[0], { x, y, zoom } = NB.view;
    NB.say({ do: "view", view: {
      fast: [x, x + port.width / zoom], slow: [y, y + port.height / zoom], width: port.width, height: port.height,
      scale: NB.id("scale").value, low: NB.number("low"), high: NB.number("high"), layer: NB.layer,
      opacity: Number(NB.id("opacity").value),
    } });
  });
};

NB.scratch = document.createElement("canvas");

NB.paint = (tile, palette) => {
  const pixels = new Uint32Array(tile.rows * tile.columns), shades = tile.shades;
  for (let i = 0; i < pixels.length; i++) pixels[i] = palette[shades[i]];
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, tile.columns);
  canvas.height = Math.max(1, tile.rows);
  if (pixels.length) canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), tile.columns, tile.rows), 0, 0);
  return canvas;
};

NB.repaint = () => {
  const chosen = NB.palette(NB.id("map").value), signed = NB.palette("difference");
  for (const tile of NB.tiles) tile.canvas = NB.paint(tile, tile.name === "difference" ? signed : chosen);
  NB.draw();
};

NB.draw = () => {
  const canvas = NB.id("picture"), { width, height } = NB.size(), pen = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  pen.fillStyle = "#d4d9de";
  pen.fillRect(0, 0, width, height);
  pen.imageSmoothingEnabled = false;
  const { x, y, zoom } = NB.view;
  for (const port of NB.ports()) {
    pen.save();
    pen.beginPath();
    pen.rect(port.left, 0, port.width, port.height);
    pen.clip();
    for (const tile of NB.tiles) {
      if (port.name && tile.name !== port.name) continue;
      pen.globalAlpha = NB.layer === "blend" && tile.name === "measured" ? Number(NB.id("opacity").value) : 1;
      const left = port.left + (tile.fast[0] - x) * zoom, top = (tile.slow[0] - y) * zoom;
      if (tile.canvas) pen.drawImage(tile.canvas, left, top, (tile.fast[1] - tile.fast[0]) * zoom, (tile.slow[1] - tile.slow[0]) * zoom);
    }
    pen.restore();
  }
  NB.drawOverlay();
};

NB.hear("tiles", (header, bytes) => {
  let at = 0;
  for (const tile of header.tiles) {
    tile.shades = bytes.subarray(at, at + tile.rows * tile.columns);
    at += tile.rows * tile.columns;
  }
  requestAnimationFrame(() => {
    NB.tiles = header.tiles;
    NB.last = header;
    const first = !NB.shape, changed = first || NB.shape[0] !== header.shape[0] || NB.shape[1] !== header.shape[1];
    NB.shape = header.shape;
    if (changed) { NB.fitAll(); NB.askTiles(); }
    NB.repaint();
    NB.shown(header.event);
    NB.say({ do: "taken" });
    NB.sayQuality(header);
    for (const action of NB.on.drawn || []) action(header);
  });
});

NB.sayQuality = (header) => {
  const place = NB.id("quality"), ms = header.seconds < 1 ? `${(1000 * header.seconds).toPrecision(2)} ms` : `${header.seconds.toPrecision(2)} s`;
  place.className = header.exact ? "exact" : "coarse";
  const unit = header.layer === "difference" ? "(measured - simulated)/sigma" : header.unit;
  const text = header.exact ? `exact, ${unit}` : `coarse: ${header.said}`;
  place.textContent = text;
  place.title = `rendered in ${ms}`;
  const tile = header.tiles[0];
  if (!tile) return;
  const limits = NB.id("limits");
  if (!limits.firstChild) limits.innerHTML = "<span></span><canvas width=128 height=1></canvas><span></span>";
  limits.children[0].textContent = Number(tile.low.toPrecision(3));
  limits.children[2].textContent = Number(tile.high.toPrecision(3));
  NB.id("limit-unit").textContent = tile.name === "difference" ? "sigma" : NB.id("scale").value === "percentile" ? "%" : header.unit.split(" ").pop();
  const bar = new Uint32Array(128), palette = NB.palette(tile.name === "difference" ? "difference" : NB.id("map").value);
  for (let i = 0; i < 128; i++) bar[i] = palette[2 * i > 254 ? 254 : 2 * i];
  limits.children[1].getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(bar.buffer), 128, 1), 0, 0);
};

new ResizeObserver(() => { if (NB.shape) { if (NB.fitted) NB.fitAll(); NB.draw(); NB.askTiles(); } }).observe(NB.id("stage"));
