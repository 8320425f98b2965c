"use strict";
// Mouse, wheel and keys on the picture.
(() => {
  const stage = NB.id("stage"), masks = (tool) => tool === "rectangle" || tool === "circle";
  let drag = null, begun = null; // by the mouse, by the keys

  const place = (event) => { // on the screen, in its pixels, and on the picture
    const box = stage.getBoundingClientRect(), { ratio } = NB.size();
    const a = (event.clientX - box.left) * ratio, b = (event.clientY - box.top) * ratio;
    const port = NB.ports().find((one) => a >= one.left && a < one.left + one.width) || NB.ports()[0];
    return { a, b, column: NB.view.x + (a - port.left) / NB.view.zoom, row: NB.view.y + b / NB.view.zoom, port };
  };

  NB.zoomAt = (factor, at) => {
    const zoom = Math.min(200, Math.max(0.02, NB.view.zoom * factor));
    NB.view = { zoom, x: at.column - (at.a - at.port.left) / zoom, y: at.row - at.b / zoom };
    NB.fitted = false;
    NB.draw();
    NB.askTiles();
  };

  NB.pan = (dx, dy) => {
    NB.view = { ...NB.view, x: NB.view.x - dx / NB.view.zoom, y: NB.view.y - dy / NB.view.zoom };
    NB.fitted = false;
    NB.draw(); NB.askTiles();
  };

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (NB.shape) NB.zoomAt(Math.exp(-0.0015 * event.deltaY), place(event));
  }, { passive: false });

  stage.addEventListener("dblclick", () => { NB.fitAll(); NB.draw(); NB.askTiles(); });

  stage.addEventListener("pointerdown", (event) => {
    if (!NB.shape) return;
    stage.setPointerCapture(event.pointerId);
    leave();
    const tool = event.button !== 0 ? "pan" : event.shiftKey ? "line" : event.altKey ? "roll" : NB.id("tool").value;
    drag = { tool, x: event.clientX, y: event.clientY, start: place(event), dx: 0, dy: 0 };
  });

  stage.addEventListener("pointermove", (event) => {
    if (NB.spot && !drag && !event.movementX && !event.movementY) return; // the page moved below a mouse that rests
    const at = place(event);
    NB.cursor = at;
    if (NB.spot) { NB.spot = null; NB.drawOverlay(); }
    if (!drag) { NB.hover(at); return; }
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y, ratio = NB.size().ratio;
    if (!dx && !dy) return;
    drag.x = event.clientX; drag.y = event.clientY;
    if (drag.tool === "pan") NB.pan(dx * ratio, dy * ratio);
    else if (drag.tool === "line") {
      NB.profileLine = [[drag.start.column, drag.start.row], [at.column, at.row]];
      NB.drawOverlay();
    } else if (masks(drag.tool)) {
      NB.maskLine = [[drag.start.column, drag.start.row], [at.column, at.row]];
      NB.drawOverlay();
    } else NB.turn(dx, dy, drag.tool === "roll", true, event.ctrlKey);
  });

  const end = (event) => {
    if (!drag) return;
    if (drag.tool === "line" && NB.profileLine) NB.say({ do: "profile", line: NB.profileLine, first: true });
    if (NB.maskLine) NB.maskDrawn();
    if (drag.tool === "turn" || drag.tool === "roll") NB.turn(0, 0, false, false);
    drag = null;
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("contextmenu", (event) => event.preventDefault());

  // Degrees that wait for the next frame of the screen; the server turns by them what it holds.
  let waiting = null;
  NB.turn = (dx, dy, roll, moving, fine) => {
    const scale = fine ? 0.005 : 0.05;
    const more = roll ? [0, 0, scale * dx] : [scale * dx, scale * dy, 0];
    if (!waiting) {
      waiting = { degrees: [0, 0, 0], moving };
      requestAnimationFrame(() => { const last = waiting; waiting = null; NB.change({ do: "turn", ...last }); });
    }
    waiting.degrees = waiting.degrees.map((value, i) => value + more[i]);
    waiting.moving = moving;
  };

  let asked = 0;
  NB.hover = (at) => {
    const now = performance.now();
    clearTimeout(NB.hoverLater); // an older place is not asked for after a newer one
    if (now - asked < 40) { NB.hoverLater = setTimeout(() => NB.hover(at), 45); return; }
    asked = now;
    NB.say({ do: "hover", column: at.column, row: at.row });
  };

  // A pixel that is chosen by keys, as the mouse does: from the middle of what is seen.
  NB.point = (x, y) => {
    const { height } = NB.size(), { zoom } = NB.view, port = NB.ports()[0], [rows, columns] = NB.shape;
    const last = NB.spot || [Math.floor(NB.view.x + port.width / 2 / zoom) - x, Math.floor(NB.view.y + height / 2 / zoom) - y];
    NB.spot = [Math.min(columns - 1, Math.max(0, last[0] + x)), Math.min(rows - 1, Math.max(0, last[1] + y))];
    const a = (NB.spot[0] + 0.5 - NB.view.x) * zoom, b = (NB.spot[1] + 0.5 - NB.view.y) * zoom;
    const dx = a < 0 ? 40 - a : a > port.width ? port.width - 40 - a : 0, dy = b < 0 ? 40 - b : b > height ? height - 40 - b : 0;
    if (dx || dy) NB.pan(dx, dy); // it stays in sight
    if (begun) drawTo();
    NB.cursor = { column: NB.spot[0] + 0.5, row: NB.spot[1] + 0.5 };
    NB.drawOverlay();
    NB.hover(NB.cursor);
  };
  // Enter begins a mask, or a profile, and ends it; what another tool began is left.
  const drawTo = () => {
    const here = [NB.spot[0] + 0.5, NB.spot[1] + 0.5];
    NB[masks(NB.id("tool").value) ? "maskLine" : "profileLine"] = [begun = begun || here, here];
  };
  const leave = () => { begun = NB.maskLine = null; NB.drawOverlay(); };
  NB.id("tool").addEventListener("change", leave);

  stage.addEventListener("keydown", (event) => {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], tool = NB.id("tool").value;
    if (arrow && NB.shape && !event.metaKey && (event.ctrlKey || tool !== "turn")) {
      event.preventDefault();
      const [x, y] = arrow.map((one) => one * (event.shiftKey ? 10 : 1));
      if (tool === "pan" && !event.ctrlKey) NB.pan(-40 * x, -40 * y); else NB.point(x, y);
      return;
    }
    if (event.key === "Enter" && NB.spot) {
      const ends = begun;
      drawTo();
      if (ends) {
        begun = null;
        if (NB.maskLine) NB.maskDrawn(); else NB.say({ do: "profile", line: NB.profileLine, first: true });
      }
      NB.drawOverlay();
      return;
    }
    const step = event.shiftKey ? 20 : 2, { width, height } = NB.size();
    const middle = { a: width / 2, b: height / 2, port: NB.ports()[0], column: NB.view.x + width / 2 / NB.view.zoom, row: NB.view.y + height / 2 / NB.view.zoom };
    const actions = {
      ArrowLeft: () => NB.turn(-step, 0, false, false), ArrowRight: () => NB.turn(step, 0, false, false),
      ArrowUp: () => NB.turn(0, -step, false, false), ArrowDown: () => NB.turn(0, step, false, false),
      "[": () => NB.turn(-step, 0, true, false), "]": () => NB.turn(step, 0, true, false),
      "+": () => NB.zoomAt(1.25, middle), "=": () => NB.zoomAt(1.25, middle), "-": () => NB.zoomAt(0.8, middle),
      "0": () => { NB.fitAll(); NB.draw(); NB.askTiles(); },
    };
    if (actions[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); actions[event.key](); }
  });
})();
