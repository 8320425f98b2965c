"""The controls of the page, made from what the fields of the config objects know of themselves."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Detector
from nanobragg.config.fields import Config
from nanobragg.config.serialize import plain
from nanobragg.config.spoken.speaks import default_text
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError
from nanobragg.explorer.session import State
from nanobragg.inspection.foresight.limits import LIMITS

_SHOWN = ("scalar", "edges", "spreads", "int", "bool", "enum", "vector2", "vector3")
"""Kinds of fields that have a control; of the others it is shown what they hold."""
_PARTS = ("crystal", "beam", "detector", "detector_pose", "goniometer", "sampling", "background")
_MOST_PANELS = 4
"""Of a detector of more panels, they have no controls of their own: it is moved as a whole."""
_DECADES = {"Angstrom": 0.5, "mm": 1.0}
"""How far the slider of a number above 0 goes to either side, by its unit."""
_OTHER_DECADES = 2.0
_FROM_ZERO = {"mm": 100.0, "um": 100.0, "Angstrom^2": 100.0}
"""Where the slider of a value ends that is 0, by its unit."""
_ENDS = {
    "crystal.sizes.width": (0.0, 1.0), "beam.dispersion_percent": (0.0, 5.0), "beam.divergence.h_mrad": (0.0, 10.0),
    "beam.divergence.v_mrad": (0.0, 10.0), "detector.sensor.thickness_um": (0.0, 1000.0), "goniometer.osc_deg": (0.0, 5.0),
    "detector.rotation_deg": (-90.0, 90.0), "detector.twotheta_deg": (-90.0, 90.0), "readout.rate.dead_time_s": (0.0, 1e-6),
}  # fmt: skip
"""Of sliders whose use is narrower than the check of a single value tells; a value beyond takes a wider one."""
_WITH_ARRAYS = {"crystal.mosaic.model": "given", "beam.spectrum.kind": "given", "readout.psf.kind": "array"}
"""Choices that come with arrays, which the page cannot give: offered only where they are taken already."""
_ANGLE = 180.0
_LONGEST = 90
"""Letters that are shown of what has no control."""
_FEW = 1000
"""Whole numbers that are tried."""
_COUNT = 10
"""How many times its value the slider of a whole number goes."""


def groups(state: State, start: State, decided: Decided | None) -> list[dict[str, Any]]:
    """Groups of controls as plain data, in the order of the config objects.

    Parameters
    ----------
    state : State
        The values.
    start : State
        Those of the beginning, to tell what was changed.
    decided : Decided, optional
        Of the first panel and lattice: what stands in the place of values that are left open.
    """
    found = []
    experiment = state.experiment
    for name in _PARTS:
        part = getattr(experiment, name)
        several = isinstance(part, tuple) and name != "background"
        if several and name == "detector":
            found.append(_all_panels(len(part), decided))
            if len(part) > _MOST_PANELS:
                continue
        for i, one in enumerate(part if several else [part]):
            path = f"{name}[{i}]" if several else name
            field = experiment.__dataclass_fields__[name]
            if one is None:
                found.append(_absent(path, field))
                continue
            known = _Known(decided, name) if decided is not None and i == 0 else None
            doc, controls = field.metadata["doc"], [*_controls(one, path, known)]
            if field.default is None:
                controls.insert(0, {"path": path, "kind": "heading", "label": "", "doc": doc, "removable": True})
            found.append({"path": path, "title": _title(path), "doc": doc, "controls": controls})
    found.append({"path": "readout", "title": "Readout", "doc": "how the detector makes counts of photons; acts with point "
                  "spread or noise switched on", "controls": [*_controls(state.readout, "readout", None)]})  # fmt: skip
    before = dict(_values(start))
    for group in found:
        for control in group["controls"]:
            if control["kind"] not in ("heading", "part", "text"):
                control["changed"] = before.get(control["path"], control["value"]) != control["value"]
    return found


def _all_panels(number: int, decided: Decided | None) -> dict[str, Any]:
    """What moves a detector of several panels as a whole."""
    known = {} if decided is None else _Known(decided, "detector").placed
    fields = Detector.__dataclass_fields__
    controls = [
        _control(fields[name], f"detector.{name}", None, known.get(name)) for name in ("distance_mm", "beam_center_mm")
    ]
    for control in controls:
        control["doc"] = f"of the first panel, {control['doc']}; the others move with it (detector_pose)"
    return {
        "path": "detector",
        "title": f"Detector, {number} panels",
        "doc": "all panels together",
        "controls": controls,
    }


def _values(state: State) -> Iterator[tuple[str, Any]]:
    """Paths and plain values of everything that has a control."""
    for name in (*_PARTS, "readout"):
        part: Any = state.readout if name == "readout" else getattr(state.experiment, name)
        several = isinstance(part, tuple)
        for i, one in enumerate(part if several else [part]):
            if one is not None:
                yield from _fields(one, f"{name}[{i}]" if several else name)


def _fields(part: Any, path: str) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Config):
            yield from _fields(value, f"{path}.{field.name}")
        elif _are_parts(value):
            for i, one in enumerate(value):
                yield from _fields(one, f"{path}.{field.name}[{i}]")
        elif field.metadata["kind"] in _SHOWN and field.metadata["part"] is None:
            yield f"{path}.{field.name}", plain(value)


def _are_parts(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(one, Config) for one in value)


def _absent(path: str, field: Any) -> dict[str, Any]:
    control = {
        "path": path,
        "label": "use it",
        "kind": "part",
        "doc": field.metadata["doc"],
        "value": False,
        "unit": "",
    }
    return {"path": path, "title": _title(path), "doc": field.metadata["doc"], "controls": [control]}


def _title(path: str) -> str:
    return path.replace("_", " ").capitalize()


class _Known:
    """What was decided for the fields of a part, and where beam and detector ended up: what stands where nothing is given."""

    def __init__(self, decided: Decided, name: str) -> None:
        self._part = getattr(decided.experiment, name, None)
        placed, wavelength = decided.placement, 1e10 * wavelength_m(decided.experiment, FLOAT_OPS)
        self.placed: dict[str, Any] = {
            "beam": {"wavelength_angstrom": wavelength, "energy_ev": EV_ANGSTROM / wavelength, "direction": placed.beam,
                     "polarization_axis": placed.polarization_axis},
            "detector": {"distance_mm": 1000 * placed.distance_to_plane, "pivot": placed.pivot, "fast_axis": placed.fast,
                         "slow_axis": placed.slow, "normal_axis": placed.normal, "twotheta_axis": placed.twotheta_axis,
                         "beam_center_mm": (1000 * placed.fbeam, 1000 * placed.sbeam)},
            "goniometer": {"axis": placed.spindle},
        }.get(name, {})  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name, None)
        return self.placed.get(name) if found is None else found


def _controls(part: Any, path: str, decided: Any) -> Iterator[dict[str, Any]]:
    for field in dataclasses.fields(part):
        meta, here = field.metadata, f"{path}.{field.name}"
        value = getattr(part, field.name)
        known = getattr(decided, field.name, None)
        label = field.name.replace("_", " ")
        if _are_parts(value):
            for i, one in enumerate(value):
                yield {"path": f"{here}[{i}]", "kind": "heading", "label": f"{label} {i}", "doc": meta["doc"]}
                yield from _controls(one, f"{here}[{i}]", None)
        elif meta["part"] is not None and isinstance(value, Config) and _has_controls(value):
            yield {
                "path": here,
                "kind": "heading",
                "label": label,
                "doc": meta["doc"],
                "removable": _removable(part, field),
            }
            yield from _controls(value, here, known)
        elif meta["part"] is not None and not value and (_can_be_made(meta["part"]) or _can_be_named(part, field.name)):
            yield {"path": here, "kind": "part", "label": label, "doc": meta["doc"], "unit": "", "value": False}
        elif meta["kind"] in _SHOWN and meta["part"] is None:
            yield _control(field, here, value, known)
        elif value is not None and not isinstance(value, tuple):
            yield {"path": here, "kind": "text", "label": field.name, "doc": meta["doc"], "value": _said(value),
                   "removable": _removable(part, field)}  # fmt: skip


def _has_controls(part: Config) -> bool:
    return any(field.metadata["kind"] in _SHOWN or field.metadata["part"] for field in dataclasses.fields(part))  # type: ignore[arg-type]


def _said(value: Any) -> str:
    """What stands in a field without a control, in few words."""
    if isinstance(value, np.ndarray):
        said = f"{int(value.sum())} of {value.size}" if value.dtype == bool else str(value.dtype)
        if value.shape == (3, 3):
            return "; ".join(" ".join(f"{x:.5g}" for x in row) for row in value.tolist())
        return f"{' x '.join(map(str, value.shape))}, {said}"
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _can_be_named(part: Any, name: str) -> bool:
    """A cell in place of a matrix."""
    return name == "unit_cell" and part.a_star_matrix is not None


def _removable(part: Config, field: dataclasses.Field[Any]) -> bool:
    """Whether the part can be without what stands in a field, the others as they are."""
    if field.default is not None:
        return False
    try:
        part.with_value(field.name, None)
    except ConfigError:
        return False
    return True


def _can_be_made(kind: Any) -> bool:
    try:
        return isinstance(kind(), Config)
    except (ConfigError, TypeError):
        return False


def _control(field: dataclasses.Field[Any], path: str, value: Any, decided: Any) -> dict[str, Any]:
    meta = field.metadata
    kind = meta["kind"]
    control = {
        "path": path, "label": field.name, "kind": kind, "unit": meta["unit"], "doc": meta["doc"], "value": plain(value),
        "default": default_text(field), "choices": _choices(path, meta, value), "words": list(meta["words"]),
        "optional": field.default is None, "open": meta["items_optional"],
        "decided": None if value is not None or decided is None else plain(decided),
        "flags": meta["flags"], "range": _allowed(meta),
    }  # fmt: skip
    if kind not in ("bool", "enum"):
        control |= _range(path, meta, _numbers(value if value is not None else decided), field.default)
    return control


def _choices(path: str, meta: Any, value: Any) -> list[str]:
    beside = _WITH_ARRAYS.get(re.sub(r"\[\d+\]", "", path))
    return [choice for choice in meta["choices"] or () if choice == value or choice != beside]


def _allowed(meta: Any) -> str:
    """Which values the field takes, in words."""
    words = [" or ".join(meta["words"])] if meta["words"] else []
    return ", or ".join([*([] if meta["check"] is None else [meta["check"][1].removeprefix("must be ")]), *words])


def _numbers(value: Any) -> list[float]:
    items = value if isinstance(value, tuple | list) else [value]
    return [
        float(x)
        for x in map(detached, (x for x in items if x is not None and not isinstance(x, str)))
        if np.isfinite(x)
    ]


def _range(path: str, meta: Any, numbers: list[float], default: Any) -> dict[str, Any]:
    """Ends of the slider, and whether it is logarithmic; a typed value may lie beyond. Ends of None: there is no slider."""
    passes = (lambda v: True) if meta["check"] is None else meta["check"][0]
    plain_path = re.sub(r"\[\d+\]", "", path)
    limit = LIMITS.get(plain_path)
    given = _numbers(default) if isinstance(default, int | float | tuple) else []
    usual = numbers or given or [0.0]
    size = max(map(abs, usual))
    if (ends := _ENDS.get(plain_path)) is not None:
        if size <= ends[1] and min(usual) >= ends[0]:
            return {"low": ends[0], "high": ends[1], "log": False, "step": ends[1] / 1000}
        if min(usual) >= ends[0] == 0.0:
            return {"low": 0.0, "high": _COUNT * size, "log": False, "step": size / 100}
    if meta["kind"] == "int":
        return _whole_range(passes, size)
    if (
        meta["kind"].startswith("vector")
        and meta["unit"] == ""
        and given
        and all(v == int(v) >= 1 for v in given + usual)
    ):
        return {"low": 1, "high": int(_COUNT * size), "log": False, "step": 1}  # counts along the axes
    if meta["unit"] == "degrees":
        if not passes(-1.0):
            end = 179.0 if not passes(_ANGLE) else 5.0 if size < 5.0 else _ANGLE
            return {"low": 1.0 if not passes(0.0) else 0.0, "high": end, "log": False, "step": 0.01}
        return {"low": -_ANGLE, "high": _ANGLE, "log": False, "step": 0.01}
    if not passes(1.000001) and passes(0.0):
        low, high = -1.0 if passes(-1.0) else 0.0, 1.0 if passes(1.0) else 0.999
        return {"low": low, "high": high, "log": False, "step": 0.001}
    if not passes(-1.0) and size > 0 and (limit is not None or not passes(0.0)):
        decades = 10 ** (_DECADES.get(meta["unit"], _OTHER_DECADES) if limit is None else 1.0)
        low, high = size / decades, size * decades
        if limit is not None:
            low, high = max(low, limit.low), min(high, limit.high)
        return {"low": low, "high": high if high > low else low * 10, "log": True, "step": None}
    if meta["kind"].startswith("vector") and meta["unit"] == "" and size <= 1.0:
        return {"low": -1.0, "high": 1.0, "log": False, "step": 0.001}
    if meta["unit"] == "mm" and size > 0:
        low = min(usual) - size
        return {"low": low if passes(low) else 0.0, "high": max(usual) + size, "log": False, "step": size / 1000}
    end = _COUNT * size if size > 0 else _FROM_ZERO.get(meta["unit"], 10.0)
    return {"low": 0.0 if not passes(-1.0) else -end, "high": end, "log": False, "step": end / 1000}


def _whole_range(passes: Any, size: float) -> dict[str, Any]:
    low, high = 1 if not passes(0) else 0, max(10, int(_COUNT * size))
    taken = [v for v in range(low, min(high, _FEW) + 1) if passes(v)]
    if not taken or taken[-1] - taken[0] >= len(taken):
        return {"low": None, "high": None, "log": False, "step": None}  # such as 16, 20 or 32
    return {"low": taken[0], "high": high if passes(high) else taken[-1], "log": False, "step": 1}


def read(kind: str, value: Any) -> Any:
    """A value as it comes from the page: numbers, lists of numbers, words, true and false; an empty text is None."""
    if isinstance(value, str):
        text = value.strip().replace("\N{MINUS SIGN}", "-")
        if not text:
            return None
        if kind == "scalar" and "," in text:
            return text  # a decimal comma, which no number has here: not two numbers
        if kind in ("enum", "symbol"):
            return text
        parts = [item for item in re.split(r"[,\s()\[\]]+", text) if item]
        try:
            numbers = [int(item) if re.fullmatch(r"[-+]?\d{1,18}", item) else float(item) for item in parts]
        except ValueError:
            return text
        return numbers[0] if len(numbers) == 1 else tuple(numbers)
    if isinstance(value, list):
        return tuple(read(kind, item) if isinstance(item, str) else item for item in value)
    return value
