"use strict";
// Color maps as 256 packed pixels; the last one is no pixel. A few anchors each, straight lines between them.
// The anchors come from the server, which uses them too.
NB.maps = { "ink on paper": ["#ffffff", "#000000"] };
NB.gap = "#cad4de";

NB.channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

NB.palette = (name) => {
  const anchors = (NB.maps[name] || NB.maps["ink on paper"]).map(NB.channels);
  const packed = new Uint32Array(256);
  for (let i = 0; i < 255; i++) {
    const at = (i / 254) * (anchors.length - 1), k = Math.min(Math.floor(at), anchors.length - 2), t = at - k;
    const [r, g, b] = anchors[k].map((low, c) => Math.round(low + t * (anchors[k + 1][c] - low)));
    packed[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  const [r, g, b] = NB.channels(NB.gap);
  packed[255] = (255 << 24) | (b << 16) | (g << 8) | r;
  return packed;
};

// Whether few photons are shown dark.
NB.isDark = (name) => {
  const [r, g, b] = NB.channels((NB.maps[name] || NB.maps["ink on paper"])[0]);
  return 0.3 * r + 0.6 * g + 0.1 * b < 110 && name !== "difference";
};
