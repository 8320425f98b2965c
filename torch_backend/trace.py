"""What the kernel computes on the way to one pixel, under the names, in the order and in the units of csrc/trace.c.

The kernel renders the pixel alone and shows its blocks to a watcher; here they are only taken apart and sorted into the order
of the loops. What the kernel never forms is made from what it does form: the sign of F_latt and of F_cell (it works with
squares), the indices along axes that the image does not depend on, and the running sum (the kernel adds in blocks).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from nanobragg.torch_backend.kernels import inputs, kernel, lattice, phase
from nanobragg.torch_backend.kernels.inputs import Inputs, Plan
from nanobragg.torch_backend.kernels.kernel import Passes
from nanobragg.torch_backend.kernels.lookup import Lookup
from torch import Tensor

from nanobragg.derivation.scene import FactorMode, Scene, Shape
from nanobragg.engines.engine import Record

Index = tuple[int, int, int, int, int, int]
_BLOCK = 2**14


def tracer(scene: Scene) -> Callable[[int], tuple[list[Record], float]]:
    """What the torch engine computes (float64, on the CPU) on the way to a pixel of a Scene made with `TORCH_OPS`.

    Returns
    -------
    callable
        As `nanobragg.engines.engine.Engine.tracer`.
    """
    with torch.no_grad():
        scene = replace(scene, f_table=scene.f_table.detach().to("cpu", torch.float64))
        plan, values = inputs.prepare(scene, torch.device("cpu"), torch.float64, "f64", _BLOCK)

    def trace(position: int) -> tuple[list[Record], float]:
        with torch.no_grad():
            watcher = _Watcher(plan)
            pixel = kernel.watch_pixel(plan, values, position, watcher)
            return list(_Sorted(scene, plan, values, position, watcher, float(pixel)).records()), float(pixel)

    return trace


@dataclass
class _Evaluation:
    """One term, as the kernel has it."""

    cells: Tensor
    """(n_axes, 3)"""
    offset: Tensor
    """(n_axes,)"""
    nearest: Tensor
    form: float
    f_cell: float
    """squared, or signed where the table can be interpolated"""
    interpolated: bool
    nodes: tuple[float, ...]
    entry: int
    """place in the bordered table, -1 without one"""


class _Watcher:
    """Takes copies of what the kernel shows; see `kernel.Watcher`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.seen: dict[tuple[int, int], tuple[Passes, int]] = {}
        """(point, source): the passes, and the place of the point in them"""
        self.evaluated: dict[tuple[int, int], _Evaluation] = {}
        """(pass, orientation)"""
        self.photons = 0.0

    def passes(self, first: int, passes: Passes) -> None:
        """See `kernel.Watcher`."""
        sources = range(passes.sources.start, passes.sources.stop)
        self.seen.update({(first + v, s): (passes, v) for v in range(passes.shape[0]) for s in sources})

    def orientations(self, first_pass: int, some: slice, cells: Tensor) -> None:
        """See `kernel.Watcher`."""
        self.first_pass, self.some, self.cells = first_pass, some, cells

    def evaluations(self, offset: Tensor, nearest: Tensor, form: Tensor, lookup: Lookup) -> None:
        """See `kernel.Watcher`."""
        n_orientations, n_passes = form.shape
        squared = lookup.squared.expand(n_orientations, n_passes)
        entry = None if lookup.index is None else lookup.index.view(n_orientations, n_passes)
        cubic = lookup.cubic
        for o in range(n_orientations):
            for m in range(n_passes):
                inside = cubic is not None and bool(cubic.inside[o, m])
                f_cell, nodes = float(squared[o, m]), tuple[float, ...]()
                if cubic is not None:
                    f_cell = float(cubic.value[o, m] if inside else cubic.entry[o, m])
                if cubic is not None and inside:
                    first = int(cubic.first.view(n_orientations, n_passes)[o, m])
                    nodes = tuple(float(cubic.table[first + step]) for step, *_ in cubic.steps)
                self.evaluated[self.first_pass + m, self.some.start + o] = _Evaluation(
                    self.cells[:, o].clone(), offset[:, o, m].clone(), nearest[:, o, m].clone(), float(form[o, m]),
                    f_cell, inside, nodes, -1 if entry is None else int(entry[o, m]),
                )  # fmt: skip

    def total(self, photons: Tensor) -> None:
        """See `kernel.Watcher`."""
        self.photons = float(photons[0])


class _Sorted:
    """The records of one pixel, in the order of the loops of nanobragg/derivation/scene.py."""

    def __init__(
        self, scene: Scene, plan: Plan, values: Inputs, position: int, watcher: _Watcher, pixel: float
    ) -> None:
        self.scene, self.plan, self.values, self.position = scene, plan, values, position
        self.watcher, self.pixel = watcher, pixel
        self.unit = float(scene.r_e_sqr * scene.fluence / scene.steps)  # photons per unit of the sum
        self.height_sqr = float(values.scale) / self.unit
        self.signed_table = inputs.signed_table(scene, plan)
        self.axes = inputs.axes_needed(scene)
        self.any_pass = False
        self.solid_angle = self.capture = 0.0
        self.polarization = 0.0 if plan.polarized else 1.0
        self.sum = float(values.background) / self.unit if plan.background_in_sum else 0.0

    def records(self) -> Iterator[Record]:
        """Everything."""
        plan = self.plan
        for v in range(plan.n_points):
            sub_fast, sub_slow, layer = v % plan.n_sub, v // plan.n_sub % plan.n_sub, v // plan.n_sub**2
            yield from self._point(v, (layer, sub_slow, sub_fast, -1, -1, -1))
        yield from self._product()

    def _point(self, v: int, index: Index) -> Iterator[Record]:
        plan, (passes, place) = self.plan, self.watcher.seen[v, 0]
        points = passes.points
        direction, airpath = points.direction[:, place, 0], 1 / float(points.inverse[place, 0])
        position = points.flat[:, place, 0] if not plan.curved else direction * airpath
        if v == 0 or plan.omega_mode is not FactorMode.CACHED:
            self.solid_angle = float(points.solid_angle[place, 0])
        if v % plan.n_sub**2 == 0 or plan.capture_mode is not FactorMode.CACHED:
            self.capture = 1.0 if points.capture is None else float(points.capture[place, 0])
        yield "position_m", index, _vector(position)
        yield "airpath_m", index, airpath
        yield "direction", index, _vector(direction)
        yield "solid_angle_sr", index, self.solid_angle
        yield "capture_fraction", index, self.capture
        for source in range(plan.n_sources):
            yield from self._pass(v, source, (*index[:3], source, -1, -1))

    def _pass(self, v: int, source: int, index: Index) -> Iterator[Record]:
        plan, values = self.plan, self.values
        passes, place = self.watcher.seen[v, source]
        s = source - passes.sources.start
        vector = passes.vectors[:, place, s, 0]
        weight = float(values.weight[source])
        yield "incident", index, _vector(values.incident[:, source])
        yield "wavelength_m", index, 1 / float(values.wavenumber[source])
        yield "weight", index, weight
        yield "scattering_vector_per_m", index, _vector(vector)
        yield "stol_per_m", index, 0.5 * math.sqrt(float(vector @ vector))
        if passes.kept is not None and not bool(passes.kept[place, s, 0]):
            return
        if passes.polarization is not None and (not self.any_pass or plan.polar_mode is not FactorMode.CACHED):
            self.polarization = float(passes.polarization[place, s, 0])
        self.any_pass = True
        yield "polarization", index, self.polarization
        g = weight
        for factor, mode in self._factors():
            g = g * factor if mode is FactorMode.PER_TERM else g
        number = v * plan.n_sources + source
        n_domains = self.scene.n_domains
        for o in range(plan.n_orientations):
            yield from self._evaluation(number, o, vector, g, (*index[:4], o // n_domains, o % n_domains))

    def _factors(self) -> tuple[tuple[float, FactorMode], ...]:
        plan = self.plan
        return ((self.capture, plan.capture_mode), (self.polarization, plan.polar_mode),
                (self.solid_angle, plan.omega_mode))  # fmt: skip

    def _evaluation(self, number: int, o: int, vector: Tensor, g: float, index: Index) -> Iterator[Record]:
        plan, scene, found = self.plan, self.scene, self.watcher.evaluated[number, o]
        first = plan.first_pass == (self.position, number)
        table = scene.orientations_first_pass if first else scene.orientations
        cells = table.flatten(0, 1)[o].clone()
        cells[self.axes] = found.cells
        offset, nearest = (t[:, 0, 0] for t in phase.offsets(cells[:, None], vector[:, None], None, torch.float64))
        offset[self.axes], nearest[self.axes] = found.offset, found.nearest
        for name, cell in zip("abc", cells, strict=True):
            yield f"{name}_m", index, _vector(cell)
        yield "hkl", index, _vector(nearest + offset)
        yield "hkl_nearest", index, _vector(nearest)

        axes = self._axis_factors(found)
        f_latt_sqr = found.form * self.height_sqr
        f_latt = math.copysign(math.sqrt(f_latt_sqr), math.prod(axes))
        yield "F_latt_axes", index, axes if plan.shape is Shape.SQUARE else (1.0, 1.0, f_latt)
        yield "F_latt", index, f_latt
        if f_latt == 0 and plan.skip_lattice_zeros:
            return
        yield "interpolated", index, float(found.interpolated)
        if found.interpolated:
            yield "F_nodes", index, found.nodes
        f_cell = found.f_cell
        if not plan.tricubic:
            begin = plan.entries(slice(index[3], index[3] + 1)).start or 0
            sign = self.signed_table[begin + found.entry] if found.entry >= 0 else scene.default_F
            f_cell = math.copysign(math.sqrt(f_cell), float(sign))
        weight = 1.0 if scene.domain_weight is None else float(scene.domain_weight[index[5]])
        term = f_cell * f_cell * f_latt_sqr * (g * weight)
        self.sum = self.sum + term
        for factor, mode in self._factors():
            self.sum = self.sum * factor if mode is FactorMode.CUMULATIVE else self.sum
        yield "F_cell", index, f_cell
        yield "term", index, term
        yield "running_sum", index, self.sum

    def _axis_factors(self, found: _Evaluation) -> tuple[float, ...]:
        """Signed factors of the three axes; of the other shapes the sign of F_latt alone."""
        plan = self.plan
        offset = found.offset[:, None, None]
        if plan.shape is not Shape.SQUARE:
            return (lattice.sign(plan, self.values, offset),)
        factors = [1.0, 1.0, 1.0]
        if plan.lattice_axes:
            gratings = lattice.axis_factors(plan, offset)[:, 0, 0].tolist()
            for place, factor, n in zip(plan.lattice_axes, gratings, plan.counts.flatten().tolist(), strict=True):
                odd = (n - 1) * float(found.nearest[place]) % 2 != 0
                factors[self.axes[place]] = -factor if odd else factor
        return tuple(factors)

    def _product(self) -> Iterator[Record]:
        plan, scene = self.plan, self.scene
        index = (-1,) * 6
        zeroed = plan.dmin_zeroes_water and plan.polarized and not self.any_pass
        if plan.background_in_sum:
            background = float(self.values.background) / self.unit
        else:
            factors = sum(float(kernel.per_term_factor(plan, self.values, p).sum()) for p in self._distinct_passes())
            background = float(self.values.background) * factors / self.unit
        if not self.any_pass and plan.polarized and plan.polar_mode is FactorMode.CACHED:
            first = self.watcher.seen[0, 0][0].polarization
            self.polarization = 0.0 if zeroed or first is None else float(first[0, 0, 0])
        total = self.watcher.photons / self.unit
        yield "background", index, background
        yield "sum", index, 0.0 if zeroed and plan.polar_mode is FactorMode.PER_TERM else total
        yield "steps", index, float(scene.steps)
        yield "r_e_sqr_m2", index, float(scene.r_e_sqr)
        yield "fluence_per_m2", index, float(scene.fluence)
        names = ("final_capture_fraction", "final_polarization", "final_solid_angle_sr")
        for name, (factor, mode) in zip(names, self._factors(), strict=True):
            if mode is FactorMode.CACHED:
                yield name, index, factor
        yield "pixel", index, self.pixel

    def _distinct_passes(self) -> list[Passes]:
        return list({id(passes): passes for passes, _ in self.watcher.seen.values()}.values())


def _vector(values: Any) -> tuple[float, ...]:
    return tuple(values.tolist())
