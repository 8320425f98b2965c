"use strict";
// The bar at the top, messages, keys; and the connection.
(() => {
  NB.id("map").onchange = NB.repaint;
  for (const name of ["scale", "low", "high"]) NB.id(name).onchange = () => {
    if (name === "scale") {
      NB.id("low").value = NB.id("high").value = "";
      const percent = NB.id("scale").value === "percentile";
      NB.id("low").placeholder = percent ? "1" : "auto"; NB.id("high").placeholder = percent ? "99.5" : "auto";
    }
    NB.askTiles();
    NB.replot();
  };

  NB.id("undo").onclick = () => NB.say({ do: "undo" });
  NB.id("redo").onclick = () => NB.say({ do: "redo" });
  NB.id("reset").onclick = () => NB.say({ do: "reset" });
  NB.id("redraw").onclick = () => NB.say({ do: "again" });
  for (const name of ["background", "spread", "noise"]) NB.id(`s-${name}`).onchange = (event) => NB.say({ do: "switch", name, on: event.target.checked });
  NB.id("tool").onchange = () => { NB.id("stage").style.cursor = { turn: "grab", pan: "move", line: "crosshair" }[NB.id("tool").value] || "crosshair"; };

  const play = NB.id("play");
  const frame = () => { // the next angle when the last one is seen
    if (!NB.playing) return;
    const gonio = NB.values, width = Number((gonio["goniometer.osc_deg"] || {}).value) || 0.5;
    let phi = Number(gonio["goniometer.phi_start_deg"].value) + width;
    if (phi > 180) phi -= 360;
    NB.setPhi(phi, true);
  };
  play.onclick = () => {
    NB.playing = !NB.playing;
    play.setAttribute("aria-pressed", String(NB.playing));
    play.textContent = NB.playing ? "❚❚ Pause" : "▶ Play";
    if (NB.playing) frame(); else NB.setPhi(Number(NB.values["goniometer.phi_start_deg"].value), false);
  };
  NB.hear("drawn", () => { if (NB.playing) setTimeout(frame, 25); });

  const box = NB.id("message");
  NB.message = (text, level = "error") => {
    box.hidden = !text;
    box.className = { error: "", ask: "note", note: "note", good: "good" }[level] || "";
    box.firstElementChild.textContent = text;
    NB.id("insist").hidden = level !== "ask";
  };
  NB.hear("message", (message) => NB.message(message.text, message.level));
  // A doubt that was closed does not come back with other numbers at every change; another one does.
  let told = "", closed = "";
  const kind = (text) => text.replace(/[\d.]+/g, "#");
  NB.hear("doubts", (message) => {
    told = message.texts.join("\n");
    if (told && kind(told) !== closed) NB.message(told, "note");
    else if (box.className === "note") NB.message("");
    if (!told) closed = "";
  });
  NB.dismiss = () => { if (!box.hidden && told && box.firstElementChild.textContent === told) closed = kind(told); NB.message(""); };
  NB.id("dismiss").onclick = NB.dismiss;
  NB.id("insist").onclick = () => { NB.message(""); NB.say({ do: "insist" }); };
  NB.id("cancel").onclick = () => NB.say({ do: "cancel" });
  let soon = null; // what takes less than a moment shows no bar
  NB.hear("progress", (message) => {
    const done = message.part === null;
    if (done) { clearTimeout(soon); soon = null; NB.id("busy").hidden = true; }
    else if (soon === null) soon = setTimeout(() => { NB.id("busy").hidden = false; }, 400);
    NB.id("busy").firstElementChild.value = done ? 0 : message.part;
  });

  NB.hear("menus", (message) => {
    NB.maps = message.colors;
    NB.gap = message.gap;
    NB.page = message.page;
    if (NB.id("map").options.length) return; // the connection was lost and is there again
    for (const name of Object.keys(NB.maps)) if (name !== "difference") NB.id("map").append(NB.make("option", { value: name, textContent: name }));
    NB.id("preset").append(...Object.entries(message.presets).map(([group, names]) => NB.make("optgroup", { label: group === "beam" ? "beam line" : group }, ...names.map((name) => NB.make("option", { value: `${group}/${name}`, textContent: name })))));
    NB.id("export").append(...Object.entries(message.exports).map(([value, text]) => NB.make("option", { value, textContent: text })));
  });
  // A menu whose choice acts at once opens for arrows, or its first entry would be taken by the first of them.
  for (const name of ["preset", "export"]) NB.id(name).onkeydown = (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    event.target.showPicker();
  };
  NB.id("preset").onchange = (event) => { NB.say({ do: "preset", name: event.target.value }); event.target.value = ""; };
  NB.id("export").onchange = (event) => {
    const name = event.target.value;
    event.target.value = "";
    if (name) NB.take(name);
  };
  NB.take = async (name) => { // as a file; a mistake is told on the page
    let answer;
    const long = setTimeout(() => NB.message("the file is being made …", "note"), 1500); // an exact image may take a minute
    try { answer = await fetch(`/export/${name}?token=${NB.token}&page=${NB.page}&colors=${encodeURIComponent(NB.id("map").value)}`); }
    catch { NB.message("the server does not answer; nothing was exported"); return; }
    finally { clearTimeout(long); }
    if (!answer.ok) { NB.message(await answer.text()); return; }
    const link = NB.make("a", { href: URL.createObjectURL(await answer.blob()), download: /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1] });
    link.click();
    URL.revokeObjectURL(link.href);
    NB.taken = link.download;
    if (NB.id("message").textContent.startsWith("the file is being made")) NB.message("");
  };

  document.addEventListener("keydown", (event) => {
    const typing = /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) && event.target.type !== "range" && event.target.type !== "checkbox";
    if ((event.ctrlKey || event.metaKey) && !typing && event.key.toLowerCase() === "z") { event.preventDefault(); NB.id(event.shiftKey ? "redo" : "undo").click(); }
    else if ((event.ctrlKey || event.metaKey) && !typing && event.key.toLowerCase() === "y") { event.preventDefault(); NB.id("redo").click(); }
    else if (event.key === "Escape") { NB.dismiss(); NB.endTour(); if (!NB.id("busy").hidden) NB.id("cancel").click(); }
    else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && !NB.id("sheet").open) {
      const tools = { t: "turn", p: "pan", l: "line" }, key = event.key.toLowerCase();
      if (tools[key]) { NB.id("tool").value = tools[key]; NB.id("tool").dispatchEvent(new Event("change")); }
      else if (event.key === " " && (event.target.type === "range" || !/BUTTON|SUMMARY|INPUT|^A$/.test(event.target.tagName))) { event.preventDefault(); play.click(); }
      else if (key === "/") { event.preventDefault(); NB.id("find").focus(); }
      else if (key === "i") NB.id("stage").focus();
      else if (key === "n") NB.id("redraw").click();
      else if (key === "x") NB.id("trace").click();
      else if (event.key === "?") NB.tour();
    }
  });

  NB.hear("open", () => {
    if (!NB.last) NB.id("quality").textContent = "no picture yet";
    NB.askTiles();
  });
  NB.hear("closed", () => {
    NB.id("quality").className = "coarse";
    NB.id("quality").textContent = "the server does not answer; the last picture stays";
    NB.id("quality").title = "trying again; a server that was started anew prints another address";
    clearTimeout(soon); soon = null; NB.id("busy").hidden = true;
  });
  NB.connect();
})();
