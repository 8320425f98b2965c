"""The sum by the kernels of `programs`, as a `nanobragg.torch_backend.memory.Sum`: what is launched, and added up afterwards.

All arrays stay on the device; nothing here waits for it but progress and the look at a cotangent for the gradient of the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from nanobragg.torch_backend.kernels.inputs import GEOMETRY, NAMES, Inputs, Plan
from nanobragg.torch_backend.kernels.phase import pieces
from nanobragg.torch_backend.kernels.triton import programs
from nanobragg.torch_backend.kernels.triton.coverage import interpreted
from nanobragg.torch_backend.kernels.triton.geometry import CONTINUOUS, OMEGA, SOURCE
from torch import Tensor

from nanobragg.engines.engine import Progress
from nanobragg.errors import ConfigError

_PHOTONS = {"BLOCK": 256, "num_warps": 4}
_GRADIENTS = {"BLOCK": 64, "num_warps": 1}
"""One warp, whose sums over the block need no shared memory, and two pixels a thread: with four, registers are spilled."""
_TANGENTS = {"BLOCK": 128, "num_warps": 4}
_PROGRAMS = 4096
"""wanted, so that the multiprocessors of a large card have several each; the orientations are divided for them"""
_LEAST_ORIENTATIONS = 16
"""that are worth a program of their own"""
_REPORTED = 2**31
"""evaluations between two reports of progress: some 20 ms of a large card"""
_TOGETHER = 8
"""tangents that share a sweep, for want of registers"""
_CONSTANTS = ("frame", "normal", "omega_scale", "absorption", "scale", "background", "fudge", "spot")
_SIZES = (12, 3, 1, 1, 1, 1, 1, 9)
_METRIC = frozenset({"spot", "fudge"})
_SOURCES = frozenset({"incident", "wavenumber", "weight", "polar"})


class TritonSum:
    """The sum of a plan on a CUDA device.

    Parameters
    ----------
    plan : Plan
        That of a Scene in which `coverage.obstacle` finds nothing.
    budget : int
        Bytes for what the programs write before it is added up.
    """

    names = NAMES

    def __init__(self, plan: Plan, budget: int) -> None:
        self.plan, self.budget = plan, budget
        self._passes = plan.n_points * plan.n_sources

    def photons(self, tensors: tuple[Tensor, ...], progress: Progress | None) -> Tensor:
        """See `kernels.kernel.render`; float64."""
        return self._photons(Inputs(*tensors), progress)

    def pull_back(self, tensors: tuple[Tensor, ...], cotangent: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
        """See `kernels.sweep.pull_back`."""
        inputs = Inputs(*tensors)
        cotangent = cotangent.detach().to(torch.float64).contiguous()
        grads = {name: torch.zeros_like(getattr(inputs, name)) for name in NAMES if name in wanted}
        if "table" in wanted:
            grads["table"] = self._table_gradient(inputs, cotangent)
        if wanted - {"table"}:
            found = self._gradients(inputs, cotangent, wanted)
            grads |= {name: found[name].view_as(grads[name]) for name in found.keys() & wanted}
        return grads

    def push_forward(self, tensors: tuple[Tensor, ...], tangents: dict[str, Tensor]) -> Tensor:
        """See `kernels.sweep.push_forward`; float64."""
        inputs = Inputs(*tensors)
        count = len(next(iter(tangents.values())))
        parts = []
        for done in range(0, count, _TOGETHER):
            some = {name: tangent[done : done + _TOGETHER] for name, tangent in tangents.items()}
            parts.append(self._tangents(inputs, some, min(_TOGETHER, count - done)))
        return torch.cat(parts)

    # --- the sweeps -----------------------------------------------------------------------------------------------------

    def _photons(self, inputs: Inputs, progress: Progress | None = None, sizes: bool = False) -> Tensor:
        plan = self.plan
        arrays, flags = _arrays(plan, inputs), self._flags()
        parts = []
        for begin, end in self._chunks(8, _PHOTONS["BLOCK"], progress is not None):
            grid, numbers = self._grid(begin, end, _PHOTONS["BLOCK"])
            out = _empty(inputs, grid[1], self._passes, end - begin)
            _launch(
                programs.photons, grid, out, arrays["pixels"], arrays["constants"], arrays["sources"], arrays["cells"],
                inputs.domains, arrays["table"], *numbers, SIZES=sizes, **flags, **_PHOTONS,
            )  # fmt: skip
            parts.append(_added(out))
            if progress is not None:
                if out.is_cuda:
                    torch.cuda.synchronize(out.device)
                progress(end, plan.n_pixels)
        return _joined(parts, 0) if parts else inputs.scale.new_zeros(0)

    def _gradients(self, inputs: Inputs, cotangent: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Of everything but the table, whatever is wanted of it."""
        plan = self.plan
        arrays, flags = _arrays(plan, inputs), self._flags()
        cells = "cells" in wanted
        kinds = {
            "GEOMETRY": bool(wanted & GEOMETRY), "SOURCES": bool(wanted & _SOURCES), "CELLS": cells,
            "METRIC": bool(wanted & _METRIC) and flags["SHAPE"] != 0,
        }  # fmt: skip
        width = programs.PARTS.value
        of_sources = inputs.scale.new_zeros(plan.n_sources, width)
        of_cells = inputs.scale.new_zeros(plan.n_orientations, 9)
        size = (width + 9 * plan.n_orientations * cells) * 8 / _GRADIENTS["BLOCK"]
        for begin, end in self._chunks(size, _GRADIENTS["BLOCK"]):
            grid, numbers = self._grid(begin, end, _GRADIENTS["BLOCK"])
            into = inputs.scale.new_zeros(grid[1], plan.n_points, plan.n_sources, grid[0] // self._passes, width)
            into_cells = _empty(inputs, grid[0] if cells else 1, plan.n_orientations if cells else 1, 9)
            _launch(
                programs.gradients, grid, into, into_cells, cotangent, arrays["pixels"], arrays["constants"],
                arrays["sources"], arrays["cells"], arrays["axes"], inputs.domains, arrays["table"], *numbers,
                **kinds, **flags, **_GRADIENTS,
            )  # fmt: skip
            of_sources += into.sum((0, 1, 3))
            if cells:
                of_cells += into_cells.sum(0)
        constants = of_sources[:, : CONTINUOUS.value].sum(0)
        found = dict(zip(_CONSTANTS, constants.split(_SIZES), strict=True))
        found["omega_scale"] = found["omega_scale"] / inputs.omega_scale
        incident, wavenumber, weight, polar, _ = of_sources[:, CONTINUOUS.value :].split((3, 1, 1, 9, 1), 1)
        found |= {"incident": incident.T, "wavenumber": wavenumber[:, 0], "weight": weight[:, 0]}
        found["polar"] = polar.reshape(-1, 3, 3)
        found["cells"] = of_cells.view(-1, 3, 3).transpose(0, 1)[: len(inputs.cells)]
        return {name: grad.contiguous() for name, grad in found.items()}

    def _table_gradient(self, inputs: Inputs, cotangent: Tensor) -> Tensor:
        """That of `Inputs.table`, in whole numbers small enough that their sum, known beforehand, fits into 62 bits."""
        plan = self.plan
        self._require_finite(cotangent)
        ones = _unit_table(inputs)
        if plan.table_shape is None:
            return (self._photons(ones) @ cotangent).to(inputs.table.dtype)[None]
        whole = TritonSum(_without_table(plan), self.budget)
        most = whole._photons(ones, sizes=True) @ cotangent.abs()
        quantum = torch.where(most > 0, 2.0**61 / most, torch.zeros_like(most))
        into = torch.zeros(len(inputs.table), dtype=torch.int64, device=inputs.table.device)
        arrays, flags = _arrays(plan, inputs), self._flags()
        flags.pop("TABLE")
        for begin, end in self._chunks(0, _PHOTONS["BLOCK"]):
            grid, numbers = self._grid(begin, end, _PHOTONS["BLOCK"])
            _launch(
                programs.amplitudes, grid, into, quantum, cotangent, arrays["pixels"], arrays["constants"],
                arrays["sources"], arrays["cells"], inputs.domains, *numbers, **flags, **_PHOTONS,
            )  # fmt: skip
        return (into.to(torch.float64) * (most / 2.0**61)).to(inputs.table.dtype)

    def _tangents(self, inputs: Inputs, tangents: dict[str, Tensor], count: int) -> Tensor:
        plan = self.plan
        arrays, flags = _arrays(plan, inputs), self._flags()

        def moving(name: str) -> Tensor:
            like: Tensor = getattr(inputs, name)
            return tangents.get(name, like.new_zeros(()).expand(count, *like.shape)).detach()

        constants = torch.cat([moving(name).reshape(count, -1) for name in _CONSTANTS], 1)
        sources = torch.cat(
            [moving("incident").transpose(1, 2), moving("wavenumber")[:, :, None], moving("weight")[:, :, None],
             moving("polar").reshape(count, -1, 9), moving("weight")[:, :, None]], 2,
        ).contiguous()  # fmt: skip
        kinds = {
            "GEOMETRY": bool(tangents.keys() & GEOMETRY), "CELLS": "cells" in tangents,
            "METRIC": bool(tangents.keys() & _METRIC) and flags["SHAPE"] != 0, "AMPLITUDES": "table" in tangents,
        }  # fmt: skip
        cells = _nine_each(moving("cells")).transpose(0, 1).contiguous() if kinds["CELLS"] else constants
        table = moving("table").contiguous() if kinds["AMPLITUDES"] else arrays["table"]
        parts = []
        for begin, end in self._chunks(8 * count, _TANGENTS["BLOCK"]):
            grid, numbers = self._grid(begin, end, _TANGENTS["BLOCK"])
            out = _empty(inputs, count, grid[1], self._passes, end - begin)
            _launch(
                programs.tangents, grid, out, constants, sources, cells, table, inputs.table.numel(), arrays["pixels"],
                arrays["constants"], arrays["sources"], arrays["cells"], arrays["axes"], inputs.domains, arrays["table"],
                *numbers, COUNT=count, **kinds, **flags, **_TANGENTS,
            )  # fmt: skip
            parts.append(out.flatten(1, 2).sum(1))
        return _joined(parts, 1) if parts else inputs.scale.new_zeros(count, 0)

    # --- launching ------------------------------------------------------------------------------------------------------

    def _chunks(self, size: float, block: int, reported: bool = False) -> Iterator[tuple[int, int]]:
        """Pixels whose results, of so many bytes for each pass, fit into the budget."""
        n = self.plan.n_pixels
        most = int(self.budget / (size * self._passes)) if size else n
        if reported:
            most = min(most, _REPORTED // (self._passes * self.plan.n_orientations))
        most = max(block, most // block * block)
        for begin in range(0, n, most):
            yield begin, min(begin + most, n)

    def _grid(self, begin: int, end: int, block: int) -> tuple[tuple[int, int], tuple[int, ...]]:
        """Programs, and the whole numbers that every kernel takes."""
        plan = self.plan
        blocks = -(-(end - begin) // block)
        parts = max(1, min(_PROGRAMS // (blocks * self._passes), plan.n_orientations // _LEAST_ORIENTATIONS))
        per_part = -(-plan.n_orientations // parts)
        parts = -(-plan.n_orientations // per_part)
        sizes = plan.table_shape or (1, 1, 1)
        first = plan.first or 0
        numbers = (begin, end, first, plan.n_fast, plan.n_sub, plan.n_sources, plan.n_orientations, blocks, per_part)
        return (blocks * self._passes, parts), (*numbers, *sizes, *plan.hkl_min)

    def _flags(self) -> dict[str, Any]:
        """What the kernels are compiled for."""
        plan = self.plan
        return {
            "SHAPE": int(plan.shape), "AXES": sum(1 << axis for axis in plan.lattice_axes), "POWER": plan.omega_power,
            "CONTIGUOUS": plan.first is not None, "SENSOR": plan.has_sensor, "POLARIZED": plan.polarized,
            "DMIN": plan.d_min > 0, "TABLE": plan.table_shape is not None, "WIDE": plan.index_dtype == torch.int64,
            "WEIGHTED": plan.weighted, "MIXED": plan.dtype == torch.float32, "PAIRS": plan.scales is not None,
        }  # fmt: skip

    def _require_finite(self, cotangent: Tensor) -> None:
        """Name the first pixel whose cotangent is not finite: it would reach every entry of the table."""
        finite = torch.isfinite(cotangent)
        if bool(finite.all()):
            return
        at = int(finite.to(torch.uint8).argmin())
        slow, fast = divmod(int(self.plan.pixels[at]), self.plan.n_fast)
        raise ConfigError(
            "cotangent",
            float(cotangent[at]),
            f"must be finite everywhere; it is not at the pixel (slow {slow}, fast {fast})",
            "look for the logarithm of 0, or a division by 0, in what is computed from the image",
        )


def _launch(kernel: Any, grid: tuple[int, int], *args: Any, **named: Any) -> None:
    """Run a kernel; products and sums are fused, as they are everywhere else on a GPU."""
    if interpreted():
        kernel[grid](*args, **named)
        return
    with torch.cuda.device(args[0].device):
        kernel[grid](*args, **named, enable_fp_fusion=True)


def _empty(inputs: Inputs, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float64, device=inputs.scale.device)


def _joined(parts: list[Tensor], axis: int) -> Tensor:
    """The parts in a row; one alone as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _added(out: Tensor) -> Tensor:
    """The sum over everything but the pixels."""
    flat = out.view(-1, out.shape[-1])
    return flat[0] if len(flat) == 1 else flat.sum(0)


def _arrays(plan: Plan, inputs: Inputs) -> dict[str, Tensor]:
    """What the kernels read, see `geometry`."""
    extra = [_still(plan.n_cells, plan.lattice_axes, plan.d_min, inputs.scale.device)]
    if plan.scales is not None:
        extra += [plan.scales.vector.reshape(1), plan.scales.cell.reshape(1)]
    constants = [getattr(inputs, name).reshape(-1) for name in _CONSTANTS]
    assert sum(map(len, constants)) == CONTINUOUS.value and OMEGA.value == sum(_SIZES[:2])
    size = 1 if plan.table_shape is None else math.prod(plan.table_shape)
    begins = tuple(float(i * size) for i in plan.source_table) or (0.0,) * plan.n_sources
    sources = torch.cat(
        [inputs.incident.T, inputs.wavenumber[:, None], inputs.weight[:, None], inputs.polar.reshape(-1, 9),
         _column(begins, inputs.scale.device)], 1,
    )  # fmt: skip
    assert sources.shape[1] == SOURCE.value
    axes = cells = _nine_each(inputs.cells.detach()[None])[0]
    if plan.scales is not None:
        small = axes / (plan.scales.vector * plan.scales.cell)
        cells = torch.stack([p.view(-1, 3, 3) for p in pieces(small, 1.0)], 2).contiguous()
    return {
        "pixels": plan.pixels, "constants": torch.cat([*constants, *extra]).detach(), "sources": sources.detach(),
        "axes": axes, "cells": cells, "table": inputs.table.detach(),
    }  # fmt: skip


def _nine_each(cells: Tensor) -> Tensor:
    """(K, n_axes, n_orientations, 3) as (K, n_orientations, 9), with zeros for axes that do not matter."""
    missing = 3 - cells.shape[1]
    padded = torch.nn.functional.pad(cells, (0, 0, 0, 0, 0, missing)) if missing else cells
    return padded.transpose(1, 2).reshape(cells.shape[0], -1, 9)


@lru_cache(16)
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    """(n, 1): uploaded once."""
    return torch.tensor(values, dtype=torch.float64)[:, None].to(device)


@lru_cache(16)
def _still(n_cells: tuple[float, ...], axes: tuple[int, ...], d_min: float, device: torch.device) -> Tensor:
    """Cells along the axes and d_min, on the device: uploaded once."""
    counts = [1.0, 1.0, 1.0]
    for axis, n in zip(axes, n_cells, strict=True):
        counts[axis] = n
    return torch.tensor([*counts, d_min], dtype=torch.float64).to(device)


def _unit_table(inputs: Inputs) -> Inputs:
    """Inputs with amplitudes of 1 everywhere, and no background."""
    return replace(inputs, table=torch.ones_like(inputs.table[:1]), background=torch.zeros_like(inputs.background))


def _without_table(plan: Plan) -> Plan:
    return replace(plan, table_shape=None)
