"use strict";
// The measured image: layers, scale, mask, refinement.
(() => {
  NB.id("load").onclick = () => NB.say({ do: "measure", file: NB.id("file").value });
  NB.id("file").onkeydown = (event) => { if (event.key === "Enter") NB.id("load").click(); };
  NB.id("layer").onchange = () => {
    NB.layer = NB.id("layer").value;
    NB.id("opacity-row").hidden = NB.layer !== "blend";
    NB.fitAll(); NB.draw(); NB.askTiles();
  };
  NB.id("opacity").oninput = () => NB.draw();
  const settings = () => NB.say({ do: "comparison", factor: NB.number("factor"), offset: NB.number("offset"), low: NB.number("mask-low"), high: NB.number("mask-high") });
  for (const name of ["factor", "offset", "mask-low", "mask-high"]) NB.id(name).onchange = settings;
  NB.id("fit").onclick = () => NB.say({ do: "fit" });

  NB.hear("measured", (message) => {
    NB.id("with-measured").hidden = !message.name;
    if (message.name) NB.id("file").value = message.name;
    NB.id("factor").value = Number(message.factor.toPrecision(6));
    NB.id("offset").value = Number(message.offset.toPrecision(6));
    NB.id("agreement").textContent = message.said;
    const box = NB.id("refine-paths");
    if (!box.children.length) {
      box.append(...message.paths.map(([path, on]) => NB.make("label", { style: "display:block" }, NB.make("input", { type: "checkbox", value: path, checked: on }), ` ${path}`)));
    }
  });

  NB.id("refine-start").onclick = () => {
    const paths = [...NB.id("refine-paths").querySelectorAll("input:checked")].map((box) => box.value);
    NB.say({ do: "refine", paths });
  };
  NB.id("refine-stop").onclick = () => NB.say({ do: "stop" });
  NB.hear("refinement", (message) => {
    NB.id("refine-stop").hidden = !message.running;
    NB.id("refine-start").disabled = message.running;
    NB.id("refine-said").textContent = message.said;
    NB.id("refine-plot").hidden = message.costs.length < 2;
    if (message.costs.length > 1) NB.plot(NB.id("refine-plot"), [{ values: message.costs, color: "#0550ae" }], false);
  });
})();
