"""The options of the pairwise grid, and the experiment that a row of it means.

Every value is legal in both fidelities, so that the fidelity is an option like any other.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from pairwise import pairwise
from reference_geometry import frame

from nanobragg.config import (
    Background,
    Beam,
    Crystal,
    Detector,
    Divergence,
    Experiment,
    Goniometer,
    Mosaic,
    Sampling,
    Sensor,
    Sources,
    UnitCell,
)
from nanobragg.config.structure_factors import StructureFactors

N_FAST, N_SLOW = 7, 5

# rows a*, b*, c* [1/Angstrom] of a cell of about 40 x 55 x 45 Angstrom, right-handed
MATRIX = np.array([[0.0012, 0.0091, -0.0232], [-0.0103, 0.0134, 0.0061], [0.0211, 0.0083, 0.0103]])


def table(limit, default_F):
    """Amplitudes 1...97 in no order at all, on -limit...limit."""
    axis = np.arange(-limit, limit + 1)
    h, k, l = np.meshgrid(axis, axis + 1, axis - 1, indexing="ij")  # noqa: E741
    return StructureFactors(
        amplitude=1.0 + (7 * h * h + 11 * k + 13 * l * k) % 97,
        hkl_min=(-limit, 1 - limit, -1 - limit),
        default_F=default_F,
    )


def checkerboard():
    slow, fast = np.mgrid[0:N_SLOW, 0:N_FAST]
    return (slow + fast) % 3 != 0


OPTIONS = {
    "fidelity": ["corrected", "reference"],
    "convention": ["mosflm", "denzo", "adxv", "xds", "dials", "custom"],
    "shape": ["square", "round", "gauss", "tophat"],
    "cells": [
        {"n_cells": (3, 4, 5)},
        {"n_cells": (1, 2, 3)},
        {"size_mm": (1.7e-5, 2.6e-5, None), "n_cells": (1, 1, 4)},
    ],
    "cell": [
        {"unit_cell": UnitCell(40, 50, 60, 90, 90, 90)},
        {"unit_cell": UnitCell(40, 50, 60, 80, 95, 105)},
        {"unit_cell": UnitCell(45, 45, 70, 90, 90, 120)},
        {"a_star_matrix": MATRIX},
        {"a_star_matrix": MATRIX, "unit_cell": UnitCell(41, 52, 44, 88, 93, 97)},
    ],
    "misset": [(0, 0, 0), (10, 20, 30), "random"],
    "table": [(9, 0.0), (3, 5.0)],
    "interpolate": [None, "nearest", "tricubic"],
    "mosaic": [
        {},
        {"spread_deg": 1.5, "n_domains": 3},
        {"spread_deg": 0.7, "n_domains": 2, "seed": 77},
        {"n_domains": 3},
    ],
    "fudge": [1.0, 0.7],
    "phi": [
        {},
        {"phi_start_deg": 5.0, "osc_deg": 2.0, "n_steps": 3},
        {"phi_start_deg": -1.0, "osc_deg": 2.0, "n_steps": 2},
        {"osc_deg": 3.0, "n_steps": 3},
        {"phi_start_deg": -1.5, "osc_deg": 1.5, "step_deg": 0.5},
        {"phi_start_deg": 12.0},
        {"phi_start_deg": 3.0, "osc_deg": 1.5, "step_deg": 0.4, "n_steps": 3},
        {"phi_start_deg": -0.5, "osc_deg": 2.0, "n_steps": 2},
    ],
    "energy": [{"wavelength_angstrom": 1.2}, {"energy_ev": 11000.0}],
    "source": ["one", "divergence", "square divergence", "steps", "steps and counts", "dispersion", "both", "list"],
    "polarization": [{}, {"kahn_factor": 0.9}, {"polarized": False}, {"kahn_factor": -0.4}],
    "fluence": [{}, {"fluence_per_m2": 1e24}, {"flux_per_s": 1e12, "exposure_s": 0.1, "size_mm": 2.3e-5}],
    "distance": [{"distance_mm": 50.0}, {"close_distance_mm": 47.0}, {}],
    "rotation": [(0, 0, 0), (3.0, -4.0, 5.0), (0, 12.0, 0), (20.0, 50.0, -20.0)],
    "twotheta": [{}, {"twotheta_deg": 7.0}],
    "center": [
        {},
        {"beam_center_mm": (6.1, 5.3)},
        {"beam_center_convention_mm": (5.7, 6.4)},
        {"beam_center_convention_mm": (None, 4.4)},
        {"org_px": (3.3, 2.2)},
        {"close_point_mm": (7.5, 4.1)},
        {"close_point_mm": (None, 4.1), "org_px": (2.9, 1.0)},
    ],
    "pivot": [None, "beam", "sample"],
    "vectors": ["none", "spindle", "polarization", "detector", "skewed", "twotheta_axis"],
    "pixel": [2.0, (2.0, 1.7)],
    "curved": [False, False, True],
    "point_pixel": [False, True],
    "sensor": [
        None,
        {"thickness_um": 450.0, "attenuation_um": 234.0},
        {"thickness_um": 300.0, "attenuation_um": 500.0, "n_layers": 3},
        {"thickness_um": 300.0, "attenuation_um": 120.0, "n_layers": 1},
    ],
    "water": [0.0, 0.05],
    "d_min": [None, 6.0],
    "oversample": [1, 2],
    "switches": [(), ("thick",), ("polar", "omega")],
    "region": ["all", "roi", "mask", "roi and mask"],
}


def experiment_of(row):
    """The experiment behind a row ``{option: index}`` of the grid."""
    v = {name: OPTIONS[name][index] for name, index in row.items()}
    return build(v)


def build(v):
    """The experiment behind ``{option: value}``; options that are left out take their first value.

    The fidelity may be any set of quirks.
    """
    v = {name: values[0] for name, values in OPTIONS.items()} | v
    beam, detector = (
        dict(v["energy"]) | v["polarization"] | v["fluence"],
        dict(v["distance"]) | v["twotheta"] | v["center"],
    )
    goniometer, sampling = dict(v["phi"]), {}
    if v["vectors"] == "spindle":
        goniometer["axis"] = (0.1, 1.0, 0.3)
    elif v["vectors"] == "polarization":
        beam["polarization_axis"] = (0.2, 0.9, 0.4)
    elif v["vectors"] == "twotheta_axis":
        detector["twotheta_axis"] = (0.3, 1.1, 0.2)
    elif v["vectors"] == "detector":  # a frame of its own, whatever the convention: the beam along x, a tilted panel
        beam["direction"], beam["polarization_axis"] = (1.0, 0.02, -0.03), (0.0, 0.1, 1.0)
        detector |= {"fast_axis": (0.0, 0.1, 1.0), "slow_axis": (0.0, -2.0, 0.2), "normal_axis": (3.0, 0.0, 0.0)}
    elif v["vectors"] == "skewed":  # 11 degrees from a right angle
        beam["direction"], beam["polarization_axis"] = (1.0, 0.02, -0.03), (0.0, 0.1, 1.0)
        detector |= {"fast_axis": (0.0, 0.1, 1.0), "slow_axis": (0.0, -2.0, 0.6), "normal_axis": (1.0, 0.0, 0.0)}
    if v["source"] in ("divergence", "both"):
        beam["divergence"] = Divergence(h_mrad=20.0, v_mrad=10.0, n_h=3, n_v=2)
    elif v["source"] == "square divergence":
        beam["divergence"] = Divergence(h_mrad=8.0, v_mrad=12.0, round=False)
    elif v["source"] == "steps":
        beam["divergence"] = Divergence(v_mrad=9.0, v_step_mrad=4.0)
    elif v["source"] == "steps and counts":
        beam["divergence"] = Divergence(h_mrad=9.0, h_step_mrad=4.0, n_h=2, v_mrad=0.0, n_v=1)
    if v["source"] in ("dispersion", "both"):
        beam |= {"dispersion_percent": 3.0, "n_wavelengths": 2}
    if "roi" in v["region"]:
        sampling["roi"] = (slice(1, 4), slice(2, None))
    if "mask" in v["region"]:
        detector["mask"] = checkerboard()
    for name in v["switches"]:
        # the running factors of a missing sensor (0) and of a point pixel (thousands) leave no image to compare
        if not (name == "thick" and v["sensor"] is None) and not (name == "omega" and v["point_pixel"]):
            sampling[f"oversample_{name}"] = True

    experiment = Experiment(
        crystal=Crystal(
            shape=v["shape"], misset_deg=v["misset"], misset_seed=42, fudge=v["fudge"], mosaic=Mosaic(**v["mosaic"]),
            structure_factors=table(*v["table"]), **v["cells"], **v["cell"],
        ),
        beam=Beam(**beam),
        detector=Detector(
            n_fast=N_FAST, n_slow=N_SLOW, pixel_size_mm=v["pixel"], convention=v["convention"], pivot=v["pivot"],
            rotation_deg=v["rotation"], curved=v["curved"], point_pixel=v["point_pixel"],
            sensor=None if v["sensor"] is None else Sensor(**v["sensor"]), **detector,
        ),
        goniometer=Goniometer(**goniometer),
        sampling=Sampling(
            oversample=v["oversample"], interpolate=v["interpolate"], d_min_angstrom=v["d_min"], **sampling
        ),
        background=Background(water_um=v["water"]),
        quirks=v["fidelity"],
    )  # fmt: skip
    if v["source"] == "list":
        towards = -np.array(frame(experiment).beam)
        offsets = np.array([[0.0, 0.0, 0.0], [0.01, 0.02, -0.01], [-0.02, 0.0, 0.015]])
        sources = Sources(
            direction=5 * (towards + offsets), wavelength_angstrom=(1.2, 1.19, 1.25), weight=(1.0, 0.3, 2.0)
        )
        experiment = dataclasses.replace(experiment, beam=dataclasses.replace(experiment.beam, sources=sources))
    return experiment


def rows():
    """The rows of the grid: every pair of values twice."""
    return pairwise(OPTIONS, seed=1) + pairwise(OPTIONS, seed=2)
