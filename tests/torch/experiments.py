"""Small experiments in which every differentiable field matters, found from the metadata of the config objects."""

from __future__ import annotations

import dataclasses

import numpy as np

import nanobragg as nb
from nanobragg import config

PARTS = {
    "crystal.unit_cell": config.UnitCell, "crystal.mosaic": config.Mosaic, "crystal": config.Crystal,
    "beam.divergence": config.Divergence, "beam.sources": config.Sources, "beam": config.Beam,
    "detector.sensor": config.Sensor, "detector": config.Detector, "goniometer": config.Goniometer,
    "sampling": config.Sampling, "background": config.Background,
}  # fmt: skip
"""Every config class and where it stands."""

TABLE_FIELDS = ("crystal.structure_factors.amplitude", "crystal.structure_factors.default_F")


def differentiable_fields():
    """Paths of the fields whose metadata say so, and of the two of StructureFactors (which keeps no metadata)."""
    marked = [
        f"{part}.{field.name}"
        for part, kind in PARTS.items() for field in dataclasses.fields(kind) if field.metadata["differentiable"]
    ]  # fmt: skip
    return [*marked, *TABLE_FIELDS]


def amplitudes(limit=7):
    """Smooth enough to be interpolated, different everywhere."""
    axis = np.arange(-limit, limit + 1)
    h, k, l = np.meshgrid(axis, axis, axis, indexing="ij")  # noqa: E741
    return 60 + 20 * np.sin(0.9 * h + 0.3) + 15 * np.cos(0.7 * k - 0.2 * l) + 10 * np.sin(0.5 * l + 0.4 * h * k)


def base(**crystal):
    """Triclinic, misset, mosaic, rotating, polarized, tilted, with a sensor and water: 6 x 5 pixels of 2 mm at 60 mm."""
    return nb.Experiment(
        crystal=nb.Crystal(**{
            "unit_cell": nb.UnitCell(31, 37, 43, 82, 97, 104), "misset_deg": (10, 20, 30), "n_cells": (3, 4, 2),
            "mosaic": nb.Mosaic(spread_deg=0.9, n_domains=3), "fudge": 0.9,
            "structure_factors": nb.StructureFactors(amplitude=amplitudes(), hkl_min=(-7, -7, -7), default_F=45.0),
        } | crystal),
        beam=nb.Beam(wavelength_angstrom=1.3, fluence_per_m2=1e24, kahn_factor=0.4, dispersion_percent=0.8, n_wavelengths=2),
        detector=nb.Detector(
            n_fast=6, n_slow=5, pixel_size_mm=2.0, distance_mm=60.0, beam_center_mm=(5.3, 4.1), rotation_deg=(2.0, -3.0, 4.0),
            twotheta_deg=5.0, sensor=nb.Sensor(thickness_um=400.0, attenuation_um=300.0, n_layers=2),
        ),
        goniometer=nb.Goniometer(phi_start_deg=3.0, osc_deg=1.5, n_steps=2),
        sampling=nb.Sampling(oversample=1, interpolate="tricubic"),
        background=nb.Background(water_um=0.03),
    )  # fmt: skip


def with_values(experiment, values):
    """The experiment with several values replaced, in order."""
    for path, value in values.items():
        if path.startswith("crystal.structure_factors."):
            table = experiment.crystal.structure_factors
            new = dataclasses.replace(table, **{path.rsplit(".", 1)[1]: value, "n_reflections": None})
            path, value = "crystal.structure_factors", new
        experiment = experiment.replace(path, value)
    return experiment


SENSOR = nb.Sensor(thickness_um=400.0, attenuation_um=300.0, n_layers=2)
FRAME = {"detector.convention": "mosflm", "beam.kahn_factor": 0.7}
DIVERGENT = {"beam.divergence": nb.Divergence(h_mrad=9.0, v_mrad=6.0, n_h=2, n_v=2, round=False)}
SOURCES = {
    "beam.sources": nb.Sources(
        direction=[[-1, 0.01, 0.0], [-1, -0.02, 0.03], [-0.9, 0, 0.01]],
        wavelength_angstrom=[1.3, 1.27, 1.35], weight=[1.0, 0.4, 2.0],
    )
}  # fmt: skip
NO_CENTER = {"detector.beam_center_mm": None}

MATRIX = np.array([[0.0012, 0.0091, -0.0332], [-0.0103, 0.0234, 0.0061], [0.0311, 0.0083, 0.0103]])
SMALL_TABLE = nb.StructureFactors(amplitude=amplitudes(1), hkl_min=(-1, -1, -1), default_F=45.0)

BLOCK = np.array([[3.0, 0.4, -0.2], [0.4, 4.0, 0.3], [-0.2, 0.3, 2.5]])
COVARIANCE = np.array([[0.8, 0.1, 0.2], [0.1, 0.5, -0.1], [0.2, -0.1, 0.6]])
TURNED = np.array([np.eye(3), [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
GAUSSIAN = nb.Mosaic(model="gaussian", covariance_deg2=COVARIANCE, n_domains=3)

VALUES = {
    "crystal.mosaic.covariance_deg2": ({"crystal.mosaic": GAUSSIAN}, COVARIANCE),
    "crystal.mosaic.rotations": ({"crystal.mosaic": nb.Mosaic(model="given", rotations=TURNED)}, TURNED),
    "crystal.mosaic.strain": ({}, 0.01),
    "crystal.block_matrix": ({"crystal.shape": "gauss", "crystal.n_cells": (1, 1, 1)}, BLOCK),
    "crystal.n_blocks": ({}, 3.0),
    "crystal.volume_mm3": ({}, 2e-12),
    "crystal.structure_factors.default_F": ({"crystal.structure_factors": SMALL_TABLE}, 45.0),
    "crystal.structure_factors.amplitude": ({"crystal.structure_factors": SMALL_TABLE}, SMALL_TABLE.amplitude),
    "crystal.a_star_matrix": ({"crystal.a_star_matrix": MATRIX, "crystal.unit_cell": None}, MATRIX),
    "crystal.n_cells": ({"crystal.shape": "gauss"}, (3.0, 4.0, 2.5)),
    "crystal.fudge": ({"crystal.shape": "gauss"}, 0.9),
    "beam.energy_ev": ({"beam.wavelength_angstrom": None}, 9800.0),
    "beam.flux_per_s": ({"beam.size_mm": 0.02}, 1e15),
    "beam.exposure_s": ({"beam.size_mm": 0.02, "beam.flux_per_s": 1e15}, 0.3),
    "beam.size_mm": ({"beam.flux_per_s": 1e15}, 0.02),
    "beam.direction": (FRAME, (1.0, 0.02, -0.01)),
    "beam.polarization_axis": (FRAME, (0.1, 0.2, 1.0)),
    "beam.divergence.h_mrad": (DIVERGENT, 9.0),
    "beam.divergence.v_mrad": (DIVERGENT, 6.0),
    "beam.sources.direction": (SOURCES, SOURCES["beam.sources"].direction),
    "beam.sources.wavelength_angstrom": (SOURCES, SOURCES["beam.sources"].wavelength_angstrom),
    "beam.sources.weight": (SOURCES, SOURCES["beam.sources"].weight),
    "detector.close_distance_mm": ({"detector.distance_mm": None}, 58.0),
    "detector.beam_center_convention_mm": (NO_CENTER, (4.4, 5.1)),
    "detector.org_px": (NO_CENTER | {"detector.pivot": "sample"}, (2.9, 2.2)),
    "detector.close_point_mm": (NO_CENTER | {"detector.pivot": "sample"}, (5.2, 4.4)),
    "detector.twotheta_axis": ({}, (0.1, 0.2, -1.0)),
    "detector.fast_axis": ({}, (0.02, 0.01, 1.0)),
    "detector.slow_axis": ({}, (0.01, -1.0, 0.03)),
    "detector.normal_axis": ({"detector.pivot": "sample"}, (1.0, 0.0, 0.0)),
    "detector.pix0_mm": ({}, (60.0, 4.0, -5.0)),
    "goniometer.step_deg": ({}, 0.75),
    "goniometer.axis": ({}, (0.1, -0.2, 1.0)),
}
"""Settings that give a field effect, and its value where the base experiment has none; other fields: as in `base`."""


def case(path):
    """The experiment for a field, and the value (a float64 array) at which its gradient is taken."""
    settings, value = VALUES.get(path, ({}, None))
    experiment = with_values(base(), settings)
    if value is None:
        value = experiment.get(path) if path not in TABLE_FIELDS else getattr(
            experiment.crystal.structure_factors, path.rsplit(".", 1)[1]
        )  # fmt: skip
    return experiment, np.array(value, dtype=np.float64)
