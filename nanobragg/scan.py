"""Rotation series: the images of a scan, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanobragg.api import prepared
from nanobragg.arrays import detached
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError


def simulate_scan(experiment: Experiment, n_images: int, **options: Any) -> Iterator[Any]:
    """Simulate consecutive images of a rotation series.

    Parameters
    ----------
    experiment : Experiment
        The first image: ``goniometer.phi_start_deg`` and ``osc_deg``, the width of every image.
    n_images : int
        How many.
    **options
        As for `nanobragg.simulate`: backend, n_threads, kernel, dtype, device, roi, parts, progress.

    Yields
    ------
    ndarray or Tensor, shape (n_slow, n_fast)
        Expected photons of image i, which begins at ``phi_start_deg + i osc_deg``; a dict of them with ``parts=True``.

    Raises
    ------
    ConfigError
        Without an oscillation width. Decisions (sub-pixels, steps) are made once, for the first image.
    """
    if not isinstance(n_images, int) or n_images < 1:
        raise ConfigError("n_images", n_images, "must be a whole number >= 1")
    gonio = experiment.goniometer
    start, width = detached(gonio.phi_start_deg), 0.0 if gonio.osc_deg is None else detached(gonio.osc_deg)
    if not width > 0 and n_images > 1:
        raise ConfigError("goniometer.osc_deg", gonio.osc_deg, f"must be > 0 for {n_images} images",
                          "it is the width of one image")  # fmt: skip
    later = {key: options.pop(key) for key in ("roi", "parts", "progress") if key in options}
    backend = options.pop("backend", DEFAULT_BACKEND)
    render = prepared(experiment, backend, options, n_images=n_images)

    def images() -> Iterator[Any]:
        for i in range(n_images):
            yield render({"goniometer.phi_start_deg": start + i * width} if i else None, **later)

    return images()
