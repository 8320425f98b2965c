"""Structure factors over the asymmetric unit, from all images together, with a prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.serialize import plain
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.crystals import lattices
from nanobragg.errors import ConfigError
from nanobragg.io.reflections.symmetry import codes
from nanobragg.io.space_groups import laue_rotations
from nanobragg.lazy import dataclass
from nanobragg.refinement.refine import prepared
from nanobragg.refinement.results.result import check_progress
from nanobragg.refinement.shared import DEFAULTS
from nanobragg.refinement.solving.adjoint import AdjointModel
from nanobragg.refinement.solving.model import Model, degrees_of_freedom
from nanobragg.refinement.solving.stages import PixelFit
from nanobragg.refinement.variables.parameters import Parameters, fluence_path

Array = NDArray[np.float64]
_BORDER = 2
"""Indices around those of the shoeboxes that the table holds too."""


@dataclass(frozen=True, eq=False)
class AmplitudeRefinement:
    """Structure factors that explain several images."""

    structure_factors: StructureFactors
    """a table of all indices around the shoeboxes; what no image tells is as at the start"""
    hkl: NDArray[np.int64]
    """(n, 3) one of each set of symmetry mates, Friedel mates included, that the images tell of"""
    factor: Array
    """(n,) refined amplitude over that of the start"""
    error: Array
    """(n,) standard deviation of its logarithm, all other numbers held"""
    observations: NDArray[np.int64]
    """(n,) shoeboxes with one of them"""
    experiments: tuple[Experiment, ...]
    """refined, one for each image, with these structure factors"""
    chi2_start: float
    """mean square residual with the structure factors of the start"""
    chi2: float
    converged: bool
    steps: int


def refine_amplitudes(
    images: Sequence[Any],
    experiments: Experiment | Sequence[Experiment],
    *,
    refine: Sequence[str],
    sigma: float = 0.5,
    max_steps: int = 100,
    progress: Callable[[str, int, int], object] | None = None,
    **options: Any,
) -> AmplitudeRefinement:
    """Refine structure factors together with what each image has of its own.

    Every image is refined alone first, with a free factor for each spot. Then one amplitude for each set of symmetry mates (by
    the Laue group of ``crystal.space_group``; none: Friedel mates alone) and all numbers of all images minimize the sum of
    squares of the shoeboxes' residuals and of ln(F/F_start)/`sigma`, by scipy's L-BFGS with gradients of the C engine's adjoint.

    Parameters
    ----------
    images : sequence
        As `refine` takes one.
    experiments : Experiment or sequence
        The start of every image, or of all, with the same structure factors.
    refine : list of str
        What each image has of its own, as for `refine`; its scale too.
    sigma : float
        Standard deviation of ln(F/F_start): the prior, which also holds the scale that F and the fluence share.
    max_steps : int
        Of L-BFGS.
    progress : callable, optional
        Receives (stage, done, of how many).
    **options
        As for `refine`, the same for every image.

    Returns
    -------
    AmplitudeRefinement

    Raises
    ------
    ConfigError
        For starts of unlike structure factors, several crystals, and as `refine`.
    """
    from scipy.optimize import minimize

    images = list(images)
    starts = [experiments] * len(images) if isinstance(experiments, Experiment) else list(experiments)
    _check(images, starts, sigma, options)
    fits = []
    for number, (image, start) in enumerate(zip(images, starts, strict=True)):
        check_progress(progress, "images alone", number, len(images))
        own = [path for path in refine if path != fluence_path(start)]
        fit = prepared(image, start, {**DEFAULTS, **options, "refine": own, "intensities": "free"})
        fit.run(options.get("spots"), options.get("positions", True))
        fits.append(fit)
    table = _table(starts[0].crystal.structure_factors, np.concatenate([fit.boxes.spots["hkl"] for fit in fits]))
    group, hkl = _mates(table, starts[0].crystal.space_group)
    models = [_model(fit, table, refine) for fit in fits]
    ends = np.cumsum([model.parameters.size for model in models])
    parts = [slice(begin, end) for begin, end in pairwise([0, *ends.tolist()])]
    seen = [group[tuple((model.boxes.spots["hkl"] - table.hkl_min).T)] for model in models]
    observations = np.bincount(np.concatenate(seen), minlength=len(hkl))
    curvature = np.full(len(hkl), sigma**-2.0)
    for model, groups in zip(models, seen, strict=True):
        curvature += np.bincount(groups, _told(model), len(hkl))
    lengths = [np.linalg.norm(model.jacobian(np.zeros(model.parameters.size)), axis=0) for model in models]
    scale = 1 / np.concatenate([np.maximum(np.concatenate(lengths), 1e-12), np.sqrt(curvature)])

    def cost(v: Array) -> tuple[float, Array]:
        x, logs = (v * scale)[: ends[-1]], (v * scale)[ends[-1] :]
        factors = np.exp(logs)[group]
        total, by_log = float(logs @ logs) / (2 * sigma**2), logs / sigma**2
        gradient = np.zeros(ends[-1])
        for model, part in zip(models, parts, strict=True):
            value, gradient[part], by_factor = model.cost(x[part], factors)
            total += value
            by_log = by_log + np.bincount(group.ravel(), by_factor.ravel(), len(hkl))
        return total, np.concatenate([gradient, by_log]) * scale

    done = count(1)
    start_cost = cost(np.zeros(len(scale)))[0]
    found = minimize(cost, np.zeros(len(scale)), jac=True, method="L-BFGS-B",
                     callback=lambda _: check_progress(progress, "structure factors", next(done), max_steps),
                     options={"maxiter": max_steps, "maxcor": 30, "ftol": 1e-9})  # fmt: skip
    x, logs = (found.x * scale)[: ends[-1]], (found.x * scale)[ends[-1] :]
    refined = replace(table, amplitude=table.amplitude * np.exp(logs)[group])
    out = [model.parameters.experiment(x[part]) for model, part in zip(models, parts, strict=True)]
    freedom = max(sum(degrees_of_freedom(model) for model in models), 1)
    used = np.flatnonzero(observations)
    return AmplitudeRefinement(
        refined, hkl[used], np.exp(logs[used]), 1 / np.sqrt(curvature[used]), observations[used],
        tuple(one.replace("crystal.structure_factors", refined) for one in out), 2 * start_cost / freedom,
        (2 * found.fun - float(logs @ logs) / sigma**2) / freedom, bool(found.success), int(found.nit),
    )  # fmt: skip


def _check(images: list[Any], starts: list[Experiment], sigma: float, options: dict[str, Any]) -> None:
    if not images or len(images) != len(starts):
        raise ConfigError("images", len(images), f"must be as many as there are experiments, {len(starts)}")
    if not sigma > 0:
        raise ConfigError("sigma", sigma, "must be > 0")
    unknown = set(options) - set(DEFAULTS)
    if unknown:
        raise TypeError(f"refine_amplitudes() got unexpected options: {', '.join(sorted(unknown))}")
    first = starts[0].crystal
    for start in starts:
        lattices.single(start, "a refinement of structure factors")
        same = start.crystal.structure_factors is first.structure_factors
        if not same and plain(start.crystal.structure_factors) != plain(first.structure_factors):
            raise ConfigError("crystal.structure_factors", "tables", "are not the same in all experiments")
    if first.structure_factors.energy_ev is not None:
        raise ConfigError(
            "crystal.structure_factors.energy_ev", "tables", "of several energies are not refined", "give one"
        )


def _table(factors: StructureFactors, hkl: NDArray[Any]) -> StructureFactors:
    """The structure factors as a table of all indices around some."""
    whole = factors.amplitude.size > 0
    low, high = hkl.min(0), hkl.max(0)
    # mates of what is seen are in the table too
    reach = np.maximum(np.abs(low), np.abs(high)).max() + _BORDER
    first = np.full(3, -reach)
    if whole:
        first = np.minimum(first, factors.hkl_min)
    last = -first if not whole else np.maximum(-first, np.add(factors.hkl_min, factors.amplitude.shape) - 1)
    amplitude = np.full(last - first + 1, float(detached(factors.default_F)))
    if whole:
        begin = np.subtract(factors.hkl_min, first)
        amplitude[tuple(slice(b, b + n) for b, n in zip(begin, factors.amplitude.shape, strict=True))] = (
            factors.amplitude
        )
    return replace(
        factors, amplitude=amplitude, hkl_min=(int(first[0]), int(first[1]), int(first[2])), n_reflections=None
    )


def _mates(table: StructureFactors, space_group: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The set of symmetry mates that each index of the table belongs to, and an index of each set."""
    rotations = (
        [np.eye(3, dtype=np.int64)] if space_group is None else [np.array(r) for r in laue_rotations(space_group)]
    )
    places = np.moveaxis(np.indices(table.amplitude.shape), 0, -1).reshape(-1, 3)
    hkl: NDArray[np.int64] = (places + np.array(table.hkl_min)).astype(np.int64)
    largest = codes(hkl)
    for rotation in rotations:
        for mate in (hkl @ rotation, -hkl @ rotation):
            np.maximum(largest, codes(mate), out=largest)
    _, first, group = np.unique(largest, return_index=True, return_inverse=True)
    return group.reshape(table.amplitude.shape), hkl[first]


def _model(fit: PixelFit, table: StructureFactors, refine: Sequence[str]) -> AdjointModel:
    """The model of an image with intensities that follow from the table, scaled to those that were measured."""
    assert isinstance(fit.parameters, Parameters)
    free = Model(fit.parameters, fit.boxes, free=True, n_threads=fit.n_threads)
    for _ in range(2):  # the weights are those of the model, which has its factors from the weights
        free.weigh(free.expected(fit.x), fit.image.read_variance)
    factors, signal = free.factors(fit.x), free.projected(free.photons(fit.x), fit.x)
    by_box = np.add.reduceat(signal**2, fit.boxes.starts[:-1])
    # the mean of the logarithms, brighter spots counting more: where the prior has F on the whole
    weight = by_box * (factors > 0)
    share = float(np.exp((weight * np.log(np.maximum(factors, 1e-6))).sum() / weight.sum()))
    experiment = fit.parameters.experiment(fit.x).replace("crystal.structure_factors", table)
    path = fluence_path(experiment)
    experiment = experiment.replace(path, float(detached(experiment.get(path))) * share)
    parameters = Parameters(experiment, refine)
    if fit.parameters.n_domains > parameters.n_domains:
        parameters = parameters.with_domains(fit.parameters.n_domains)
    model = AdjointModel(parameters, fit.boxes, n_threads=fit.n_threads, cancel=fit.cancel)
    model.weigh(free.expected(fit.x), fit.image.read_variance)
    return model


def _told(model: AdjointModel) -> Array:
    """(n_boxes,): what each shoebox tells of the logarithm of its amplitude, the inverse of a variance."""
    x = np.zeros(model.parameters.size)
    return np.asarray(4 * np.add.reduceat(model.projected(model.photons(x), x) ** 2, model.boxes.starts[:-1]))
