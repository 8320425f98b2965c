"""Many images that share some parameters: each image's own are eliminated (Schur), a step costs one pass over the images."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.errors import ConfigError, RefinementError
from nanobragg.lazy import dataclass
from nanobragg.refinement.checkpoint import kept, key_of
from nanobragg.refinement.data.pixels import Boxes
from nanobragg.refinement.refine import prepared, refine
from nanobragg.refinement.results.estimates import Estimates
from nanobragg.refinement.results.result import Refinement
from nanobragg.refinement.solving.adjoint import losses
from nanobragg.refinement.solving.model import DRAWS, Model, Variables, degrees_of_freedom, whitened
from nanobragg.refinement.spread import spread
from nanobragg.refinement.variables.freed import AMPLITUDES
from nanobragg.refinement.variables.panel_groups import is_group
from nanobragg.refinement.variables.several import variables_of

Array = NDArray[np.float64]
_MOST_ROUNDS = 8
_STILL = 0.03
"""Standard deviations by which the last round may move a shared number."""
DEFAULTS = {name: p.default for name, p in inspect.signature(refine).parameters.items() if p.default is not p.empty}


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedRefinement(Estimates):
    """What several images say together: the numbers are those that they share, and `chi2` is that of all images."""

    experiments: tuple[Experiment, ...]
    """one for each image; the shared numbers are the same in all"""
    images: tuple[Refinement, ...]
    """every image refined alone, from the same start"""
    rounds: int

    def __str__(self) -> str:
        alone = [np.median([image.errors[name] for image in self.images]) for name in self.names]
        lines = [f"{len(self.images)} images, chi-squared {self.chi2:.3f}"]
        for name, before, after, error, one, unit in zip(
            self.names, self.start, self.estimate, self.errors.values(), alone, self.units, strict=True
        ):
            lines.append(f"{name} {before:.7g} -> {after:.7g} +- {error:.2g} {unit} (one image: {one:.2g})")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Alone:
    """A single image to be refined."""

    image: Any
    experiment: Experiment
    options: dict[str, Any]
    first_draw: int
    """of its mosaic domains: what the draws are off would not average out over images that have the same ones"""
    checkpoint: str | PathLike[str] | None = None


@dataclass(frozen=True)
class _Found:
    """What became of it."""

    result: Refinement
    boxes: Boxes
    read_variance: float
    x: Array
    inverse: Array
    n_domains: int
    """that its model has taken"""


@dataclass(frozen=True)
class _Pass:
    """An image to be looked at where it stands."""

    experiment: Experiment
    """the start"""
    options: dict[str, Any]
    """of `refine`, of which the priors are those of the image's own numbers"""
    first_draw: int
    n_domains: int
    boxes: Boxes
    read_variance: float
    mine: NDArray[np.int64]
    """which of the variables are shared"""
    x: Array


@dataclass(frozen=True)
class _Reduced:
    """The normal equations of an image for the shared variables, its own eliminated."""

    information: Array
    """(m, m)"""
    noise: Array
    """(m, m) covariance of the gradient, from the photons"""
    draws: Array
    """(m, n): what the draws of the mosaic domains add to the gradient; their squares add up to a variance"""
    off: Array
    """(m,): what a draw of more domains adds, which may be alike in all images"""
    gradient: Array
    """(m,)"""
    own_step: Array
    """(k,) of its own variables, where the shared ones stay"""
    own_slope: Array
    """(k, m): how it changes with the step of the shared ones"""
    squares: float
    freedom: int


def refine_shared(
    images: Sequence[Any],
    experiments: Experiment | Sequence[Experiment],
    *,
    refine: Sequence[str],
    shared: Sequence[str],
    executor: Any = None,
    progress: Callable[[str, int, int], object] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **options: Any,
) -> SharedRefinement:
    """Refine several images of which some numbers are the same, as of one detector.

    Every image is refined alone first, from its experiment. Then all are moved to the mean of the shared numbers, weighted
    with what each image knows of them, and Gauss-Newton steps for the shared numbers follow, in which each image's own are
    eliminated from its normal equations.

    Parameters
    ----------
    images : sequence
        As `refine` takes one.
    experiments : Experiment or sequence
        The start of every image, or of all; the shared numbers must be the same.
    refine : list of str
        What each image has of its own, as for `refine`.
    shared : list of str
        What is the same for all; not the orientation.
    executor : concurrent.futures.Executor, optional
        Where the images are worked on; None: here, one after the other. The result does not depend on it.
    progress : callable, optional
        Receives (stage, images or rounds done, of how many).
    checkpoint : path, optional
        Folder for what is finished: cut off and called again, the images that are done are taken from there. Another start,
        option or image is another key.
    **options
        As for `refine`, the same for every image.

    Returns
    -------
    SharedRefinement

    Raises
    ------
    ConfigError
        For shared numbers that are not the same at the start, and as `refine`.
    RefinementError
        As `refine`.
    """
    images = list(images)
    starts = [experiments] * len(images) if isinstance(experiments, Experiment) else list(experiments)
    paths = _checked(images, starts, refine, shared, options)
    own = {**DEFAULTS, **options, "refine": paths, "progress": None, "cancel": None}
    variables = [variables_of(e, paths, bounds=own["bounds"], priors=own["priors"]) for e in starts]
    mine = [_positions(one, shared) for one in variables]
    tasks = [
        _Alone(image, start, own, number * (DRAWS + 1), checkpoint)
        for number, (image, start) in enumerate(zip(images, starts, strict=True))
    ]
    told = None if progress is None else (lambda done: progress("images alone", done, len(images)))
    found: list[_Found] = spread(executor, _alone, tasks, told)
    at = _together(found, mine)
    first, places = variables[0], mine[0]
    names = tuple(first.names[k] for k in places)
    still = {name: own[name] for name in ("refine", "bounds", "intensities", "likelihood", "loss", "n_threads")}
    still["priors"] = {path: prior for path, prior in (own["priors"] or {}).items() if path not in names}
    converged, reduced = False, list[_Reduced]()
    rounds = 0
    while True:
        passes = [
            _Pass(task.experiment, still, task.first_draw, f.n_domains, f.boxes, f.read_variance, own_places, x)
            for task, f, own_places, x in zip(tasks, found, mine, at, strict=True)
        ]
        reduced = spread(executor, _reduced, passes)
        told_before, pull = _of_priors(first, at[0], places)
        information = sum((r.information for r in reduced), told_before)
        if converged or rounds == _MOST_ROUNDS:
            break
        step = np.asarray(np.linalg.solve(information, sum((r.gradient for r in reduced), pull)))
        at = [_moved(x, r, own_places, step) for x, r, own_places in zip(at, reduced, mine, strict=True)]
        rounds += 1
        converged = bool(np.abs(step * np.sqrt(np.diag(information))).max() < _STILL)
        if progress is not None:
            progress("images together", rounds, _MOST_ROUNDS)
    chi2 = sum(r.squares for r in reduced) / max(sum(r.freedom for r in reduced), 1)
    inverse = np.linalg.inv(information)
    of_photons = sum((r.noise for r in reduced), np.zeros_like(information)) * max(1.0, chi2) + told_before
    slopes = first.slopes(at[0])[np.ix_(places, places)] @ inverse
    off = sum((r.off for r in reduced), np.zeros(len(places)))
    sampling = slopes @ sum((r.draws @ r.draws.T for r in reduced), np.outer(off, off)) @ slopes.T
    return SharedRefinement(
        names=names, units=tuple(first.units[k] for k in places), start=first.values(np.zeros(first.size))[places],
        estimate=first.values(at[0])[places], covariance=slopes @ of_photons @ slopes.T + sampling,
        sampling_covariance=sampling,
        experiments=tuple(one.experiment(x) for one, x in zip(variables, at, strict=True)),
        images=tuple(f.result for f in found), chi2=chi2, converged=converged, rounds=rounds,
    )  # fmt: skip


def _checked(
    images: list[Any], starts: list[Experiment], refine: Sequence[str], shared: Sequence[str], options: dict[str, Any]
) -> list[str]:
    """All paths, those of the images first."""
    if not images or len(images) != len(starts):
        raise ConfigError("images", len(images), f"must be as many as there are experiments, {len(starts)}")
    files = [image for image in images if isinstance(image, str)]
    if len(set(files)) < len(files):
        twice = next(name for name in files if files.count(name) > 1)
        raise ConfigError("images", twice, "stands twice in the list")
    for name, paths in (("refine", refine), ("shared", shared)):
        if isinstance(paths, str) or not paths:
            raise ConfigError(name, paths, "must be a list of paths")
    if AMPLITUDES in (*refine, *shared):
        raise ConfigError("shared", AMPLITUDES, "are no shared number", "write nanobragg.refine_amplitudes")
    for path in shared:
        if ".misset" in path:
            raise ConfigError("shared", path, "cannot be shared: it is refined as a rotation of each crystal")
    both = set(refine) & set(shared)
    if both:
        raise ConfigError("shared", sorted(both), "stand in refine too", "a number is shared or it is not")
    unknown = set(options) - set(DEFAULTS)
    if unknown:
        raise TypeError(f"refine_shared() got unexpected options: {', '.join(sorted(unknown))}")
    for experiment in starts:
        check_experiment(experiment)
    for path in shared:
        # a group of panels starts where the detector has them
        values = {str(experiment.get("detector" if is_group(path) else path)) for experiment in starts}
        if len(values) > 1:
            raise ConfigError("shared", path, f"is not the same in all experiments: {', '.join(sorted(values)[:3])}")
    return [*refine, *shared]


def _positions(variables: Variables, shared: Sequence[str]) -> NDArray[np.int64]:
    """Which variables are shared."""
    found = [
        k for k, name in enumerate(variables.names)
        if any(name == path or name.startswith((f"{path}[", f"{path}.")) for path in shared)
    ]  # fmt: skip
    return np.array(found)


def _alone(task: _Alone) -> _Found:
    """One image, refined alone, or as it was kept."""
    options = {**task.options, "first_draw": task.first_draw}
    key = "" if task.checkpoint is None else key_of(task.image, task.experiment, options)
    found: _Found = kept(task.checkpoint, f"shared_{key}", lambda: _refined(task))
    return found


def _refined(task: _Alone) -> _Found:
    options = dict(task.options)
    spots, positions = options.pop("spots"), options.pop("positions")
    run = prepared(task.image, task.experiment, options, task.first_draw)
    result = run.run(spots, positions)
    return _Found(result, run.boxes, run.image.read_variance, run.x, run.inverse, run.parameters.n_domains)


def _together(found: list[_Found], mine: list[NDArray[np.int64]]) -> list[Array]:
    """Variables of the images at the common mean of the shared ones, where each image's own follow as they are correlated."""
    weights = [np.linalg.inv(f.inverse[np.ix_(places, places)]) for f, places in zip(found, mine, strict=True)]
    each = [f.x[places] for f, places in zip(found, mine, strict=True)]
    total = sum(weights, np.zeros_like(weights[0]))
    mean = np.linalg.solve(total, sum((w @ x for w, x in zip(weights, each, strict=True)), np.zeros(len(total))))
    moved = []
    for f, w, x, places in zip(found, weights, each, mine, strict=True):
        moved.append(f.x + f.inverse[:, places] @ w @ (mean - x))
        moved[-1][places] = mean
    return moved


def _of_priors(variables: Variables, x: Array, mine: NDArray[np.int64]) -> tuple[Array, Array]:
    """What the priors on shared numbers add to the information and to the gradient: once, whatever the number of images."""
    rows, values = variables.slopes(x)[:, mine], variables.values(x)
    information, gradient = np.zeros((len(mine), len(mine))), np.zeros(len(mine))
    for prior in variables.priors:
        if prior.index in mine:
            row = rows[prior.index] / prior.sigma
            information += np.outer(row, row)
            gradient -= row * (values[prior.index] - prior.center) / prior.sigma
    return information, gradient


def _reduced(task: _Pass) -> _Reduced:
    """The normal equations of one image, with the weights of its model."""
    options, x, mine = task.options, task.x, task.mine
    variables = variables_of(task.experiment, options["refine"], bounds=options["bounds"], priors=options["priors"])
    variables = variables.with_draws_from(task.first_draw)
    if task.n_domains > variables.n_domains:
        variables = variables.with_domains(task.n_domains)
    free, poisson = options["intensities"] == "free", options["likelihood"] == "poisson"
    model = Model(variables, task.boxes, free=free, poisson=poisson, n_threads=options["n_threads"])
    model.weigh(model.expected(x), task.read_variance)
    model.average(x, slopes=True)
    model.weigh(model.expected(x) + (model.scattered**2).sum(0), task.read_variance)
    jacobian, residuals = model.jacobian(x), model.residuals(x)
    if not np.isfinite(jacobian).all():
        raise RefinementError("the model of an image is not finite where the shared numbers have their mean")
    product, real, pull, apart = model.information(x)
    half, shares, _ = whitened(product, real)
    back = np.linalg.inv(half)
    curvature = (back.T * shares) @ back
    own = residuals[: task.boxes.n_pixels]
    weights = losses(own, options["loss"])[1]
    # of a robust loss: the slope of the sum, and its mean curvature
    gradient = -jacobian.T @ np.concatenate([own * (weights / weights.mean()), residuals[len(own) :]])
    if options["loss"] == "linear" and not poisson:
        gradient += pull
    rest = np.setdiff1d(np.arange(variables.size), mine)
    cross = curvature[np.ix_(rest, mine)]
    solved = np.linalg.solve(curvature[np.ix_(rest, rest)], np.column_stack([cross, gradient[rest]]))
    reduce = np.zeros((len(mine), variables.size))
    reduce[:, mine], reduce[:, rest] = np.eye(len(mine)), -solved[:, :-1].T
    draws = reduce @ apart
    return _Reduced(
        reduce @ curvature[:, mine], reduce @ product @ reduce.T, draws[:, : DRAWS + 1], draws[:, DRAWS + 1 :].sum(1),
        reduce @ gradient, solved[:, -1], -solved[:, :-1], float(own @ own),
        degrees_of_freedom(model.boxes, variables.size, free),
    )  # fmt: skip


def _moved(x: Array, reduced: _Reduced, mine: NDArray[np.int64], step: Array) -> Array:
    """The variables of an image after a step of the shared ones."""
    found = x.copy()
    found[mine] += step
    found[np.setdiff1d(np.arange(len(x)), mine)] += reduced.own_step + reduced.own_slope @ step
    return found
