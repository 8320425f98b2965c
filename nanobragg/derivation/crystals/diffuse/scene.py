"""From a decided experiment to what the engines need for its diffuse scattering (docs/diffuse.md)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nanobragg.arrays import detached
from nanobragg.config import Crystal
from nanobragg.derivation.background import reduced_rays
from nanobragg.derivation.cell import Cell, oriented_cell
from nanobragg.derivation.crystals.blocks import cells_of_a_block, number_of_blocks
from nanobragg.derivation.crystals.diffuse.forms import motions, orders, packed, volume_of_correlation
from nanobragg.derivation.crystals.diffuse.maps import made_map
from nanobragg.derivation.crystals.diffuse.orientations import SMOOTH, every, nodes
from nanobragg.derivation.crystals.displacement import decay, longest_scattering_vector
from nanobragg.derivation.decisions.decided import Decided
from nanobragg.derivation.derive import sampled_rotation
from nanobragg.derivation.placement import place
from nanobragg.derivation.scene import FactorMode, Scene
from nanobragg.derivation.vectors import FLOAT_OPS, Ops
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class DiffuseScene:
    """The diffuse scattering of one crystal.

    With H the indices of a ray at an orientation, the photons of a pixel are r_e^2 fluence solid angle, capture fraction and
    polarization times `strength` times the mean over rays and orientations of

        SUM_h F(h)^2 SUM_forms weight SUM_n x(h)^n/(n! n^3)/(1 + width(H - h)/n^2)^2

    for h = T^-1 h' with h' up to `stencil` from the indices nearest to T H, T the turn of the form; or of the map at H.
    """

    scene: Scene
    """detector, rays as sources, orientations as domains of one phi step; one point a pixel, no structure factors"""
    squares: Any
    """(n_h, n_k, n_l) F^2 [electrons^2], from the indices `scene.hkl_min`; of tables for several energies their mean.
    Elsewhere it is `scene.default_F`^2. Empty before a map"""
    strength: Any
    """cells in the beam 8 pi gamma_a gamma_b gamma_c/V; cells in the beam before a map"""
    forms: Any
    """(n_forms, 2, 6) of x and width: coefficients of hh, kk, ll, hk, hl, kl; (0, 2, 6): a map"""
    form_weight: NDArray[np.float64]
    """(n_forms,) sum 1"""
    turns: NDArray[np.int64]
    """(n_turns, 3, 3) see `Motions`; with its share of the forms, one after the other"""
    counts: tuple[int, ...]
    stencil: int
    n_orders: int
    map: Any | None
    """(n_h, n_k, n_l) [electrons^2 per cell]"""
    map_first: tuple[float, float, float]
    """indices of its first value"""
    grid: int
    """points for each index"""

    @property
    def evaluations_per_pixel(self) -> int:
        """Reflections, forms and orders, or values of the map, of all rays and orientations."""
        each = 8 if self.map is not None else (2 * self.stencil + 1) ** 3 * len(self.form_weight) * self.n_orders
        return each * self.scene.n_sources * self.scene.n_domains


_NO_TURNS = np.empty((0, 3, 3), np.int64)
_kept: WeakKeyDictionary[Scene, tuple[Decided, DiffuseScene]] = WeakKeyDictionary()
"""A map is made once for images that are rendered again and again."""


def diffuse_scene(decided: Decided, scene: Scene, ops: Ops) -> DiffuseScene | None:
    """What the engines need; None where there is no diffuse scattering.

    Parameters
    ----------
    decided : Decided
    scene : Scene
        Derived from it with `ops`.
    ops : Ops

    Raises
    ------
    ConfigError
        For a Laue group that the cell has not, and a map whose steps are too wide, or that is too large.
    """
    if not decided.experiment.crystal.diffuse.acts:
        return None
    if not ops.is_float:
        return _derived(decided, scene, ops)
    known = _kept.get(scene)
    if known is None or known[0] is not decided:
        known = _kept[scene] = (decided, _derived(decided, scene, ops))
    return known[1]


def _derived(decided: Decided, scene: Scene, ops: Ops) -> DiffuseScene:
    experiment = decided.experiment
    crystal = experiment.crystal
    diffuse = crystal.diffuse
    cell = decided.cell if ops.is_float else oriented_cell(experiment, ops)
    placement = decided.placement if ops.is_float else place(experiment, ops)
    longest = longest_scattering_vector(decided)
    reach = 2 * math.pi * (math.inf if diffuse.map is not None else diffuse.longest * 1e-10)
    reach = reach * longest
    table, weight = nodes(experiment, scene, cell, placement, sampled_rotation(experiment, ops).phi, reach, ops)
    cells, squares = _cells_in_the_beam(decided, cell, ops), _squares(scene)
    n_orders = diffuse.n_orders  # None: the displacements were 0 when everything else was decided
    if n_orders is None:
        n_orders = 1 if diffuse.map is not None else orders(crystal, decided.cell, longest)[0]
    common: dict[str, Any] = {
        "scene": _one_point(scene, table, weight, reach, ops), "stencil": diffuse.stencil, "n_orders": n_orders,
        "squares": squares[:0] if diffuse.map is not None or diffuse.method == "fft" else squares,
    }  # fmt: skip
    if diffuse.map is not None:
        first = tuple(float(x) for x in diffuse.map_hkl_min)
        return DiffuseScene(
            **common, strength=cells, forms=ops.lift(np.empty((0, 2, 6))), form_weight=np.empty(0), turns=_NO_TURNS,
            counts=(), map=ops.lift(diffuse.map), map_first=(first[0], first[1], first[2]), grid=diffuse.grid,
        )  # fmt: skip
    found = motions(crystal, cell, ops)
    forms = ops.stack(
        [
            ops.stack([packed(x, ops), packed(width, ops)])
            for x, width in zip(found.displacement, found.width, strict=True)
        ]
    )
    if diffuse.method == "fft":
        values, first = made_map(decided, scene, squares, forms, found.weight, n_orders, ops)
        return DiffuseScene(
            **common,
            strength=cells,
            forms=forms[:0],
            form_weight=np.empty(0),
            turns=_NO_TURNS,
            counts=(),
            map=values,
            map_first=first,
            grid=diffuse.grid,
        )
    return DiffuseScene(
        **common, strength=cells * volume_of_correlation(diffuse, ops) / abs(cell.volume), forms=forms,
        form_weight=found.weight, turns=found.turns, counts=found.counts, map=None, map_first=(0.0, 0.0, 0.0), grid=1,
    )  # fmt: skip


def of_all_orientations(found: DiffuseScene, scene: Scene) -> DiffuseScene:
    """The same evaluated at every phi step and domain of the scene."""
    table, weight = every(scene)
    return replace(found, scene=replace(found.scene, orientations=table[None], domain_weight=weight))


def _cells_in_the_beam(decided: Decided, cell: Cell, ops: Ops) -> Any:
    """Unit cells of all blocks, as far as the dose has left them."""
    crystal: Crystal = decided.experiment.crystal
    counted = ops.is_float or crystal.block_matrix is not None
    n_cells = decided.size.n_cells if counted else crystal.n_cells
    cells = cells_of_a_block(crystal, n_cells, ops)
    for times in (number_of_blocks(crystal, n_cells, cell.volume, ops), decay(crystal, ops)):
        cells = cells if times is None else cells * times
    return cells


def _squares(scene: Scene) -> Any:
    """F^2, of several tables the mean over the sources."""
    squares = scene.f_table * scene.f_table
    if scene.n_tables == 1:
        return squares
    tables = squares.reshape(scene.n_tables, *scene.table_shape)
    assert scene.source_table is not None
    seen = [scene.weight[scene.source_table == i].sum() for i in range(scene.n_tables)]
    return sum(part * table for part, table in zip(seen, tables, strict=True)) / scene.weight.sum()


def _one_point(scene: Scene, orientations: Any, weight: Any, reach: float, ops: Ops) -> Scene:
    """The scene with one point a pixel, whose sensor is one layer, with few rays."""
    incident, wavelength, share = _mean_ray(scene, ops)
    if _width_of_beam(scene, incident, wavelength) * reach >= SMOOTH:
        incident, wavelength, share = reduced_rays(scene, ops)
    return replace(
        scene, incident=incident, wavelength=wavelength, weight=share, oversample=1, n_layers=1,
        layer_thickness=scene.layer_thickness * scene.n_layers, orientations=orientations[None], orientations_first_pass=None,
        domain_weight=weight, n_tables=1, source_table=None, f_table=scene.f_table[:0, :0, :0], first_pass=(0, 0),
        tricubic=False, interpolation_off=(scene.n_pixels, 0),
        background=0.0 * scene.background, steps=0.0 * scene.steps + 1.0, capture_mode=FactorMode.PER_TERM,
        polar_mode=FactorMode.PER_TERM, omega_mode=FactorMode.PER_TERM,
    )  # fmt: skip


def _mean_ray(scene: Scene, ops: Ops) -> tuple[Any, Any, Any]:
    if scene.n_sources == 1:
        return scene.incident, scene.wavelength, 0.0 * scene.weight + 1.0
    share = scene.weight / scene.weight.sum()
    mean = [(share * scene.incident[:, i]).sum() for i in range(3)]
    length = ops.sqrt(sum(x * x for x in mean))
    return (
        ops.stack([ops.stack([x / length for x in mean])]),
        ops.stack([(share * scene.wavelength).sum()]),
        ops.stack([ops.lift(1.0)]),
    )


def _width_of_beam(scene: Scene, incident: Any, wavelength: Any) -> float:
    """Standard deviation of q over the largest |q|, about: of directions [rad], and of relative wavelengths."""
    if scene.n_sources == 1:
        return 0.0
    share = FLOAT_OPS.lift(scene.weight / scene.weight.sum())
    rays, mean = FLOAT_OPS.lift(scene.incident), FLOAT_OPS.lift(incident)
    waves, middle = FLOAT_OPS.lift(scene.wavelength), float(FLOAT_OPS.lift(wavelength)[0])
    across = (share * ((rays - mean) ** 2).sum(-1)).sum()
    along = (share * (waves / middle - 1) ** 2).sum()
    return math.sqrt(detached(across) + detached(along))
