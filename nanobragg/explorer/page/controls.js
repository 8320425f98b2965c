"use strict";
// Controls of the values, made from what the server says of the fields.
(() => {
  const nav = NB.id("groups"), open = new Set(["crystal", "crystal[0]", "detector"]), built = new Map();
  let signature = "";

  const make = (tag, fields = {}, ...inside) => {
    const node = Object.assign(document.createElement(tag), fields);
    node.append(...inside);
    return node;
  };
  NB.make = make;

  // Seven digits of what is measured, all of what is counted.
  const shown = (value) => {
    if (typeof value !== "number") return value === null || value === undefined ? "" : String(value);
    const near = Number.isInteger(value) && Math.abs(value) < 1e15 ? value : Number(value.toPrecision(7)), size = Math.abs(near);
    return size >= 1e9 || (size < 1e-3 && size > 0) ? near.toExponential().replace("e+", "e") : String(near);
  };
  const named = (label) => label.replaceAll("_", "_\u200b"); // may break there

  // One row of a control: a number with its slider; vectors have a row for each element.
  const row = (control, index, label) => {
    const path = index === null ? control.path : `${control.path}[${index}]`;
    const name = `c-${path}`, node = told(make("div", { className: "control" }), control);
    const slider = make("input", { type: "range", min: 0, max: 1000, step: 1, ariaLabel: `${label}, slider` });
    const number = make("input", { className: "number", id: name, spellcheck: false, autocomplete: "off" });
    for (const input of [slider, number]) input.setAttribute("aria-describedby", "help");
    slider.style.visibility = control.low === null ? "hidden" : "";
    let exact = null; // what the text stands for, with all digits
    const speak = (value) => slider.setAttribute("aria-valuetext", `${shown(value)} ${control.unit}`.trim());
    const unit = control.unit ? make("span", { className: "unit", textContent: ` ${control.unit}` }) : "";
    node.append(make("label", { htmlFor: name, textContent: named(label) }, unit), slider, number);
    node.dataset.path = path;
    let held = false; // by the mouse: it stays where it is
    slider.onpointerdown = () => { held = true; };
    slider.onpointerup = slider.onpointercancel = () => { held = false; };
    const say = (value, moving) => (moving ? NB.move : NB.change)({ do: "set", ...whole(control, index, value), moving });
    slider.oninput = () => { number.value = shown(fromSlider(control, Number(slider.value))); speak(Number(number.value)); say(Number(number.value), true); };
    slider.onchange = () => { NB.waiting = null; say(Number(number.value), false); };
    number.onchange = () => say(number.value, false);
    number.onkeydown = (event) => {
      if (event.key === "Enter") number.blur();
      if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
      event.preventDefault();
      const up = event.key === "ArrowUp" ? 1 : -1, times = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
      const now = exact !== null && number.value === shown(exact) ? exact : Number(number.value || number.placeholder) || 0;
      const step = control.unit === "degrees" ? 0.1 : control.kind === "int" ? 1 : 0; // of the others 1 % of their size or range
      if (control.low === null && !step) return;
      const next = step ? now + up * step * (control.kind === "int" ? Math.max(1, times) : times) : control.log ? now * Math.pow(1.01, up * times) : now + up * times * (control.high - control.low) / 1000;
      exact = null;
      number.value = shown(control.kind === "int" ? Math.round(next) : control.step === 1 ? now + up * Math.max(1, times) : next);
      say(Number(number.value), false);
    };
    return { node, show: (value, decided) => {
      if (document.activeElement !== number) { number.value = shown(value); exact = typeof value === "number" ? value : null; }
      number.placeholder = decided === null || decided === undefined ? (control.optional ? "auto" : "") : shown(decided);
      const at = typeof value === "number" ? value : typeof decided === "number" ? decided : null;
      slider.disabled = at === null;
      if (at === null) return;
      if (document.activeElement !== slider || !held) slider.value = toSlider(control, at);
      speak(at);
    } };
  };

  // A vector that is left open or is a word is set as a whole; null: an element that is left open.
  const whole = (control, index, value) => {
    if (index === null) return { path: control.path, value, type: control.kind };
    const now = control.value, empty = typeof value === "string" && value.trim() === "", word = empty || (typeof value === "string" && isNaN(value));
    const others = Array.isArray(now) && now.some((one, i) => i !== index && one !== null);
    if (Array.isArray(now) && (!word || (empty && (!control.optional || (control.open && others))))) return { path: `${control.path}[${index}]`, value, type: "scalar" };
    if (word) return { path: control.path, value, type: control.kind };
    const all = Array.isArray(control.decided) ? control.decided.slice() : Array(control.size).fill(control.optional ? null : 0);
    all[index] = value; // as it was typed: the server reads numbers
    return { path: control.path, value: all, type: control.kind };
  };

  const toSlider = (c, value) => c.log ? 1000 * Math.log(Math.max(value, 1e-300) / c.low) / Math.log(c.high / c.low) : 1000 * (value - c.low) / (c.high - c.low);
  const fromSlider = (c, at) => {
    const value = c.log ? c.low * Math.pow(c.high / c.low, at / 1000) : c.low + (c.high - c.low) * at / 1000;
    return c.step ? Math.round(value / c.step) * c.step : value;
  };

  // What is known of a field stands below the controls while it is pointed at or has the focus.
  const help = (c) => [
    `${c.path}${c.unit ? ` [${c.unit}]` : ""}`,
    [c.default && `default ${c.default}`, c.range && `values ${c.range}`].filter(Boolean).join("; "),
    c.doc, c.flags && `flags ${c.flags}`,
  ].filter(Boolean).join("\n");
  const told = (node, control) => { node.dataset.help = help(control); return node; };
  for (const kind of ["mouseover", "focusin"]) nav.addEventListener(kind, (event) => {
    const place = event.target.closest("[data-help]");
    if (place) NB.id("help").textContent = place.dataset.help;
  });

  // Finding: what does not match is hidden, and what matches is open.
  const find = NB.id("find");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let many = 0;
    for (const group of nav.children) {
      let some = false;
      for (const node of group.querySelectorAll("[data-help]")) {
        if (node.tagName === "SUMMARY") continue;
        node.hidden = words.length > 0 && !words.every((word) => node.dataset.help.toLowerCase().includes(word));
        if (!node.hidden) { some = true; many += 1; }
      }
      group.hidden = words.length > 0 && !some;
      group.open = words.length > 0 ? some : open.has(group.dataset.path);
    }
    NB.id("find-none").hidden = many > 0;
  };
  find.oninput = filter;
  find.onkeydown = (event) => { if (event.key === "Escape" && find.value) { event.stopPropagation(); find.value = ""; filter(); } };

  const removal = (control) => make("button", { textContent: "remove", ariaLabel: `remove ${control.path}`, onclick: () => NB.change({ do: "set", path: control.path, value: null }) });

  const build = (control) => {
    if (control.kind === "heading") {
      const node = told(make("h3", { textContent: control.label }), control);
      if (control.removable) node.append(removal(control));
      return { node, show: () => {} };
    }
    if (control.kind === "text") { // what has no control is shown as it is
      const value = make("span", {}), node = told(make("div", { className: "control text" }, make("span", { textContent: named(control.label) }), value), control);
      if (control.removable) node.append(removal(control));
      return { node, show: (now) => { value.textContent = now; } };
    }
    if (control.kind === "part") {
      const box = make("input", { type: "checkbox", id: `c-${control.path}`, onchange: () => NB.change({ do: "add", path: control.path }) });
      return { node: told(make("div", { className: "control" }, make("label", { htmlFor: box.id, textContent: named(control.label) }), box), control), show: () => { box.checked = false; } };
    }
    if (control.kind === "bool") {
      const box = make("input", { type: "checkbox", id: `c-${control.path}` });
      box.onchange = () => NB.change({ do: "set", path: control.path, value: box.checked });
      return { node: told(make("div", { className: "control" }, make("label", { htmlFor: box.id, textContent: named(control.label) }), box), control), show: (value) => { box.checked = value; } };
    }
    if (control.kind === "enum") {
      const list = make("select", { id: `c-${control.path}` });
      if (control.optional) list.append(make("option", { value: "", textContent: "automatic" }));
      for (const choice of control.choices) list.append(make("option", { value: choice, textContent: choice }));
      list.onchange = () => NB.change({ do: "set", path: control.path, value: list.value, type: "enum" });
      return { node: told(make("div", { className: "control" }, make("label", { htmlFor: list.id, textContent: named(control.label) }), list), control),
        show: (value, decided) => { list.value = value === null ? "" : value; list.setAttribute("aria-describedby", "help"); if (control.optional) list.options[0].textContent = decided ? `automatic: ${decided}` : "automatic"; } };
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
      const focus = document.activeElement && document.activeElement.id, place = nav.scrollTop;
      nav.replaceChildren(...state.groups.map((group) => {
        const details = make("details", { className: "group", open: open.has(group.path) }, told(make("summary", { textContent: group.title }), { path: group.path, doc: group.doc }));
        details.dataset.path = group.path;
        details.ontoggle = () => { if (!find.value) details.open ? open.add(group.path) : open.delete(group.path); };
        for (const control of group.controls) { const one = build(control); built.set(control.path, { ...one, control }); details.append(one.node); }
        return details;
      }));
      nav.scrollTop = place;
      if (focus && NB.id(focus)) NB.id(focus).focus({ preventScroll: true });
      filter();
    }
    for (const control of all) {
      const one = built.get(control.path);
      // a slider keeps its ends as long as the value lies between them, or it would jump to the middle whenever it is let go
      const at = [control.value, control.decided].flat().filter((v) => typeof v === "number"), { low, high } = one.control;
      const kept = one.control.ranged && at.length && low !== null && low !== undefined && at.every((v) => v >= low && v < high) && one.control.log === control.log;
      if (!kept) Object.assign(one.control, { ranged: at.length > 0, low: control.low, high: control.high, log: control.log, step: control.step });
      one.show(control.value, control.decided, control);
      if (control.default !== undefined) one.node.classList.toggle("changed", control.changed === true);
    }
    NB.id("undo").disabled = !state.undo;
    NB.id("redo").disabled = !state.redo;
    NB.id("redraw").disabled = !state.switches.noise;
    for (const [name, on] of Object.entries(state.switches)) NB.id(`s-${name}`).checked = on;
    NB.state = state;
    NB.values = Object.fromEntries(all.map((c) => [c.path, c]));
    NB.showPhi();
  });

  const range = NB.id("phi-range"), typed = NB.id("phi-value");
  NB.showPhi = () => {
    const phi = NB.values && NB.values["goniometer.phi_start_deg"];
    if (!phi) return;
    const turns = 180 * Math.max(1, Math.ceil(Math.abs(phi.value) / 180));
    range.min = -turns; range.max = turns;
    if (document.activeElement !== range || NB.playing) range.value = phi.value;
    range.setAttribute("aria-valuetext", `${shown(phi.value)} degrees`);
    if (document.activeElement !== typed) typed.value = Number(phi.value).toFixed(2).replace(/\.00$/, "");
  };
  NB.setPhi = (value, moving) => {
    const phi = Number(value.toFixed(9)); // no digits of rounding
    if (NB.values) NB.values["goniometer.phi_start_deg"].value = phi;
    NB.showPhi();
    (moving ? NB.move : NB.change)({ do: "set", path: "goniometer.phi_start_deg", value: phi, moving });
  };
  range.oninput = () => NB.setPhi(Number(range.value), true);
  range.onchange = () => { NB.waiting = null; NB.setPhi(Number(range.value), false); };
  typed.onchange = () => NB.change({ do: "set", path: "goniometer.phi_start_deg", value: typed.value, type: "scalar", moving: false });
  typed.onkeydown = (event) => { if (event.key === "Enter") typed.blur(); };
})();
