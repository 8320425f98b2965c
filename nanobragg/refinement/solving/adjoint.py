"""The misfit of an image and its gradient by the adjoint of the sum: for more parameters than a Jacobian has columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.scene import Scene
from nanobragg.refinement.solving.model import Model
from nanobragg.refinement.variables.parameters import of_pixels

Array = NDArray[np.float64]


class AdjointModel(Model):
    """A model whose structure factors are those of the start times a table of factors."""

    def cost(self, x: Array, factors: Array) -> tuple[float, Array, Array]:
        """Half the sum of squares of the residuals; its gradient by the variables, and by the logarithms of the factors.

        Parameters
        ----------
        x : (size,) array
        factors : (n_h, n_k, n_l) array
            Of the table of structure factors.
        """
        stacks = [[replace(s, f_table=s.f_table * factors) for s in panel] for panel in self.parameters.stacks(x)]
        photons = self._gathered(lambda _, __, s: self._engine.photons(s, cancel=self.cancel), stacks, ())
        residual = self._without(self._local, (self.boxes.photons - photons) / self.sigma)
        # the residual is free of what the local backgrounds hold, so that these add nothing to the slope
        slope = -residual / self.sigma
        gradient, by_factor = np.zeros(self.parameters.size), np.zeros(factors.shape)
        tangents = self.parameters.tangents(x)
        for (i, members), order in zip(self._members, self._orders, strict=True):
            pixels = self.boxes.pixel[members][order]
            for scene, fields in zip(stacks[i], tangents[i], strict=True):
                found = self._pulled(of_pixels(scene, pixels), slope[members[order]], [*fields, "f_table"])
                by_factor += found["f_table"] * scene.f_table
                for name, rows in fields.items():
                    gradient += rows.reshape(len(gradient), -1) @ found[name].ravel()
        prior = self._prior(x)
        if self.parameters.priors:
            slopes = self.parameters.slopes(x)
            gradient += sum(
                p * slopes[one.index] / one.sigma for p, one in zip(prior, self.parameters.priors, strict=True)
            )
        return float(residual @ residual + prior @ prior) / 2, gradient, by_factor

    def _pulled(self, scene: Scene, slope: Array, wanted: list[str]) -> dict[str, Array]:
        return dict(self._engine.pull_back(scene, slope, wanted, cancel=self.cancel))
