"""Everything that is computed on the way to one pixel, as an ordered record with the same names in both backends."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.derivation.background import background_scene
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene
from nanobragg.derivation.derive import Derivation, derivation
from nanobragg.derivation.panels import panel_at
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import Engine
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging.background import background_photons
from nanobragg.inspection.coarse import subset
from nanobragg.inspection.tracing.quantities import LEVELS, OUTSIDE, SCENE, unit_of
from nanobragg.lazy import dataclass

Value = float | int | str | tuple[float, ...]
MAX_RECORDS = 5_000_000


@dataclass(frozen=True)
class TraceStep:
    """One quantity of a trace."""

    name: str
    index: tuple[int, ...]
    """place in the loops, see `nanobragg.inspection.tracing.quantities.LEVELS`; empty for an input of the scene"""
    value: Value
    resolution: tuple[float, ...] = ()
    """what each number may be off because it was printed with few digits; empty: nothing"""

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """Name and place, unique in a trace."""
        return self.name, self.index

    @property
    def unit(self) -> str:
        """Unit of the value, empty when it has none."""
        return unit_of(self.name)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value as numbers; empty for a word."""
        if isinstance(self.value, str):
            return ()
        return self.value if isinstance(self.value, tuple) else (float(self.value),)


@dataclass(frozen=True)
class Trace:
    """The record that `trace` returns: every step in the order of evaluation; ``str()`` gives aligned text."""

    pixel: tuple[int, int]
    """(slow, fast)"""
    source: str
    """what computed it: a backend, or the name of a file that was read"""
    steps: list[TraceStep]
    complete: bool = True
    """False for a record that holds some quantities only, such as a printed one"""
    name: str = ""
    """which part of a trace this is, as "crystal[1], size 2"; empty: the whole"""
    parts: tuple[Trace, ...] = ()
    """the traces of several crystals, and of blocks of several sizes, whose pixels add up; empty: there is one"""

    @property
    def value(self) -> float:
        """Expected photons of the pixel: the last quantity."""
        return float(self.last("pixel"))

    def values(self, name: str) -> list[Any]:
        """All values of a quantity, in the order of evaluation; those of the parts come first."""
        within = [value for part in self.parts for value in part.values(name)]
        return within + [step.value for step in self.steps if step.name == name]

    def last(self, name: str) -> Any:
        """The last value of a quantity.

        Raises
        ------
        KeyError
            When the trace does not hold it.
        """
        for step in reversed(self.steps):
            if step.name == name:
                return step.value
        for part in reversed(self.parts):
            if any(step.name == name for step in part.steps):
                return part.last(name)
        raise KeyError(f"no {name!r} in this trace; it has {', '.join(dict.fromkeys(s.name for s in self.steps))}")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested data: scene, points (layer and sub-pixel) > sources > orientations (phi and domain), result; and
        parts, each with a name and the same keys."""
        scene: dict[str, Any] = {}
        points: list[dict[str, Any]] = []
        result: dict[str, Any] = {}
        homes: dict[tuple[int, ...], dict[str, Any]] = {}
        for step in self.steps:
            if step.index == SCENE:
                scene[step.name] = _plain(step.value)
            elif step.index == OUTSIDE:
                result[step.name] = _plain(step.value)
            else:
                _home(points, homes, step.index)[step.name] = _plain(step.value)
        units = {step.name: step.unit for step in self.steps if step.unit}
        slow, fast = self.pixel
        found = {"pixel": {"slow": slow, "fast": fast}, "source": self.source, "units": units,
                 "scene": scene, "points": points, "result": result}  # fmt: skip
        if self.parts:
            found["parts"] = [{"name": part.name, **part.to_dict()} for part in self.parts]
        return found

    def to_json(self, indent: int | None = 1) -> str:
        """`to_dict` as JSON; numbers that are not finite are written as Python's json does."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Trace:
        """The trace that `to_json` wrote.

        Raises
        ------
        ConfigError
            For text that is not such a trace.
        """
        try:
            return cls._read(json.loads(text))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigError("trace", str(text)[:40], f"must be the JSON of a trace: {error!r}") from None

    @classmethod
    def _read(cls, data: dict[str, Any]) -> Trace:
        pixel, points = (int(data["pixel"]["slow"]), int(data["pixel"]["fast"])), data["points"]
        steps = [*_read_steps(data["scene"], SCENE), *_read_points(points), *_read_steps(data["result"], OUTSIDE)]
        parts = tuple(cls._read(part) for part in data.get("parts", ()))
        return cls(pixel, str(data["source"]), steps, name=str(data.get("name", "")), parts=parts)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Aligned text, indented by loop; the parts one after the other, then what becomes of all of them."""
        slow, fast = self.pixel
        for part in self.parts:
            yield from part.lines()
            yield ""
        yield f"{self.name}{': ' * bool(self.name)}pixel slow {slow} fast {fast}, {self.source}"
        last: tuple[int, ...] | None = None
        for step in self.steps:
            depth = _depth(step.index)
            if step.index != last:
                if step.index == SCENE or step.index == OUTSIDE:
                    yield "scene" if step.index == SCENE else "result"
                elif last is None or depth >= _depth(last) or step.index[:3] != last[:3]:
                    yield "  " * depth + _loops(step.index, depth)
                last = step.index
            yield from _aligned("  " * depth + "  " + step.name, step)


def trace(
    experiment: Experiment, pixel: tuple[int, ...], backend: str = "c", *, max_records: int = MAX_RECORDS
) -> Trace:
    """Record everything that is computed on the way to one pixel, by the code that renders it.

    Parameters
    ----------
    experiment : Experiment
        What is simulated.
    pixel : tuple of int
        (slow, fast); of a detector of several panels (panel, slow, fast).
    backend : {"c", "torch"}
        The engine; both record the same quantities in the same order and units. With "c" it is the scalar kernel.
    max_records : int
        A trace with more quantities is refused.

    Returns
    -------
    Trace
        Its last value is the pixel. Of several crystals, and of blocks of several sizes, it has a part for each, whose
        pixels add up.

    Raises
    ------
    ConfigError
        For a pixel that is not rendered, an unknown backend, or too many records.
    BackendUnavailableError
        When torch is not installed.
    """
    chosen = engine(backend).independent()
    own = lattices.experiments(experiment)
    places = [panel_at(one, pixel) for one in own]
    parts = [(derivation(resolve(part), chosen.ops), place) for part, place in places]
    if len(parts) == 1 and len(parts[0][0].scenes) == 1:
        return trace_derived(*parts[0], chosen, max_records=max_records)
    found = []
    for i, (d, place) in enumerate(parts):
        for k, scene in enumerate(d.scenes):
            # the background of the first part counts, as in the image
            one = replace(
                d, scene=scene if i == 0 else replace(scene, background=scene.background * 0.0), scenes=(scene,)
            )
            names = [f"crystal[{i}]"] * (len(parts) > 1) + [f"size {k}"] * (len(d.scenes) > 1)
            traced = _traced(one, place, chosen, max_records)[1]
            found.append(replace(traced, name=", ".join(names)))
    total = TraceStep("pixel", OUTSIDE, float(sum(one.value for one in found)))
    place, position = parts[0][1], _position(parts[0][0].scene, parts[0][1])
    photons = TraceStep("parts_photons", OUTSIDE, tuple(one.value for one in found))
    beside = _beside([d for d, _ in parts], position, chosen, total)
    return Trace(place, chosen.name, [photons, *beside], parts=tuple(found))


def trace_derived(d: Derivation, pixel: tuple[int, int], chosen: Engine, *, max_records: int = MAX_RECORDS) -> Trace:
    """As `trace`, for an experiment of one scene that was derived in the engine's array namespace."""
    position, found = _traced(d, pixel, chosen, max_records)
    *steps, of_spots = found.steps
    return replace(found, steps=steps + _beside([d], position, chosen, of_spots))


def _position(scene: Scene, pixel: tuple[int, int]) -> int:
    """Number of a pixel among those that are rendered."""
    slow, fast = (int(i) for i in pixel)
    flat = slow * scene.n_fast + fast
    position = int(np.searchsorted(scene.pixels, flat))
    inside = 0 <= slow < scene.n_slow and 0 <= fast < scene.n_fast
    if not inside or position == scene.n_pixels or scene.pixels[position] != flat:
        raise ConfigError("pixel", (slow, fast), f"is not rendered; (slow, fast) of a {scene.n_slow} x {scene.n_fast} "
                          "detector, inside the ROI and the mask")  # fmt: skip
    return position


def _traced(d: Derivation, pixel: tuple[int, int], chosen: Engine, max_records: int) -> tuple[int, Trace]:
    """The number of the pixel, and its trace without what is added to the sum."""
    scene, position = d.scene, _position(d.scene, pixel)
    if 20 * scene.evaluations_per_pixel > max_records:
        raise ConfigError("max_records", max_records, f"is too small for {scene.evaluations_per_pixel} evaluations of "
                          "some 20 quantities each", "trace with fewer steps, or raise the limit")  # fmt: skip
    records, _ = chosen.tracer(scene)(position)
    steps = [TraceStep(name, SCENE, value) for name, value in scene_inputs(d).items()]
    steps += [TraceStep(name, tuple(index), value) for name, index, value in records]
    return position, Trace((int(pixel[0]), int(pixel[1])), chosen.name, steps)


def _beside(own: Sequence[Derivation], position: int, chosen: Engine, pixel: TraceStep) -> list[TraceStep]:
    """The engine's last quantity, the pixel, and what is added to it: diffuse scattering of every crystal, amorphous bodies."""
    first = own[0]
    found = []
    if any(d.experiment.crystal.diffuse.acts for d in own):
        found.append(("diffuse_photons", tuple(_diffuse(d, position, chosen) for d in own)))
    bodies = background_scene(first.experiment, scene := subset(first.scene, np.array([position])), chosen.ops)
    if bodies is not None:
        alone = [replace(bodies, components=(one,)) for one in bodies.components]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanoBraggWarning)  # of tables that end: the image warns
            photons = [float(detached(background_photons(scene, one, kernel="scalar")[0])) for one in alone]
        found.append(("components_photons", tuple(photons)))
    if not found:
        return [pixel]
    added = sum(sum(values) for _, values in found)
    steps = [("sum_photons", pixel.value), *found, ("pixel", pixel.numbers[0] + added)]
    return [TraceStep(name, OUTSIDE, value) for name, value in steps]


def _diffuse(d: Derivation, position: int, chosen: Engine) -> float:
    """Photons of diffuse scattering in one pixel."""
    found = diffuse_scene(d.decided, d.scene, chosen.ops)
    if found is None:
        return 0.0
    pixel = d.scene.pixels[[position]]
    return float(detached(chosen.diffuse(replace(found, scene=replace(found.scene, pixels=pixel))).sum()))


def scene_inputs(d: Derivation) -> dict[str, Value]:
    """What the derivation hands to a kernel, in the order in which it is formed."""
    scene, cell, place = d.scene, d.cell, d.placement
    inputs: dict[str, Any] = {
        "a_star_per_angstrom": cell.a_star, "b_star_per_angstrom": cell.b_star, "c_star_per_angstrom": cell.c_star,
        "cell_a_m": cell.a, "cell_b_m": cell.b, "cell_c_m": cell.c,
        "n_cells": scene.n_cells,
        **({"block_matrix": scene.block_matrix} if scene.has_block_matrix else {}),
        "shape": scene.shape.name.lower(), "fudge": scene.fudge,
        "mosaic_spread_rad": d.mosaic_spread, "n_domains": scene.n_domains,
        "spindle_axis": place.spindle, "phi_rad": tuple(d.rotation.phi),
        "wavelength_central_m": wavelength_m(d.experiment, FLOAT_OPS), "beam_direction": scene.beam,
        "polarized": int(scene.polarized),
        "polarization_axis": scene.polarization_axis,
        "kahn_factor": scene.kahn_factor, "n_sources": scene.n_sources,
        "pixel_size_m": scene.pixel_size, "fast_axis": scene.fast, "slow_axis": scene.slow, "normal_axis": scene.normal,
        "distance_input_m": scene.distance, "close_distance_m": scene.close_distance, "pix0_m": scene.pix0,
        "pixel_area_m2": scene.pixel_area, "n_layers": scene.n_layers, "layer_thickness_m": scene.layer_thickness,
        "attenuation_per_m": scene.attenuation,
        **({"source_table": tuple(scene.source_table.tolist())} if scene.source_table is not None else {}),
        "F_table_shape": tuple(float(n) for n in scene.table_shape), "hkl_min": scene.hkl_min,
        "default_F": scene.default_F, "tricubic": int(scene.tricubic), "oversample": scene.oversample,
        "d_min_m": scene.d_min, "background_input": scene.background, "fluence_per_m2": scene.fluence,
        "r_e_sqr_m2": scene.r_e_sqr, "steps": scene.steps,
    }  # fmt: skip
    return {name: _as_value(value) for name, value in inputs.items()}


def _as_value(value: Any) -> Value:
    if isinstance(value, int | str):
        return value
    if isinstance(value, tuple):
        return tuple(float(detached(item)) for item in value)
    plain = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return float(plain) if plain.ndim == 0 else tuple(float(x) for x in plain.ravel())


def _plain(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _depth(index: tuple[int, ...]) -> int:
    """0 for the scene and the result, 1 for a point, 2 for a source, 3 for an orientation."""
    if index == SCENE or index == OUTSIDE:
        return 0
    return 1 if index[3] < 0 else 2 if index[4] < 0 else 3


_OWN = {1: slice(0, 3), 2: slice(3, 4), 3: slice(4, 6)}
"""The loops that open at a depth."""


def _loops(index: tuple[int, ...], depth: int) -> str:
    pairs = zip(LEVELS[_OWN[depth]], index[_OWN[depth]], strict=True)
    return ", ".join(f"{level.replace('_', '-')} {i}" for level, i in pairs)


def _home(
    points: list[dict[str, Any]], homes: dict[tuple[int, ...], dict[str, Any]], index: tuple[int, ...]
) -> dict[str, Any]:
    """The dictionary of a place in the loops; made, and hung into its parent, when it is first used."""
    if index in homes:
        return homes[index]
    depth = _depth(index)
    home = dict(zip(LEVELS[_OWN[depth]], index[_OWN[depth]], strict=True))
    if depth == 1:
        points.append(home)
    else:
        parent = (*index[:4], -1, -1) if depth == 3 else (*index[:3], -1, -1, -1)
        _home(points, homes, parent).setdefault({2: "sources", 3: "orientations"}[depth], []).append(home)
    homes[index] = home
    return home


def _read_steps(home: dict[str, Any], index: tuple[int, ...]) -> Iterator[TraceStep]:
    for name, value in home.items():
        if name not in LEVELS and name not in ("sources", "orientations"):
            yield TraceStep(name, index, tuple(value) if isinstance(value, list) else value)


def _read_points(points: list[dict[str, Any]]) -> Iterator[TraceStep]:
    for point in points:
        at = tuple(int(point[level]) for level in LEVELS[:3])
        yield from _read_steps(point, (*at, -1, -1, -1))
        for source in point.get("sources", ()):
            here = (*at, int(source["source"]))
            yield from _read_steps(source, (*here, -1, -1))
            for orientation in source.get("orientations", ()):
                yield from _read_steps(orientation, (*here, int(orientation["phi"]), int(orientation["domain"])))


def _aligned(label: str, step: TraceStep) -> Iterator[str]:
    numbers = [step.value] if isinstance(step.value, str) else step.numbers
    texts = [x if isinstance(x, str) else f"{x + 0.0:.15g}" for x in numbers]  # no "-0"
    rows = [texts[i : i + 4] for i in range(0, len(texts), 4)] or [[]]
    for i, row in enumerate(rows):
        unit = f"  {step.unit}" if step.unit and i == 0 else ""
        yield f"{label if i == 0 else '':<34}" + " ".join(f"{text:>23}" for text in row).rstrip() + unit
