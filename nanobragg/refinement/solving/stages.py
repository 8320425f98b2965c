"""The stages of a refinement: places of spots, pixels with coarse weights, pixels with those of the model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import NanoBraggWarning, RefinementError
from nanobragg.lazy import dataclass
from nanobragg.prediction.predict import predict
from nanobragg.prediction.table import Reflections
from nanobragg.refinement.data.pixels import Boxes, Image, boxes
from nanobragg.refinement.data.spots import Spots, as_spots, find_spots
from nanobragg.refinement.results.result import Refinement, Step, check_progress, joined_message, shells_of
from nanobragg.refinement.solving.adjoint import AdjointModel, descended, whitening
from nanobragg.refinement.solving.model import DRAWS, Model, Variables, degrees_of_freedom, whitened
from nanobragg.refinement.solving.positions import fit
from nanobragg.refinement.solving.steps import minimized
from nanobragg.refinement.variables.freed import FreedParameters
from nanobragg.refinement.variables.parameters import few_domains
from nanobragg.refinement.variables.several import CrystalsParameters

Array = NDArray[np.float64]
_OUTLIER = 6.0
"""A shoebox whose mean square residual is that many times the median is left out."""
_MOST_OUTLIERS = 0.2
"""Where more of them would be outliers, the model is wrong and not the boxes."""
_COARSE, _FINE = 1e-3, 1e-4
"""Relative changes of the sum of squares at which the first stage and the others end; the weights are set again between them."""
_MOST_STAGES = 8
_STAGES = 4 + _MOST_STAGES
"""All of them, with places, shoeboxes and the two fits with few domains."""
_LEAST_FOUND = 0.5
"""Share of the model's photons below which the spots of the image are others."""
_PREDICTED, _FEW, _SOME = 8, 24, 100
"""Mosaic domains of the prediction, of the first stages, and of each draw at least."""
_SAMPLED = 0.3
"""Variance from the number of domains over that from the photons that the last stages shall have."""
_STILL, _NEAR, _FAR = 0.1, 0.3, 5.0
"""Standard errors by which the last stage may move a variable, and from which on the draws are rendered again, and their slopes
too."""
_COPIES, _ROWS = 6, 60
"""Jacobians (two more for each draw of the domains), and arrays of one number for each pixel, that exist at a time."""
MANY = 100
"""Parameters above which L-BFGS is taken where nothing is said."""
_SIGNAL = 3.0
"""Standard deviations that the spots must stand above their background, all together."""


@dataclass
class PixelFit:
    """One refinement and its options, as in `refine`."""

    parameters: Variables
    image: Image
    free: bool
    background: str
    loss: str
    method: str
    likelihood: str
    memory_budget: int | None
    max_steps: int
    d_min: float | None
    max_boxes: int
    max_domains: int
    margin: int
    n_threads: int | None
    time_budget_s: float | None
    progress: Any
    cancel: Callable[[], bool] | None
    watch: Callable[[Variables, Array, float | None], object] | None = None
    """receives the variables, their values and the misfit of every step, None of the places of spots; the misfit is the sum of
    |measured - modelled| over that of the measured, which goes on from stage to stage as chi-squared with its weights does not"""
    warns: bool = True
    """whether what the message of the result remarks is warned of, too"""

    def run(self, spots: Any, positions: bool) -> Refinement:
        """All stages."""
        self._began, self._steps, self._remarks = time.monotonic(), list[Step](), list[str]()
        self._rejected = self._steps_of_pixels = 0
        self._converged = False
        x = np.zeros(self.parameters.size)
        check_progress(self.progress, "places of spots", 0, _STAGES)
        if positions and _moves_spots(self.parameters):
            x = self._placed(x, spots)
            if self.watch is not None:
                self.watch(self.parameters, x, None)
        check_progress(self.progress, "shoeboxes", 1, _STAGES)
        model, x = self._rough(x)
        if self._samples and not self._many:
            x, model = self._with_draws(model, x)
        else:
            x, model = self._settled(self._with_all_domains(model), x)
        check_progress(self.progress, "pixels", _STAGES, _STAGES)
        self.parameters = model.parameters
        return self._result(model, x)

    def _rough(self, x: Array) -> tuple[Model, Array]:
        """With few mosaic domains: first with coarse weights, then with the spots that there are."""
        self._first = x.copy()
        found, x = self._boxed(x)
        model = self._model(self._few(), found)
        self._first_weights(model, x)
        x = self._fitted(model, x, _COARSE)
        found, x = self._boxed(x)
        model = self._model(self._few(), found)
        self._weigh(model, x, False)
        return model, self._fitted(model, x, _FINE)

    def _few(self) -> Variables:
        return self.parameters.with_domains(min(_FEW, self.parameters.n_domains)) if self._samples else self.parameters

    def _boxed(self, x: Array) -> tuple[Boxes, Array]:
        """The shoeboxes; where structure factors are refined, theirs are among the variables from now on."""
        found = self._boxes(x)
        if isinstance(self.parameters, FreedParameters):
            before, self.parameters = self.parameters, self.parameters.including(found.spots["hkl"])
            x, self._first = (self.parameters.carried(one, before) for one in (x, self._first))
        return found, x

    @property
    def _many(self) -> bool:
        """Whether there are so many parameters that L-BFGS is quicker."""
        return self.method == "lbfgs" or (self.method == "auto" and self.parameters.size > MANY)

    def _with_all_domains(self, model: Model) -> Model:
        """The model with as many mosaic domains as are allowed, in one draw."""
        count = max(self.parameters.n_domains, self.max_domains)
        return self._model(self.parameters.with_domains(count), model.boxes) if self._samples else model

    def _settled(self, model: Model, x: Array) -> tuple[Array, Model]:
        """Fits with weights of the model, until they and the boxes stay as they are."""
        for _ in range(_MOST_STAGES):
            if isinstance(model, AdjointModel):
                model.sample(x)
            self._weigh(model, x, True)
            before, x = x, self._fitted(model, x, _FINE)
            moved = self._moved(model, x - before, x)
            model, rejected = self._without_outliers(model, x) if moved < _NEAR else (model, 0)
            if self._late() or (not rejected and moved < _STILL):
                break
        return x, model

    def _with_draws(self, model: Model, x: Array) -> tuple[Array, Model]:
        """Steps of Gauss and Newton by the mean over draws of the domains, of some and then of enough of them."""
        own, rough = -(-self.parameters.n_domains // (DRAWS + 1)), model
        model = self._model(self.parameters.with_domains(min(max(own, _SOME), self.max_domains)), model.boxes)
        model.average(x, like=rough.slopes(x))  # good enough for a step, after which the slopes are others
        self._weigh(model, x, True)
        x, moved = self._stepped(model, x)
        if self._late():
            return x, model
        model = self._with_enough_domains(model, x)
        self._average(model, x)
        for _ in range(_MOST_STAGES):
            x, moved = self._stepped(model, x)
            rejected = 0
            if moved > _NEAR:
                self._average(model, x, slopes=moved > _FAR)
            else:
                self._weigh(model, x, True)
                model, rejected = self._without_outliers(model, x)
            self._converged = moved < _STILL
            if self._late() or (self._converged and not rejected):
                break
        return x, model

    def _average(self, model: Model, x: Array, *, slopes: bool = True) -> None:
        model.average(x, slopes=slopes)
        self._weigh(model, x, True)

    def _late(self) -> bool:
        """Whether the time budget is spent; said once."""
        late = self.time_budget_s is not None and time.monotonic() - self._began > self.time_budget_s
        if late:
            self._remarks.append(f"the time budget of {self.time_budget_s:g} s is spent")
        return late

    @property
    def _samples(self) -> bool:
        """Whether the mosaic domains are draws, so that there could be others and more of them."""
        return self.parameters.n_domains > 1 and not self.parameters.given_domains

    def _placed(self, x: Array, spots: Any) -> Array:
        found = find_spots(self.image, self.parameters.start) if spots is None else as_spots(spots)
        if isinstance(self.parameters, CrystalsParameters):
            return self._each_placed(self.parameters, x, found)
        own = self.parameters.base if isinstance(self.parameters, FreedParameters) else self.parameters
        placed = fit(own, found, x) if len(found) else None
        if placed is None:
            self._remarks.append(f"{len(found)} spots found, too few on the lattice for their places to be fitted")
            return x
        median = float(np.median(placed.distance))
        self._steps.append(
            Step("places", 0, median, f"{len(placed.hkl)} of {len(found)} spots, median {median:.2f} pixels")
        )
        return placed.x

    def _each_placed(self, parameters: CrystalsParameters, x: Array, found: Spots) -> Array:
        """One crystal after the other, what they have in common held."""
        x = x.copy()
        for i, (part, mine) in enumerate(zip(parameters.alone, parameters.members, strict=True)):
            placed = fit(part, found, x[mine[: part.size]]) if len(found) and _moves_spots(part) else None
            if placed is not None:
                x[mine[: part.size]] = placed.x
                median = float(np.median(placed.distance))
                note = f"{len(placed.hkl)} of {len(found)} spots, median {median:.2f} pixels"
                self._steps.append(Step(f"places, crystal {i}", 0, median, note))
        return x

    def _model(self, parameters: Variables, found: Boxes) -> Model:
        kind = AdjointModel if self._many else Model
        return kind(parameters, found, free=self.free, poisson=self.likelihood == "poisson", n_threads=self.n_threads,
                    cancel=self.cancel)  # fmt: skip

    def _boxes(self, x: Array) -> Boxes:
        """The shoeboxes of the brightest predicted reflections."""
        parameters = self.parameters
        experiment = few_domains(parameters.experiment(x), _PREDICTED)
        spots = predict(experiment, d_min=self.d_min, min_partiality=0.01)
        if len(spots) == 0:
            raise RefinementError(
                "no reflection is predicted on the detector; look at cell, orientation, distance and d_min"
            )
        brightest: Reflections = spots[np.argsort(-spots["photons"], kind="stable")[: self.max_boxes]]
        found = self._affordable(boxes(self.image, brightest, parameters.start, self.margin, self.background))
        needed = parameters.size + 1 + len(found.spots) * (found.basis.shape[1] + int(self.free))
        if found.n_pixels < needed:
            raise RefinementError(
                f"{found.n_pixels} pixels in {len(found.spots)} shoeboxes for {needed} parameters; are the pixels masked or "
                "saturated? A larger margin or max_boxes gives more"
            )
        self._require_signal(found)
        return found

    def _affordable(self, found: Boxes) -> Boxes:
        """The brightest shoeboxes, as many as the memory holds the Jacobians of."""
        if self.memory_budget is None:
            return found
        copies = 0 if self._many else _COPIES + (2 * (DRAWS + 1) if self._samples else 0)
        pixels = self.memory_budget // (8 * (copies * self.parameters.size + _ROWS))
        kept = int(np.searchsorted(found.starts[1:], pixels, side="right"))
        if kept == len(found.spots):
            return found
        remark = f"the memory budget holds {kept} of {len(found.spots)} shoeboxes"
        self._remarks += [remark] if remark not in self._remarks else []
        return found.without(np.arange(len(found.spots)) >= kept)

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

    def _weigh(self, model: Model, x: Array, fits: bool) -> None:
        """Set the variances: those of the model, once it fits, with those of its draws of the domains."""
        expected = model.expected(x)
        if fits:
            variance = expected + (model.scattered**2).sum(0)
        else:  # a model that is not yet right is no measure of the variance where the data stand above it
            variance = np.maximum(expected, (expected + model.boxes.photons) / 2)
        model.weigh(variance, self.image.read_variance)

    def _fitted(self, model: Model, x: Array, tolerance: float) -> Array:
        adjoint = isinstance(model, AdjointModel)
        told = np.diag(model.information(x)[0]) if adjoint else np.abs(model.jacobian(x)).max(0)
        if not np.isfinite(told).all():
            raise RefinementError("the model is not finite at the start; look at the values of the experiment")
        still = [n for n, c in zip(self.parameters.names, told, strict=True) if c == 0]
        if still and not self._steps_of_pixels:
            raise RefinementError(f"the image does not depend on {', '.join(still)}; leave it out of refine")
        if isinstance(model, AdjointModel):
            forth, back = whitening(model.information(x)[0])
            found = descended(lambda v: model.cost(v, self.loss), (forth.__matmul__, back.__matmul__), x, ftol=tolerance,
                              most=self.max_steps)  # fmt: skip
        else:
            found = minimized(
                model.residuals, self._seen(model), x, loss=self.loss, ftol=tolerance, most=self.max_steps
            )
        self._converged = bool(found.success)
        self._note(model, found.x, int(found.nfev))
        return np.asarray(found.x)

    def _seen(self, model: Model) -> Callable[[Array], Array]:
        """The Jacobian, which is asked for once a step; who watches is told."""
        watch = self.watch
        if watch is None:
            return model.jacobian

        def jacobian(x: Array) -> Array:
            watch(model.parameters, x, _misfit(model, x))
            return model.jacobian(x)

        return jacobian

    def _stepped(self, model: Model, x: Array) -> tuple[Array, float]:
        """Where the mean of the draws fits, as far as it is linear, and how far that is in standard errors."""
        if self.loss == "linear" and self.likelihood != "poisson":
            _, _, gain = self._covariances(model, x)
            step = -gain @ (model.jacobian(x).T @ model.residuals(x) - model.information(x)[2])
        else:
            found = minimized(model.residuals, model.jacobian, x, loss=self.loss, ftol=_FINE, most=self.max_steps)
            step = found.x - x
        self._note(model, x + step, 1)
        return x + step, self._moved(model, step, x + step)

    def _note(self, model: Model, x: Array, evaluations: int) -> None:
        domains = model.parameters.n_domains
        name = f"pixels, {domains} domains" if domains > 1 else "pixels"
        self._steps.append(Step(name, evaluations, self._chi2(model, x)))
        self._steps_of_pixels += 1
        if self.watch is not None:
            self.watch(model.parameters, x, _misfit(model, x))
        check_progress(self.progress, "pixels", min(1 + self._steps_of_pixels, _STAGES), _STAGES)

    @staticmethod
    def _chi2(model: Model, x: Array) -> float:
        squares = float((model.residuals(x)[: model.boxes.n_pixels] ** 2).sum())
        return squares / max(degrees_of_freedom(model.boxes, model.parameters.size, model.free), 1)

    def _without_outliers(self, model: Model, x: Array) -> tuple[Model, int]:
        """The model without boxes that do not fit, and how many these are."""
        chi2 = model.chi2_by_box(x)
        bad = chi2 > _OUTLIER * max(float(np.median(chi2)), 0.5)
        if not bad.any() or bad.mean() > _MOST_OUTLIERS:
            return model, 0
        self._rejected += int(bad.sum())
        found = model.without(bad)
        self._weigh(found, x, True)
        return found, int(bad.sum())

    def _result(self, model: Model, x: Array) -> Refinement:
        parameters = self.parameters
        chi2 = self._chi2(model, x)
        inverse, sampling, _ = self._covariances(model, x)
        length, axis = self._weakest
        if length < 1e-10:
            worst = np.abs(axis)
            loose = [parameters.names[i] for i in np.argsort(-worst)[:3] if worst[i] > 0.2]
            self._remarks.append(
                f"the image cannot tell {' and '.join(loose)} apart: their errors are not to be trusted"
            )
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
        if not self.free and model.photons(x).sum() < _LEAST_FOUND * model.boxes.spots["photons"].sum():
            self._remarks.append("the spots of the model have left their shoeboxes: is this the crystal of the image?")
        if not self._converged:
            self._remarks.append("the steps did not converge")
        for remark in self._remarks if self.warns else ():
            warnings.warn(f"refine: {remark}", NanoBraggWarning, stacklevel=4)
        observed, modelled = _centroids(model, x)
        before = self._model(model.parameters, model.boxes)  # rendered, where the model is lines through where it ended
        self._weigh(before, self._first, False)
        with_start = _centroids(before, np.zeros(parameters.size))[1]
        by_box = model.chi2_by_box(x)
        fitted = model.photons(x)
        sums = np.add.reduceat(fitted, model.boxes.starts[:-1])
        return Refinement(
            experiment=parameters.experiment(x), names=tuple(parameters.names), units=tuple(parameters.units),
            start=parameters.values(np.zeros(parameters.size)), estimate=parameters.values(x),
            covariance=slopes @ whole @ slopes.T, sampling_covariance=slopes @ sampling @ slopes.T,
            turn_covariance=turn @ whole @ turn.T, chi2=chi2, shells=shells_of(model.boxes.spots, by_box),
            steps=tuple(self._steps), spots=model.boxes.spots, observed=observed, modelled=modelled, modelled_at_start=with_start,
            intensities=sums * model.factors(x), chi2_by_box=by_box, rejected=self._rejected, converged=self._converged,
            message=joined_message([f"refined {parameters.size} parameters", *self._remarks]),
            pictures=_pictures(model, x, before.fitted(self._first), by_box),
        )  # fmt: skip

    def _moved(self, model: Model, step: Array, x: Array) -> float:
        """A step to x in standard errors, of the variable that moved most."""
        inverse, sampling, _ = self._covariances(model, x)
        return float((np.abs(step) / np.sqrt(np.diag(inverse) + np.diag(sampling)).clip(1e-300)).max())

    def _covariances(self, model: Model, x: Array) -> tuple[Array, Array, Array]:
        """Of the variables: from the photons, and from the number of domains, as other draws of them would have it; and A^-1.

        The estimate solves J^T (data - model) = 0 with the jacobian J of the model, so that its covariance from the photons is
        A^-1 J^T J A^-1, where A = J^T J but for the scatter of J between draws of the domains, which tells nothing.
        """
        product, real, _, apart = model.information(x)
        half, shares, self._weakest = whitened(product, real)
        inverse, gain = half / shares**2 @ half.T, half / shares @ half.T
        moved = gain @ apart
        return inverse, np.asarray(moved @ moved.T), gain

    def _with_enough_domains(self, model: Model, x: Array) -> Model:
        """The model with as many mosaic domains as are allowed, where their number makes up too much of the errors."""
        inverse, _, gain = self._covariances(model, x)
        apart = gain @ model.information(x)[3][:, : DRAWS + 1]
        ratio = float(((apart**2).sum(1) / np.diag(inverse)).max())
        if ratio < _SAMPLED or model.parameters.n_domains >= self.max_domains:
            return model
        return model.with_parameters(self.parameters.with_domains(self.max_domains))


def _misfit(model: Model, x: Array) -> float:
    measured = model.boxes.photons
    return float(np.abs(measured - model.fitted(x)).sum() / max(float(np.abs(measured).sum()), 1e-300))


def _moves_spots(parameters: Variables) -> bool:
    """Whether the places of spots depend on anything that is refined."""
    far = (".misset", ".unit_cell", "detector", "beam.wavelength", "beam.energy", "beam.direction")
    return any(word in name for name in parameters.names for word in far)


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


def _pictures(model: Model, x: Array, before: Array, chi2: Array) -> tuple[Any, ...]:
    """The strongest and the worst boxes: measured, before, after, residual."""
    data = model.boxes
    strength = np.add.reduceat(model.photons(x), data.starts[:-1])
    chosen = list(dict.fromkeys([*np.argsort(-strength)[:5].tolist(), *np.argsort(-chi2)[:4].tolist()]))
    after, residual = model.fitted(x), model.residuals(x)[: data.n_pixels]
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
