"use strict";
// Mouse, wheel and keys on the picture.
(() => {
  const stage = NB.id("stage");
  let drag = null;

  const place = (event) => { // on the screen, in its pixels, and on the picture
    const box = stage.getBoundingClientRect(), { ratio } = NB.size();
    const a = (event.clientX - box.left) * ratio, b = (event.clientY - box.top) * ratio;
    const port = NB.ports().find((one) => a >= one.left && a < one.left + one.width) || NB.ports()[0];
    return { a, b, column: NB.view.x + (a - port.left) / NB.view.zoom, row: NB.view.y + b / NB.view.zoom, port };
  };

  NB.zoomAt = (factor, at) => {
    const zoom = Math.min(200, Math.max(0.02, NB.view.zoom * factor));
    NB.view = { zoom, x: at.column - (at.a - at.port.left) / zoom, y: at.row - at.b / zoom };
    NB.draw();
    NB.askTiles();
  };

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (NB.shape) NB.zoomAt(Math.exp(-0.0015 * event.deltaY), place(event));
  }, { passive: false });

  stage.addEventListener("dblclick", () => { NB.fitAll(); NB.draw(); NB.askTiles(); });

  stage.addEventListener("pointerdown", (event) => {
    if (!NB.shape) return;
    stage.setPointerCapture(event.pointerId);
    const tool = event.button !== 0 ? "pan" : event.shiftKey ? "line" : event.altKey ? "roll" : NB.maskShape ? "mask" : NB.id("tool").value;
    drag = { tool, x: event.clientX, y: event.clientY, start: place(event), dx: 0, dy: 0 };
  });

  stage.addEventListener("pointermove", (event) => {
    const at = place(event);
    NB.cursor = at;
    if (!drag) { NB.hover(at); return; }
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y, ratio = NB.size().ratio;
    drag.x = event.clientX; drag.y = event.clientY;
    if (drag.tool === "pan") {
      NB.view = { ...NB.view, x: NB.view.x - dx * ratio / NB.view.zoom, y: NB.view.y - dy * ratio / NB.view.zoom };
      NB.draw(); NB.askTiles();
    } else if (drag.tool === "line") {
      NB.profileLine = [[drag.start.column, drag.start.row], [at.column, at.row]];
      NB.drawOverlay();
    } else if (drag.tool === "mask") {
      NB.maskLine = [[drag.start.column, drag.start.row], [at.column, at.row]];
      NB.drawOverlay();
    } else NB.turn(dx, dy, drag.tool === "roll", true, event.ctrlKey);
  });

  const end = (event) => {
    if (!drag) return;
    if (drag.tool === "line" && NB.profileLine) NB.say({ do: "profile", line: NB.profileLine });
    if (drag.tool === "mask") NB.maskDrawn();
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
    if (now - asked < 40) { clearTimeout(NB.hoverLater); NB.hoverLater = setTimeout(() => NB.hover(at), 45); return; }
    asked = now;
    NB.say({ do: "hover", column: at.column, row: at.row });
  };

  stage.addEventListener("keydown", (event) => {
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
