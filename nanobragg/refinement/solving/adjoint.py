"""Many parameters: the misfit and its gradient by the adjoint of the sum, scipy's L-BFGS, and Fisher's matrix part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.refinement.solving.model import DRAWS, Model, scatter
from nanobragg.refinement.variables.parameters import of_pixels

Array = NDArray[np.float64]
Linear = Callable[[Array], Array]
_PART = 2**25
"""Bytes of the slopes that exist at a time."""
_KEPT_PAIRS = 30
"""Steps that L-BFGS remembers."""
_FLAT_SLOPE = 1e-2
"""Largest slope at the end, by variables in standard deviations: so far is the minimum at most."""
_HELD_UP = 1e-12
"""Of the diagonal of Fisher's matrix, relative to 1 where it is scaled: what the image does not tell stays where it is."""


class AdjointModel(Model):
    """A model that has no whole Jacobian."""

    def cost(self, x: Array, loss: str = "linear") -> tuple[float, Array]:
        """Half the sum of losses of the squares of the residuals, as scipy's least_squares has it, and its gradient.

        Parameters
        ----------
        x : (size,) array
        loss : str
            As for `refine`.
        """
        values, weights = losses(self.residuals(x), loss)
        prior = self.parameters.prior(x)
        n = self.boxes.n_pixels
        gradient = self.parameters.prior_slopes(x).T @ (weights[n:] * prior)
        slope = self._slope_by_photons(x, weights[:n])
        freed, stacks, tangents = self.parameters.freed, self.parameters.stacks(x), self.parameters.tangents(x)
        entries = None if freed is None else freed.entries
        own, by_factor = [] if entries is None else ["f_table"], np.zeros(0 if entries is None else len(entries))
        for (i, members), order in zip(self._members, self._orders, strict=True):
            pixels = self.boxes.pixel[members][order]
            for scene, fields in zip(stacks[i], tangents[i], strict=True):
                wanted = [*fields, *own]
                found = self._pulled(of_pixels(scene, pixels), slope[members[order]], wanted, entries) if wanted else {}
                if own:
                    by_factor += found["f_table"] * scene.f_table.ravel()[entries]
                for name, rows in fields.items():
                    gradient[: len(rows)] += rows.reshape(len(rows), -1) @ found[name].ravel()
        if freed is not None and own:
            gradient[freed.first :] += freed.by_variable(by_factor)
        return float(values.sum()) / 2, gradient

    def _slope_by_photons(self, x: Array, weights: Array) -> Array:
        """(n_pixels,): how the cost changes with the photons of the model."""
        residual, bases, factors = self._solved(x)
        pull = weights * residual
        if self._poisson:
            deviance, ratio = self._deviance(x)
            pull = weights * deviance * ratio
        slope = -self._without(bases, pull)
        if not self.free:
            return slope / self.sigma
        # the direction that a factor takes out turns with the model
        box, own = self.boxes.box, self._without(self._local, self.photons(x) / self.sigma)
        sizes = self._sums(own * own)
        turned = np.where(factors > 0, self._sums(own * pull) / np.maximum(sizes, 1e-300), 0.0)
        return np.asarray((factors[box] * slope - turned[box] * residual) / self.sigma)

    def _pulled(
        self, scene: Any, slope: Array, wanted: list[str], entries: NDArray[np.int64] | None
    ) -> dict[str, Array]:
        return dict(self._engine.pull_back(scene, slope, wanted, entries=entries, cancel=self.cancel))

    def sample(self, x: Array) -> None:
        """Render other draws of the mosaic domains: what one draw is off goes into the errors."""
        others = self.other_draws(x)
        if len(others):
            self.scattered = scatter(np.concatenate([self.photons(x)[None], others])) * np.sqrt(DRAWS + 1)

    def information(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """See `Model.information`: the slopes of some shoeboxes at a time."""
        key = id(self.sigma), x.tobytes()
        if self._known is None or self._known[0] != key:
            self._known = key, self._in_parts(x)
        return self._known[1]

    def _in_parts(self, x: Array) -> tuple[Array, Array, Array, Array]:
        stacks, tangents, size = self.parameters.stacks(x), self.parameters.tangents(x), self.parameters.size
        prior = self.parameters.prior_slopes(x)
        product, apart = prior.T @ prior, np.zeros((size, len(self.scattered)))
        number = self.boxes.starts[:-1] // max(_PART // (8 * max(size, 1)), 1)
        for part in np.unique(number):
            outside = number != part
            kept = ~outside[self.boxes.box]
            some = self.without(outside)
            some._set_sigma(self.sigma[kept])
            slopes = some._sloped_residuals(some._pushed(stacks, tangents), x)
            product += slopes.T @ slopes
            apart += slopes.T @ some.projected(self.scattered[:, kept].T, x)
        return product, product, np.zeros(size), apart


def losses(residuals: Array, loss: str) -> tuple[Array, Array]:
    """rho(r^2) of residuals, and its slope by r^2; the names and formulas are those of scipy's `least_squares`."""
    squares = residuals**2
    if loss == "soft_l1":
        root = np.sqrt(1 + squares)
        return 2 * (root - 1), 1 / root
    if loss == "huber":
        far = squares > 1
        size = np.sqrt(np.where(far, squares, 1.0))
        return np.where(far, 2 * size - 1, squares), 1 / size
    if loss == "cauchy":
        return np.log1p(squares), 1 / (1 + squares)
    return squares, np.ones_like(squares)


def whitening(fisher: Array) -> tuple[Array, Array]:
    """L^-T and its transpose, where L L^T is Fisher's matrix: in variables y with x = L^-T y it is the unit matrix."""
    from scipy.linalg import cholesky, solve_triangular

    scale = np.sqrt(np.diag(fisher))
    scale[scale == 0] = 1.0
    lower = cholesky(fisher / np.outer(scale, scale) + _HELD_UP * np.eye(len(fisher)), lower=True)
    inverse = solve_triangular(lower, np.eye(len(fisher)), lower=True) / scale
    return inverse.T, inverse


def descended(
    cost: Callable[[Array], tuple[float, Array]], white: tuple[Linear, Linear], x: Array, *, ftol: float, most: int,
    told: Callable[[Any], object] | None = None,
) -> Any:  # fmt: skip
    """What `scipy.optimize.minimize` gives (method "L-BFGS-B"), in variables in which Fisher's matrix at the start is 1.

    A step of gradient descent is one of Gauss and Newton there; L-BFGS learns what is left of the curvature. `white` are the
    products with L^-T and L^-1 of `whitening`.
    """
    from scipy.optimize import minimize

    forth, back = white

    def whitened(y: Array) -> tuple[float, Array]:
        value, gradient = cost(x + forth(y))
        return value, back(gradient)

    found = minimize(whitened, np.zeros(len(x)), jac=True, method="L-BFGS-B", callback=told,
                     options={"maxiter": most, "maxcor": _KEPT_PAIRS, "ftol": ftol, "gtol": _FLAT_SLOPE})  # fmt: skip
    found.x = x + forth(found.x)
    return found
