"""`predict`: the reflections that an image holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import simulate
from nanobragg.config import Experiment
from nanobragg.derivation import panels
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.placement import convention_in_force
from nanobragg.derivation.prediction.reflections import Predicted, predicted
from nanobragg.derivation.resolve import resolve
from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry import from_lab
from nanobragg.prediction.table import COLUMNS, Reflections, reflections

_SIGMAS = 3.3
"""Half a shoebox in standard deviations of the spot: a Gaussian leaves 0.2 % outside."""
METHODS = ("analytic", "rendering")


def predict(
    experiment: Experiment,
    *,
    d_min: float | None = None,
    photons: str = "analytic",
    min_partiality: float = 1e-3,
    progress: Callable[[str, int, int], object] | None = None,
) -> Reflections:
    """Predict the reflections of an image: where they lie, how bright and how complete they are.

    Every phi step, mosaic domain and source of the experiment is taken into account, as in the image. Of a still the
    center is the mean over the photons; of a rotation (several phi steps) it is where the reflection crosses the Ewald sphere,
    and ``phi_deg`` says when. The depth of the sensor moves the center as it does in the image.

    Parameters
    ----------
    experiment : Experiment
        What to predict: one panel or several, one crystal or several.
    d_min : float, optional
        Smallest spacing [Angstrom]; None: that of the corners of each panel.
    photons : {"analytic", "rendering"}
        How the expected photons are found: by integrating F_latt^2 over the Ewald sphere in closed form, or as the sum over
        the shoebox in the rendered image less background (where shoeboxes overlap, pixels count for the nearest spot).
    min_partiality : float
        Reflections with less are left out. Partiality is the share of the photons that the reflection would have if the
        crystal were turned so that it lies on the Ewald sphere (still), or if it were turned through completely within
        the same rotation (Darwin's formula; rotation).
    progress : callable, optional
        Receives (stage, panels, pixels, or reflections of a panel done, of how many); what it raises ends the prediction.

    Returns
    -------
    Reflections
        The table, in the order of crystals, panels, then of decreasing photons.

    Raises
    ------
    ConfigError
        For a curved detector, a `d_min` that allows too many reflections, or an experiment that cannot be simulated.

    Examples
    --------
    >>> import nanobragg as nb
    >>> experiment = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(15, 15, 15),
    ...     shape="gauss", structure_factors=nb.StructureFactors.constant(100.0)))
    >>> spots = nb.predict(experiment, d_min=2.0)
    >>> strongest = spots[0]
    >>> bool(spots["photons"].argmax() == 0)
    True
    """
    if photons not in METHODS:
        raise ConfigError("photons", photons, f"must be one of {', '.join(map(repr, METHODS))}")
    if d_min is not None and not d_min > 0:
        raise ConfigError("d_min", d_min, "must be > 0 [Angstrom]")
    parts: list[NDArray[Any]] = []
    each = [panels.experiments(lattice) for lattice in lattices.experiments(experiment)]
    for crystal, own in enumerate(each):
        for i, part in enumerate(own):
            decided = resolve(part)
            derived = derivation(decided)
            found = predicted(
                derived, d_min, least=min_partiality, progress=progress and partial(progress, "reflections")
            )
            parts.append(_rows(found, i, part.detector.n_fast, part.detector.n_slow))
            parts[-1]["crystal"] = crystal
            if i == 0:
                frame = from_lab(convention_in_force(decided.experiment))
            if progress is not None:
                progress("panels", len(parts), len(each) * len(own))
    whole = reflections(np.concatenate(parts), experiment, frame, photons)
    if photons == "rendering":
        _render(experiment, whole, progress)
    return whole


def _rows(found: Predicted, panel: int, n_fast: int, n_slow: int) -> NDArray[Any]:
    """The table of one panel, the brightest reflection first."""
    table = np.zeros(len(found.hkl), COLUMNS)
    table["hkl"], table["panel"] = found.hkl, panel
    table["fast"], table["slow"] = found.center.T
    table["d"], table["phi_deg"], table["excitation"] = found.d, np.degrees(found.phi), found.excitation
    table["photons"], table["partiality"], table["F"] = found.photons, found.partiality, found.amplitude
    table["s1"] = found.direction
    half = _SIGMAS * np.sqrt(np.maximum(np.einsum("nii->ni", found.covariance), 0)) + 0.5
    low, high = np.floor(found.center - half), np.ceil(found.center + half)
    table["bbox"][:, ::2] = np.clip(low, 0, (n_fast, n_slow))
    table["bbox"][:, 1::2] = np.clip(high, 0, (n_fast, n_slow))
    return table[np.argsort(-table["photons"], kind="stable")]


def shoeboxes(spots: Reflections, experiment: Experiment, *, margin: int = 0) -> Any:
    """The pixels of the shoeboxes.

    Parameters
    ----------
    spots : Reflections
        From `predict`.
    experiment : Experiment
        Whose panels the boxes lie on.
    margin : int
        Pixels added on every side.

    Returns
    -------
    ndarray of int32, shape (n_slow, n_fast)
        0 outside; inside, 1 + the row of the reflection in the table, of several the one whose center is nearest: `> 0` is
        the mask. For a detector of several panels as `simulate` returns images.
    """
    parts = panels.experiments(experiment)
    images = []
    for i, part in enumerate(parts):
        labels = np.zeros((part.detector.n_slow, part.detector.n_fast), np.int32)
        nearest = np.full(labels.shape, np.inf, np.float32)
        for row in np.flatnonzero(spots["panel"] == i):
            f0, f1, s0, s1 = (int(x) for x in spots["bbox"][row])
            box = (slice(max(s0 - margin, 0), s1 + margin), slice(max(f0 - margin, 0), f1 + margin))
            s, f = np.ogrid[: labels.shape[0], : labels.shape[1]]
            apart = (f[:, box[1]] + 0.5 - spots["fast"][row]) ** 2 + (s[box[0]] + 0.5 - spots["slow"][row]) ** 2
            closer = apart < nearest[box]
            labels[box][closer] = row + 1
            nearest[box][closer] = apart[closer]
        images.append(labels)
    return panels.joined(images) if panels.several(experiment) else images[0]


def _render(experiment: Experiment, spots: Reflections, progress: Any) -> None:
    """Put the sums over the shoeboxes in the place of the analytic photons."""
    bare = experiment.replace("background", type(experiment.background)())
    told = None if progress is None else (lambda done, total: progress("pixels", done, total))
    *of_crystals, _ = simulate(bare, parts=True, progress=told).values()
    for crystal, images in enumerate(of_crystals):
        own = np.flatnonzero(spots["crystal"] == crystal)
        labels = shoeboxes(spots[own], experiment)
        each = [images] if not isinstance(images, list) and images.ndim == 2 else list(images)
        of = [labels] if not isinstance(labels, list) and labels.ndim == 2 else list(labels)
        sums = sum(
            np.bincount(label.ravel(), image.ravel(), minlength=len(own) + 1)
            for label, image in zip(of, each, strict=True)
        )
        spots.table["photons"][own] = np.asarray(sums)[1:]
