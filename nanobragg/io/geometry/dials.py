"""DIALS experiment lists (``.expt``, JSON): read and written without dxtbx (docs/file_formats.md, Geometry files)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.atomic import read_bytes, write_bytes
from nanobragg.io.geometry.axes import Array, rotation
from nanobragg.io.geometry.record import Geometry, Panel, Path, reciprocal, square_pixel
from nanobragg.io.optional import needed

_POLY_BEAMS = ("polychromatic", "PolychromaticBeam", "laue")
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def read_expt(path: Path, index: int | None = None, image: int | None = None) -> Geometry:
    """Read one experiment of a list.

    Parameters
    ----------
    path : path
        The file.
    index : int, optional
        Which experiment, from 0; None: the only one.
    image : int, optional
        Number of the image, as the scan counts; None: the first.

    Raises
    ------
    FileFormatError
        When the file is no experiment list, holds several experiments and no index is given, or describes what cannot
        be represented; the message names the place inside the file.
    """
    try:
        data = json.loads(read_bytes(path))
    except (ValueError, UnicodeDecodeError) as error:
        raise FileFormatError(path, f"is not JSON: {error}") from None
    entries = data.get("experiment") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise FileFormatError(path, "is not a DIALS experiment list: it has no entry 'experiment'")
    if index is None:
        if len(entries) > 1:
            crystals = len({entry.get("crystal") for entry in entries})
            raise FileFormatError(path, f"holds {len(entries)} experiments ({crystals} crystals); choose one with "
                                  f"index=0 to {len(entries) - 1}")  # fmt: skip
        index = 0
    if not 0 <= index < len(entries):
        raise FileFormatError(path, f"index={index}: it holds experiments 0 to {len(entries) - 1}")
    reader = _Reader(path, data, entries[index])
    try:
        return reader.geometry(image)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise FileFormatError(
            path, f"{reader.where}: {type(error).__name__}: {error}; is it an experiment list of DIALS?"
        ) from None


class _Reader:
    """One experiment; `where` is the place inside the file, for messages."""

    def __init__(self, path: Path, data: dict[str, Any], entry: dict[str, Any]) -> None:
        self.path, self.data, self.entry = path, data, entry
        self.where = "experiment"

    def fail(self, problem: str) -> FileFormatError:
        return FileFormatError(self.path, f"{self.where}: {problem}")

    def model(self, kind: str) -> dict[str, Any] | None:
        number = self.entry.get(kind)
        if number is None:
            return None
        self.where = f"{kind}[{number}]"
        models = self.data.get(kind, [])
        if not isinstance(number, int) or not 0 <= number < len(models):
            raise self.fail(f"the experiment refers to it, but there are {len(models)}")
        model = models[number]
        assert model is None or isinstance(model, dict)
        return model

    def geometry(self, image: int | None) -> Geometry:
        detector = self.model("detector")
        panels = () if detector is None else tuple(self.panels(detector))
        beam = self.beam()
        spindle, fixed, setting = self.goniometer()
        phi, osc, n, exposure = self.scan(image)
        a_star, group = self.crystal(fixed, setting)
        return Geometry(panels=panels, **beam, spindle=spindle, phi_start=phi, osc=osc, n_images=n, exposure_s=exposure,
                        a_star=a_star, space_group=group)  # fmt: skip

    def beam(self) -> dict[str, Any]:
        beam = self.model("beam")
        if beam is None:
            return {}
        if any(word.lower() in str(beam.get("__id__", "")).lower() for word in _POLY_BEAMS):
            raise self.fail(f"is a {beam['__id__']} beam; only monochromatic ones are read")
        direction = -_unit(beam["direction"])
        fraction = beam.get("polarization_fraction")
        normal = np.array(beam.get("polarization_normal", (0.0, 0.0, 0.0)), dtype=float)
        return {
            "wavelength": float(beam["wavelength"]), "beam": direction,
            "polarization_axis": _unit(np.cross(direction, normal)) if np.any(np.cross(direction, normal)) else None,
            "kahn_factor": None if fraction is None else 2 * float(fraction) - 1,
            "flux": float(beam["flux"]) if beam.get("flux") else None,
        }  # fmt: skip

    def panels(self, detector: dict[str, Any]) -> Iterator[Panel]:
        place = self.where
        models = detector["panels"]
        frames: dict[int, Array] = {}
        hierarchy = detector.get("hierarchy")
        if hierarchy:
            self.where = f"{place}.hierarchy"
            self.descend(hierarchy, np.eye(4), len(models), frames)
            lost = [i for i in range(len(models)) if i not in frames]
            if lost:
                raise self.fail(f"panels {lost} have no parent in the hierarchy")
        for i, model in enumerate(models):
            self.where = f"{place}.panels[{i}]"
            frame = frames.get(i, np.eye(4)) @ _matrix(model)
            width, height = model["pixel_size"]
            n_fast, n_slow = (int(n) for n in model["image_size"])
            corrected = model.get("px_mm_strategy", {}).get("type", "").startswith("Parallax")
            yield Panel(
                n_fast=n_fast, n_slow=n_slow, pixel_mm=square_pixel(self.path, self.where, float(width), float(height)),
                origin=frame[:3, 3], fast=frame[:3, 0], slow=frame[:3, 1], name=model.get("name") or f"panel_{i}",
                mask=_mask(model.get("mask"), n_fast, n_slow),
                thickness_mm=float(model.get("thickness", 0.0)) if corrected else 0.0,
                mu_per_mm=float(model.get("mu", 0.0)) if corrected else 0.0,
            )  # fmt: skip

    def descend(self, node: dict[str, Any], parent: Array, n: int, frames: dict[int, Array]) -> None:
        """Multiply frames down the tree; those of panels are in that of their parent."""
        frame = parent @ _matrix(node)
        for child in node.get("children", ()):
            if "panel" not in child:
                self.descend(child, frame, n, frames)
            elif not 0 <= child["panel"] < n:
                raise self.fail(f"refers to panel {child['panel']}, there are panels 0 to {n - 1}")
            else:
                frames[child["panel"]] = frame

    def goniometer(self) -> tuple[Array | None, Array, Array]:
        """Axis, fixed rotation and setting rotation: r(phi) = S R(phi) F r."""
        model = self.model("goniometer")
        if model is None:
            return None, np.eye(3), np.eye(3)
        if "axes" not in model:
            fixed, setting = (np.array(model.get(key, _IDENTITY), float).reshape(3, 3)
                              for key in ("fixed_rotation", "setting_rotation"))  # fmt: skip
            return _unit(setting @ _unit(model["rotation_axis"])), fixed, setting
        axes, angles, scan = [_unit(a) for a in model["axes"]], model["angles"], int(model["scan_axis"])
        fixed, setting = np.eye(3), np.eye(3)
        for i, (axis, angle) in enumerate(zip(axes, angles, strict=True)):  # the axis next to the sample comes first
            if i < scan:
                fixed = rotation(axis, float(angle)) @ fixed
            elif i > scan:
                setting = rotation(axis, float(angle)) @ setting
        return _unit(setting @ axes[scan]), fixed, setting

    def scan(self, image: int | None) -> tuple[float, float | None, int, float]:
        """Start of the image, width, number of images and exposure; scans of old and new files."""
        model = self.model("scan")
        if model is None:
            if image is not None:
                raise self.fail(f"image={image}: the experiment is a still")
            return 0.0, None, 1, 1.0
        first, last = (int(n) for n in model["image_range"])
        number = first if image is None else image
        if not first <= number <= last:
            raise self.fail(f"image={image}: the scan has images {first} to {last}")
        fields = model.get("properties", model)
        exposure = fields.get("exposure_time") or [1.0]
        exposure_s = float(exposure[0] if isinstance(exposure, list) else exposure) or 1.0
        if "oscillation" not in fields:
            return 0.0, None, last - first + 1, exposure_s
        values = [float(x) for x in fields["oscillation"]]
        if "properties" in model:  # the start of every image
            start = values[number - first]
            width = float(model.get("oscillation_width") or (values[1] - values[0] if len(values) > 1 else 0.0))
            if len(values) == 1 and not width and "oscillation" in model:
                width = float(model["oscillation"][1])
        else:
            start, width = values[0] + (number - first) * values[1], values[1]
        if width < 0:
            raise self.fail(f"oscillation width {width}: rotations backwards cannot be represented")
        return start, width, last - first + 1, exposure_s

    def crystal(self, fixed: Array, setting: Array) -> tuple[Array | None, str | None]:
        model = self.model("crystal")
        if model is None:
            return None, None
        axes = np.array([model[f"real_space_{axis}"] for axis in "abc"], dtype=float)
        if not abs(np.linalg.det(axes)) > 0:
            raise self.fail("a, b, c lie in a plane")
        return reciprocal(axes @ (setting @ fixed).T), model.get("space_group_hall_symbol")


def write_expt(
    path: Path, geometry: Geometry, images: str | Sequence[str | PathLike[str]] | None = None, single_file: bool = False
) -> None:
    """Write an experiment list of one experiment.

    Parameters
    ----------
    path : path
        The file.
    geometry : Geometry
        What to describe.
    images : str, optional
        Template of the image files, as ``out_####.cbf``, or the name of one file with all of them.
    single_file : bool
        True: `images` is one file.
    """
    write_bytes(path, [json.dumps(experiment_list(geometry, images, single_file), indent=1).encode()])


def experiment_list(geometry: Geometry, images: Any = None, single_file: bool = False) -> dict[str, Any]:
    """The data behind `write_expt`."""
    still = not geometry.osc
    geometry = geometry.as_still()
    beam, axis = geometry.beam, geometry.polarization_axis
    entry: dict[str, Any] = {"__id__": "Experiment", "identifier": "", "beam": 0, "detector": 0}
    data: dict[str, Any] = {
        "__id__": "ExperimentList", "experiment": [entry], "imageset": [], "profile": [], "scaling_model": [],
        "beam": [], "detector": [{
            "panels": [_panel(panel) for panel in geometry.panels],
            "hierarchy": {
                "name": "", "type": "", "fast_axis": [1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0],
                "origin": [0.0, 0.0, 0.0], "raw_image_offset": [0, 0], "image_size": [0, 0], "pixel_size": [0.0, 0.0],
                "trusted_range": [0.0, 0.0], "thickness": 0.0, "material": "", "mu": 0.0, "identifier": "", "mask": [],
                "gain": 1.0, "pedestal": 0.0, "px_mm_strategy": {"type": "SimplePxMmStrategy"},
                "children": [{"panel": i} for i in range(len(geometry.panels))],
            },
        }], "goniometer": [], "scan": [], "crystal": [],
    }  # fmt: skip
    if beam is not None:
        model = {
            "__id__": "monochromatic", "direction": _numbers(-beam), "wavelength": geometry.wavelength,
            "divergence": 0.0, "sigma_divergence": 0.0, "flux": geometry.flux or 0.0, "transmission": 1.0,
        }  # fmt: skip
        if axis is not None and geometry.kahn_factor is not None:
            model |= {"polarization_normal": _numbers(np.cross(axis, beam)),
                      "polarization_fraction": (1 + geometry.kahn_factor) / 2}  # fmt: skip
        data["beam"].append(model)
    if geometry.spindle is not None and not still:
        entry |= {"goniometer": 0, "scan": 0}
        data["goniometer"].append({"rotation_axis": _numbers(geometry.spindle), "fixed_rotation": _IDENTITY,
                                   "setting_rotation": _IDENTITY})  # fmt: skip
        n = geometry.n_images
        data["scan"].append({
            "image_range": [1, n], "batch_offset": 0, "oscillation": [geometry.phi_start, geometry.osc],
            "exposure_time": [geometry.exposure_s] * n, "epochs": [i * geometry.exposure_s for i in range(n)],
            "valid_image_ranges": {},
        })  # fmt: skip
    if geometry.a_star is not None:
        entry["crystal"] = 0
        a, b, c = geometry.axes
        data["crystal"].append({"__id__": "crystal", "real_space_a": _numbers(a), "real_space_b": _numbers(b),
                                "real_space_c": _numbers(c), "space_group_hall_symbol": _hall(geometry.space_group)})  # fmt: skip
    if images is not None:
        entry["imageset"] = 0
        names: dict[str, Any] = {"__id__": "ImageSet" if still else "ImageSequence", "mask": None, "gain": None,
                                 "pedestal": None, "dx": None, "dy": None, "params": {}}  # fmt: skip
        if still:
            names["images"] = [fspath(images)]
            if single_file:
                names["single_file_indices"] = list(range(geometry.n_images))
        else:
            names["template"] = fspath(images)
            if single_file:
                names["single_file_indices"] = list(range(geometry.n_images))
        data["imageset"].append(names)
    return data


def _panel(panel: Panel) -> dict[str, Any]:
    thick = panel.thickness_mm > 0 and panel.mu_per_mm > 0
    strategy: dict[str, Any] = {"type": "SimplePxMmStrategy"}
    if thick:
        strategy = {"type": "ParallaxCorrectedPxMmStrategy"}
    return {
        "name": panel.name, "type": "SENSOR_PAD", "fast_axis": _numbers(panel.fast), "slow_axis": _numbers(panel.slow),
        "origin": _numbers(panel.origin), "raw_image_offset": [0, 0], "image_size": [panel.n_fast, panel.n_slow],
        "pixel_size": [panel.pixel_mm, panel.pixel_mm], "trusted_range": [-1.0, 2147483647.0],
        "thickness": panel.thickness_mm, "material": "Si" if thick else "", "mu": panel.mu_per_mm, "identifier": "",
        "mask": _rectangles(panel.mask), "gain": 1.0, "pedestal": 0.0, "px_mm_strategy": strategy,
    }  # fmt: skip


def _matrix(frame: dict[str, Any]) -> Array:
    """4 x 4 matrix of a frame that is given by fast axis, slow axis and origin in that of its parent."""
    fast, slow = _unit(frame.get("fast_axis", (1, 0, 0))), _unit(frame.get("slow_axis", (0, 1, 0)))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = fast, slow
    matrix[:3, 2], matrix[:3, 3] = np.cross(fast, slow), np.array(frame.get("origin", (0, 0, 0)), float)
    return matrix


def _unit(vector: Any) -> Array:
    array = np.array(vector, dtype=float)
    if array.shape != (3,) or not np.isfinite(array).all() or not array.any():
        raise ValueError(f"{vector} is no direction")
    return np.asarray(array / np.linalg.norm(array))


def _numbers(vector: Array) -> list[float]:
    return [float(x) for x in vector]


def _mask(rectangles: Any, n_fast: int, n_slow: int) -> Any:
    """A mask of rectangles (fast start, slow start, fast end, slow end), half-open; True = rendered."""
    if not rectangles:
        return None
    mask = np.ones((n_slow, n_fast), bool)
    for f0, s0, f1, s1 in rectangles:
        mask[max(0, s0) : s1, max(0, f0) : f1] = False
    return mask


def _rectangles(mask: Any) -> list[list[int]]:
    """Masked pixels as rectangles: runs along the fast axis, joined over equal rows."""
    if mask is None or mask.all():
        return []
    done: list[list[int]] = []
    running: dict[tuple[int, int], list[int]] = {}
    for s, row in enumerate(~np.asarray(mask, bool)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
        runs = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        running = {run: running[run] if run in running else [run[0], s, run[1], s + 1] for run in runs}
        for rectangle in running.values():
            rectangle[3] = s + 1
            if rectangle not in done:
                done.append(rectangle)
    return done


def _hall(space_group: str | None) -> str:
    if space_group is None or space_group == "P 1":
        return " P 1"
    gemmi = needed("gemmi", "space groups")
    group = gemmi.find_spacegroup_by_name(space_group)
    if group is not None:
        return str(group.hall)
    return space_group  # as read from another list: a Hall symbol already
