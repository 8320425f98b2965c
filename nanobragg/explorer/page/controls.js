"use strict";
// Controls of the values, made from what the server says of the fields.
(() => {
  const nav = NB.id("controls"), open = new Set(["crystal", "detector"]), built = new Map();
  let signature = "";

  const make = (tag, fields = {}, ...inside) => {
    const node = Object.assign(document.createElement(tag), fields);
    node.append(...inside);
    return node;
  };
  NB.make = make;

  const shown = (value) => typeof value === "number" ? String(Number(value.toPrecision(7))) : value === null || value === undefined ? "" : String(value);

  // One row of a control: a number with its slider; vectors have a row for each element.
  const row = (control, index, label) => {
    const path = index === null ? control.path : `${control.path}[${index}]`;
    const name = `c-${path}`, node = make("div", { className: "control", title: help(control) });
    const slider = make("input", { type: "range", min: 0, max: 1000, step: 1, ariaLabel: `${label}, slider` });
    const number = make("input", { className: "number", id: name, spellcheck: false, autocomplete: "off" });
    const unit = control.unit ? make("span", { className: "unit", textContent: ` ${control.unit}` }) : "";
    node.append(make("label", { htmlFor: name, textContent: label.replaceAll("_", "_\u200b") }, unit), slider, number); // may break there
    node.dataset.path = path;
    const say = (value, moving) => (moving ? NB.move : NB.change)({ do: "set", ...whole(control, index, value), moving });
    slider.oninput = () => { number.value = shown(fromSlider(control, Number(slider.value))); say(Number(number.value), true); };
    slider.onchange = () => { NB.waiting = null; say(Number(number.value), false); };
    number.onchange = () => say(number.value, false);
    number.onkeydown = (event) => {
      if (event.key === "Enter") number.blur();
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      const up = event.key === "ArrowUp" ? 1 : -1, times = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
      const now = Number(number.value || number.placeholder) || 0;
      const step = control.unit === "degrees" ? 0.1 : control.kind === "int" ? 1 : 0; // of the others 1 % of their size or range
      const next = step ? now + up * step * times : control.log ? now * Math.pow(1.01, up * times) : now + up * times * (control.high - control.low) / 1000;
      number.value = shown(control.kind === "int" ? Math.round(next) : next);
      say(Number(number.value), false);
    };
    return { node, show: (value, decided) => {
      if (document.activeElement !== number) number.value = shown(value);
      number.placeholder = decided === null || decided === undefined ? (control.optional ? "auto" : "") : shown(decided);
      const at = typeof value === "number" ? value : typeof decided === "number" ? decided : null;
      slider.disabled = at === null;
      if (at !== null && document.activeElement !== slider) slider.value = toSlider(control, at);
    } };
  };

  // A vector that is left open or is a word is set as a whole.
  const whole = (control, index, value) => {
    if (index === null) return { path: control.path, value, type: control.kind };
    const now = control.value;
    if (Array.isArray(now) && !(typeof value === "string" && (value.trim() === "" || isNaN(value)))) return { path: `${control.path}[${index}]`, value, type: "scalar" };
    if (typeof value === "string" && (value.trim() === "" || isNaN(value))) return { path: control.path, value, type: control.kind };
    const all = (Array.isArray(control.decided) ? control.decided : control.default_vector || [0, 0, 0].slice(0, control.size)).slice();
    all[index] = Number(value);
    return { path: control.path, value: all, type: control.kind };
  };

  const toSlider = (c, value) => c.log ? 1000 * Math.log(Math.max(value, 1e-300) / c.low) / Math.log(c.high / c.low) : 1000 * (value - c.low) / (c.high - c.low);
  const fromSlider = (c, at) => {
    const value = c.log ? c.low * Math.pow(c.high / c.low, at / 1000) : c.low + (c.high - c.low) * at / 1000;
    return c.step ? Math.round(value / c.step) * c.step : value;
  };

  const help = (c) => [c.path, c.doc, c.unit && `[${c.unit}]`, c.default && `default ${c.default}`, c.flags && `flags ${c.flags}`].filter(Boolean).join("\n");

  const build = (control) => {
    if (control.kind === "heading") {
      const node = make("h3", { textContent: control.label, title: control.doc });
      if (control.removable) node.append(make("button", { textContent: "remove", onclick: () => NB.change({ do: "set", path: control.path, value: null }) }));
      return { node, show: () => {} };
    }
    if (control.kind === "part") {
      const box = make("input", { type: "checkbox", id: `c-${control.path}`, onchange: () => NB.change({ do: "add", path: control.path }) });
      return { node: make("div", { className: "control", title: help(control) }, make("label", { htmlFor: box.id, textContent: control.label }), box), show: () => { box.checked = false; } };
    }
    if (control.kind === "bool") {
      const box = make("input", { type: "checkbox", id: `c-${control.path}` });
      box.onchange = () => NB.change({ do: "set", path: control.path, value: box.checked });
      return { node: make("div", { className: "control", title: help(control) }, make("label", { htmlFor: box.id, textContent: control.label }), box), show: (value) => { box.checked = value; } };
    }
    if (control.kind === "enum") {
      const list = make("select", { id: `c-${control.path}` });
      if (control.optional) list.append(make("option", { value: "", textContent: "automatic" }));
      for (const choice of control.choices) list.append(make("option", { value: choice, textContent: choice }));
      list.onchange = () => NB.change({ do: "set", path: control.path, value: list.value, type: "enum" });
      return { node: make("div", { className: "control", title: help(control) }, make("label", { htmlFor: list.id, textContent: control.label }), list),
        show: (value, decided) => { list.value = value === null ? "" : value; if (control.optional) list.options[0].textContent = decided ? `automatic: ${decided}` : "automatic"; } };
    }
    const several = control.kind.startsWith("vector") || ((control.kind === "edges" || control.kind === "spreads") && Array.isArray(control.value));
    if (!several) return row(control, null, control.label);
    control.size = control.kind === "vector2" || control.kind === "edges" ? 2 : 3;
    const rows = [...Array(control.size).keys()].map((i) => row(control, i, `${control.label}[${i}]`));
    const node = make("div", {}, ...rows.map((one) => one.node));
    return { node, show: (value, decided, now) => {
      Object.assign(control, { value: now.value, decided: now.decided });
      rows.forEach((one, i) => one.show(Array.isArray(value) ? value[i] : i === 0 ? value : null, Array.isArray(decided) ? decided[i] : null));
    } };
  };

  NB.hear("state", (state) => {
    const all = state.groups.flatMap((group) => group.controls);
    const now = state.groups.map((group) => group.path + group.controls.map((c) => c.path + c.kind + Array.isArray(c.value)).join()).join(";");
    if (now !== signature) { // other fields than before: parts were added or removed
      signature = now;
      built.clear();
      nav.replaceChildren(...state.groups.map((group) => {
        const details = make("details", { className: "group", open: open.has(group.path) }, make("summary", { textContent: group.title, title: group.doc }));
        details.ontoggle = () => details.open ? open.add(group.path) : open.delete(group.path);
        for (const control of group.controls) { const one = build(control); built.set(control.path, { ...one, control }); details.append(one.node); }
        return details;
      }));
    }
    for (const control of all) {
      const one = built.get(control.path);
      Object.assign(one.control, { low: control.low, high: control.high, log: control.log, step: control.step });
      one.show(control.value, control.decided, control);
      if (control.default !== undefined) one.node.classList.toggle("changed", control.changed === true);
    }
    NB.id("undo").disabled = !state.undo;
    NB.id("redo").disabled = !state.redo;
    for (const [name, on] of Object.entries(state.switches)) NB.id(`s-${name}`).checked = on;
    NB.state = state;
    NB.values = Object.fromEntries(all.map((c) => [c.path, c]));
    NB.showPhi();
  });

  const range = NB.id("phi-range");
  NB.showPhi = () => {
    const phi = NB.values && NB.values["goniometer.phi_start_deg"];
    if (!phi) return;
    if (document.activeElement !== range || NB.playing) range.value = phi.value;
    NB.id("phi-value").textContent = `${Number(phi.value).toFixed(2)} degrees`;
  };
  NB.setPhi = (value, moving) => {
    const phi = Math.round(1000 * value) / 1000;
    if (NB.values) NB.values["goniometer.phi_start_deg"].value = phi;
    NB.showPhi();
    (moving ? NB.move : NB.change)({ do: "set", path: "goniometer.phi_start_deg", value: phi, moving });
  };
  range.oninput = () => NB.setPhi(Number(range.value), true);
  range.onchange = () => { NB.waiting = null; NB.setPhi(Number(range.value), false); };
})();
