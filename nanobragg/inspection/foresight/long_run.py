"""The warning before a run that takes long or much memory: how much, which setting makes it so, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanobragg.arrays import detached, elements
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.decisions.limits import needed_bytes
from nanobragg.derivation.scene import Scene
from nanobragg.inspection.foresight.cost import Estimate

Name = Callable[[str], str]
"""How the reader writes a field: the path of Python, or a flag."""


def long_run(
    found: Estimate, panels: Sequence[Decided], scenes: Sequence[Scene], name: Name = str, *, n_images: int = 1
) -> str:
    """The warning; empty where the run is short and small.

    Parameters
    ----------
    found : Estimate
    panels, scenes : sequences of Decided, Scene
        One for each panel.
    name : callable
        The word for a dotted path.
    n_images : int
        Images of a scan.
    """
    if not (found.is_long or found.is_large):
        return ""
    largest = max(range(len(scenes)), key=lambda i: scenes[i].evaluations)
    decided, scene = panels[largest], scenes[largest]
    what = []
    if found.is_long:
        threads = f"{found.threads} thread{'' if found.threads == 1 else 's'}"
        what.append(f"about {duration(found.seconds)} on {threads} ({found.evaluations:.2g} evaluations)")
    if found.is_large:
        what.append(f"{found.bytes / 2**30:.1f} GiB of memory")
    cause = _cause(decided, scene, name, n_images) if found.is_long else _large_cause(decided, name)
    return f"this run takes {' and '.join(what)}: {cause}"


def duration(seconds: float) -> str:
    """A time in words that fit its size."""
    if seconds < 1:
        return f"{float(f'{1000 * seconds:.2g}'):g} ms"
    for size, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if seconds / size < 100:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds / 86400:.3g} days"


def _cause(decided: Decided, scene: Scene, name: Name, n_images: int) -> str:
    beam = decided.experiment.beam
    grid = scene.n_sources // (beam.n_wavelengths or 1) if beam.sources is None else 1
    counts = {
        "sub-pixels": scene.oversample**2, "domains": scene.n_domains, "phi steps": scene.n_phi, "layers": scene.n_layers,
        "directions": grid, "wavelengths": scene.n_sources // max(1, grid), "images": n_images,
    }  # fmt: skip
    largest = max(counts, key=lambda key: counts[key])
    if counts[largest] < 20:
        return f"{scene.n_pixels} pixels; render a part ({name('sampling.roi')}) or fewer of them ({name('detector.n_fast')})"
    if largest == "sub-pixels":
        return _sub_pixels(decided, scene.oversample, name)
    fields = {
        "domains": "crystal.mosaic.n_domains", "phi steps": "goniometer.n_steps", "layers": "detector.sensor.n_layers",
        "directions": "beam.divergence", "images": "",
        "wavelengths": "beam.n_wavelengths" if beam.spectrum is None else "beam.spectrum.n_wavelengths",
    }  # fmt: skip
    if largest == "wavelengths" and beam.sources is not None:
        return f"beam.sources lists {scene.n_sources} sources; fewer of them are quicker in proportion"
    if largest == "images":
        return f"{n_images} images; they are written one by one"
    return f"{name(fields[largest])} makes {counts[largest]} {largest} for every pixel; fewer are quicker in proportion"


def _sub_pixels(decided: Decided, oversample: int, name: Name) -> str:
    typed = decided.typed
    made = f"{name('sampling.oversample')} is {oversample}, {oversample**2} sub-pixels for every pixel"
    if typed.sampling.oversample is not None:
        return f"{made}; fewer are quicker in proportion, {decided.recommended_oversample} resolves the spots"
    sized = typed.crystal.size_mm is not None
    field = "crystal.size_mm" if sized else "crystal.n_cells"
    cells = " x ".join(f"{detached(n):.0f}" for n in elements(decided.experiment.crystal.n_cells))
    return (
        f"{made}, decided from {name(field)}, which makes a single coherent block of {cells} cells; real crystals are mosaics of "
        f"small blocks: give the size of one, or set {name('sampling.oversample')}"
    )


def _large_cause(decided: Decided, name: Name) -> str:
    needed = needed_bytes(decided.experiment)
    field = max(needed, key=lambda path: needed[path])
    return f"most of it for {name(field)}; lower it"
