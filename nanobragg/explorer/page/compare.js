"use strict";
// The measured image: layers, scale, mask, refinement.
(() => {
  const id = NB.id, shown = (value) => value === null || value === undefined ? "" : Number.isInteger(value) && Math.abs(value) < 1e12 ? value : Number(value.toPrecision(6));
  const typed = (name, action) => { id(name).onkeydown = (event) => { if (event.key === "Enter") action(); }; };
  const load = () => { id("load").textContent = "…"; NB.say({ do: "measure", file: id("file").value }); };
  for (const kind of ["measured", "message"]) NB.hear(kind, () => { id("load").textContent = "Read"; });
  id("load").onclick = load;
  typed("file", load);
  id("frame-back").onclick = () => NB.say({ do: "frame", by: -1 });
  id("frame-on").onclick = () => NB.say({ do: "frame", by: 1 });
  id("frame").onchange = () => NB.say({ do: "frame", image: Math.round(NB.number("frame")) || 1 });
  id("take-geometry").onclick = () => NB.say({ do: "geometry" });

  id("layer").onchange = () => {
    NB.layer = id("layer").value;
    id("opacity-row").hidden = NB.layer !== "blend";
    NB.fitAll(); NB.draw(); NB.askTiles();
  };
  id("opacity").oninput = () => NB.draw();
  id("opacity").onchange = () => NB.askTiles(); // the server keeps it for exports
  // What was typed alone: the others are shown rounded.
  const settings = { factor: "factor", offset: "offset", "mask-low": "low", "mask-high": "high" };
  for (const [name, field] of Object.entries(settings)) id(name).onchange = () => NB.say({ do: "comparison", [field]: NB.number(name) });
  id("fit").onclick = () => NB.say({ do: "fit" });
  id("light").onclick = () => NB.say({ do: "light" });

  const loadMask = () => NB.say({ do: "mask_file", file: id("mask-file").value, zero: id("mask-zero").checked });
  id("mask-load").onclick = loadMask;
  typed("mask-file", loadMask);
  id("mask-clear").onclick = () => NB.say({ do: "mask_clear" });
  id("mask-save").onclick = () => NB.take("mask");
  id("mask-detector").onclick = () => NB.say({ do: "mask_detector" });
  // Masking is one of the tools for dragging: chosen at the top, or here.
  const tool = id("tool"), maskShapes = ["rectangle", "circle"];
  const choose = (name) => { tool.value = name; tool.dispatchEvent(new Event("change")); };
  tool.addEventListener("change", () => { for (const name of maskShapes) id(`mask-${name}`).setAttribute("aria-pressed", String(tool.value === name)); });
  for (const name of maskShapes) id(`mask-${name}`).onclick = () => choose(tool.value === name ? "turn" : name);
  id("masking").addEventListener("toggle", () => { if (!id("masking").open && maskShapes.includes(tool.value)) choose("turn"); });
  // What is being masked: from the first place to the second.
  NB.maskLine = null;
  NB.maskDrawn = () => {
    const line = NB.maskLine;
    NB.maskLine = null;
    NB.drawOverlay();
    if (line) NB.say({ do: "mask_draw", shape: tool.value, line, counts: id("mask-counts").checked });
  };

  NB.hear("measured", (message) => {
    id("with-measured").hidden = !message.name;
    const there = message.name && message.fits;
    for (const name of maskShapes) tool.querySelector(`[value=${name}]`).hidden = !there;
    if (!there && maskShapes.includes(tool.value)) choose("turn");
    if (!message.name) {
      if (NB.layer !== "simulated") { id("layer").value = "simulated"; id("layer").onchange(); }
      return;
    }
    if (document.activeElement !== id("file")) id("file").value = message.name;
    id("frame").value = message.image;
    const stack = message.n_images > 1;
    id("frame").hidden = !stack;
    id("frame-of").textContent = stack ? `of ${message.n_images}` : "files by number";
    id("frame-row").hidden = !stack && !/\d\.\w+(\.gz|\.bz2)?$/.test(message.name);
    id("unfit").hidden = message.fits;
    id("with-fitting").hidden = !message.fits;
    id("factor").value = shown(message.factor);
    id("offset").value = shown(message.offset);
    id("mask-low").value = shown(message.low);
    id("mask-high").value = shown(message.high);
    id("mask-clear").disabled = !message.masked;
    if (message.said) id(message.fits ? "agreement" : "unfit-said").textContent = message.said;
    const box = id("refine-paths"), names = message.paths.map(([path]) => path).join();
    if (NB.refinePaths !== names) { // of another kind of experiment; what was chosen stays chosen
      const before = new Map([...box.querySelectorAll("input")].map((one) => [one.value, one.checked]));
      box.replaceChildren(...message.paths.map(([path, on]) => NB.make("label", { className: "line" }, NB.make("input", { type: "checkbox", value: path, checked: before.has(path) ? before.get(path) : on }), ` ${path}`)));
      if (NB.refinePaths === undefined) id("refine-free").checked = message.free; // all structure factors alike are not those of a crystal
      NB.refinePaths = names;
      freed();
    }
  });

  const freed = () => { for (const box of id("refine-paths").querySelectorAll("input")) box.disabled = id("refine-free").checked && /flu(x|ence)_/.test(box.value); };
  id("refine-free").onchange = freed; // then the flux is in the factors of the spots
  id("refine-start").onclick = () => {
    const paths = [...id("refine-paths").querySelectorAll("input:checked")].map((box) => box.value);
    NB.say({ do: "refine", paths, free: id("refine-free").checked });
  };
  id("refine-stop").onclick = () => NB.say({ do: "stop" });
  id("refine-report").onclick = () => NB.take("report");
  let costs = [];
  const plotted = () => { if (costs.length > 1) NB.plot(id("refine-plot"), [{ values: costs, color: "#0550ae" }], false); };
  id("refine").addEventListener("toggle", plotted); // it has no size while it is closed
  NB.hear("refinement", (message) => {
    id("refine-stop").hidden = !message.running;
    id("refine-start").disabled = message.running;
    id("refine-report").hidden = !message.report;
    id("refine-said").textContent = message.said;
    id("refine-said").style.color = { error: "#b42318", doubt: "#953800", good: "#116329" }[message.level] || "";
    costs = message.costs;
    const last = costs[costs.length - 1];
    id("refine-plot").hidden = costs.length < 2;
    id("refine-costs").textContent = costs.length ? `step ${costs.length}, misfit ${costs[0].toPrecision(3)} → ${last.toPrecision(3)}` : "";
    plotted();
    id("refine-values").replaceChildren(...message.rows.map(([name, value, error, unit]) => NB.make("tr", {}, NB.make("td", { textContent: name.replace("crystal.", "").replace("beam.", "").replace("detector.", ""), title: name }), NB.make("td", { textContent: error ? `${value} ± ${error} ${unit}` : `${value} ${unit}` }))));
  });
})();
