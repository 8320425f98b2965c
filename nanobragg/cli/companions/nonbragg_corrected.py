"""nonBragg's scattering by the package's own model: `background.components` before the detector that the flags describe."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import simulate
from nanobragg.cli.companions.nonbragg_setup import Setup
from nanobragg.config import Beam, Crystal, Detector, Experiment, Sampling, Sources, UnitCell
from nanobragg.config.image_chain.background import Amorphous, Background
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.constants import DEFAULT_BEAM_SIZE
from nanobragg.errors import IneffectiveWarning, UsageError
from nanobragg.imaging.readout import Conditions, Counts, counts
from nanobragg.io.stol import read_stol

_REFERENCE_ONLY = {"image": "-img", "map_factor": "-Fmap", "printout": "-printout"}


def refuse_reference_only(settings: dict[str, Any]) -> None:
    """Complain about options that only the original's model has.

    Raises
    ------
    UsageError
    """
    for name, option in _REFERENCE_ONLY.items():
        if name in settings:
            raise UsageError(f"nonBragg: {option} belongs to --fidelity reference; leave one of them out")


def corrected_image(settings: dict[str, Any], setup: Setup, n_threads: int) -> NDArray[np.float64]:
    """Expected photons, 0 outside the region.

    Parameters
    ----------
    settings : dict
    setup : Setup
        Geometry, sources and sample, as the original settles them.
    n_threads : int

    Raises
    ------
    FileFormatError
        For a table that does not ascend, or holds text.
    ConfigError
        For a geometry, beam or sample that makes no sense.
    """
    body = setup.body
    stol, factor = read_stol(settings["stol"])
    one = Amorphous(
        table=np.column_stack([stol * (setup.abscissa / 1e10), factor]), thickness_mm=1000 * setup.sample[0],
        height_mm=1000 * setup.sample[1], width_mm=1000 * setup.sample[2], density_g_cm3=setup.density / 1e6,
        molar_mass_g=setup.molar_mass, oversample=body.oversample,
    )  # fmt: skip
    detector = Detector(
        n_fast=body.n_fast, n_slow=body.n_slow, pixel_size_mm=1000 * body.pixel_size, fast_axis=body.fast,
        slow_axis=body.slow, pix0_mm=tuple(1000 * x for x in body.pix0), curved=body.curved, point_pixel=body.point_pixel,
    )  # fmt: skip
    beam = Beam(
        direction=body.beam, fluence_per_m2=body.fluence, size_mm=1000 * settings.get("beamsize", DEFAULT_BEAM_SIZE),
        polarized=body.polarized, kahn_factor=body.kahn_factor, polarization_axis=body.polarization_axis,
        sources=Sources(direction=body.source, wavelength_angstrom=1e10 * body.wavelength, weight=body.weight),
    )  # fmt: skip
    nothing = Crystal(
        unit_cell=UnitCell(50, 50, 50, 90, 90, 90), n_cells=(1, 1, 1), structure_factors=StructureFactors.constant(1.0)
    )
    experiment = Experiment(crystal=nothing, beam=beam, detector=detector, sampling=Sampling(oversample=1),
                            background=Background(components=(one,)))  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IneffectiveWarning)
        image: NDArray[np.float64] = simulate(experiment, roi=setup.region, n_threads=n_threads, parts=True)[
            "background"
        ]
    return image


def statistics(inside: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, rms, and rms about the mean."""
    if not inside.size:
        return 0.0, 0.0, 0.0
    return float(inside.mean()), float(np.sqrt((inside * inside).mean())), float(inside.std())


def counted(photons: NDArray[np.float64], seed: int, offset: float, n_threads: int) -> Counts:
    """Counts with an offset, rounded and clipped to 16 bits."""
    readout = Readout(offset_adu=offset, bits=16, min_adu=0)
    return counts(photons, readout, abs(seed) & 0xFFFFFFFF, Conditions(n_threads=n_threads))
