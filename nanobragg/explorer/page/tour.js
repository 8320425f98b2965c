"use strict";
// Five steps for newcomers.
(() => {
  const steps = [
    ["stage", "The image", "This is what the detector would record, computed pixel by pixel. Drag on it: the crystal turns, and the image follows. The wheel zooms, a double click shows all."],
    ["controls", "The experiment", "Crystal, beam, detector and the rest, with units. Move a slider or type a value; point at a name, and what it means is said below. An empty field is decided for you."],
    ["phi", "Rotation", "The spindle turns the crystal as at a beam line. Scrub phi, or press Play and watch reflections cross the Ewald sphere. While values move the image may be coarse; it says so, and becomes exact when they are still."],
    ["display", "What you see", "Contrast, colors, rings of equal resolution, indices of reflections. Below: the pixel under the cursor, its resolution and indices; hold Shift and drag for a profile."],
    ["export", "Take it home", "The experiment as a file, as Python or as a command line; the image in several formats; a page to send. Undo takes back any step, Reset all of them. Now try: crystal, mosaic, spread_deg."],
  ];
  let at = -1, before = null;
  const box = NB.id("tour-box");
  const show = (step) => {
    document.querySelectorAll(".toured").forEach((node) => node.classList.remove("toured"));
    at = step;
    box.hidden = at < 0 || at >= steps.length;
    if (box.hidden) { at = -1; if (before) before.focus(); before = null; return; }
    before = before || document.activeElement; // has the focus again when the tour has ended
    const [name, title, text] = steps[at], place = NB.id(name);
    place.classList.add("toured");
    NB.id("tour-title").textContent = `${at + 1} of ${steps.length}: ${title}`;
    NB.id("tour-text").textContent = text;
    NB.id("tour-back").disabled = at === 0;
    NB.id("tour-next").textContent = at === steps.length - 1 ? "Done" : "Next";
    place.scrollIntoView({ block: "nearest" });
    // beside what it speaks of, where there is room, else below its beginning
    const spot = place.getBoundingClientRect(), wide = box.offsetWidth + 10, high = box.offsetHeight + 10;
    const right = innerWidth - spot.right > wide && spot.height > 60, left = !right && spot.left > wide && spot.height > 60;
    const x = right ? spot.right + 10 : left ? spot.left - wide : spot.left + (spot.width - wide) / 2;
    const y = right || left ? spot.top + 10 : spot.height > 300 ? spot.top + 80 : spot.bottom + high < innerHeight ? spot.bottom + 10 : spot.top - high;
    box.style.left = `${Math.max(8, Math.min(innerWidth - wide, x))}px`;
    box.style.top = `${Math.max(8, Math.min(innerHeight - high, y))}px`;
    NB.id("tour-next").focus();
  };
  NB.tour = () => show(0);
  NB.endTour = () => { if (at >= 0) show(-1); };
  NB.id("tour").onclick = NB.tour;
  NB.id("tour-next").onclick = () => show(at + 1);
  NB.id("tour-back").onclick = () => show(at - 1);
  NB.id("tour-end").onclick = () => show(-1);
})();
