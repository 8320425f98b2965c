"""The two quirks that depend on what was rendered before, found once in loop order, independent of blocking.

STALE_PHI_ZERO needs the first source pass that is really evaluated; INTERP_SWITCHED_OFF the first lookup that leaves the
table. Both become indices in the Scene, so that no kernel carries state from pixel to pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nanobragg.config.quirks import Quirk
from nanobragg.constants import GAUSS_WIDTH, TOPHAT_CUT
from nanobragg.derivation.scene import Scene, Shape
from nanobragg.derivation.vectors import FLOAT_OPS, rotaxis

_LARGEST_CHUNK = 2_000_000
"""evaluations looked at together"""


@dataclass(frozen=True)
class OutOfRange:
    """The first lookup out of range: real and nearest indices, for the original's message."""

    hkl: tuple[float, float, float]
    hkl0: tuple[int, int, int]


def prescan(scene: Scene, switched_off: bool) -> tuple[Scene, OutOfRange | None]:
    """Set ``first_pass`` and ``interpolation_off`` of a float scene.

    Parameters
    ----------
    scene : Scene
        With numpy values.
    switched_off : bool
        Whether INTERP_SWITCHED_OFF is in force.
    """
    find_range = switched_off and scene.tricubic
    first_pass = 0 if scene.d_min == 0 or scene.orientations_first_pass is None else None
    off: tuple[int, int] | None = None
    found: OutOfRange | None = None
    passes, terms = scene.passes_per_pixel, scene.n_phi * scene.n_domains
    begin, count = 0, max(1, min(passes, _LARGEST_CHUNK // terms))
    while begin < scene.n_pixels * passes and (first_pass is None or (find_range and off is None)):
        run = np.arange(begin, min(begin + count, scene.n_pixels * passes))
        vector, evaluated = _scattering(scene, *np.divmod(run, passes))
        if first_pass is None and evaluated.any():
            first_pass = begin + int(np.argmax(evaluated))
        if find_range and off is None:
            off, found = _first_out_of_range(scene, begin, vector, evaluated, first_pass or 0)
        begin += len(run)
        count = max(1, min(count * 4, _LARGEST_CHUNK // terms))
    never = (scene.n_pixels, 0)
    if off is not None:  # (pass of the image, term of the pass) -> (pixel, evaluation of the pixel)
        off = (off[0] // passes, off[0] % passes * terms + off[1])
    return replace(
        scene,
        first_pass=never if first_pass is None else divmod(first_pass, passes),
        interpolation_off=off or never,
    ), found


def _scattering(
    scene: Scene, pixel: NDArray[np.int64], number: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scattering vectors (n, 3) [1/m] of n passes, and which of them d_min leaves.

    Parameters
    ----------
    scene : Scene
        With numpy values.
    pixel, number : (n,) int
        Index into ``scene.pixels``, and index of the pass within the pixel.
    """
    n = scene.oversample
    number, source = np.divmod(number, len(scene.wavelength))
    number, sub_fast = np.divmod(number, n)
    layer, sub_slow = np.divmod(number, n)
    slow_index, fast_index = np.divmod(scene.pixels[pixel], scene.n_fast)
    sub = scene.pixel_size / n
    fast = sub * (fast_index * n + sub_fast) + sub / 2
    slow = sub * (slow_index * n + sub_slow) + sub / 2
    depth = layer * scene.layer_thickness
    position = [fast * scene.fast[k] + slow * scene.slow[k] + depth * scene.normal[k] + scene.pix0[k] for k in range(3)]
    if scene.curved:
        position = _curved(scene, position)
    airpath = np.sqrt(position[0] * position[0] + position[1] * position[1] + position[2] * position[2])
    wavelength = scene.wavelength[source]
    vector = np.stack([(position[k] / airpath - scene.incident[source, k]) / wavelength for k in range(3)], axis=-1)
    stol = 0.5 * np.sqrt(vector[..., 0] ** 2 + vector[..., 1] ** 2 + vector[..., 2] ** 2)
    with np.errstate(divide="ignore"):
        skipped = (scene.d_min > 0) & (stol > 0) & (scene.d_min > 0.5 / stol)
    return vector, ~skipped


def _curved(scene: Scene, flat: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    ones = np.ones_like(flat[0])
    beam = (
        scene.distance * scene.beam[0] * ones,
        scene.distance * scene.beam[1] * ones,
        scene.distance * scene.beam[2] * ones,
    )
    slow, fast = tuple(scene.slow), tuple(scene.fast)
    if Quirk.CURVED_DET_AXES in scene.quirks:
        about_slow, about_fast = flat[1] / scene.distance, flat[2] / scene.distance
    else:
        offset = [flat[k] - beam[k] for k in range(3)]
        sign = 1.0 if np.dot(np.cross(scene.slow, scene.beam), scene.fast) > 0 else -1.0
        about_slow = sign * sum(offset[k] * scene.fast[k] for k in range(3)) / scene.distance
        about_fast = -sign * sum(offset[k] * scene.slow[k] for k in range(3)) / scene.distance
    return list(rotaxis(rotaxis(beam, slow, about_slow, FLOAT_OPS), fast, about_fast, FLOAT_OPS))


def _first_out_of_range(
    scene: Scene, begin: int, vector: NDArray[np.float64], evaluated: NDArray[np.bool_], first_pass: int
) -> tuple[tuple[int, int] | None, OutOfRange | None]:
    """(pass, term of the pass) of the first lookup out of range in a run of passes that begins with number `begin`."""
    axes = np.broadcast_to(scene.orientations, (len(vector), *scene.orientations.shape))
    if scene.orientations_first_pass is not None and 0 <= first_pass - begin < len(vector):
        axes = axes.copy()
        axes[first_pass - begin] = scene.orientations_first_pass
    s = vector[:, None, None, None, :]
    hkl = axes[..., 0] * s[..., 0] + axes[..., 1] * s[..., 1] + axes[..., 2] * s[..., 2]
    low = np.asarray(scene.hkl_min, dtype=np.float64)
    span = np.asarray(scene.f_table.shape, dtype=np.float64)
    if Quirk.INTERP_LOW_EDGE in scene.quirks:
        out = (hkl - low + 3 > span) | (hkl - 2 < low)
    else:
        out = (np.floor(hkl) - 1 < low) | (np.floor(hkl) + 2 > low + span - 1)
    reached = np.broadcast_to(evaluated[:, None, None], hkl.shape[:-1])
    if Quirk.LATTICE_ZERO_SKIP in scene.quirks and scene.background == 0:
        reached = reached & _lattice_nonzero(scene, hkl)
    hits = (out.any(axis=-1) & reached).reshape(len(vector), -1)
    if not hits.any():
        return None, None
    number = int(np.argmax(hits.any(axis=1)))
    term = int(np.argmax(hits[number]))
    h = hkl[number].reshape(-1, 3)[term]
    nearest = tuple(int(x) for x in np.ceil(h - 0.5))
    return (begin + number, term), OutOfRange((float(h[0]), float(h[1]), float(h[2])), nearest)  # type: ignore[arg-type]


def _lattice_nonzero(scene: Scene, hkl: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where F_latt is not exactly 0: beyond a top-hat's edge, or where a Gaussian underflows."""
    if scene.shape not in (Shape.GAUSS, Shape.TOPHAT):
        return np.ones(hkl.shape[:-1], dtype=bool)
    offset = hkl - np.ceil(hkl - 0.5)
    n = scene.n_cells
    if Quirk.GAUSS_TOPHAT_WIDTH in scene.quirks:
        e = [sum(offset[..., i] * scene.a_star[i, k] for i in range(3)) for k in range(3)]
        radius = (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]) * n[0] * n[0] * n[1] * n[1] * n[2] * n[2]
    else:
        radius = (offset[..., 0] * n[0]) ** 2 + (offset[..., 1] * n[1]) ** 2 + (offset[..., 2] * n[2]) ** 2
    if scene.shape == Shape.TOPHAT:
        return np.asarray(radius * scene.fudge < TOPHAT_CUT)
    return np.asarray(np.exp(-(radius / GAUSS_WIDTH * scene.fudge)) != 0)
