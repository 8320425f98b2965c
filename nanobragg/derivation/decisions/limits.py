"""Refuse what cannot be: more than fits in memory, before anything is allocated, and geometry that is not finite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nanobragg.config import Experiment
from nanobragg.constants import MAX_STEPS
from nanobragg.errors import ConfigError

_BYTES_PER_PIXEL = 16
"""the image and the list of rendered pixels"""
_BYTES_PER_ORIENTATION = 9 * 8 * 6
"""three vectors, and the intermediate arrays that they come from"""
_BYTES_PER_SOURCE = 1000
"""a source while it is a handful of Python objects"""


@contextmanager
def refusing_degenerate_geometry() -> Iterator[None]:
    """Turn the errors of arithmetic that meets an infinite number or none into a ConfigError; any other error passes."""
    try:
        yield
    except ArithmeticError as error:
        raise ConfigError(
            "experiment",
            str(error),
            "the geometry is degenerate or not finite",
            "look at the cell, the detector axes and the distances",
        ) from None


def check_limits(decided: Experiment, *, typed_oversample: bool = True) -> None:
    """Check sub-step count and memory of a decided experiment.

    Parameters
    ----------
    decided : Experiment
    typed_oversample : bool
        Whether the user chose the sub-pixels.

    Raises
    ------
    ConfigError
        For more than 2^31 - 1 sub-steps (sources x domains x phi steps x oversample^2; STEPS_OVERFLOW), or a detector, a list of
        orientations or a list of sources larger than this machine's memory.
    """
    sources, domains, phi_steps = _loops(decided)
    oversample = decided.sampling.oversample or 1
    steps = sources * domains * phi_steps * oversample**2
    if steps > MAX_STEPS:
        raise ConfigError(
            "sampling.oversample",
            oversample,
            f"makes {steps} sub-steps with {_counted(sources, 'source')}, {_counted(domains, 'domain')} and "
            f"{_counted(phi_steps, 'phi step')}; the product must stay below 2^31",
            "lower one of them"
            if typed_oversample
            else f"it follows from crystal.{'n_cells' if decided.crystal.size_mm is None else 'size_mm'}, the distance and the "
            "pixel size; look at them, or set sampling.oversample",
        )
    memory = physical_memory()
    det = decided.detector
    told = {
        "detector.n_fast": f"{det.n_fast} x {det.n_slow} pixels",
        "crystal.mosaic.n_domains": f"{domains} x {phi_steps} phi steps",
        "beam.divergence": _counted(sources, "source"),
    }
    for path, need in needed_bytes(decided).items():
        if need > memory:
            raise ConfigError(
                path, told[path], f"needs {need / 2**30:.1f} GiB of memory, of {memory / 2**30:.1f} GiB", "lower it"
            )


def needed_bytes(decided: Experiment) -> dict[str, int]:
    """Memory that a run needs [bytes], by the field that asks for it."""
    sources, domains, phi_steps = _loops(decided)
    det = decided.detector
    return {
        "detector.n_fast": _BYTES_PER_PIXEL * det.n_fast * det.n_slow,
        "crystal.mosaic.n_domains": _BYTES_PER_ORIENTATION * domains * phi_steps,
        "beam.divergence": _BYTES_PER_SOURCE * sources,
    }


def _loops(decided: Experiment) -> tuple[int, int, int]:
    """Sources, domains and phi steps of a decided experiment."""
    beam = decided.beam
    if beam.sources is not None:
        sources = len(beam.sources.wavelength_angstrom)
    else:
        divergence = beam.divergence
        directions = 1 if divergence is None else (divergence.n_h or 1) * (divergence.n_v or 1)
        sources = directions * (beam.n_wavelengths or 1)
    return sources, decided.crystal.mosaic.n_domains or 1, decided.goniometer.n_steps or 1


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def physical_memory() -> int:
    """Of this machine [bytes]."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40
