"""Structure factors over the asymmetric unit, from all images together, with a prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, pairwise
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.serialize import plain
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.derivation.crystals import lattices
from nanobragg.engines.engine import cancelled
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass
from nanobragg.refinement.checkpoint import kept, key_of
from nanobragg.refinement.refine import prepared
from nanobragg.refinement.results.result import Refinement, check_progress
from nanobragg.refinement.shared import DEFAULTS
from nanobragg.refinement.solving.adjoint import descended
from nanobragg.refinement.solving.arrow import Arrow, PartOfArrow
from nanobragg.refinement.solving.model import Model, degrees_of_freedom
from nanobragg.refinement.solving.of_image import OfImage
from nanobragg.refinement.solving.stages import PixelFit
from nanobragg.refinement.spread import spread
from nanobragg.refinement.variables.freed import AMPLITUDES, LOG_STEP, FreedAmplitudes, amplitudes_of
from nanobragg.refinement.variables.parameters import Parameters, fluence_path

Array = NDArray[np.float64]


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
    """(n,) standard deviation of its logarithm, from Fisher's matrix of all numbers and the prior"""
    observations: NDArray[np.int64]
    """(n,) shoeboxes with one of them"""
    experiments: tuple[Experiment, ...]
    """refined, one for each image, with these structure factors"""
    images: tuple[Refinement, ...]
    """every image refined alone, with a free factor for each spot"""
    names: tuple[str, ...]
    """of what each image has of its own"""
    units: tuple[str, ...]
    start: Array
    """(n_images, m)"""
    estimate: Array
    """(n_images, m)"""
    own_error: Array
    """(n_images, m) standard deviations"""
    chi2_start: float
    """mean square residual (mean loss, where that is another) with the structure factors of the start"""
    chi2: float
    converged: bool
    steps: int

    def __str__(self) -> str:
        scatter, error = 100 * np.std(np.log(self.factor)), 100 * np.median(self.error)
        end = "" if self.converged else "; the steps did not converge"
        return (
            f"{len(self.images)} images, {len(self.hkl)} structure factors, chi-squared {self.chi2_start:.3f} -> {self.chi2:.3f}"
            f"\nF/F_start scatters by {scatter:.1f} %, median error {error:.1f} %{end}"
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """The amplitudes as columns: h, k, l, start, refined [electrons], error, observations."""
        place = tuple((self.hkl - self.structure_factors.hkl_min).T)
        refined = np.asarray(self.structure_factors.amplitude)[place]
        h, k, index = self.hkl.T
        return {"h": h, "k": k, "l": index, "start": refined / self.factor, "refined": refined, "error": refined * self.error,
                "observations": self.observations}  # fmt: skip


_TOLERANCES = (1e-3, 1e-5, 1e-8)
"""Relative changes of the sum of squares at which L-BFGS ends, and begins again from there."""


@dataclass(frozen=True)
class _Alone:
    """A single image to be refined, with a free factor for each spot."""

    image: Any
    experiment: Experiment
    options: dict[str, Any]
    checkpoint: str | PathLike[str] | None


@dataclass(frozen=True)
class _Place:
    """An image, and where its variables stand."""

    image: OfImage
    hkl: NDArray[np.int64]
    x: Array


def refine_amplitudes(
    images: Sequence[Any],
    experiments: Experiment | Sequence[Experiment],
    *,
    refine: Sequence[str],
    sigma: float = 0.5,
    max_steps: int = 100,
    executor: Any = None,
    progress: Callable[[str, int, int], object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **options: Any,
) -> AmplitudeRefinement:
    """Refine structure factors together with what each image has of its own.

    Every image is refined alone first, with a free factor for each spot. Then one amplitude for each set of symmetry mates (by
    the Laue group of ``crystal.space_group``; none: Friedel mates alone) and all numbers of all images minimize the sum of
    squares of the shoeboxes' residuals and of ln(F/F_start)/`sigma`, by scipy's L-BFGS with gradients of the C engine's adjoint,
    from the curvature of Fisher's matrix.

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
    executor : concurrent.futures.Executor, optional
        Where the images are worked on; None: here, one after the other. The result does not depend on it.
    progress : callable, optional
        Receives (stage, done, of how many).
    checkpoint : path, optional
        Folder for images that are refined alone, as for `refine_shared`.
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
    images = list(images)
    starts = [experiments] * len(images) if isinstance(experiments, Experiment) else list(experiments)
    _check(images, starts, refine, sigma, options)
    own = {**DEFAULTS, **options, "refine": list(refine), "intensities": "free", "progress": None}
    cancel = own["cancel"]
    if executor is not None:
        own["cancel"] = None  # is asked here, between passes over the images
    tasks = [_Alone(image, start, own, checkpoint) for image, start in zip(images, starts, strict=True)]
    told = None if progress is None else (lambda done: progress("images alone", done, len(images)))
    alone: list[tuple[Refinement, OfImage]] = spread(executor, _alone, tasks, told)
    found = [one for _, one in alone]
    freed = amplitudes_of(starts[0], np.concatenate([one.boxes.spots["hkl"] for one in found]))
    n = len(freed.hkl)
    held = LOG_STEP / sigma
    sizes = [one.parameters(freed.hkl).base.size for one in found]
    ends = np.cumsum([0, *sizes, n]).tolist()
    done = count(1)

    def places(x: Array) -> list[_Place]:
        logs = x[ends[-2] :]
        return [_Place(one, freed.hkl, np.concatenate([x[begin:end], logs]))
                for one, (begin, end) in zip(found, pairwise(ends[:-1]), strict=True)]  # fmt: skip

    def cost(x: Array) -> tuple[float, Array]:
        if cancel is not None and cancel():
            raise cancelled()
        values = spread(executor, _cost, places(x))
        logs = x[ends[-2] :]
        by_log = held**2 * logs + sum((g[k:] for (_, g), k in zip(values, sizes, strict=True)), np.zeros(n))
        own = [gradient[:k] for (_, gradient), k in zip(values, sizes, strict=True)]
        return sum(value for value, _ in values) + held**2 * float(logs @ logs) / 2, np.concatenate([*own, by_log])

    def matrix(x: Array) -> Arrow:
        return Arrow(spread(executor, _part, places(x)), held**2 * np.eye(n))

    def step(_: Any) -> None:
        check_progress(progress, "structure factors", next(done), max_steps)

    x = np.zeros(ends[-1])
    start_cost, steps = cost(x)[0], 0
    for tolerance in _TOLERANCES:  # each from the curvature where the one before has ended
        arrow = matrix(x)
        solved = descended(
            cost, (arrow.forth, arrow.back), x, ftol=tolerance, most=max(max_steps - steps, 1), told=step
        )
        x, steps = solved.x, steps + int(solved.nit)
    freedom = max(sum(degrees_of_freedom(one.boxes, k) for one, k in zip(found, sizes, strict=True)), 1)
    arrow = matrix(x)
    *each, logs = arrow.split(x)
    return _result(
        starts, refine, alone, freed, each, logs, arrow,
        chi2=((2 * start_cost) / freedom, (2 * solved.fun - held**2 * float(logs @ logs)) / freedom),
        how=(bool(solved.success), steps),
    )  # fmt: skip


def _result(
    starts: list[Experiment], refine: Sequence[str], alone: list[tuple[Refinement, OfImage]], freed: FreedAmplitudes,
    each: list[Array], logs: Array, arrow: Arrow, *, chi2: tuple[float, float], how: tuple[bool, int],
) -> AmplitudeRefinement:  # fmt: skip
    errors = arrow.errors()
    experiments, rows = [], []
    for start, (_, one), x, error in zip(starts, alone, each, errors, strict=False):
        parameters = one.parameters(freed.hkl)
        experiments.append(parameters.experiment(np.concatenate([x, logs])))
        base = parameters.base
        slopes = base.slopes(x)
        first = Parameters(start, list(refine))
        rows.append((first.values(np.zeros(first.size)), base.values(x), np.sqrt(np.diag(slopes @ error @ slopes.T))))
    table = experiments[0].crystal.structure_factors
    seen = np.concatenate([freed.columns(one.boxes.spots["hkl"]) for _, one in alone])
    return AmplitudeRefinement(
        structure_factors=table, hkl=freed.hkl, factor=np.exp(LOG_STEP * logs),
        error=LOG_STEP * np.sqrt(np.diag(errors[-1])), observations=np.bincount(seen[seen >= 0], minlength=len(freed.hkl)),
        experiments=tuple(one.replace(AMPLITUDES, table) for one in experiments), images=tuple(result for result, _ in alone),
        names=tuple(base.names), units=tuple(base.units), start=np.array([row[0] for row in rows]),
        estimate=np.array([row[1] for row in rows]), own_error=np.array([row[2] for row in rows]), chi2_start=chi2[0],
        chi2=chi2[1], converged=how[0], steps=how[1],
    )  # fmt: skip


def _check(
    images: list[Any], starts: list[Experiment], refine: Sequence[str], sigma: float, options: dict[str, Any]
) -> None:
    if not images or len(images) != len(starts):
        raise ConfigError("images", len(images), f"must be as many as there are experiments, {len(starts)}")
    if not sigma > 0:
        raise ConfigError("sigma", sigma, "must be > 0")
    if AMPLITUDES in refine:
        raise ConfigError("refine", AMPLITUDES, "are shared by all images", "leave it out: they are refined anyway")
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


def _alone(task: _Alone) -> tuple[Refinement, OfImage]:
    """One image, refined alone, or as it was kept."""
    key = "" if task.checkpoint is None else key_of(task.image, task.experiment, task.options)
    found: tuple[Refinement, OfImage] = kept(task.checkpoint, f"amplitudes_{key}", lambda: _refined(task))
    return found


def _refined(task: _Alone) -> tuple[Refinement, OfImage]:
    """An image refined alone, and its scale from the factors of its spots."""
    options = dict(task.options)
    paths = options.pop("refine")
    own = [path for path in paths if path != fluence_path(task.experiment)]
    fit = prepared(task.image, task.experiment, {**options, "refine": own})
    result = fit.run(options["spots"], options["positions"])
    return result, _scaled(fit, paths, options)


def _scaled(fit: PixelFit, paths: Sequence[str], options: dict[str, Any]) -> OfImage:
    """An image with intensities that follow from the structure factors, scaled to those that were measured."""
    assert isinstance(fit.parameters, Parameters)
    free = Model(fit.parameters, fit.boxes, free=True, n_threads=fit.n_threads)
    for _ in range(2):  # the weights are those of the model, which has its factors from the weights
        free.weigh(free.expected(fit.x), fit.image.read_variance)
    factors, signal = free.factors(fit.x), free.projected(free.photons(fit.x), fit.x)
    by_box = np.add.reduceat(signal**2, fit.boxes.starts[:-1])
    # the mean of the logarithms, brighter spots counting more: where the prior has F on the whole
    weight = by_box * (factors > 0)
    share = float(np.exp((weight * np.log(np.maximum(factors, 1e-6))).sum() / weight.sum()))
    experiment = fit.parameters.experiment(fit.x)
    path = fluence_path(experiment)
    experiment = experiment.replace(path, float(detached(experiment.get(path))) * share)
    return OfImage(
        experiment, tuple(paths), options["bounds"], options["priors"], fit.boxes, free.sigma, fit.parameters.n_domains,
        fit.likelihood == "poisson", fit.loss, fit.n_threads,
    )  # fmt: skip


def _cost(place: _Place) -> tuple[float, Array]:
    """See `AdjointModel.cost`."""
    return place.image.model(place.hkl).cost(place.x, place.image.loss)


def _part(place: _Place) -> PartOfArrow:
    """Fisher's matrix of an image, for its own variables and the amplitudes of its shoeboxes."""
    return place.image.part(place.hkl, place.x)
