"use strict";
// Hover, histogram, profile.
(() => {
  NB.hear("hover", (message) => {
    NB.pixel = message.pixel;
    NB.id("hover").tBodies[0].replaceChildren(...message.rows.map(([name, value]) => NB.make("tr", {}, NB.make("td", { textContent: name }), NB.make("td", { textContent: value }))));
  });

  const short = (v) => { const size = Math.abs(v); return size >= 1e4 || (size < 1e-2 && size > 0) ? v.toExponential(0).replace("e+", "e") : String(Number(v.toPrecision(3))); };
  // Round values between two: decades of a logarithmic axis, else steps of 1, 2 or 5.
  const ticks = (low, high, logarithmic) => {
    if (!(high > low)) return [low];
    if (logarithmic) {
      const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9), step = Math.max(1, Math.ceil((last - first) / 4));
      const found = [];
      for (let n = first; n <= last; n += step) found.push(Math.pow(10, n));
      return found.length > 1 ? found : [low, high];
    }
    const rough = (high - low) / 3, decade = Math.pow(10, Math.floor(Math.log10(rough))), step = [1, 2, 5, 10].map((n) => n * decade).find((n) => n >= rough);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-9); n++) found.push(n * step);
    return found;
  };

  // Curves or bars with two labeled axes; `across` has the ends of the horizontal one, and whether it is logarithmic.
  NB.plot = (canvas, series, logarithmic, across = null) => {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, pen = canvas.getContext("2d");
    canvas.width = Math.max(1, Math.round(width * ratio)); canvas.height = Math.max(1, Math.round(height * ratio));
    pen.scale(ratio, ratio);
    const all = series.flatMap((one) => one.values).filter((v) => v !== null && isFinite(v));
    if (!all.length) return;
    const top = Math.max(...all), lit = all.filter((v) => v > 0), straight = !logarithmic || !lit.length;
    const low = straight ? Math.min(...all, 0) : Math.max(Math.min(...lit) / 1.5, top * 1e-6), high = straight ? (top > low ? top : low + 1) : top;
    const left = 40, right = width - 4, above = 5, below = height - (across ? 16 : 5);
    const part = (v, a, b, log) => log ? Math.log(Math.max(v, a) / a) / Math.log(b / a || 2) : (v - a) / (b - a || 1);
    const y = (v) => below - part(v, low, high, !straight) * (below - above);
    pen.font = "10px system-ui, sans-serif"; pen.fillStyle = "#4b535c"; pen.strokeStyle = "#c9d1d9"; pen.lineWidth = 1;
    pen.textAlign = "right"; pen.textBaseline = "middle";
    let last = Infinity;
    for (const v of ticks(low, high, !straight)) {
      if (last - y(v) < 13) continue;
      last = y(v);
      pen.beginPath(); pen.moveTo(left, last); pen.lineTo(right, last); pen.stroke();
      pen.fillText(short(v), left - 4, Math.min(Math.max(last, 6), below - 2));
    }
    pen.textBaseline = "alphabetic";
    if (across) for (const v of ticks(across.low, across.high, across.log)) {
      const x = left + part(v, across.low, across.high, across.log) * (right - left), text = short(v), half = pen.measureText(text).width / 2;
      pen.beginPath(); pen.moveTo(x, below); pen.lineTo(x, below + 3); pen.stroke();
      pen.textAlign = "center";
      pen.fillText(text, Math.min(Math.max(x, left + half), right - half), height - 3);
    }
    for (const { values, color, bars } of series) {
      pen.strokeStyle = pen.fillStyle = color;
      pen.lineWidth = 1.2;
      pen.beginPath();
      let drawing = false; // a line ends where there is no pixel
      values.forEach((v, i) => {
        const x = left + (i / Math.max(1, values.length - (bars ? 0 : 1))) * (right - left);
        if (v === null || !isFinite(v)) { drawing = false; return; }
        if (bars) { if (v > 0) pen.fillRect(x, Math.min(y(v), below - 1.5), Math.max(1, (right - left) / values.length - 1), Math.max(1.5, below - y(v))); }
        else pen[drawing ? "lineTo" : "moveTo"](x, y(v));
        drawing = true;
      });
      if (!bars) pen.stroke();
    }
  };

  const drawn = new Map(); // how to draw each again when its room has another size
  const plotted = (name, draw) => { drawn.set(name, draw); draw(); };
  NB.replot = () => drawn.forEach((draw) => draw());
  new ResizeObserver(NB.replot).observe(NB.id("histogram"));

  NB.hear("histogram", (message) => {
    const [low, high] = message.ends;
    NB.histogram = message;
    plotted("histogram", () => NB.plot(NB.id("histogram"), [{ values: message.counts, color: "#0550ae", bars: true }], true, high > low ? { low, high, log: true } : null));
    NB.id("histogram-said").textContent = `${message.unit}: ${message.said}`;
  });

  NB.hear("profile", (message) => {
    NB.id("profile-section").hidden = false;
    const series = [{ values: message.values, color: "#8250df" }];
    if (message.measured) series.push({ values: message.measured, color: "#bc4c00" });
    plotted("profile", () => NB.plot(NB.id("profile"), series, NB.id("scale").value === "log", { low: 0, high: message.length, log: false }));
    NB.id("profile-said").textContent = message.said;
    if (message.first) NB.id("profile-section").scrollIntoView({ block: "nearest" });
  });

  NB.hear("sheet", (message) => {
    NB.id("sheet-title").textContent = message.title;
    NB.id("sheet-text").textContent = message.text;
    if (!NB.id("sheet").open) NB.id("sheet").showModal();
  });
  NB.id("sheet-close").onclick = () => NB.id("sheet").close();
  NB.id("sheet-copy").onclick = () => navigator.clipboard && navigator.clipboard.writeText(NB.id("sheet-text").textContent);
  // What is still asked of the picture is asked again of a new one.
  NB.hear("drawn", (header) => {
    if (NB.asking === header.number && header.exact === NB.askedExact) return;
    NB.asking = header.number; NB.askedExact = header.exact;
    if (NB.cursor) NB.hover(NB.cursor);
    if (NB.profileLine && header.exact) NB.say({ do: "profile", line: NB.profileLine });
  });
  NB.id("trace").onclick = () => NB.pixel && NB.say({ do: "trace", pixel: NB.pixel });
})();
