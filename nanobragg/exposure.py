"""`expose`: an experiment as a detector sees it, counts instead of expected photons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

import numpy as np

from nanobragg.api import simulate
from nanobragg.arrays import available_cores, detached, drawn_seed
from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation import panels
from nanobragg.derivation.sources import wavelength_m
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.engines.engine import at_least_one
from nanobragg.errors import ConfigError
from nanobragg.exchange.notebook.page import images_html
from nanobragg.imaging.readout import Conditions, Counts, counts, expected, variance
from nanobragg.lazy import dataclass
from nanobragg.streams import checked_seed


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """One frame as the detector writes it; arrays (n_slow, n_fast), of several panels (n_panels, ...) or a list of them."""

    readout: Readout
    photons: Any = field(repr=False)
    """expected photons, as `simulate` gives them"""
    counts: Any = field(repr=False)
    """integers, type of the readout; gaps, dead and overloaded pixels have the values of its flags"""
    flags: Any = field(repr=False)
    """uint8: 0 good, 1 gap, 2 dead, 3 hot, 4 overload"""
    overloads: int
    """pixels at or above the largest value"""
    seed: int
    """of the random numbers, drawn from the system where none was given"""
    frame: int
    conditions: tuple[Conditions, ...]
    """of every panel"""
    parts: Mapping[str, Any] | None = field(default=None, repr=False)
    """expected photons by where they come from, "bragg", "background" ...; None unless asked for"""

    def _repr_html_(self) -> str:
        """What a notebook shows: the counts as a small picture."""
        return images_html(self.counts, f"counts of frame {self.frame}, seed {self.seed}, {self.overloads} overloads")

    @cached_property
    def expected(self) -> Any:
        """Expected value of every pixel [ADU] before clipping, float64."""
        return self._each(expected)

    @cached_property
    def variance(self) -> Any:
        """Variance of every pixel [ADU^2], float64; after a spread that follows the counting neighbors are correlated."""
        return self._each(variance)

    def _each(self, function: Any) -> Any:
        several = len(self.conditions) > 1 or isinstance(self.photons, list) or np.ndim(self.photons) == 3
        if not several:
            return function(self.photons, self.readout, self.conditions[0])
        return panels.joined(
            [function(image, self.readout, c) for image, c in zip(self.photons, self.conditions, strict=True)]
        )


def expose(
    experiment: Experiment,
    readout: Readout | None = None,
    *,
    seed: int | None = None,
    frame: int = 0,
    photons: Any = None,
    roi: Any = None,
    parts: bool = False,
    n_threads: int | None = None,
    **options: Any,
) -> Exposure:
    """Simulate one frame and read it out.

    Parameters
    ----------
    experiment : Experiment
        What is in the beam. Its exposure time, wavelength, pixel size and mask are those of the readout.
    readout : Readout, optional
        The detector's response; None: Poisson counts in 16 bits and nothing else.
    seed : int, optional
        0 to 2^32 - 1; None: from the system, see `Exposure.seed`. Equal seeds give equal counts, whatever the threads.
    frame : int
        Number of the frame: other frames of a seed have other noise and the same maps.
    photons : array or mapping, optional
        Expected photons, where they are known already: nothing is simulated. Of a mapping, as `simulate` gives it with
        ``parts=True``, their sum.
    roi : tuple of slice, optional
        As for `simulate`; the other pixels are gaps.
    parts : bool
        Keep the expected photons of spots and background apart, in `Exposure.parts`.
    n_threads : int, optional
        None: all cores that this process may use.
    **options
        As for `simulate`: backend, kernel, progress ...

    Returns
    -------
    Exposure

    Raises
    ------
    ConfigError
        As `simulate`; for a readout or photons that make no sense; for a seed or frame out of range.
    """
    check_experiment(experiment)
    readout = Readout() if readout is None else readout
    if not isinstance(readout, Readout):
        raise ConfigError("readout", readout, "must be a Readout", "nanobragg.Readout(...)")
    seed = drawn_seed() if seed is None else checked_seed("seed", seed)
    frame = checked_seed("frame", frame)
    if n_threads is not None:
        n_threads = at_least_one("n_threads", n_threads)
    if photons is None:
        photons = simulate(experiment, roi=roi, n_threads=n_threads, parts=parts, **options)
    elif parts and not isinstance(photons, Mapping):
        raise ConfigError("photons", type(photons).__name__, "must be a mapping, with parts=True", "parts=False")
    several = panels.several(experiment)
    apart = photons if isinstance(photons, Mapping) else None
    if apart is not None:
        photons = _sum(list(apart.values()), list(apart))
    own = panels.experiments(experiment)
    images = list(photons) if several else [photons]
    if len(images) != len(own):
        raise ConfigError("photons", f"{len(images)} images", f"must be one for each of the {len(own)} panels")
    conditions = tuple(_conditions(part, i, frame, n_threads) for i, part in enumerate(own))
    found: list[Counts] = []
    regions = panels.rois(roi, len(own)) if several else [roi]
    for image, part, condition, region in zip(images, own, conditions, regions, strict=True):
        shape = (part.detector.n_slow, part.detector.n_fast)
        if np.shape(image) != shape:
            raise ConfigError("photons", f"shape {np.shape(image)}", f"must have the detector's shape {shape}")
        found.append(counts(image, readout, seed, condition, rendered=_rendered(part, region)))
    return Exposure(
        readout=readout, photons=photons, counts=_joined([one.counts for one in found], several),
        flags=_joined([one.flags for one in found], several), overloads=sum(one.overloads for one in found), seed=seed,
        frame=frame, conditions=conditions, parts=apart,
    )  # fmt: skip


def _sum(images: list[Any], names: list[str]) -> Any:
    """The sum of images, or of lists of them."""
    if not images:
        raise ConfigError("photons", "{}", "must hold at least one image")
    shapes = [f"{len(image)} images" if isinstance(image, list) else np.shape(image) for image in images]
    for name, shape in zip(names, shapes, strict=True):
        if shape != shapes[0] or shape == ():
            raise ConfigError(
                f"photons[{name!r}]", f"shape {shape}", f"must be an image of the shape of the others {shapes[0]}"
            )
    if isinstance(images[0], list):
        return [_sum(list(panel), names) for panel in zip(*images, strict=True)]
    return sum(images[1:], start=images[0])


def _joined(arrays: list[Any], several: bool) -> Any:
    return panels.joined(arrays) if several else arrays[0]


def _conditions(part: Experiment, panel: int, frame: int, n_threads: int | None) -> Conditions:
    fast, slow = part.detector.pixel_edges_mm
    return Conditions(
        pixel_um=(1000.0 * detached(slow), 1000.0 * detached(fast)), exposure_s=detached(part.beam.exposure_s),
        photon_energy_kev=EV_ANGSTROM / (1e10 * wavelength_m(part, FLOAT_OPS)) / 1000.0, panel=panel, frame=frame,
        n_threads=available_cores() if n_threads is None else n_threads,
    )  # fmt: skip


def _rendered(part: Experiment, region: Any) -> Any:
    """Pixels that are not gaps; None: all."""
    rendered = part.detector.mask
    for roi in (part.sampling.roi, region):
        if roi is not None:
            inside = np.zeros((part.detector.n_slow, part.detector.n_fast), bool)
            inside[roi] = True
            rendered = inside if rendered is None else inside & rendered
    return rendered
