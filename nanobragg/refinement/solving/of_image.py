"""What of an image goes from process to process while many are refined together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.config import Experiment
from nanobragg.refinement.data.pixels import Boxes
from nanobragg.refinement.solving.adjoint import AdjointModel
from nanobragg.refinement.solving.arrow import PartOfArrow
from nanobragg.refinement.variables.freed import AMPLITUDES, FreedParameters

Array = NDArray[np.float64]


class OfImage:
    """The shoeboxes of an image with their weights, and what is refined of it; makes its model where it is worked on."""

    def __init__(
        self, experiment: Experiment, paths: tuple[str, ...], bounds: Any, priors: Any, boxes: Boxes, sigma: Array,
        n_domains: int, poisson: bool, loss: str, n_threads: int | None,
    ) -> None:  # fmt: skip
        self.experiment, self.paths, self.bounds, self.priors = experiment, paths, bounds, priors
        self.boxes, self.sigma, self.n_domains = boxes, sigma, n_domains
        self.poisson, self.loss, self.n_threads = poisson, loss, n_threads
        self._made: tuple[bytes, AdjointModel] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}

    def parameters(self, hkl: NDArray[np.int64]) -> FreedParameters:
        """The variables of the image, those of amplitudes behind them; their prior is not the affair of one image."""
        priors = {**(self.priors or {}), AMPLITUDES: (0.0, np.inf)}
        return FreedParameters(self.experiment, self.paths, bounds=self.bounds, priors=priors, hkl=hkl)

    def model(self, hkl: NDArray[np.int64]) -> AdjointModel:
        """The model of its shoeboxes; that of the last call, where it is for the same amplitudes."""
        key = hkl.tobytes()
        if self._made is None or self._made[0] != key:
            self._made = key, self._model(hkl)
        return self._made[1]

    def _model(self, hkl: NDArray[np.int64]) -> AdjointModel:
        parameters = self.parameters(hkl)
        if self.n_domains > parameters.n_domains:
            parameters = parameters.with_domains(self.n_domains)
        model = AdjointModel(parameters, self.boxes, poisson=self.poisson, n_threads=self.n_threads)
        model._set_sigma(self.sigma)
        return model

    def part(self, hkl: NDArray[np.int64], x: Array) -> PartOfArrow:
        """Fisher's matrix for its own variables and the amplitudes `hkl` of all images, of which it tells some; at x of all."""
        number = {one: i for i, one in enumerate(map(tuple, hkl.tolist()))}
        model = self._model(self.boxes.spots["hkl"])
        parameters = model.parameters
        assert isinstance(parameters, FreedParameters)
        n = parameters.base.size
        columns = np.array([number[tuple(one)] for one in parameters.freed.hkl.tolist()], np.int64)
        matrix = model.information(np.concatenate([x[:n], x[n:][columns]]))[0]
        return PartOfArrow(matrix[:n, :n], matrix[:n, n:], matrix[n:, n:], columns)
