"""`ExperimentModule`: an experiment as a torch module whose parameters are some of its fields, in the user's units."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from nanobragg.torch_backend.core import with_entries
from nanobragg.torch_backend.engine import TorchEngine, spread
from nanobragg.torch_backend.ops import TORCH_OPS
from nanobragg.torch_backend.simulate import simulate
from torch import Tensor, nn

from nanobragg.arrays import is_tensor
from nanobragg.config import Experiment
from nanobragg.config.serialize import metadata_at
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.config.table_checks import index_array
from nanobragg.derivation import panels
from nanobragg.derivation.background import background_scene
from nanobragg.derivation.crystals import lattices
from nanobragg.derivation.derive import rectangle
from nanobragg.derivation.orientations import seeded
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.c import beneath
from nanobragg.engines.engine import RenderOptions
from nanobragg.errors import ConfigError

Bounds = tuple[float | None, float | None]
PriorTerm = tuple[Any, Any] | Callable[[Tensor], Tensor]
_AMPLITUDE = "structure_factors.amplitude"


def with_reflections(structure_factors: StructureFactors, hkl: Any, amplitude: Tensor) -> StructureFactors:
    """Structure factors with other amplitudes at some indices.

    Where these alone have a gradient, kernel "core" makes nothing of the size of the table on the way back: for a table of a
    million entries of which a hundred are wanted.

    Parameters
    ----------
    structure_factors : StructureFactors
        With a table, one for all energies.
    hkl : (n, 3) array of int
        Miller indices in the table, none twice.
    amplitude : Tensor, shape (n,)
        Their amplitudes [electrons].

    Returns
    -------
    StructureFactors

    Raises
    ------
    ConfigError
        For indices that are no whole numbers, outside the table or given twice, and another number of amplitudes.

    Examples
    --------
    >>> import nanobragg as nb, numpy as np, torch
    >>> table = nb.StructureFactors(amplitude=np.full((5, 5, 5), 10.0), hkl_min=(-2, -2, -2))
    >>> few = torch.tensor([20.0, 30.0], dtype=torch.float64, requires_grad=True)
    >>> nb.torch_backend.with_reflections(table, [[1, 0, 0], [0, 1, -1]], few).amplitude[3, 2, 2].item()
    20.0
    """
    places = _places(structure_factors, hkl)
    if not is_tensor(amplitude) or tuple(amplitude.shape) != places.shape:
        found = tuple(amplitude.shape) if is_tensor(amplitude) else type(amplitude).__name__
        raise ConfigError("amplitude", found, f"must be a tensor of shape {places.shape}, one number for each index")
    table = structure_factors.amplitude
    if not isinstance(table, Tensor):
        table = TORCH_OPS.lift(table)
    order = np.argsort(places)
    placed = with_entries(table, places[order], amplitude[torch.from_numpy(order).to(amplitude.device)])
    return replace(structure_factors, amplitude=placed)


def _places(structure_factors: StructureFactors, hkl: Any) -> np.ndarray:
    """Where some indices stand in the flattened table."""
    if structure_factors.energy_ev is not None or not structure_factors.has_table:
        raise ConfigError("crystal.structure_factors", structure_factors, "must be one table of amplitudes")
    found = index_array(hkl)
    shape = tuple(structure_factors.amplitude.shape)
    at = found - np.array(structure_factors.hkl_min)
    outside = ((at < 0) | (at >= np.array(shape))).any(axis=1)
    if outside.any():
        worst = tuple(found[int(np.argmax(outside))].tolist())
        raise ConfigError("reflections", worst, "is not in the table", "give an amplitude for it first")
    places: np.ndarray = np.ravel_multi_index(tuple(at.T), shape).astype(np.int64)
    _, first, counts = np.unique(places, return_index=True, return_counts=True)
    if (counts > 1).any():
        raise ConfigError("reflections", tuple(found[first[int(np.argmax(counts))]].tolist()), "is given twice")
    return places


class ExperimentModule(nn.Module):
    """The image of an experiment as a function of some of its fields.

    Calling the module renders the image. A refined field is a parameter of the module, float64, in the units of the field;
    its name is the path with ``__`` for every dot and ``_2`` for ``[2]``. What is decided automatically (counts, switches) is
    decided once, from the values at the start.

    Parameters
    ----------
    experiment : Experiment
        Start values; also everything that is not refined.
    refine : sequence of str
        Paths of differentiable fields, for example ``"crystal.misset_deg"`` or ``"crystal.misset_deg[2]"``.
    bounds : mapping of str to (low, high), optional
        Open interval that a field stays in; either end may be None. The parameter is then an unbounded u, with
        value = m + w tanh(u/w) (m the middle and w half the width; u = value - m near the middle), or, with one end only,
        value = low + s softplus(u/s) or high - s softplus(u/s), s the distance of the start value from the end.
    priors : mapping of str to (mean, sigma) or callable, optional
        Gaussian prior of a field, or a function of its value that gives minus the logarithm of the prior; see `penalty`.
    reflections : (n, 3) array of int, optional
        Miller indices of the only amplitudes that ``"crystal.structure_factors.amplitude"`` refines: its parameter has the
        shape (n,), and no gradient of the whole table is made (see `with_reflections`).
    **options
        As for `nanobragg.torch_backend.simulate`: dtype, device, memory_budget, n_threads, phase, twice_differentiable.

    Raises
    ------
    ConfigError
        For a path that names no differentiable field that is set, a start value outside its bounds, or reflections that are
        not in the table or refined by no path.
    """

    def __init__(
        self,
        experiment: Experiment,
        refine: Sequence[str],
        *,
        bounds: Mapping[str, Bounds] | None = None,
        priors: Mapping[str, PriorTerm] | None = None,
        reflections: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(refine, str):
            raise ConfigError("refine", refine, "must be a list of paths", f"[{refine!r}]")
        single = not panels.several(experiment) and not lattices.several(experiment)
        self._decided = resolve(experiment) if single else None
        self._start = seeded(experiment) if self._decided is None else self._decided.experiment
        self.options = options
        self.priors = dict(priors or {})
        self._names: dict[str, str] = {}
        self._bounded: dict[str, _Bounded] = {}
        self._reflections = reflections
        if reflections is not None and not any(path.endswith(_AMPLITUDE) for path in refine):
            raise ConfigError(
                "reflections",
                "Miller indices",
                "are given, but no amplitudes are refined",
                f"refine 'crystal.{_AMPLITUDE}'",
            )
        for path in refine:
            start = _start_value(self._start, path)
            if self._few(path):
                factors = self._start.get(path.removesuffix(".amplitude"))
                start = start.reshape(-1)[torch.from_numpy(_places(factors, reflections))].clone()
            low, high = (bounds or {}).get(path, (None, None))
            if low is not None or high is not None:
                self._bounded[path] = _Bounded(path, start, low, high)
                start = self._bounded[path].inverse(start)
            name = re.sub(r"\[(-?\d+)\]", r"_\1", path).replace(".", "__")
            self.register_parameter(name, nn.Parameter(start))
            self._names[path] = name
        for path in (*(bounds or {}), *self.priors):
            if path not in self._names:
                raise ConfigError(
                    path, None, "has bounds or a prior but is not refined", f"refined: {', '.join(refine)}"
                )

    def values(self) -> dict[str, Tensor]:
        """The refined fields by path, in the user's units."""
        found = {}
        for path, name in self._names.items():
            raw = getattr(self, name)
            found[path] = self._bounded[path].value(raw) if path in self._bounded else raw
        return found

    @property
    def experiment(self) -> Experiment:
        """The decided experiment with the current values, which stay connected to the parameters."""
        experiment = self._start
        for path, value in self._replacements().items():
            experiment = experiment.replace(path, value)
        return experiment

    def _few(self, path: str) -> bool:
        return self._reflections is not None and path.endswith(_AMPLITUDE)

    def _replacements(self) -> dict[str, Any]:
        """What takes the place of what the experiment had at the start, by path."""
        found: dict[str, Any] = {}
        for path, value in self.values().items():
            if self._few(path):
                path = path.removesuffix(".amplitude")
                value = with_reflections(self._start.get(path), self._reflections, value)  # type: ignore[assignment]
            found[path] = value
        return found

    def penalty(self) -> Tensor:
        """Minus the logarithm of the priors: the sum of (value - mean)^2/(2 sigma^2), and of what callables return."""
        values = self.values()
        total = torch.zeros((), dtype=torch.float64)
        for path, prior in self.priors.items():
            value = values[path]
            if callable(prior):
                total = total + prior(value)
            else:
                mean, sigma = (torch.as_tensor(x, dtype=value.dtype, device=value.device) for x in prior)
                total = total + (((value - mean) / sigma) ** 2).sum() / 2
        return total

    def forward(self, roi: tuple[slice, slice] | None = None) -> Tensor:
        """The image (n_slow, n_fast) [photons]; only the pixels of `roi` are computed.

        Panels and lattices are rendered one by one, as `nanobragg.simulate` does, and decided anew from the current values.
        """
        if self._decided is not None:
            return simulate(self._decided.with_values(self._replacements()), roi=roi, **self.options)
        parts = panels.experiments(self.experiment)
        several = panels.several(self._start)
        regions = panels.rois(roi, len(parts)) if several else [roi]
        images = [
            simulate([resolve(one) for one in lattices.experiments(part)], roi=region, **self.options)
            for part, region in zip(parts, regions, strict=True)
        ]
        joined: Tensor = panels.joined(images) if several else images[0]
        return joined

    def jacobian(
        self, roi: tuple[slice, slice] | None = None, *, cropped: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The image, and its derivatives by the parameters, for a step of Gauss and Newton.

        The derivatives are those of ``torch.func.jacfwd``, which is taken where panels, several lattices, bounds, reflections,
        quirks, diffuse scattering or amorphous bodies are involved. Else kernel "core" has image and derivatives in one sweep,
        without the tens of milliseconds that a transform of the derivation takes.

        Parameters
        ----------
        roi : tuple of slice, optional
            (slow, fast), half-open; only these pixels are computed.
        cropped : bool
            Return the rectangle of `roi`, and of the experiment's own, alone: nothing of the size of the detector is made.

        Returns
        -------
        image : Tensor, shape (n_slow, n_fast)
        derivatives : dict of Tensor, shape (n_slow, n_fast, *shape of the parameter)
            By path. None of them keeps a connection to the parameters.

        Raises
        ------
        ConfigError
            For a crop of several panels.
        """
        if cropped and panels.several(self._start):
            raise ConfigError("cropped", True, "is not for several panels", "leave it out, and cut the images")
        part = rectangle(self._start.detector, self._start.sampling.roi, roi) if cropped else None
        found = self._jacobian_by_core(roi, part)
        if found is not None:
            return found

        def image(parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            rendered: Tensor = torch.func.functional_call(self, parameters, kwargs={"roi": roi})
            rendered = rendered if part is None else rendered[part]
            return rendered, rendered

        point = {name: parameter.detach() for name, parameter in self.named_parameters()}
        slopes, rendered = torch.func.jacfwd(image, has_aux=True)(point)
        return rendered, {path: slopes[name] for path, name in self._names.items()}

    def _jacobian_by_core(
        self, roi: tuple[slice, slice] | None, part: tuple[slice, slice] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """`jacobian` in one sweep; None where that does not serve."""
        if self._decided is None or self._bounded or self._reflections is not None:
            return None
        leaves = {path: raw.detach().requires_grad_() for path, raw in self.values().items()}
        decided = self._decided.with_values(leaves)
        chosen = RenderOptions(**self.options)
        engine = TorchEngine(chosen, beneath(chosen)).beside(decided.experiment)
        with torch.enable_grad():
            scenes = engine.derivation(decided, roi=roi).scenes
            more = background_scene(decided.experiment, scenes[0], engine.ops) is not None
            if more or len(scenes) > 1 or decided.experiment.crystal.diffuse.acts:
                return None
            found = engine.jacobian(scenes[0])
        if found is None:
            return None
        rows, parameters = found
        ends = dict(zip(map(id, parameters), accumulate(leaf.numel() for leaf in parameters), strict=True))
        if not all(id(leaf) in ends for leaf in leaves.values()):
            return None
        if part is not None and scenes[0].rectangle == part:
            images = rows.view(len(rows), part[0].stop - part[0].start, -1)
        else:
            images = spread(scenes[0], rows)
            images = images if part is None else images[:, *part]
        slopes = {}
        for path, leaf in leaves.items():
            end = 1 + ends[id(leaf)]
            own = images[end - leaf.numel() : end].movedim(0, -1)
            slopes[path] = own.reshape(*own.shape[:-1], *leaf.shape)
        return images[0], slopes

    def extra_repr(self) -> str:
        """The refined paths with their values."""
        return "\n".join(f"{path} = {value.detach().tolist()}" for path, value in self.values().items())


def _start_value(experiment: Experiment, path: str) -> Tensor:
    """The value at a path as a float64 tensor of its own."""
    value = experiment.get(path)
    if (value is None or isinstance(value, str | bool)) and "[" not in path:
        if not metadata_at(experiment, path).get("differentiable"):
            raise ConfigError(path, value, "is not differentiable", "docs/api.md lists what is")
    if value is None or isinstance(value, str | bool):
        raise ConfigError(path, value, "has no value to start from", "set it in the experiment")
    items = value if isinstance(value, tuple | list) else [value]
    if any(item is None for item in items):
        raise ConfigError(path, value, "has elements that are not set", "refine its elements, path[0] ...")
    if isinstance(value, tuple | list):
        start = torch.stack([_scalar(item) for item in value])
    else:
        start = _scalar(value)
    experiment.replace(path, start)  # refuses fields that take no tensor
    return start


def _scalar(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(torch.float64, copy=True)
    return torch.tensor(value, dtype=torch.float64)


class _Bounded:
    """A smooth map from the real line onto an open interval, close to the identity where the value started."""

    def __init__(self, path: str, start: Tensor, low: float | None, high: float | None) -> None:
        inside = (low is None or bool((start > low).all())) and (high is None or bool((start < high).all()))
        if not inside or (low is not None and high is not None and not low < high):
            raise ConfigError(path, start.tolist(), f"must lie inside its bounds ({low}, {high})")
        self.low, self.high = low, high
        end = low if low is not None else high
        assert end is not None
        self.scale = float((start - end).abs().min())

    def value(self, u: Tensor) -> Tensor:
        """The value of the field."""
        if self.low is not None and self.high is not None:
            middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
            return middle + half * torch.tanh(u / half)
        grown = self.scale * nn.functional.softplus(u / self.scale)
        if self.low is not None:
            return self.low + grown
        assert self.high is not None
        return self.high - grown

    def inverse(self, value: Tensor) -> Tensor:
        """The parameter that gives a value."""
        if self.low is not None and self.high is not None:
            middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
            return half * torch.atanh((value - middle) / half)
        grown = (value - self.low if self.low is not None else self.high - value) / self.scale  # type: ignore[operator]
        return self.scale * (grown + torch.log(-torch.expm1(-grown)))
