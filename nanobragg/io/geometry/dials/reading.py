"""DIALS experiment lists (``.expt``, JSON), read without dxtbx.

A model that changes during the scan is kept by DIALS at the n + 1 boundaries of its n images; an image has the model in the
middle of its exposure, the mean of two.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from nanobragg.errors import BackendUnavailableError, FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.axes import Array, rotation, unit
from nanobragg.io.geometry.masks import mask_without
from nanobragg.io.geometry.record import (
    MOST_IMAGES,
    Geometry,
    Panel,
    Path,
    check_size,
    forwards,
    mounted,
    panel_of,
    reader,
    reciprocal,
)
from nanobragg.io.space_groups import as_hall, hall_symbol

_POLY_BEAMS = ("polychromatic", "PolychromaticBeam", "laue")
_NO_ROTATION = 1e-3
"""What a matrix times its transpose may be off 1."""
_NOT_SAID: float | None = None
R = TypeVar("R")
_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


@reader
def read_expt(path: Path, index: int | None = None, image: int | None = None, *, first: bool = False) -> Geometry:
    """Read one experiment of a list.

    Parameters
    ----------
    path : path
        The file.
    index : int, optional
        Which experiment, from 0; None: the only one.
    image : int, optional
        Number of the image, as the scan counts; None: the first.
    first : bool
        Of several experiments without an index the first is taken, with a warning.

    Raises
    ------
    FileFormatError
        When the file is no experiment list, holds several experiments and no index is given, or describes what cannot
        be represented; the message names the place inside the file.
    """
    return _chosen(path, index, lambda found: found.geometry(image), first)


@reader
def read_expt_scan(path: Path, index: int | None = None) -> list[Geometry]:
    """The geometry of every image of a scan, one after the other; a still has one. As `read_expt` otherwise."""
    return _chosen(path, index, _Reader.every_geometry)


def _chosen(path: Path, index: int | None, taken: Callable[[_Reader], R], first: bool = False) -> R:
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
            held, remedy = f"holds {len(entries)} experiments ({crystals} crystals)", f"index=0 to {len(entries) - 1}"
            if not first:
                raise FileFormatError(path, f"{held}; choose one with {remedy}")
            warnings.warn(
                f"{path}: {held}; the first is taken, choose one with {remedy}", NanoBraggWarning, stacklevel=2
            )
        index = 0
    if not 0 <= index < len(entries):
        raise FileFormatError(path, f"index={index}: it holds experiments 0 to {len(entries) - 1}")
    found = _Reader(path, data, entries[index])
    try:
        return taken(found)
    except FileFormatError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        problem = f"has no entry {error}" if isinstance(error, KeyError) else str(error)
        raise FileFormatError(path, f"{found.where}: {problem}; must be as DIALS writes it") from None


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

    def every_geometry(self) -> list[Geometry]:
        model = self.model("scan")
        if model is None:
            return [self.geometry(None)]
        first, last = (int(n) for n in model["image_range"])
        if not 1 <= last - first + 1 <= MOST_IMAGES:
            raise self.fail(f"image_range is {first} to {last}; must hold 1 to {MOST_IMAGES} images")
        start = self.geometry(first)
        return [start, *(self.geometry(number, start.panels) for number in range(first + 1, last + 1))]

    def geometry(self, image: int | None, panels: tuple[Panel, ...] | None = None) -> Geometry:
        if panels is None:
            detector = self.model("detector")
            panels = () if detector is None else tuple(self.panels(detector))
            self.tell_of_images()
        scan = _Scan(self, image)
        beam = self.beam(scan)
        spindle, fixed, setting = self.goniometer(scan)
        a_star, group = self.crystal(fixed, setting, scan)
        phi, osc = scan.start, scan.width
        if spindle is not None:
            spindle, phi, width = forwards(spindle, phi, osc or 0.0)
            osc = width or None
        if scan.varying and image is None and scan.n > 1:
            warnings.warn(f"{self.path}: {' and '.join(scan.varying)} varies during the scan; the model of image {scan.first} "
                          "is taken, choose one with image=", NanoBraggWarning, stacklevel=2)  # fmt: skip
        return Geometry(panels=panels, **beam, spindle=spindle, phi_start=phi, osc=osc, n_images=scan.n,
                        exposure_s=scan.exposure_s, a_star=a_star, space_group=group,
                        mount=mounted(setting @ fixed), **self.mosaicity())  # fmt: skip

    def mosaicity(self) -> dict[str, Any]:
        """Spread and block size: of the crystal as in dxtbx (Sauter 2014, Kabsch 2010), or of the profiles of its spots."""
        crystal = self.model("crystal") or {}
        half, domain = (self.positive(crystal, key) for key in ("ML_half_mosaicity_deg", "ML_domain_size_ang"))
        found: dict[str, Any] = {"domain_angstrom": domain}
        if half is not None:
            return found | {"mosaic_model": "ball", "mosaicity_deg": half}
        sigma = self.positive(crystal, "mosaicity")
        if sigma is None:
            sigma = self.positive(self.model("profile") or {}, "sigma_m")
        return found | {"mosaicity_deg": sigma}

    def positive(self, model: dict[str, Any], key: str) -> float | None:
        """A number above 0, of several their mean; None: the file does not say."""
        value = model.get(key)
        if value is None:
            return None
        mean = float(np.mean(np.asarray(value, dtype=np.float64)))
        if not 0 <= mean < np.inf:
            raise self.fail(f"{key} is {value}; must be a number >= 0")
        return mean or None

    def tell_of_images(self) -> None:
        """Warn of what the images bring along and is not read."""
        number, every = self.entry.get("imageset"), self.data.get("imageset")
        if not isinstance(every, list) or not isinstance(number, int) or not 0 <= number < len(every):
            return
        given = every[number] if isinstance(every[number], dict) else {}
        for key, effect in (("mask", "of pixels"), ("dx", "that moves pixels"), ("dy", "that moves pixels")):
            if given.get(key):
                warnings.warn(f"{self.path}: imageset[{number}]: {key} = {given[key]}: a file {effect}, which is not read",
                              NanoBraggWarning, stacklevel=2)  # fmt: skip

    def beam(self, scan: _Scan) -> dict[str, Any]:
        beam = self.model("beam")
        if beam is None:
            return {}
        if any(word.lower() in str(beam.get("__id__", "")).lower() for word in _POLY_BEAMS):
            raise self.fail(f"is a {beam['__id__']} beam; only monochromatic ones are read")
        direction, wavelength = -unit(beam["direction"]), float(beam["wavelength"])
        s0 = scan.varied(self.where, beam, "s0_at_scan_points", (3,))
        if s0 is not None:
            direction, wavelength = unit(s0), 1.0 / float(np.linalg.norm(s0))
        fraction = beam.get("polarization_fraction")
        normal = np.array(beam.get("polarization_normal", (0.0, 0.0, 0.0)), dtype=float)
        return {
            "wavelength": wavelength, "beam": direction,
            "polarization_axis": unit(np.cross(direction, normal)) if np.any(np.cross(direction, normal)) else None,
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
            corrected = model.get("px_mm_strategy", {}).get("type", "").endswith("ParallaxCorrectedPxMmStrategy")
            check_size(self.path, self.where, n_fast, n_slow)
            name = model.get("name") or f"panel_{i}"
            if model.get("px_mm_strategy", {}).get("type", "").startswith("Offset"):
                warnings.warn(f"{self.path}: {self.where} {name}: the offsets of its pixels (dx, dy) are not read",
                              NanoBraggWarning, stacklevel=2)  # fmt: skip
            yield panel_of(
                self.path, self.where, (float(width), float(height)), n_fast=n_fast, n_slow=n_slow,
                origin=frame[:3, 3], fast=frame[:3, 0], slow=frame[:3, 1], name=name, image_offset=_offset(model),
                mask=mask_without(model.get("mask"), n_fast, n_slow), material=str(model.get("material") or ""),
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

    def goniometer(self, scan: _Scan) -> tuple[Array | None, Array, Array]:
        """Axis, fixed rotation and setting rotation: r(phi) = S R(phi) F r."""
        model = self.model("goniometer")
        if model is None:
            return None, np.eye(3), np.eye(3)
        fixed, setting = (np.array(model.get(key, _IDENTITY), float).reshape(3, 3)
                          for key in ("fixed_rotation", "setting_rotation"))  # fmt: skip
        for key, matrix in (("fixed_rotation", fixed), ("setting_rotation", setting)):
            if not np.abs(matrix @ matrix.T - np.eye(3)).max() < _NO_ROTATION:
                raise self.fail(f"{key} is no rotation: {matrix.ravel().tolist()}")
        if "axes" in model:
            axes, angles, scanned = [unit(a) for a in model["axes"]], model["angles"], int(model["scan_axis"])
            fixed, setting, axis = np.eye(3), np.eye(3), axes[scanned]
            for i, (other, angle) in enumerate(zip(axes, angles, strict=True)):  # that next to the sample comes first
                if i < scanned:
                    fixed = rotation(other, float(angle)) @ fixed
                elif i > scanned:
                    setting = rotation(other, float(angle)) @ setting
        else:
            axis = unit(model["rotation_axis"])
        varied = scan.varied(self.where, model, "setting_rotation_at_scan_points", (3, 3))
        if varied is not None:
            u, _, v = np.linalg.svd(varied)  # the mean of two rotations is one again but for a little shrinking
            setting = u @ v
        return unit(setting @ axis), fixed, setting

    def crystal(self, fixed: Array, setting: Array, scan: _Scan) -> tuple[Array | None, str | None]:
        model = self.model("crystal")
        if model is None:
            return None, None
        group = self.group(model.get("space_group_hall_symbol"))
        columns = scan.varied(self.where, model, "A_at_scan_points", (3, 3))
        if columns is not None:
            if not abs(np.linalg.det(columns)) > 0:
                raise self.fail("A_at_scan_points: a*, b*, c* lie in a plane")
            return (setting @ fixed @ columns).T, group
        axes = np.array([model[f"real_space_{axis}"] for axis in "abc"], dtype=float)
        if not abs(np.linalg.det(axes)) > 0:
            raise self.fail("a, b, c lie in a plane")
        return reciprocal(axes @ (setting @ fixed).T), group

    def group(self, symbol: Any) -> str | None:
        """The Hall symbol; unchecked without gemmi."""
        if symbol is None:
            return None
        try:
            return hall_symbol(as_hall(str(symbol)))
        except ValueError as error:
            raise self.fail(str(error)) from None
        except BackendUnavailableError:
            return as_hall(str(symbol))


class _Scan:
    """The chosen image of a scan: its place, start, width and exposure; scans of old and new files."""

    def __init__(self, reader: _Reader, image: int | None) -> None:
        self.reader = reader
        self.start, self.width, self.exposure_s = 0.0, _NOT_SAID, _NOT_SAID
        self.n, self.first, self.number = 1, 1, 1
        self.varying: list[str] = []
        model = reader.model("scan")
        if model is None:
            if image is not None:
                raise reader.fail(f"image={image}: the experiment is a still; leave image= out")
            return
        self.first, last = (int(n) for n in model["image_range"])
        self.n = last - self.first + 1
        self.number = self.first if image is None else image
        if not self.first <= self.number <= last:
            raise reader.fail(f"image={image}: the scan has images {self.first} to {last}")
        fields = model.get("properties", model)
        exposure = fields.get("exposure_time") or [0.0]
        self.exposure_s = float(exposure[0] if isinstance(exposure, list) else exposure) or None
        if "oscillation" not in fields:
            return
        values = [float(x) for x in fields["oscillation"]]
        if "properties" in model:  # the start of every image
            here = self.number - self.first
            self.start, before = values[here], max(0, min(here, len(values) - 2))
            step = values[before + 1] - values[before] if len(values) > 1 else 0.0
            self.width = float(model.get("oscillation_width") or step)
            if len(values) == 1 and not self.width and "oscillation" in model:
                self.width = float(model["oscillation"][1])
        else:
            self.start, self.width = values[0] + (self.number - self.first) * values[1], values[1]

    def varied(self, where: str, model: dict[str, Any], key: str, shape: tuple[int, ...]) -> Array | None:
        """The value in the middle of the image of something that is kept at the boundaries of the images."""
        points = model.get(key)
        if not points:
            return None
        if len(points) != self.n + 1:
            raise FileFormatError(self.reader.path, f"{where}: {key} has {len(points)} points, a scan of {self.n} images "
                                  f"has {self.n + 1}")  # fmt: skip
        here = self.number - self.first
        pair = np.array(points[here : here + 2], dtype=np.float64).reshape(2, *shape)
        if not np.isfinite(pair).all():
            raise FileFormatError(self.reader.path, f"{where}: {key} holds a number that is not finite")
        self.varying.append(where.partition("[")[0])
        return np.asarray(pair.mean(0))


def _offset(model: dict[str, Any]) -> tuple[int, int]:
    fast, slow = model.get("raw_image_offset") or (0, 0)
    return int(fast), int(slow)


def _matrix(frame: dict[str, Any]) -> Array:
    """4 x 4 matrix of a frame that is given by fast axis, slow axis and origin in that of its parent."""
    fast, slow = unit(frame.get("fast_axis", (1, 0, 0))), unit(frame.get("slow_axis", (0, 1, 0)))
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = fast, slow
    matrix[:3, 2], matrix[:3, 3] = np.cross(fast, slow), np.array(frame.get("origin", (0, 0, 0)), float)
    return matrix
