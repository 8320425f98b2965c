"""`refine`: an experiment that nearly explains an image becomes one that does, with errors."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.errors import ConfigError, NanoBraggWarning, RefinementError
from nanobragg.lazy import dataclass
from nanobragg.prediction.predict import predict
from nanobragg.prediction.table import Reflections
from nanobragg.refinement.data import Boxes, Image, as_image, boxes
from nanobragg.refinement.model import Model, degrees_of_freedom
from nanobragg.refinement.parameters import Parameters
from nanobragg.refinement.positions import fit
from nanobragg.refinement.result import Refinement, Step, check_progress, joined_message, shells_of
from nanobragg.refinement.spots import as_spots, find_spots

Array = NDArray[np.float64]
_OWN = (
    "background",
    "loss",
    "max_steps",
    "d_min",
    "max_boxes",
    "max_domains",
    "margin",
    "n_threads",
    "time_budget_s",
    "progress",
    "cancel",
)
"""Options of `refine` that a run keeps."""
BACKGROUNDS = ("plane", "constant", "model")
INTENSITIES = ("model", "free")
LOSSES = ("linear", "soft_l1", "huber", "cauchy")
_OUTLIER = 6.0
"""A shoebox whose mean square residual is that many times the median is left out."""
_MOST_OUTLIERS = 0.2
"""Where more of them would be outliers, the model is wrong and not the boxes."""
_COARSE, _FINE = 1e-3, 1e-4
"""Relative changes of the sum of squares at which the first stage and the others end; the weights are set again between them."""
_MOST_STAGES = 8
_LEAST_FOUND = 0.5
"""Share of the model's photons below which the spots of the image are others."""
_SAMPLED = 0.3
"""Variance from the number of domains over that from the photons, above which more domains are taken."""
_STILL, _NEAR = 0.2, 1.0
"""Standard deviations by which the last stage may move a variable, and from which on more domains are worth their time."""
_SIGNAL = 3.0
"""Standard deviations that the spots must stand above their background, all together."""


def refine(
    images: Any,
    experiment: Experiment,
    *,
    refine: Sequence[str],
    spots: Any = None,
    bounds: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    background: str = "plane",
    intensities: str = "model",
    loss: str = "linear",
    gain: float = 1.0,
    offset: float = 0.0,
    read_noise: float = 0.0,
    saturation: float | None = None,
    mask: Any = None,
    d_min: float | None = None,
    max_boxes: int = 200,
    max_domains: int = 400,
    margin: int = 2,
    positions: bool = True,
    max_steps: int = 30,
    time_budget_s: float | None = None,
    n_threads: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Refinement:
    """Refine parameters of an experiment against the pixels of an image.

    First the places of spots bring orientation, cell and geometry within reach (`positions`); then the pixels of the shoeboxes
    of the brightest predicted reflections are fitted by Gauss-Newton steps in a trust region (scipy's `least_squares`, method
    "trf"), with the K tangents of the C engine as the Jacobian. The weights are those of the model: the fit is that of
    maximum quasi-likelihood (Poisson's, with the variance of the read-out added). A plane under each spot is solved for at every
    step. The mosaic model of the experiment is kept, and its domains.

    Parameters
    ----------
    images : array, list of panels, path or Exposure
        One image in counts.
    experiment : Experiment
        The start.
    refine : list of str
        Paths: ``crystal.misset_deg`` (a rotation of the crystal, whether its orientation is angles or a matrix),
        ``crystal.unit_cell`` (the free elements of the crystal system) or one element, ``crystal.n_cells``,
        ``crystal.mosaic.spread_deg``, ``beam.fluence_per_m2``, ``beam.wavelength_angstrom``, ``detector.distance_mm``,
        ``detector_pose.shift_mm`` and every other differentiable number or vector.
    spots : Spots, path or rows, optional
        Places of spots, from `find_spots`, a ``.refl`` or CSV file, or rows (fast, slow); None: they are found here.
    bounds : dict, optional
        (lowest, highest) by path; kept by a smooth map.
    priors : dict, optional
        (center, standard deviation) by path of one number.
    background : {"plane", "constant", "model"}
        Under each spot: a plane or a constant that is solved for, or what the experiment's own background gives.
    intensities : {"model", "free"}
        "free": each spot has a factor of its own, which is solved for, so that structure factors need not be known.
    loss : {"linear", "soft_l1", "huber", "cauchy"}
        Of scipy's `least_squares`.
    gain, offset, read_noise, saturation, mask
        photons = (counts - offset)/gain; standard deviation of the read-out [counts]; counts from which on a pixel is left
        out; pixels that count (on top of the detector's mask).
    d_min : float, optional
        Smallest spacing [Angstrom] of shoeboxes.
    max_boxes : int
        The brightest so many are used.
    max_domains : int
        The number of mosaic domains is raised up to this where it would make up too much of the errors; the experiment that
        comes out has as many as the start.
    margin : int
        Pixels around the predicted shoeboxes.
    positions : bool
        Whether the places of spots are fitted first.
    max_steps : int
        Evaluations of each stage.
    time_budget_s : float, optional
        After which no new stage begins.
    n_threads : int, optional
        None: all cores.
    progress : callable, optional
        Receives (stage, stages done, stages in all).
    cancel : callable, optional
        Asked between blocks; a true answer ends the refinement with a `CoreError`.

    Returns
    -------
    Refinement

    Raises
    ------
    ConfigError
        For a path that cannot be refined, bounds that exclude the start, an image of another detector.
    RefinementError
        When it cannot work: no spots where they are predicted, nothing that the image depends on.

    Examples
    --------
    >>> import numpy as np, nanobragg as nb
    >>> truth = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(12, 12, 12),
    ...     shape="gauss", misset_deg=(10, 20, 30), structure_factors=nb.StructureFactors.constant(300.0)),
    ...     beam=nb.Beam(fluence_per_m2=1e26), detector=nb.Detector(n_fast=300, n_slow=300, distance_mm=60.0))
    >>> counts = np.random.default_rng(1).poisson(nb.simulate(truth) + 1.0)
    >>> start = truth.replace("crystal.misset_deg", (10.2, 19.9, 30.1))
    >>> found = nb.refine(counts, start, refine=["crystal.misset_deg"])
    >>> bool(np.abs(found.estimate - [10, 20, 30]).max() < 0.01)
    True
    """
    return prepared(images, experiment, locals()).run(spots, positions)


def prepared(images: Any, experiment: Experiment, options: Mapping[str, Any]) -> PixelFit:
    """A refinement that is checked and has not begun; `options` are those of `refine`."""
    check_experiment(experiment)
    for name, choices in (("background", BACKGROUNDS), ("intensities", INTENSITIES), ("loss", LOSSES)):
        if options[name] not in choices:
            raise ConfigError(name, options[name], f"must be one of {', '.join(map(repr, choices))}")
    if options["background"] == "model" and experiment.background.components:
        raise ConfigError(
            "background", "model", "does not hold background.components", "write 'plane': they are smooth there"
        )
    parameters = Parameters(experiment, options["refine"], bounds=options["bounds"], priors=options["priors"])
    readout = {name: options[name] for name in ("gain", "offset", "read_noise", "saturation", "mask")}
    own = {name: options[name] for name in _OWN}
    return PixelFit(parameters, as_image(images, experiment, **readout), options["intensities"] == "free", **own)


@dataclass
class PixelFit:
    """One refinement and its options, as in `refine`."""

    parameters: Parameters
    image: Image
    free: bool
    background: str
    loss: str
    max_steps: int
    d_min: float | None
    max_boxes: int
    max_domains: int
    margin: int
    n_threads: int | None
    time_budget_s: float | None
    progress: Any
    cancel: Callable[[], bool] | None

    def run(self, spots: Any, positions: bool) -> Refinement:
        """All stages."""
        self._began, self._steps, self._remarks = time.monotonic(), list[Step](), list[str]()
        self._rejected = self._evaluated = 0
        self._draws: Array = np.zeros((0, 0))
        x = np.zeros(self.parameters.size)
        total = 2 + _MOST_STAGES
        check_progress(self.progress, "places of spots", 0, total)
        if positions and _moves_spots(self.parameters):
            x = self._placed(x, spots)
        check_progress(self.progress, "shoeboxes", 1, total)
        model = self._model(x)
        first = x.copy()
        self._first_weights(model, x)
        converged = False
        for number in range(_MOST_STAGES):
            last = number > 0
            before = x
            domains = model.parameters.n_domains
            name = f"pixels, {domains} domains" if domains > 1 else "pixels"
            x, converged = self._fitted(model, x, name, _FINE if last else _COARSE)
            check_progress(self.progress, "pixels", min(2 + number, total), total)
            model, rejected = self._without_outliers(model, x) if last else (model, 0)
            moved = self._reweighed(model, before, x, last)
            if self.time_budget_s is not None and time.monotonic() - self._began > self.time_budget_s:
                self._remarks.append(f"the time budget of {self.time_budget_s:g} s is spent")
                break
            if last and not rejected and moved < _NEAR:
                more = self._with_more_domains(model, x)
                if more is not None:
                    model = more
                    self._reweighed(model, x, x, True)
                elif moved < _STILL:
                    break
        check_progress(self.progress, "pixels", total, total)
        return self._result(model, x, first, converged)

    def _placed(self, x: Array, spots: Any) -> Array:
        found = find_spots(self.image, self.parameters.start) if spots is None else as_spots(spots)
        placed = fit(self.parameters, found, x) if len(found) else None
        if placed is None:
            self._remarks.append(f"{len(found)} spots found, too few on the lattice for their places to be fitted")
            return x
        median = float(np.median(placed.distance))
        self._steps.append(
            Step("places", 0, median, f"{len(placed.hkl)} of {len(found)} spots, median {median:.2f} pixels")
        )
        return placed.x

    def _model(self, x: Array) -> Model:
        parameters = self.parameters
        spots = predict(parameters.experiment(x), d_min=self.d_min, min_partiality=0.01)
        if len(spots) == 0:
            raise RefinementError(
                "no reflection is predicted on the detector; look at cell, orientation, distance and d_min"
            )
        brightest: Reflections = spots[np.argsort(-spots["photons"], kind="stable")[: self.max_boxes]]
        found = boxes(self.image, brightest, parameters.start, self.margin, self.background)
        needed = parameters.size + 1 + len(found.spots) * (found.basis.shape[1] + int(self.free))
        if found.n_pixels < needed:
            raise RefinementError(
                f"{found.n_pixels} pixels in {len(found.spots)} shoeboxes for {needed} parameters; are the pixels masked or "
                "saturated? A larger margin or max_boxes gives more"
            )
        self._require_signal(found)
        return Model(parameters, found, free=self.free, n_threads=self.n_threads, cancel=self.cancel)

    def _require_signal(self, found: Boxes) -> None:
        """Refuse an image that is flat where spots are predicted."""
        owner = found.box
        n = len(found.spots)
        sums, sizes = np.bincount(owner, found.photons, n), np.bincount(owner, minlength=n)
        mean = (sums / sizes)[owner]
        # the variance inside the boxes against that of Poisson's law
        excess = float(((found.photons - mean) ** 2 - np.maximum(mean, 0) - self.image.read_variance).sum())
        noise = float(np.sqrt((2 * np.maximum(mean, 0.1) ** 2 + np.maximum(mean, 0.1)).sum()))
        if excess < _SIGNAL * noise:
            raise RefinementError(
                "no spots where they are predicted: the shoeboxes are flat within their noise; look at orientation, cell and "
                "geometry (nanoBragg index finds an orientation), and at gain and offset"
            )

    def _first_weights(self, model: Model, x: Array) -> None:
        """Variances for a model that does not yet fit: the larger of data and model, smoothed over each box."""
        data, modelled = model.boxes.photons, model.photons(x)
        owner, n = model.boxes.box, len(model.boxes.spots)
        mean = np.bincount(owner, data, n) / np.bincount(owner, minlength=n)
        model.weigh(np.maximum(modelled + mean[owner] / 2, mean[owner]), self.image.read_variance)

    def _reweighed(self, model: Model, before: Array, x: Array, last: bool) -> float:
        """Set the variances of the model; how far the variables have moved, in standard deviations."""
        expected = model.expected(x)
        if last:
            variance = expected + self._draw_variance(model, x)
        else:  # a model that is not yet right is no measure of the variance where the data stand above it
            variance = np.maximum(expected, (expected + model.boxes.photons) / 2)
        model.weigh(variance, self.image.read_variance)
        slopes = np.linalg.norm(model.jacobian(x), axis=0)
        return float(np.abs((x - before) * slopes).max())

    def _fitted(self, model: Model, x: Array, name: str, tolerance: float) -> tuple[Array, bool]:
        from scipy.optimize import least_squares

        jacobian = model.jacobian(x)
        if not np.isfinite(jacobian).all():
            raise RefinementError("the model is not finite at the start; look at the values of the experiment")
        still = [n for n, c in zip(self.parameters.names, np.abs(jacobian).max(0), strict=True) if c == 0]
        if still and not self._evaluated:
            raise RefinementError(f"the image does not depend on {', '.join(still)}; leave it out of refine")
        found = least_squares(model.residuals, x, jac=model.jacobian, method="trf", x_scale="jac", loss=self.loss,
                              ftol=tolerance, xtol=1e-8, gtol=1e-8, max_nfev=self.max_steps)  # fmt: skip
        self._evaluated += int(found.nfev)
        chi2 = float((model.residuals(found.x)[: model.boxes.n_pixels] ** 2).sum() / max(degrees_of_freedom(model), 1))
        self._steps.append(Step(name, int(found.nfev), chi2))
        return found.x, bool(found.status > 0)

    def _without_outliers(self, model: Model, x: Array) -> tuple[Model, int]:
        """The model without boxes that do not fit, and how many these are."""
        chi2 = model.chi2_by_box(x)
        bad = chi2 > _OUTLIER * max(float(np.median(chi2)), 0.5)
        if not bad.any() or bad.mean() > _MOST_OUTLIERS:
            return model, 0
        self._rejected += int(bad.sum())
        kept = model.boxes.without(bad)
        return Model(self.parameters, kept, free=self.free, n_threads=self.n_threads, cancel=self.cancel), int(
            bad.sum()
        )

    def _result(self, model: Model, x: Array, first: Array, converged: bool) -> Refinement:
        parameters = self.parameters
        jacobian = model.jacobian(x)
        chi2 = float((model.residuals(x)[: model.boxes.n_pixels] ** 2).sum() / max(degrees_of_freedom(model), 1))
        scale = np.linalg.norm(jacobian, axis=0)
        scale[scale == 0] = 1.0
        information = (jacobian / scale).T @ (jacobian / scale)
        lengths, axes = np.linalg.eigh(information)
        if lengths[0] < 1e-10:
            worst = np.abs(axes[:, 0])
            loose = [parameters.names[i] for i in np.argsort(-worst)[:3] if worst[i] > 0.2]
            self._remarks.append(
                f"the image cannot tell {' and '.join(loose)} apart: their errors are not to be trusted"
            )
        inverse = axes @ np.diag(1 / np.maximum(lengths, 1e-14)) @ axes.T / np.outer(scale, scale)
        sampling = self._sampling(model, x, jacobian, inverse)
        self.boxes, self.x, self.inverse = model.boxes, x, inverse
        slopes, turn = parameters.slopes(x), parameters.turn_slopes()
        whole = inverse * max(1.0, chi2) + sampling
        if chi2 > 2:
            self._remarks.append(
                f"chi-squared is {chi2:.1f}: the model does not explain the image, errors are scaled with it"
            )
        share = model.share_found(x)
        if share < _LEAST_FOUND:
            self._remarks.append(f"the image has {100 * max(share, 0):.0f} % of the photons that the model puts into its spots: "
                                 "are orientation, cell and geometry those of this image?")  # fmt: skip
        if not self.free and model.photons(x).sum() < _LEAST_FOUND * model.photons(first).sum():
            self._remarks.append("the spots of the model have left their shoeboxes: is this the crystal of the image?")
        if not converged:
            self._remarks.append("the steps did not converge")
        for remark in self._remarks:
            warnings.warn(f"refine: {remark}", NanoBraggWarning, stacklevel=4)
        observed, modelled = _centroids(model, x)
        by_box = model.chi2_by_box(x)
        fitted = model.photons(x)
        sums = np.add.reduceat(fitted, model.boxes.starts[:-1])
        return Refinement(
            experiment=parameters.experiment(x), names=tuple(parameters.names), units=tuple(parameters.units),
            start=parameters.values(np.zeros(parameters.size)), estimate=parameters.values(x),
            covariance=slopes @ whole @ slopes.T, sampling_covariance=slopes @ sampling @ slopes.T,
            turn_covariance=turn @ whole @ turn.T, chi2=chi2, shells=shells_of(model.boxes.spots, by_box),
            steps=tuple(self._steps), spots=model.boxes.spots, observed=observed, modelled=modelled,
            intensities=sums * model.factors(x), chi2_by_box=by_box, rejected=self._rejected, converged=converged,
            message=joined_message([f"refined {parameters.size} parameters", *self._remarks]),
            pictures=_pictures(model, x, first, by_box),
        )  # fmt: skip

    def _sampling(self, model: Model, x: Array, jacobian: Array, inverse: Array) -> Array:
        """Covariance of the variables from the number of domains: what other draws of them would have given.

        The estimate with another draw differs by the errors of both, which are alike.
        """
        others = self._draws
        if not len(others):
            return np.zeros_like(inverse)
        changes = model.projected((others - model.photons(x)).T, x)
        moved = inverse @ jacobian[: model.boxes.n_pixels].T @ changes
        return np.asarray(moved @ moved.T / (2 * len(others)))

    def _with_more_domains(self, model: Model, x: Array) -> Model | None:
        """The model with four times the mosaic domains, where their number makes up too much of the errors; None: it is well."""
        count = model.parameters.n_domains
        if not len(self._draws) or count >= self.max_domains or model.parameters.given_domains:
            return None
        jacobian = model.jacobian(x)
        scale = np.linalg.norm(jacobian, axis=0).clip(1e-300)
        inverse = np.linalg.pinv((jacobian / scale).T @ (jacobian / scale)) / np.outer(scale, scale)
        sampling = np.diag(self._sampling(model, x, jacobian, inverse))
        if float((sampling / np.diag(inverse).clip(1e-300)).max()) < _SAMPLED:
            return None
        self.parameters = self.parameters.with_domains(min(4 * count, self.max_domains))
        return Model(self.parameters, model.boxes, free=self.free, n_threads=self.n_threads, cancel=self.cancel)

    def _draw_variance(self, model: Model, x: Array) -> Array:
        """Variance of the model's photons from its number of domains, (n_pixels,)."""
        self._draws = model.other_draws(x)
        if not len(self._draws):
            return np.zeros(model.boxes.n_pixels)
        return np.asarray(((self._draws - model.photons(x)) ** 2).mean(0) / 2)


def _moves_spots(parameters: Parameters) -> bool:
    """Whether the places of spots depend on anything that is refined."""
    far = ("crystal.misset", "crystal.unit_cell", "detector", "beam.wavelength", "beam.energy", "beam.direction")
    return any(name.startswith(far) for name in parameters.names)


def _centroids(model: Model, x: Array) -> tuple[Array, Array]:
    """Of every box: the centroids of the measured and of the modelled photons above the local background."""
    data = model.boxes
    signal = model.photons(x) * model.factors(x)[data.box]
    background = model.fitted(x) - signal
    low = np.minimum.reduceat(signal, data.starts[:-1])[data.box]  # the experiment's own background
    n = len(data.spots)
    widths = np.array([panel.n_fast for panel in data.spots.geometry.panels])
    slow, fast = np.divmod(data.pixel, widths[data.panel])
    found = []
    for values in (data.photons - background - low, signal - low):
        weight = values * (signal - low)  # matched to the spot, so that far pixels add no noise
        total = np.bincount(data.box, weight, n)
        place = np.stack([np.bincount(data.box, weight * (f + 0.5), n) for f in (fast, slow)], -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(np.where((total > 0)[:, None], place / total[:, None], np.nan))
    return found[0], found[1]


def _pictures(model: Model, x: Array, first: Array, chi2: Array) -> tuple[Any, ...]:
    """The strongest and the worst boxes: measured, before, after, residual."""
    data = model.boxes
    strength = np.add.reduceat(model.photons(x), data.starts[:-1])
    chosen = list(dict.fromkeys([*np.argsort(-strength)[:5].tolist(), *np.argsort(-chi2)[:4].tolist()]))
    after, residual = model.fitted(x), model.residuals(x)[: data.n_pixels]
    before = model.fitted(first)
    widths = np.array([panel.n_fast for panel in data.spots.geometry.panels])
    found = []
    for b in chosen:
        part = slice(data.starts[b], data.starts[b + 1])
        slow, fast = np.divmod(data.pixel[part], widths[data.panel[part]])
        shape = (int(np.ptp(slow)) + 1, int(np.ptp(fast)) + 1)
        planes = []
        for values in (data.photons, before, after, residual):
            picture = np.full(shape, np.nan)
            picture[slow - slow.min(), fast - fast.min()] = values[part]
            planes.append(picture)
        h, k, index = data.spots["hkl"][b]
        found.append((f"{h} {k} {index}", *planes))
    return tuple(found)
