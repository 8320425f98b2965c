"use strict";
// Hover, histogram, profile.
(() => {
  NB.hear("hover", (message) => {
    NB.pixel = message.pixel;
    NB.id("hover").tBodies[0].replaceChildren(...message.rows.map(([name, value]) => NB.make("tr", {}, NB.make("td", { textContent: name }), NB.make("td", { textContent: value }))));
  });

  NB.plot = (canvas, series, logarithmic) => {
    const pen = canvas.getContext("2d"), { width, height } = canvas;
    pen.clearRect(0, 0, width, height);
    const all = series.flatMap((one) => one.values).filter(isFinite);
    const top = Math.max(...all, 1e-30), floor = logarithmic ? Math.max(Math.min(...all.filter((v) => v > 0)), top * 1e-6) : Math.min(...all, 0);
    const y = (v) => { const t = logarithmic ? Math.log(Math.max(v, floor) / floor) / Math.log(top / floor || 2) : (v - floor) / (top - floor || 1); return height - 3 - t * (height - 6); };
    for (const { values, color, bars } of series) {
      pen.strokeStyle = pen.fillStyle = color;
      pen.beginPath();
      values.forEach((v, i) => {
        const x = (i / Math.max(1, values.length - (bars ? 0 : 1))) * width;
        if (bars) pen.fillRect(x, y(v), Math.max(1, width / values.length - 1), v > 0 ? height - y(v) : 0);
        else pen[i ? "lineTo" : "moveTo"](x, y(v));
      });
      if (!bars) pen.stroke();
    }
  };

  NB.hear("histogram", (message) => {
    NB.plot(NB.id("histogram"), [{ values: message.counts, color: "#0550ae", bars: true }], true);
    NB.id("histogram-said").textContent = message.said;
  });

  NB.hear("profile", (message) => {
    NB.id("profile-section").hidden = false;
    const series = [{ values: message.values, color: "#8250df" }];
    if (message.measured) series.push({ values: message.measured, color: "#bc4c00" });
    NB.plot(NB.id("profile"), series, NB.id("scale").value === "log");
    NB.id("profile-said").textContent = message.said;
    NB.id("profile-section").scrollIntoView({ block: "nearest" });
  });

  NB.hear("sheet", (message) => {
    NB.id("sheet-title").textContent = message.title;
    NB.id("sheet-text").textContent = message.text;
    if (!NB.id("sheet").open) NB.id("sheet").showModal();
  });
  NB.id("sheet-close").onclick = () => NB.id("sheet").close();
  NB.id("sheet-copy").onclick = () => navigator.clipboard && navigator.clipboard.writeText(NB.id("sheet-text").textContent);
  NB.id("trace").onclick = () => NB.pixel && NB.say({ do: "trace", pixel: NB.pixel });
})();
