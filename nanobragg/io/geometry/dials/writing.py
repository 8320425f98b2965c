"""DIALS experiment lists (``.expt``, JSON), written without dxtbx."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.axes import Array
from nanobragg.io.geometry.masks import rectangles
from nanobragg.io.geometry.record import Geometry, Panel, Path, reciprocal
from nanobragg.io.space_groups import P1

_IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def write_expt(
    path: Path, geometry: Geometry, images: str | Sequence[str | PathLike[str]] | None = None, single_file: bool = False
) -> None:
    """Write an experiment list: one experiment for each crystal in the beam, on the same images.

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
            "exposure_time": [geometry.exposure] * n, "epochs": [i * geometry.exposure for i in range(n)],
            "valid_image_ranges": {},
        })  # fmt: skip
    for lattice in geometry.lattices:
        a, b, c = reciprocal(lattice.a_star)
        data["crystal"].append({"__id__": "crystal", "real_space_a": _numbers(a), "real_space_b": _numbers(b),
                                "real_space_c": _numbers(c), "space_group_hall_symbol": lattice.space_group or P1})  # fmt: skip
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
    if data["crystal"]:
        data["experiment"] = [{**entry, "crystal": i} for i in range(len(data["crystal"]))]
    return data


def _panel(panel: Panel) -> dict[str, Any]:
    thick = panel.thickness_mm > 0 and panel.mu_per_mm > 0
    strategy: dict[str, Any] = {"type": "SimplePxMmStrategy"}
    if thick:
        strategy = {"type": "ParallaxCorrectedPxMmStrategy"}
    return {
        "name": panel.name, "type": "SENSOR_PAD", "fast_axis": _numbers(panel.fast), "slow_axis": _numbers(panel.slow),
        "origin": _numbers(panel.origin), "raw_image_offset": list(panel.image_offset),
        "image_size": [panel.n_fast, panel.n_slow],
        "pixel_size": list(panel.edges_mm), "trusted_range": [-1.0, 2147483647.0],
        "thickness": panel.thickness_mm, "material": (panel.material or "Si") if thick else "", "mu": panel.mu_per_mm,
        "identifier": "",
        "mask": rectangles(panel.mask), "gain": 1.0, "pedestal": 0.0, "px_mm_strategy": strategy,
    }  # fmt: skip


def _numbers(vector: Array) -> list[float]:
    return [float(x) for x in vector]
