"""NXmx: stacks of images with their geometry in one HDF5 file (docs/file_formats.md, Image files; NeXus NXmx, h5py).

Vectors are in the McStas frame: z along the beam, y up.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import is_tensor
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.io.atomic import replacing
from nanobragg.io.geometry.axes import FROM_NEXUS
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.counts import largest_count
from nanobragg.io.optional import needed

COMPRESSIONS = ("gzip", "bitshuffle-lz4", "none")
_NO_SENSOR_MM = 1e-9
"""Thickness written for a detector without a sensor: NXmx and dxtbx want one above 0, which shifts spots by its length."""
_MASKED = 1
"""Value of pixel_mask: a gap."""


def save_nxmx(
    path: str | PathLike[str],
    images: Any,
    geometry: Geometry | Sequence[Geometry],
    *,
    compression: str = "gzip",
    text: str | None = None,
    saturation: int | None = None,
) -> int:
    """Write images and geometry as NXmx.

    Parameters
    ----------
    path : path
        The file.
    images : array, or iterable of arrays
        One image, or the images of a scan in order; panels are put below each other. Whole numbers are stored as int32,
        others as float32.
    geometry : Geometry, or sequence of Geometry
        Of the first image of a scan; of every image of a series of stills, which share detector and polarization.
    compression : {"gzip", "bitshuffle-lz4", "none"}
        gzip is read by every HDF5; bitshuffle-lz4 is faster and needs hdf5plugin, here and wherever it is read.
    text : str, optional
        Of our own, stored as ``/entry/nanobragg/provenance``.
    saturation : int, optional
        Largest number of a pixel that is a count; None: that of the type of the first image.

    Returns
    -------
    int
        How many images there were.

    Raises
    ------
    ConfigError
        When an image does not fit the detector, several images lack an oscillation width, or stills do not go together.
    FileFormatError
        When the file cannot be written; nothing is left behind.
    """
    h5py = needed("h5py", "writing NXmx")
    filters(compression)
    stills = [] if isinstance(geometry, Geometry) else _together([one.along_beam() for one in geometry])
    geometry = stills[0] if stills else geometry.along_beam()  # type: ignore[union-attr]
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        each = iter(_each(images, len(geometry.panels)))
        first = next(each, None)
        several = () if first is None else itertools.chain([first], each)
        largest = largest_count(first) if saturation is None else saturation
        count = _write_data(entry_of(file), stack(several, geometry), compression)
        if stills and count != len(stills):
            raise ConfigError("images", count, f"must be {len(stills)}, one for each of the experiments")
        if count > 1 and not geometry.osc and not stills:
            raise ConfigError("goniometer.osc_deg", geometry.osc, f"must be > 0 for {count} images",
                              "it is the width of one image")  # fmt: skip
        if geometry.others:
            warnings.warn(f"{path}: holds the axes of the first of {len(geometry.lattices)} crystals; the record has all of them",
                          NanoBraggWarning, stacklevel=3)  # fmt: skip
        describe(file, stills or geometry, count, saturation=largest, text=text)
    return count


def entry_of(file: Any) -> Any:
    """The entry of a new file, which becomes its default."""
    file.attrs["default"] = "entry"
    return _group(file, "entry", "NXentry")


def describe(
    file: Any, geometry: Geometry | Sequence[Geometry], count: int, *, saturation: int, text: str | None = None,
    started: datetime.datetime | None = None,
) -> None:  # fmt: skip
    """Write everything but the images into a file that `entry_of` has begun.

    Parameters
    ----------
    file : h5py.File
    geometry : Geometry, or sequence of Geometry
        As for `save_nxmx`, along the beam.
    count : int
        How many images there are.
    saturation, text
        As for `save_nxmx`.
    started : datetime, optional
        Time of the first image; None: now.
    """
    entry = file["entry"]
    stills = [] if isinstance(geometry, Geometry) else list(geometry)
    first = geometry if isinstance(geometry, Geometry) else stills[0]
    _write_entry(entry, first, count, started or datetime.datetime.now(datetime.UTC))
    _write_beam(_group(entry["instrument"], "beam", "NXbeam"), stills or [first])
    _write_detector(_group(entry["instrument"], "detector", "NXdetector"), first, saturation)
    still = dataclasses.replace(first, phi_start=0.0) if stills else first
    _write_sample(_group(entry, "sample", "NXsample"), still, count)
    own = _group(entry, "nanobragg", "NXcollection")
    if text is not None:
        own["provenance"] = text
    if first.space_group is not None:
        own["space_group_hall"] = first.space_group
    if first.a_star is not None:
        axes = [one.axes @ FROM_NEXUS for one in stills or [first]]
        own["real_space_vectors"] = np.array(axes) if stills else axes[0]
        own["real_space_vectors"].attrs["units"] = "angstrom"
    if stills:  # the goniometer of a series of stills stands still for other readers
        _value(own, "spindle_angle", [one.phi_start or 0.0 for one in stills], "degrees")
    own["panel_names"] = [panel.name for panel in first.panels]
    _value(own, "attenuation", [panel.mu_per_mm for panel in first.panels], "1/mm")


def _together(stills: list[Geometry]) -> list[Geometry]:
    """Stills that one file can hold.

    Raises
    ------
    ConfigError
        For none, an oscillation, or what only one of in a file can be.
    """
    if not stills:
        raise ConfigError("experiment", "none", "must be an Experiment, or one for each image")
    first = stills[0]
    for i, one in enumerate(stills):
        if one.osc:
            raise ConfigError(f"experiment[{i}].goniometer.osc_deg", one.osc, "stills have none",
                              "of a scan give the experiment of the first image alone")  # fmt: skip
        same = {
            "detector": _same_panels(first, one),
            "crystal": (one.a_star is None) == (first.a_star is None),
            "goniometer.axis": _close(one.spindle, first.spindle),
            "beam.exposure_s": one.exposure == first.exposure,
            "beam.kahn_factor": one.kahn_factor == first.kahn_factor,
            "beam.polarization_axis": _close(one.polarization_axis, first.polarization_axis),
        }
        for name in (name for name, agrees in same.items() if not agrees):
            raise ConfigError(f"experiment[{i}].{name}", "another one", "than that of the first image; a file holds one",
                              "write the images into several files")  # fmt: skip
    return stills


def _same_panels(one: Geometry, other: Geometry) -> bool:
    pairs = list(zip(one.panels, other.panels, strict=False))
    return len(one.panels) == len(other.panels) and all(
        (p.n_fast, p.n_slow) == (q.n_fast, q.n_slow)
        and all(_close(getattr(p, name), getattr(q, name)) for name in ("origin", "fast", "slow"))
        and (p.mask is q.mask or np.array_equal(p.mask, q.mask))
        for p, q in pairs
    )


def _close(one: Any, other: Any) -> bool:
    return one is other or (one is not None and other is not None and bool(np.allclose(one, other, rtol=0, atol=1e-9)))


def stack(images: Iterable[Any], geometry: Geometry) -> Iterator[NDArray[Any]]:
    """Images one by one, each (rows of all panels, largest n_fast), whole numbers as int32, others as float32.

    Raises
    ------
    ConfigError
        When a shape is not that of the detector, or a pixel is not a number that these types hold.
    """
    for i, image in enumerate(images):
        parts = list(image) if len(geometry.panels) > 1 else [image[0] if np.ndim(image) == 3 else image]
        arrays = [np.asarray(part.detach().cpu() if is_tensor(part) else part) for part in parts]
        shapes = [(panel.n_slow, panel.n_fast) for panel in geometry.panels]
        if [array.shape for array in arrays] != shapes:
            raise ConfigError(f"images[{i}]", f"shape {[a.shape for a in arrays]}", f"must be the detector's {shapes}")
        whole = all(array.dtype.kind in "iub" for array in arrays)
        if not whole and not all(array.dtype.kind in "fiub" for array in arrays):
            raise ConfigError(f"images[{i}]", f"dtype {[str(a.dtype) for a in arrays]}", "must be numbers")
        largest = np.iinfo(np.int32).max
        if whole and any((array > largest).any() for array in arrays):
            raise ConfigError(f"images[{i}]", max(a.max() for a in arrays), f"counts must be at most {largest}")
        joined = np.zeros((sum(n for n, _ in shapes), max(n for _, n in shapes)), np.int32 if whole else np.float32)
        start = 0
        for array in arrays:
            joined[start : start + array.shape[0], : array.shape[1]] = array
            start += array.shape[0]
        yield joined


def _each(images: Any, n_panels: int) -> Iterable[Any]:
    one = 2 if n_panels == 1 else 3
    if hasattr(images, "ndim"):
        return [images] if images.ndim == one else images
    if n_panels > 1 and isinstance(images, list) and images and getattr(images[0], "ndim", 0) == 2:
        return [images]  # one image of panels that differ in shape
    if not isinstance(images, Iterable):
        raise ConfigError("images", images, "must be an image, or several of them")
    return images


def filters(compression: str) -> dict[str, Any]:
    """Options of h5py for images that are packed so.

    Raises
    ------
    ConfigError
        For an unknown name.
    """
    if compression not in COMPRESSIONS:
        raise ConfigError("compression", compression, f"must be one of {', '.join(map(repr, COMPRESSIONS))}")
    if compression == "bitshuffle-lz4":
        return dict(needed("hdf5plugin", "compression='bitshuffle-lz4'").Bitshuffle())
    return {} if compression == "none" else {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def data_group(entry: Any) -> Any:
    """The group of the images."""
    return _group(entry, "data", "NXdata", signal="data")


def _write_data(entry: Any, frames: Iterator[NDArray[Any]], compression: str) -> int:
    first = next(frames, None)
    if first is None:
        raise ConfigError("images", "none", "must hold at least one image")
    dataset = data_group(entry).create_dataset(
        "data", shape=(1, *first.shape), maxshape=(None, *first.shape), dtype=first.dtype, chunks=(1, *first.shape),
        **filters(compression),
    )  # fmt: skip
    dataset[0] = first
    count = 1
    for frame in frames:
        dataset.resize(count + 1, axis=0)
        dataset[count] = frame
        count += 1
    dataset.flush()
    return count


def _write_entry(entry: Any, geometry: Geometry, count: int, now: datetime.datetime) -> None:
    entry.attrs["default"] = "data"
    entry["definition"] = "NXmx"
    entry["title"] = "simulated by nanobragg"
    entry["start_time"] = _time(now)
    entry["end_time_estimated"] = _time(now + datetime.timedelta(seconds=count * geometry.exposure))
    source = _group(entry, "source", "NXsource")
    source["name"] = "simulation"
    source["name"].attrs["short_name"] = "simulation"
    instrument = _group(entry, "instrument", "NXinstrument")
    instrument["name"] = "nanobragg"
    instrument["name"].attrs["short_name"] = "nanobragg"


def _write_beam(beam: Any, geometries: Sequence[Geometry]) -> None:
    geometry = geometries[0]
    for name, values, unit in (
        ("incident_wavelength", [one.wavelength for one in geometries], "angstrom"),
        ("total_flux", [one.flux or 0.0 for one in geometries], "Hz"),
    ):
        if any(values):
            _value(beam, name, values[0] if len(set(values)) == 1 else values, unit)
    if geometry.polarization_axis is not None:
        x, y, _ = FROM_NEXUS @ geometry.polarization_axis
        angle, kahn = 2 * np.arctan2(y, x), geometry.kahn_factor or 0.0
        beam["incident_polarisation_stokes"] = np.array([[1.0, kahn * np.cos(angle), kahn * np.sin(angle), 0.0]])


def _write_detector(detector: Any, geometry: Geometry, saturation: int) -> None:
    first, root = geometry.panels[0], "/entry/instrument/detector"
    shape = (sum(p.n_slow for p in geometry.panels), max(p.n_fast for p in geometry.panels))
    detector["description"] = "simulated detector"
    detector["type"] = "PIXEL"
    detector["depends_on"] = f"{root}/transformations/translation"
    detector["sensor_material"] = first.material or "Si"
    _value(detector, "sensor_thickness", first.thickness_mm or _NO_SENSOR_MM, "mm")
    detector["saturation_value"] = np.int64(saturation)
    detector["underload_value"] = np.int64(-1)
    detector["bit_depth_readout"] = np.int64(32)
    for name in ("count_time", "frame_time"):
        _value(detector, name, geometry.exposure, "s")
    _value(detector, "distance", abs(first.distance), "mm")
    for name, n in zip(("x_pixel_size", "y_pixel_size"), first.edges_mm, strict=True):
        _value(detector, name, n, "mm")
    # where the beam meets the plane of the first panel, from the outer corner of its first pixel
    beam = np.array([0.0, 0.0, -1.0])
    point = first.distance / float(beam @ first.normal) * beam
    for name, at in zip(("beam_center_x", "beam_center_y"), first.pixel_of(point), strict=True):
        _value(detector, name, at, "pixel")
    mask = _pixel_mask(geometry, shape)
    # chunks get their places now: the same bytes, whoever else holds the data set
    detector.create_dataset("pixel_mask", data=mask, compression="gzip", compression_opts=1).flush()
    detector["pixel_mask_applied"] = np.bool_(False)
    transformations = _group(detector, "transformations", "NXtransformations")
    _translation(transformations, "translation", FROM_NEXUS @ first.origin, ".")
    start = 0
    for i, panel in enumerate(geometry.panels):
        module = _group(detector, "module" if len(geometry.panels) == 1 else f"module_{i:04d}", "NXdetector_module")
        module["data_origin"] = np.array([start, 0], np.int64)
        module["data_size"] = np.array([panel.n_slow, panel.n_fast], np.int64)
        start += panel.n_slow
        offset = FROM_NEXUS @ (panel.origin - first.origin)
        _translation(module, "module_offset", offset, f"{root}/transformations/translation")
        for name, axis, edge in (
            ("fast_pixel_direction", panel.fast, panel.edges_mm[0]), ("slow_pixel_direction", panel.slow, panel.edges_mm[1]),
        ):  # fmt: skip
            _axis(module, name, edge, "translation", FROM_NEXUS @ axis, "mm", f"{module.name}/module_offset")


def _pixel_mask(geometry: Geometry, shape: tuple[int, int]) -> NDArray[np.uint32]:
    mask = np.full(shape, _MASKED, np.uint32)
    start = 0
    for panel in geometry.panels:
        part = mask[start : start + panel.n_slow, : panel.n_fast]
        part[...] = 0 if panel.mask is None else np.where(panel.mask, 0, _MASKED)
        start += panel.n_slow
    return mask


def _write_sample(sample: Any, geometry: Geometry, count: int) -> None:
    sample["name"] = "simulated crystal"
    transformations = _group(sample, "transformations", "NXtransformations")
    sample["depends_on"] = f"{transformations.name}/omega"
    if geometry.a_star is not None:
        sample["unit_cell"] = np.array([geometry.parameters])
        sample["unit_cell"].attrs["units"] = "angstrom"
    spindle = np.array([1.0, 0.0, 0.0]) if geometry.spindle is None else geometry.spindle
    width = geometry.osc or 0.0
    begin = (geometry.phi_start or 0.0) + width * np.arange(count)
    _axis(transformations, "omega", begin, "rotation", FROM_NEXUS @ spindle, "degrees", ".")
    _axis(transformations, "omega_end", begin + width, "rotation", FROM_NEXUS @ spindle, "degrees", ".")
    _value(transformations, "omega_increment_set", np.full(count, width), "degrees")


def _group(parent: Any, name: str, kind: str, **attributes: Any) -> Any:
    group = parent.require_group(name)
    group.attrs["NX_class"] = kind
    group.attrs.update(attributes)
    return group


def _value(group: Any, name: str, value: Any, unit: str) -> None:
    group[name] = value
    group[name].attrs["units"] = unit


def _axis(group: Any, name: str, value: Any, kind: str, vector: NDArray[Any], unit: str, depends_on: str) -> None:
    _value(group, name, value, unit)
    group[name].attrs.update(
        {"transformation_type": kind, "vector": vector, "offset": np.zeros(3), "depends_on": depends_on}
    )
    group[name].attrs["offset_units"] = "mm"


def _translation(group: Any, name: str, vector: NDArray[Any], depends_on: str) -> None:
    """A shift as its length along a unit vector, which is how NeXus wants it."""
    length = float(np.linalg.norm(vector))
    direction = vector / length if length else np.array([1.0, 0.0, 0.0])
    _axis(group, name, length, "translation", direction, "mm", depends_on)


def _time(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
