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
from nanobragg.refinement.results.result import Refinement
from nanobragg.refinement.solving.model import Model, degrees_of_freedom
from nanobragg.refinement.spread import spread
from nanobragg.refinement.variables.panel_groups import is_group
from nanobragg.refinement.variables.parameters import Parameters

Array = NDArray[np.float64]
_MOST_ROUNDS = 8
_STILL = 0.03
"""Standard deviations by which the last round may move a shared number."""
DEFAULTS = {name: p.default for name, p in inspect.signature(refine).parameters.items() if p.default is not p.empty}


@dataclass(frozen=True, eq=False)
class SharedRefinement:
    """What several images say together."""

    names: tuple[str, ...]
    """of the shared numbers"""
    units: tuple[str, ...]
    start: Array
    estimate: Array
    covariance: Array
    experiments: tuple[Experiment, ...]
    """one for each image; the shared numbers are the same in all"""
    images: tuple[Refinement, ...]
    """every image refined alone, from the same start"""
    chi2: float
    """mean square residual over all images"""
    converged: bool
    rounds: int

    @property
    def values(self) -> dict[str, float]:
        """The shared numbers by path."""
        return dict(zip(self.names, self.estimate.tolist(), strict=True))

    @property
    def errors(self) -> dict[str, float]:
        """Their standard deviations by path."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

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
    paths: tuple[str, ...]
    shared: tuple[str, ...]
    boxes: Boxes
    read_variance: float
    free: bool
    n_threads: int | None
    n_domains: int


@dataclass(frozen=True)
class _Reduced:
    """The normal equations of an image for the shared variables, its own eliminated."""

    information: Array
    """(m, m)"""
    gradient: Array
    """(m,)"""
    own_step: Array
    """(k,) of its own variables, where the shared ones stay"""
    own_slope: Array
    """(k, m): how it changes with the step of the shared ones"""
    squares: float
    freedom: int
    draws: Array
    """(n, m): what the draws of the mosaic domains add to the gradients; their squares add up to a variance"""


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
    n_threads, free = own["n_threads"], own["intensities"] == "free"
    tasks = [_Alone(i, e, own, checkpoint) for i, e in zip(images, starts, strict=True)]
    told = None if progress is None else (lambda done: progress("images alone", done, len(images)))
    found: list[_Found] = spread(executor, _alone, tasks, told)
    parameters = [Parameters(e, paths, bounds=own["bounds"], priors=own["priors"]) for e in starts]
    mine = _positions(parameters[0], shared)
    current, total = _together(found, parameters, mine)
    names = tuple(parameters[0].names[k] for k in mine)
    converged, reduced = False, list[_Reduced]()
    step: Array
    rounds = 0
    while True:
        last = converged or rounds == _MOST_ROUNDS
        passes = [
            _Pass(e, tuple(paths), names, f.boxes, f.read_variance, free, n_threads, f.n_domains)
            for e, f in zip(current, found, strict=True)
        ]
        reduced = spread(executor, _reduced, passes)
        information = sum((r.information for r in reduced), np.zeros((len(mine), len(mine))))
        if last:
            break
        step = np.asarray(np.linalg.solve(information, sum((r.gradient for r in reduced), np.zeros(len(mine)))))
        current = [_moved(e, paths, names, r, step) for e, r in zip(current, reduced, strict=True)]
        total = total + step
        rounds += 1
        converged = bool(np.abs(step * np.sqrt(np.diag(information))).max() < _STILL)
        if progress is not None:
            progress("images together", rounds, _MOST_ROUNDS)
    chi2 = sum(r.squares for r in reduced) / max(sum(r.freedom for r in reduced), 1)
    inverse = np.linalg.inv(information)
    sampled = sum((r.draws.T @ r.draws for r in reduced), np.zeros_like(inverse))
    at_end = Parameters(current[0], paths)
    slopes = at_end.slopes(np.zeros(at_end.size))[np.ix_(mine, mine)]
    estimate = at_end.values(np.zeros(at_end.size))[mine]
    for i, name in enumerate(names):
        if is_group(name.rpartition("[")[0]):  # counted from the start, and not from where the last step began
            estimate[i] = parameters[0].scalars[mine[i] - 3 * parameters[0].turns].value(float(total[i]))
    covariance = slopes @ (inverse * max(1.0, chi2) + inverse @ sampled @ inverse) @ slopes.T
    return SharedRefinement(
        names, tuple(parameters[0].units[k] for k in mine), parameters[0].values(np.zeros(parameters[0].size))[mine],
        estimate, covariance, tuple(current), tuple(f.result for f in found), chi2,
        converged, rounds,
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
    for path in shared:
        if path.startswith("crystal.misset"):
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


def _positions(parameters: Parameters, shared: Sequence[str]) -> NDArray[np.int64]:
    """Which variables are shared."""
    found = [
        k for k, name in enumerate(parameters.names)
        if any(name == path or name.startswith((f"{path}[", f"{path}.")) for path in shared)
    ]  # fmt: skip
    return np.array(found)


def _alone(task: _Alone) -> _Found:
    """One image, refined alone, or as it was kept."""
    key = "" if task.checkpoint is None else key_of(task.image, task.experiment, task.options)
    found: _Found = kept(task.checkpoint, f"shared_{key}", lambda: _refined(task))
    return found


def _refined(task: _Alone) -> _Found:
    options = dict(task.options)
    spots, positions = options.pop("spots"), options.pop("positions")
    run = prepared(task.image, task.experiment, options)
    result = run.run(spots, positions)
    return _Found(result, run.boxes, run.image.read_variance, run.x, run.inverse, run.parameters.n_domains)


def _together(
    found: list[_Found], parameters: list[Parameters], mine: NDArray[np.int64]
) -> tuple[list[Experiment], Array]:
    """The experiments at the common mean of the shared variables, where each image's own follow as they are correlated.

    The mean comes with them.
    """
    weights = [np.linalg.inv(f.inverse[np.ix_(mine, mine)]) for f in found]
    total = sum(weights, np.zeros_like(weights[0]))
    pulled = sum((w @ f.x[mine] for w, f in zip(weights, found, strict=True)), np.zeros(len(mine)))
    mean = np.linalg.solve(total, pulled)
    moved = []
    for f, w, p in zip(found, weights, parameters, strict=True):
        x = f.x + f.inverse[:, mine] @ w @ (mean - f.x[mine])
        x[mine] = mean
        moved.append(p.experiment(x))
    return moved, mean


def _reduced(task: _Pass) -> _Reduced:
    """The normal equations of one image, with the weights of its model."""
    parameters = Parameters(task.experiment, task.paths)
    if task.n_domains > parameters.n_domains:
        parameters = parameters.with_domains(task.n_domains)
    model = Model(parameters, task.boxes, free=task.free, n_threads=task.n_threads)
    x = np.zeros(parameters.size)
    model.weigh(model.expected(x), task.read_variance)
    model.average(x, slopes=True)
    model.weigh(model.expected(x) + (model.scattered**2).sum(0), task.read_variance)
    jacobian, residuals = model.jacobian(x), model.residuals(x)
    if not np.isfinite(jacobian).all():
        raise RefinementError("the model of an image is not finite where the shared numbers have their mean")
    normal, gradient = jacobian.T @ jacobian, -jacobian.T @ residuals
    mine = np.array([parameters.names.index(name) for name in task.shared])
    rest = np.setdiff1d(np.arange(parameters.size), mine)
    inner, cross = normal[np.ix_(rest, rest)], normal[np.ix_(rest, mine)]
    solved = np.linalg.solve(inner, np.column_stack([cross, gradient[rest]]))
    slope, own = solved[:, :-1], solved[:, -1]
    moved = jacobian[: task.boxes.n_pixels].T @ model.projected(model.scattered.T, x)
    draws = (moved[mine] - slope.T @ moved[rest]).T
    return _Reduced(
        normal[np.ix_(mine, mine)] - cross.T @ slope, gradient[mine] - cross.T @ own, own, -slope,
        float(residuals @ residuals), degrees_of_freedom(model), draws,
    )  # fmt: skip


def _moved(
    experiment: Experiment, paths: Sequence[str], shared: Sequence[str], reduced: _Reduced, step: Array
) -> Experiment:
    """An experiment after a step."""
    parameters = Parameters(experiment, paths)
    mine = np.array([parameters.names.index(name) for name in shared])
    x = np.zeros(parameters.size)
    x[mine] = step
    x[np.setdiff1d(np.arange(parameters.size), mine)] = reduced.own_step + reduced.own_slope @ step
    return parameters.experiment(x)
