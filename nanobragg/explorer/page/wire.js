"use strict";
// Messages to and from the server. Everything of the page hangs on this one object.
const NB = window.NB = { token: document.querySelector("meta[name=token]").content, on: {}, events: new Map(), latencies: [], event: 0 };

NB.hear = (kind, action) => { (NB.on[kind] = NB.on[kind] || []).push(action); };

// Whether it could be said.
NB.say = (message) => {
  if (!NB.socket || NB.socket.readyState !== WebSocket.OPEN) return false;
  const text = JSON.stringify(message);
  if (text.length > 20000) { NB.message("this is too long"); return false; } // the server takes 65536 bytes
  NB.socket.send(text);
  return true;
};

// A change of a value while it moves: at most one a frame of the screen, the last one counts.
NB.move = (message) => {
  if (!NB.waiting) {
    requestAnimationFrame(() => { const last = NB.waiting; NB.waiting = null; if (last) NB.change(last, NB.moved); });
  }
  NB.waiting = message;
  NB.moved = performance.now();
};

// Numbers of changes grow with time, also from one page to the next that shows the same experiment.
NB.change = (message, began = performance.now()) => {
  NB.event = Math.max(NB.event + 1, Date.now());
  if (NB.say({ ...message, event: NB.event })) NB.events.set(NB.event, began);
};

// The picture shows the change of this number: how long did it take, from the event to the end of the frame that shows it?
NB.shown = (event) => {
  const began = NB.events.get(event);
  for (const number of NB.events.keys()) if (number <= event) NB.events.delete(number);
  if (began === undefined) return;
  const frame = new MessageChannel(); // its message comes when the browser has painted
  frame.port1.onmessage = () => {
    frame.port1.close();
    NB.latencies.push(performance.now() - began);
    if (NB.latencies.length > 5000) NB.latencies.splice(0, 2500);
  };
  frame.port2.postMessage(null);
};

// A change that was refused is waited for no longer.
NB.hear("message", (message) => { if (message.event) NB.events.delete(message.event); });

NB.connect = () => {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  NB.socket = new WebSocket(`${scheme}://${location.host}/wire?token=${NB.token}`);
  NB.socket.binaryType = "arraybuffer";
  NB.socket.onmessage = (received) => {
    let message, bytes = null;
    if (typeof received.data === "string") message = JSON.parse(received.data);
    else {
      const length = new DataView(received.data).getUint32(0, true);
      message = JSON.parse(new TextDecoder().decode(new Uint8Array(received.data, 4, length)));
      bytes = new Uint8Array(received.data, 4 + length);
    }
    for (const action of NB.on[message.kind] || []) action(message, bytes);
  };
  NB.socket.onopen = () => { NB.delay = 500; for (const action of NB.on.open || []) action(); };
  NB.socket.onclose = () => {
    NB.events.clear();
    for (const action of NB.on.closed || []) action();
    NB.delay = Math.min(10000, 2 * (NB.delay || 500));
    setTimeout(NB.connect, NB.delay);
  };
};

NB.id = (name) => document.getElementById(name);
