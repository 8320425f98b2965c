"use strict";
// Color maps as 256 packed pixels; the last one is no pixel. A few anchors each, straight lines between them.
NB.maps = {
  "ink on paper": ["#ffffff", "#d8d8d8", "#9a9a9a", "#4e4e4e", "#000000"],
  "light on black": ["#000000", "#4e4e4e", "#9a9a9a", "#d8d8d8", "#ffffff"],
  "viridis": ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  "inferno": ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"],
  "difference": ["#053061", "#4393c3", "#d1e5f0", "#ffffff", "#fddbc7", "#d6604d", "#67001f"],
};

NB.channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

NB.palette = (name) => {
  const anchors = (NB.maps[name] || NB.maps["ink on paper"]).map(NB.channels);
  const packed = new Uint32Array(256);
  for (let i = 0; i < 255; i++) {
    const at = (i / 254) * (anchors.length - 1), k = Math.min(Math.floor(at), anchors.length - 2), t = at - k;
    const [r, g, b] = anchors[k].map((low, c) => Math.round(low + t * (anchors[k + 1][c] - low)));
    packed[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  packed[255] = (255 << 24) | (0xde << 16) | (0xd4 << 8) | 0xca; // gaps
  return packed;
};
