"""The model of the shoeboxes: weighted residuals and their Jacobian, with what is linear eliminated at every step.

The local backgrounds (and, where the structure factors are free, one factor for each spot) are the least-squares solution
for the other parameters (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413); the Jacobian is that
of Kaufman, BIT 15 (1975) 49, which leaves out a term that vanishes with the residuals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.crystals.relaxed import LARGEST
from nanobragg.derivation.scene import Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import ConfigError
from nanobragg.refinement.data.pixels import Boxes
from nanobragg.refinement.variables.freed import FreedParameters
from nanobragg.refinement.variables.parameters import Parameters, of_pixels
from nanobragg.refinement.variables.several import CrystalsParameters

Array = NDArray[np.float64]
Variables = Parameters | CrystalsParameters | FreedParameters
_TINY = 1e-9
_ENOUGH = 100
"""Domains of each draw for the slopes, which need not be known as well as the photons."""
_THIN = 1e-13
DRAWS = 8
"""Of the mosaic domains, next to the first: their mean is the model in the end, their scatter tells the sampling error."""
_LEAST_REAL = 0.1
"""Share of the information in the slopes of a variable that is taken for real at least."""
_MOST_KEPT = 3
"""Images and Jacobians, for what is asked several times."""
_FLAT = 0.3
"""The variance of the local background is at least so much of its mean over the box."""
_DARK = 0.02
"""And at least so much [photons^2]."""


class Model:
    """Residuals of the pixels of shoeboxes, (photons - model)/sigma, as a function of the parameters' variables.

    Raises
    ------
    ConfigError
        For an experiment whose sum has no derivatives in the C engine.
    """

    def __init__(
        self, parameters: Variables, boxes: Boxes, *, free: bool = False, poisson: bool = False,
        n_threads: int | None = None, cancel: Callable[[], bool] | None = None,
    ) -> None:  # fmt: skip
        self.parameters, self.boxes, self.free, self.cancel = parameters, boxes, free, cancel
        self._poisson = poisson
        self._n_threads = n_threads
        self._engine = engine("c", RenderOptions(n_threads=n_threads))
        panels = np.unique(boxes.panel)
        self._members = [(int(i), np.flatnonzero(boxes.panel == i)) for i in panels]
        self._projected: tuple[bytes, Array, Array, Array] | None = None
        self._orders = [np.argsort(boxes.pixel[m], kind="stable") for _, m in self._members]
        self._set_sigma(np.ones(boxes.n_pixels))
        stacks = parameters.stacks(np.zeros(parameters.size))
        for scene in (scene for i, _ in self._members for scene in stacks[i]):
            reason = self._engine.derivative_obstacle(scene)
            if reason:
                raise ConfigError("experiment", reason, "has no derivatives, so that nothing can be refined")
        self._last: dict[bytes, Array] = {}
        self._sloped: dict[bytes, Array] = {}
        self._mean: tuple[Array, Array, Array] | None = None
        self._known: tuple[Any, tuple[Array, Array, Array, Array]] | None = None
        self._drawn: Array = np.zeros((0, boxes.n_pixels, parameters.size))
        self.scattered: Array = np.zeros((0, boxes.n_pixels))
        """(n, n_pixels): draws of the domains, of which `photons` are the mean, as `scatter` gives them; and how far that mean is
        off a draw of more domains"""

    # --- rendering ---------------------------------------------------------------------------------------------------

    def _gathered(
        self, values: Callable[[int, int, Scene], Array], stacks: list[list[Scene]], lead: tuple[int, ...]
    ) -> Array:
        """What a function of panel, number and scene gives for the pixels of each panel, put in the order of the boxes."""
        found = np.zeros((*lead, self.boxes.n_pixels))
        for (i, members), order in zip(self._members, self._orders, strict=True):
            pixels = self.boxes.pixel[members][order]
            found[..., members[order]] = sum(values(i, j, of_pixels(s, pixels)) for j, s in enumerate(stacks[i]))
        return found

    def _rendered(self, x: Array, draw: int = 0) -> Array:
        stacks = self.parameters.stacks(x, draw)
        return self._gathered(lambda _, __, scene: self._engine.photons(scene, cancel=self.cancel), stacks, ())

    def photons(self, x: Array) -> Array:
        """(n_pixels,) photons of the spots and of the experiment's own background."""
        if self._mean is not None:
            at, photons, slopes = self._mean
            return np.asarray(photons + slopes @ (x - at))
        return _kept(self._last, x, lambda: self._rendered(x))

    def slopes(self, x: Array) -> Array:
        """(n_pixels, size): derivative of `photons` by the variables."""
        if self._mean is not None:
            return self._mean[2]
        return _kept(self._sloped, x, lambda: self._slopes(self.parameters, x))

    def _slopes(self, parameters: Variables, x: Array, draw: int = 0, like: Any = None) -> Array:
        return self._pushed(parameters.stacks(x, draw), parameters.tangents(x, draw, like))

    def _pushed(self, stacks: list[list[Scene]], tangents: list[list[dict[str, Array]]]) -> Array:
        """(n_pixels, size): how the photons change with the fields of the scenes; only what changes is worked on."""
        size, freed = self.parameters.size, self.parameters.freed

        def of_scene(i: int, j: int, scene: Scene) -> Array:
            found, fields = np.zeros((size, scene.n_pixels)), tangents[i][j]
            moving = [rows.reshape(len(rows), -1).any(1) for rows in fields.values()]
            some = np.flatnonzero(np.any(moving, axis=0)) if moving else np.zeros(0, np.int64)
            if len(some):
                found[some] = self._engine.push_forward(scene, {name: rows[some] for name, rows in fields.items()})
            return found

        slopes = self._gathered(of_scene, stacks, (size,)).T
        if freed is not None and len(freed.hkl):
            along = self._gathered(
                lambda _, __, scene: self._engine.push_forward(scene, {"f_table": freed.along(scene.f_table)})[0],
                stacks,
                (),
            )
            # the photons of a shoebox are those of its own reflection, but for the tails of its neighbors
            column = freed.columns(self.boxes.spots["hkl"])[self.boxes.box]
            mine = column >= 0
            slopes[mine, column[mine]] = along[mine]
        return slopes

    def other_draws(self, x: Array) -> Array:
        """(n, n_pixels): photons with other draws of the mosaic domains; n = 0 where there is one domain."""
        several = self.parameters.n_domains > 1 and not self.parameters.given_domains
        found = [self._rendered(x, draw) for draw in range(1, DRAWS + 1) if several]
        return np.array(found).reshape(len(found), self.boxes.n_pixels)

    def average(self, x: Array, *, slopes: bool = True, like: Array | None = None) -> None:
        """From now on `photons` are the mean over all draws of the domains at these variables, and lines from there.

        Without `slopes`, those of the time before serve again; `like`: (n_pixels, size) slopes that serve for the first step.
        """
        before, self._mean, self._projected = self._mean, None, None
        photons = np.concatenate([self.photons(x)[None], self.other_draws(x)])
        self.scattered = scatter(photons)
        if len(photons) > 1 and self.parameters.evened and self.parameters.n_domains < LARGEST:
            # draws that are moved apart are all drawn together: their scatter does not tell, a draw of more domains does
            finer = self._like(self.parameters.with_domains(LARGEST), self.boxes).photons(x)
            self.scattered = np.concatenate([self.scattered, [finer - photons.mean(0)]])
        if like is not None:
            self._drawn = like[None]
        elif slopes or before is None:
            parameters = self.parameters
            if parameters.n_domains > _ENOUGH:
                parameters = parameters.with_domains(_ENOUGH)
            first = parameters.tangents(x)
            self._drawn = np.array([self._slopes(parameters, x, draw, first) for draw in range(len(photons))])
        self._mean = x.copy(), photons.mean(0), self._drawn.mean(0)

    def _like(self, parameters: Variables, boxes: Boxes) -> Model:
        return type(self)(
            parameters, boxes, free=self.free, poisson=self._poisson, n_threads=self._n_threads, cancel=self.cancel
        )

    def with_parameters(self, parameters: Variables) -> Model:
        """The same with other domains, to be averaged; the mean slopes go with it."""
        found = self._like(parameters, self.boxes)
        found._mean, found._drawn = self._mean, self._drawn
        return found

    def information(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """J^T J of the jacobian, and without what the scatter of its draws adds to it, both (size, size); what their scatter
        together with that of the photons adds to J^T residuals, (size,); J^T `scattered`, (size, n).

        The products of slopes of one draw and slopes or photons of another are free of the scatter.
        """
        still = self._mean is not None and not self.free and not self._poisson
        key = id(self.sigma), id(self._mean), b"" if still else x.tobytes()
        if self._known is None or self._known[0] != key:
            self._known = key, self._information(x)
        return self._known[1]

    def _information(self, x: Array) -> tuple[Array, Array, Array, Array]:
        jacobian = self.jacobian(x)
        product, own = jacobian.T @ jacobian, jacobian[: self.boxes.n_pixels]
        apart = self.projected(self.scattered.T, x)
        n = len(self._drawn)
        if n < 2:
            return product, product, np.zeros(len(product)), own.T @ apart
        each = [self._sloped_residuals(draw, x) for draw in self._drawn]
        squares = sum((e.T @ e for e in each), np.zeros_like(product)) / n - own.T @ own
        pull = sum((e.T @ a for e, a in zip(each, apart.T[:n], strict=True)), np.zeros(len(product))) / n
        return product, product - squares / (n - 1), -pull * unscattered(n) / (n - 1), own.T @ apart

    def without(self, bad: NDArray[np.bool_]) -> Model:
        """The same without some boxes; the weights are to be set."""
        found = self._like(self.parameters, self.boxes.without(bad))
        kept = ~bad[self.boxes.box]
        if self._mean is not None:
            at, photons, slopes = self._mean
            found._mean, found._drawn = (at, photons[kept], slopes[kept]), self._drawn[:, kept]
            found.scattered = self.scattered[:, kept]
        return found

    # --- what is linear ----------------------------------------------------------------------------------------------

    def weigh(self, photons: Array, read_variance: float) -> None:
        """Set the standard deviations for expected photons."""
        self._set_sigma(np.sqrt(np.maximum(photons, _DARK) + read_variance))

    def _set_sigma(self, sigma: Array) -> None:
        boxes = self.boxes
        self.sigma, self._projected = sigma, None
        self._local = self._orthonormal(boxes.basis / sigma[:, None], boxes.starts, boxes.box)

    def _solved(self, x: Array) -> tuple[Array, Array, Array]:
        """Residuals, columns (n_pixels, m) that are an orthonormal basis of what is linear within each box, and the factor of
        each box."""
        key = x.tobytes() + self.sigma[:8].tobytes()
        if self._projected is not None and self._projected[0] == key:
            return self._projected[1:]
        model, boxes = self.photons(x) / self.sigma, self.boxes
        bases, factors = self._local, np.ones(len(boxes.starts) - 1)
        residual = self._without(bases, boxes.photons / self.sigma - (0.0 if self.free else model))
        if self.free:
            own = self._without(bases, model)
            sizes = self._sums(own * own)
            told = sizes > _TINY
            sizes = np.where(told, sizes, 1.0)
            # a spot does not scatter less than nothing: below, it plays no part
            factors = np.where(told, np.maximum(self._sums(own * residual) / sizes, 0.0), 1.0)
            own = np.where(told[boxes.box], own, 0.0)
            residual = residual - factors[boxes.box] * own
            bases = np.column_stack([bases, own / np.sqrt(sizes)[boxes.box]])
        self._projected = key, residual, bases, factors
        return residual, bases, factors

    def _sums(self, values: Array) -> Array:
        """(n_boxes, ...): over the pixels of each box."""
        return np.asarray(np.add.reduceat(values, self.boxes.starts[:-1], axis=0))

    def _without(self, bases: Array, values: Array) -> Array:
        """Values (n_pixels, ...) without what the bases hold of them."""
        found = values
        for column in bases.T:
            q = column if values.ndim == 1 else column[:, None]
            found = found - q * self._sums(q * values)[self.boxes.box]
        return found

    @staticmethod
    def _orthonormal(columns: Array, starts: NDArray[np.int64], box: NDArray[np.int64]) -> Array:
        """The columns (n_pixels, m) as orthonormal ones, box by box (Cholesky's form of the QR decomposition)."""
        products = np.add.reduceat(columns[:, :, None] * columns[:, None, :], starts[:-1], axis=0)
        # held up where a box is too thin to tell the columns apart
        products += _THIN * np.einsum("bii->b", products)[:, None, None] * np.eye(columns.shape[1])
        # L with L L^T = C^T C: the columns of C L^-T are orthonormal
        inverse = np.linalg.inv(np.linalg.cholesky(products))
        return np.asarray(np.einsum("pj,pij->pi", columns, inverse[box]))

    def residuals(self, x: Array) -> Array:
        """(n_pixels + n_priors,): (photons - model)/sigma, or with `poisson` the deviance residuals, whose squares add up to
        -2 log(likelihood) but for a constant."""
        own = self._deviance(x)[0] if self._poisson else self._solved(x)[0]
        return np.concatenate([own, self.parameters.prior(x)])

    def jacobian(self, x: Array) -> Array:
        """(n_pixels + n_priors, size): derivative of `residuals`."""
        return np.concatenate([self._sloped_residuals(self.slopes(x), x), self.parameters.prior_slopes(x)])

    def _sloped_residuals(self, slopes: Array, x: Array) -> Array:
        """The derivative of the residuals of pixels, where that of the photons is `slopes`."""
        found = -self.projected(slopes, x)
        return found * self._deviance(x)[1][:, None] if self._poisson else found

    def _deviance(self, x: Array) -> tuple[Array, Array]:
        """sign(n - m) sqrt(2 (n log(n/m) - n + m)) of n photons where m are expected; its slope over that of (n - m)/sigma."""
        counts, expected = np.maximum(self.boxes.photons, 0.0), np.maximum(self.fitted(x), _DARK)
        ratio = np.maximum(counts, _TINY) / expected
        half = np.maximum(counts * np.log(ratio) - counts + expected, 0.0)
        found = np.sign(counts - expected) * np.sqrt(2 * half)
        near = np.abs(ratio - 1) < 1e-6  # there the slope is that of (n - m)/sqrt(m)
        slope = np.where(near, -1 / np.sqrt(expected), (1 - counts / expected) / np.where(near, 1.0, found))
        return found, -slope * self.sigma

    def projected(self, change: Array, x: Array) -> Array:
        """Changes of the photons (n_pixels, ...) as changes of the model over sigma, after what is linear is solved again."""
        _, bases, factors = self._solved(x)
        weights = factors[self.boxes.box] / self.sigma if self.free else 1 / self.sigma
        return self._without(bases, change * (weights[:, None] if change.ndim == 2 else weights))

    def fitted(self, x: Array) -> Array:
        """(n_pixels,) photons with the local backgrounds: what the data are compared with."""
        return self.boxes.photons - self._solved(x)[0] * self.sigma

    def expected(self, x: Array) -> Array:
        """(n_pixels,) as `fitted`, where a local background that falls to nothing is held up: for variances."""
        signal = self.photons(x) * self.factors(x)[self.boxes.box]
        if not self.boxes.basis.shape[1]:
            return signal
        background, owner = self.fitted(x) - signal, self.boxes.box
        n = len(self.boxes.spots)
        mean = np.bincount(owner, background, n) / np.maximum(np.bincount(owner, minlength=n), 1)
        return np.asarray(signal + np.maximum(background, _FLAT * mean[owner]))

    def factors(self, x: Array) -> Array:
        """Of each box: the measured intensity over that of the model; 1 unless the intensities are free."""
        return self._solved(x)[2]

    def share_found(self, x: Array) -> float:
        """The factor of all of the model's photons together that fits best; 1 with free intensities."""
        if self.free:
            return 1.0
        own = self.projected(self.photons(x), x)
        size = float(own @ own)
        return 1.0 + float(own @ self._solved(x)[0]) / size if size > 0 else 0.0

    def chi2_by_box(self, x: Array) -> Array:
        """Mean square residual of each box."""
        squares = self._solved(x)[0] ** 2
        sizes = np.diff(self.boxes.starts) - self.boxes.basis.shape[1] - int(self.free)
        return np.asarray(np.add.reduceat(squares, self.boxes.starts[:-1]) / np.maximum(sizes, 1))


def scatter(draws: Array) -> Array:
    """Draws (n, ...) less their mean, scaled so that their squares add up to the variance of the mean.

    That variance is itself known from the draws alone, by n - 1 degrees of freedom: (n - 1)/(n - 3) makes up for it, as in the
    variance of Student's t.
    """
    return np.asarray((draws - draws.mean(0)) / unscattered(len(draws))) if len(draws) > 3 else np.zeros_like(draws)


def unscattered(n: int) -> float:
    """What `scatter` has divided by."""
    return math.sqrt(n * (n - 3))


def whitened(product: Array, real: Array) -> tuple[Array, Array, tuple[float, Array]]:
    """H with H^T product H = 1 and H^T real H diagonal; that diagonal, held up; and the least eigenvalue of the scaled product
    with its axis.

    product and real are those of `Model.information`.
    """
    scale = np.sqrt(np.diag(product))
    scale[scale == 0] = 1.0
    lengths, axes = np.linalg.eigh(product / np.outer(scale, scale))
    half = axes / np.sqrt(np.maximum(lengths, 1e-14)) / scale[:, None]
    shares, turn = np.linalg.eigh(half.T @ real @ half)
    return half @ turn, np.clip(shares, _LEAST_REAL, 1.0), (float(lengths[0]), axes[:, 0])


def _kept(store: dict[bytes, Array], x: Array, made: Callable[[], Array]) -> Array:
    """What is stored for the variables, or made now; the last few are kept."""
    key = x.tobytes()
    if key not in store:
        if len(store) >= _MOST_KEPT:
            del store[next(iter(store))]
        store[key] = made()
    return store[key]


def degrees_of_freedom(boxes: Boxes, size: int, free: bool = False) -> int:
    """Pixels less everything that was fitted to them: `size` variables, and what is linear in each box."""
    return int(boxes.n_pixels - (boxes.basis.shape[1] + int(free)) * len(boxes.spots) - size)
