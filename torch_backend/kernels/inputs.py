"""What the kernel reads: a few small tensors, and a plan of plain Python facts, both made from a Scene.

Products of Scene values that the kernel would form again for every pixel are formed here once, by ordinary autograd: the
kernel differentiates with respect to these inputs only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from nanobragg.torch_backend.kept import Kept
from nanobragg.torch_backend.kernels.phase import Scales, scales
from nanobragg.torch_backend.kernels.polarization import polarization_matrices
from nanobragg.torch_backend.kernels.shapes import RADIAL, metric
from torch import Tensor
from torch.autograd import forward_ad

from nanobragg.arrays import is_transformed
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import FactorMode, Scene, Shape


@dataclass(frozen=True)
class Inputs:
    """Everything continuous that the image depends on; float64, but for the table, which has the dtype of the intensity."""

    frame: Tensor
    """(4, 3) [m]: sub-pixel steps along fast and slow, layer step along the normal, corner of the first pixel"""
    normal: Tensor
    """(3,)"""
    omega_scale: Tensor
    """() solid angle = omega_scale/R^3 [m^3], or omega_scale/R^2 [m^2] for point pixels"""
    absorption: Tensor
    """() layer thickness x attenuation"""
    arcs: Tensor
    """(2, 4) curved detector: angles about slow and fast = arcs[:, :3] . position + arcs[:, 3]"""
    bend: Tensor
    """(3, 3) curved detector: rows distance x beam, slow, fast"""
    incident: Tensor
    """(3, n_sources)"""
    wavenumber: Tensor
    """(n_sources,) 1/wavelength [1/m]"""
    weight: Tensor
    """(n_sources,)"""
    polar: Tensor
    """(n_sources, 3, 3) symmetric: polarization = (1 + D . polar . D)/2 for the direction D"""
    scale: Tensor
    """() photons per unit of the sum of F_cell^2 f_latt^2 (`lattice` says which part of F_latt^2 is in here)"""
    background: Tensor
    """() photons of background per unit of the sum of weight x factors, or per pixel (`Plan.background_in_sum`)"""
    cells: Tensor
    """(n_axes, n_orientations, 3) a, b, c [m] of every phi step and domain; only the axes that the image depends on"""
    spot: Tensor
    """(3, 3) shapes other than square: squared distance from the spot = |spot . offset|^2 fudge"""
    fudge: Tensor
    """()"""
    table: Tensor
    """(n,) structure factors with a border of default_F, flattened, table after table; squared unless interpolated; (1,): no
    table"""
    domains: Tensor
    """(n_orientations, 1) weights of the domains of every phi step; (0, 1): all 1"""
    cells_first: Tensor
    """as `cells`, for the first pass (STALE_PHI_ZERO)"""

    def tensors(self) -> tuple[Tensor, ...]:
        """The fields in order."""
        return tuple(getattr(self, name) for name in NAMES)


def seen_by(plan: Plan, inputs: Inputs, sources: slice) -> Inputs:
    """The inputs with the one table that these sources see."""
    return replace(inputs, table=inputs.table[plan.entries(sources)]) if plan.source_table else inputs


NAMES = tuple(field.name for field in fields(Inputs))
GEOMETRY = frozenset(
    {"frame", "normal", "omega_scale", "absorption", "arcs", "bend", "incident", "wavenumber", "weight", "polar"}
)
"""Inputs that move scattering vectors and the factors of a pass; their derivatives are formed together."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything discrete: counts, switches and where things lie. Made on the host, read by the kernel."""

    pixels: Tensor
    """(n_pixels,) flat indices, on the device"""
    first: int | None
    """flat index of the first pixel, where they follow one another without a gap; None: they do not"""
    n_fast: int
    n_sub: int
    n_layers: int
    n_sources: int
    n_orientations: int
    has_sensor: bool
    omega_power: int
    curved: bool
    polarized: bool
    capture_mode: FactorMode
    polar_mode: FactorMode
    omega_mode: FactorMode
    shape: Shape
    n_cells: tuple[float, ...]
    """cells along the axes with more than one (square crystals)"""
    counts: Tensor
    """(n, 1, 1) the same on the device"""
    lattice_axes: tuple[int, ...]
    """where those axes stand in `Inputs.cells`"""
    table_shape: tuple[int, int, int] | None
    """of the table with its border; None: default_F everywhere"""
    hkl_min: tuple[int, int, int]
    """indices of the first inner entry"""
    source_table: tuple[int, ...]
    """which table a source sees, of several one behind the other in `Inputs.table`; empty: there is one"""
    tricubic: bool
    low_edge: bool
    d_min: float
    weighted: bool
    """whether domains have weights"""
    skip_lattice_zeros: bool
    dmin_zeroes_water: bool
    background_in_sum: bool
    """no factor is PER_TERM, so that the background is what the sum starts from"""
    first_pass: tuple[int, int] | None
    interpolation_off: tuple[int, int]
    dtype: torch.dtype
    scales: Scales | None
    """of the phase "f32x2"; None: "f64"
    """
    block: int
    """evaluations that are worked on together"""

    @property
    def index_dtype(self) -> torch.dtype:
        """Of flat indices into the table."""
        return torch.int32 if self.table_shape is None or math.prod(self.table_shape) < 2**31 else torch.int64

    def entries(self, sources: slice) -> slice:
        """Where in `Inputs.table` the table is that these sources see, all the same one."""
        if not self.source_table or self.table_shape is None:
            return slice(None)
        size = math.prod(self.table_shape)
        begin = self.source_table[sources.start] * size
        return slice(begin, begin + size)

    @property
    def n_points(self) -> int:
        """Points of a pixel: layers x sub-pixels."""
        return self.n_layers * self.n_sub**2

    @property
    def n_pixels(self) -> int:
        """Rendered pixels."""
        return self.pixels.shape[0]

    @property
    def per_term(self) -> bool:
        """The corrected sum: every factor multiplies its own term and nothing depends on what came before."""
        modes = (self.capture_mode, self.polar_mode, self.omega_mode)
        everywhere = self.interpolation_off[0] >= self.n_pixels or not self.tricubic
        return all(mode is FactorMode.PER_TERM for mode in modes) and self.first_pass is None and everywhere

    @property
    def cumulative(self) -> bool:
        """Some factor multiplies the running sum."""
        return FactorMode.CUMULATIVE in (self.capture_mode, self.polar_mode, self.omega_mode)


def prepare(scene: Scene, device: torch.device, dtype: torch.dtype, phase: str, block: int) -> tuple[Plan, Inputs]:
    """Inputs and plan of a Scene whose values are float64 tensors on the CPU.

    Parameters
    ----------
    scene : Scene
        From ``derive(decided, TORCH_OPS)``.
    device, dtype, phase, block
        As in `Plan` and `nanobragg.torch_backend.simulate`.
    """
    has_table = scene.f_table.numel() > 0
    n_cells = tuple(scene.n_cells.tolist()) if scene.shape is Shape.SQUARE else (0.0, 0.0, 0.0)
    crystal_axes = axes_needed(scene)
    plan = Plan(
        pixels=pixels_on(scene.pixels, device), first=first_of_all(scene.pixels), n_fast=scene.n_fast, n_sub=scene.oversample,
        n_layers=scene.n_layers, n_sources=scene.n_sources, n_orientations=scene.n_phi * scene.n_domains,
        has_sensor=scene.has_sensor, omega_power=2 if scene.point_pixel else 3, curved=scene.curved,
        polarized=scene.polarized, capture_mode=scene.capture_mode, polar_mode=scene.polar_mode,
        omega_mode=scene.omega_mode, shape=scene.shape,
        n_cells=tuple(n_cells[i] for i in crystal_axes if n_cells[i] > 1),
        counts=_counts(n_cells, dtype, device),
        lattice_axes=tuple(place for place, i in enumerate(crystal_axes) if n_cells[i] > 1),
        table_shape=_bordered(scene.table_shape) if has_table else None,
        source_table=() if scene.source_table is None else tuple(scene.source_table.tolist()),
        hkl_min=scene.hkl_min, tricubic=scene.tricubic and has_table and min(scene.table_shape) >= 4,
        low_edge=Quirk.INTERP_LOW_EDGE in scene.quirks, d_min=float(scene.d_min),
        weighted=scene.domain_weight is not None,
        skip_lattice_zeros=Quirk.LATTICE_ZERO_SKIP in scene.quirks and _is_zero(scene.background),
        dmin_zeroes_water=Quirk.DMIN_ZEROES_WATER in scene.quirks,
        background_in_sum=FactorMode.PER_TERM not in (scene.capture_mode, scene.polar_mode, scene.omega_mode),
        first_pass=scene.first_pass if scene.orientations_first_pass is not None else None,
        interpolation_off=scene.interpolation_off, dtype=dtype, block=block,
        scales=_scales(scene, device) if phase == "f32x2" else None,
    )  # fmt: skip
    fast, slow = (scene.pixel_size / scene.oversample).unbind()
    scale = scene.r_e_sqr * scene.fluence / scene.steps
    small = {
        "frame": torch.stack([fast * scene.fast, slow * scene.slow, scene.layer_thickness * scene.normal, scene.pix0]),
        "normal": scene.normal,
        "omega_scale": scene.pixel_area * (1 if scene.point_pixel else scene.close_distance),
        "absorption": scene.layer_thickness * scene.attenuation,
        **_curvature(scene),
        "incident": scene.incident.T,
        "wavenumber": 1 / scene.wavelength,
        "weight": scene.weight,
        "polar": polarization_matrices(scene.kahn_factor, scene.polarization_axis, scene.incident),
        "background": _background(scene, plan, scale),
        "domains": _domains(scene),
        "cells": _cells(scene.orientations, crystal_axes),
        "cells_first": _cells(
            scene.orientations[:0] if scene.orientations_first_pass is None else scene.orientations_first_pass,
            crystal_axes,
        ),
        **_spot(scene, scale),
    }
    return plan, Inputs(table=_table_on(scene, plan, device), **_together_on(small, device))


def _together_on(small: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The tensors on the device, by two copies, of those that have derivatives and of those that have none: every copy costs as
    much as a small kernel, and what is copied together is differentiated together."""
    if device.type == "cpu":
        return small
    placed: dict[str, Tensor] = {}
    for moving in (False, True):
        group = {name: value for name, value in small.items() if _moves(value) is moving}
        if group:
            flat = torch.cat([value.reshape(-1) for value in group.values()]).to(device)
            parts = flat.split([value.numel() for value in group.values()])
            placed |= {name: part.view(group[name].shape) for name, part in zip(group, parts, strict=True)}
    return placed


def first_of_all(pixels: np.ndarray) -> int | None:
    """`Plan.first`."""
    return int(pixels[0]) if len(pixels) and pixels[-1] - pixels[0] == len(pixels) - 1 else None


def pixels_on(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Flat indices on the device: made there where they follow one another, else uploaded once."""
    if device.type == "cpu":
        return torch.from_numpy(pixels)
    first = first_of_all(pixels)
    if first is not None:
        return torch.arange(first, first + len(pixels), device=device)
    return _PIXELS.of(pixels, (device,), lambda: torch.from_numpy(pixels).to(device))


@lru_cache(16)
def _counts(n_cells: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([n for n in n_cells if n > 1], dtype=dtype)[:, None, None].to(device)


_PIXELS, _TABLES = Kept(4), Kept(2)


def _bordered(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    n_h, n_k, n_l = shape
    return n_h + 2, n_k + 2, n_l + 2


def _scales(scene: Scene, device: torch.device) -> Scales:
    found = scales(scene.orientations, 1 / scene.wavelength)
    return Scales(found.vector.to(device), found.cell.to(device))


def axes_needed(scene: Scene) -> list[int]:
    """The crystal axes (0, 1, 2) whose indices the image depends on."""
    if scene.f_table.numel() > 0 or scene.shape is not Shape.SQUARE:
        return [0, 1, 2]
    return [i for i in range(3) if scene.n_cells[i] > 1]


def _is_zero(value: Tensor) -> bool:
    return bool(value.detach() == 0) if value.ndim == 0 else False


def _cells(orientations: Tensor, axes: list[int]) -> Tensor:
    """(n_axes, n_phi n_domains, 3)"""
    return orientations.flatten(0, 1).transpose(0, 1)[axes]


def _domains(scene: Scene) -> Tensor:
    weights = np.empty(0) if scene.domain_weight is None else np.tile(scene.domain_weight, scene.n_phi)
    return torch.from_numpy(weights)[:, None]


def _curvature(scene: Scene) -> dict[str, Tensor]:
    """Angles of the curved detector as affine functions of the flat position (docs/model.md, Pixel positions)."""
    if not scene.curved:
        return {"arcs": scene.pix0.new_zeros(2, 4), "bend": scene.pix0.new_zeros(3, 3)}
    if Quirk.CURVED_DET_AXES in scene.quirks:
        arcs = torch.eye(4, dtype=torch.float64)[1:3] / scene.distance
    else:
        handed = torch.linalg.cross(scene.slow, scene.beam).dot(scene.fast)
        sign = torch.where(handed > 0, 1.0, -1.0)
        about_slow = torch.cat([scene.fast / scene.distance, -scene.beam.dot(scene.fast)[None]])
        about_fast = torch.cat([-scene.slow / scene.distance, scene.beam.dot(scene.slow)[None]])
        arcs = sign * torch.stack([about_slow, about_fast])
    return {"arcs": arcs, "bend": torch.stack([scene.distance * scene.beam, scene.slow, scene.fast])}


def _background(scene: Scene, plan: Plan, scale: Tensor) -> Tensor:
    """Photons per unit of the sum over points and sources of weight x factors, or per pixel (`background_in_sum`)."""
    if plan.background_in_sum:
        return scale * scene.background
    points = plan.n_sub**2 * (1 if plan.capture_mode is FactorMode.PER_TERM else plan.n_layers)
    return scale * scene.background / (points * scene.weight.sum())


def _spot(scene: Scene, scale: Tensor) -> dict[str, Tensor]:
    """The metric of the spot and the scale with the height of the lattice factor (docs/model.md, Lattice factor)."""
    if scene.shape is Shape.SQUARE:
        return {"spot": scene.pix0.new_zeros(3, 3), "fudge": scene.fudge, "scale": scale}
    radial = RADIAL[scene.shape]
    cells = torch.linalg.det(scene.block_matrix) if scene.has_block_matrix else scene.n_cells.prod()
    height = cells * radial.height
    return {"spot": metric(scene), "fudge": scene.fudge * radial.unit, "scale": scale * height * height}


def signed_table(scene: Scene, plan: Plan) -> Tensor:
    """The bordered table before it is squared; empty without one."""
    if plan.table_shape is None:
        return scene.f_table.flatten()
    return _table(scene, replace(plan, tricubic=True), torch.device("cpu"))


def _table_on(scene: Scene, plan: Plan, device: torch.device) -> Tensor:
    """`_table`; on another device than the CPU kept there for the next image with the same table, unless it moves."""
    table, default = scene.f_table, scene.default_F
    if device.type == "cpu" or plan.table_shape is None or _moves(table) or _moves(default):
        return _table(scene, plan, device)
    key = (float(default), plan.dtype, plan.tricubic, scene.n_tables, device)
    return _TABLES.of(table, key, lambda: _table(scene, plan, device))


def _moves(tensor: Tensor) -> bool:
    """Whether derivatives by the tensor may be asked for."""
    if is_transformed(tensor) or tensor.requires_grad:
        return True
    return forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None


def _table(scene: Scene, plan: Plan, device: torch.device) -> Tensor:
    """The table with a border of default_F, so that any index can be clamped into it."""
    default = scene.default_F.to(device=device, dtype=plan.dtype)
    if plan.table_shape is None:
        return (default * default)[None]
    inner = scene.f_table.to(device=device, dtype=plan.dtype).reshape(scene.n_tables, *scene.table_shape)
    sides = (1,) * 6
    border = 1 - torch.nn.functional.pad(torch.ones_like(inner), sides)
    padded = torch.nn.functional.pad(inner, sides) + default * border
    flat = padded.flatten()
    return flat if plan.tricubic else flat * flat
