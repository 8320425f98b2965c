"""Rotation series: the images of a scan, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

from nanobragg.api import prepared
from nanobragg.arrays import detached
from nanobragg.backends import DEFAULT_BACKEND
from nanobragg.config import Experiment
from nanobragg.errors import ConfigError


def simulate_scan(
    experiment: Experiment | Sequence[Experiment],
    n_images: int | None = None,
    *,
    only: Iterable[int] | None = None,
    **options: Any,
) -> Iterator[Any]:
    """Simulate consecutive images of a rotation series.

    Parameters
    ----------
    experiment : Experiment or sequence of Experiment
        The first image: ``goniometer.phi_start_deg`` and ``osc_deg``, the width of every image. Or one experiment for each
        image, as `read_scan` gives them: models that change during the scan.
    n_images : int, optional
        How many; None: as many as there are experiments.
    only : iterable of int, optional
        Numbers, from 0, of the images to render, in that order: to go on with a series that was cut off. None: all.
    **options
        As for `nanobragg.simulate`: backend, n_threads, kernel, dtype, device, roi, parts, progress (True: one bar for the
        whole series; a callable is called for every image).

    Yields
    ------
    ndarray or Tensor, shape (n_slow, n_fast)
        Expected photons of image i, which begins at ``phi_start_deg + i osc_deg`` and, of a crystal that suffers damage, with
        the dose ``dose_mgy + i frame_dose_mgy``; of pulses, by the shot ``shot + i`` of one experiment. A dict of them with
        ``parts=True``.

    Raises
    ------
    ConfigError
        Without an oscillation width, for a number that is no image, or more images than experiments. Decisions (sub-pixels,
        steps) are made once, for the first image; of a sequence, for each.
    """
    every = [experiment] if isinstance(experiment, Experiment) else list(experiment)
    if not isinstance(experiment, Experiment):
        n_images = len(every) if n_images is None else n_images
        if not every or (isinstance(n_images, int) and n_images > len(every)):
            raise ConfigError("n_images", n_images, f"there are {len(every)} experiments, one for each image")
    if not isinstance(n_images, int) or n_images < 1:
        raise ConfigError("n_images", n_images, "must be a whole number >= 1")
    numbers = list(range(n_images) if only is None else only)
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number < n_images:
            raise ConfigError("only", number, f"must be numbers of images, 0 to {n_images - 1}")
    first, gonio = every[0], every[0].goniometer
    start, width = detached(gonio.phi_start_deg), 0.0 if gonio.osc_deg is None else detached(gonio.osc_deg)
    if not width > 0 and n_images > 1 and len(every) == 1:
        raise ConfigError("goniometer.osc_deg", gonio.osc_deg, f"must be > 0 for {n_images} images",
                          "it is the width of one image")  # fmt: skip
    given = dict(_doses(first))
    later = {key: options.pop(key) for key in ("roi", "parts") if key in options}
    progress = options.pop("progress", None)
    backend = options.pop("backend", DEFAULT_BACKEND)
    render = prepared(first, backend, options, n_images=max(1, len(numbers)))
    n_panels = len(first.detector) if isinstance(first.detector, tuple) else 1

    def images() -> Iterator[Any]:
        with _ScanBar(len(numbers), n_panels) if progress is True else nullcontext(progress) as report:
            for i in numbers:
                doses = {path: before + i * dose for path, (before, dose) in given.items()}
                if len(every) > 1:
                    values: Any = every[i]
                    for path, dose in doses.items():
                        values = values.replace(path, dose)
                else:
                    values = {"goniometer.phi_start_deg": start + i * width, **doses, **_shot(first, i)}
                yield render(values if i else None, progress=report or None, **later)

    return images()


def _doses(experiment: Experiment) -> Iterator[tuple[str, tuple[float, float]]]:
    """Path, start and growth of the dose of every crystal that has one."""
    several = isinstance(experiment.crystal, tuple)
    for i, crystal in enumerate(experiment.crystal if several else (experiment.crystal,)):
        if crystal.damage.acts:
            path = f"crystal[{i}].damage.dose_mgy" if several else "crystal.damage.dose_mgy"
            yield path, (detached(crystal.damage.dose_mgy), detached(crystal.damage.frame_dose_mgy))


def _shot(experiment: Experiment, i: int) -> dict[str, int]:
    """Path and number of the pulse of image i, where there are pulses."""
    spectrum = experiment.beam.spectrum
    return {} if spectrum is None or spectrum.kind != "sase" else {"beam.spectrum.shot": spectrum.shot + i}


class _ScanBar:
    """One bar on stderr for all images: images done of how many, time left, rate."""

    def __init__(self, n_images: int, n_panels: int) -> None:
        self.n_images, self.n_panels = n_images, n_panels
        self.panels_done, self.here, self.bar = 0, 0.0, None

    def __enter__(self) -> _ScanBar:
        from tqdm import tqdm

        self.bar = tqdm(total=self.n_images, unit="image", leave=False, bar_format=_BAR_FORMAT)
        return self

    def __call__(self, done: int, total: int) -> None:
        if done < self.here * total:  # the next panel or image has begun
            self.panels_done += 1
        self.here = done / max(1, total)
        assert self.bar is not None
        self.bar.update(min(self.n_images, (self.panels_done + self.here) / self.n_panels) - self.bar.n)

    def __exit__(self, *_: object) -> None:
        assert self.bar is not None
        self.bar.close()


_BAR_FORMAT = "{percentage:3.0f}%|{bar}| image {n:.1f} of {total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
