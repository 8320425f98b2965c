"""Orientation, cell and geometry from the places of spots: what brings a refinement within reach of the pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.prediction.candidates import Mean
from nanobragg.derivation.prediction.rays import Plane, brightest
from nanobragg.derivation.prediction.spots import blocks, spread
from nanobragg.derivation.scene import Scene
from nanobragg.lazy import dataclass
from nanobragg.refinement.data.spots import Spots
from nanobragg.refinement.solving.steps import minimized
from nanobragg.refinement.variables.parameters import Parameters

Array = NDArray[np.float64]
_NEAR = 0.3
"""Distance from a whole index within which a spot is taken for that reflection, each time in units of the index."""
_ROUNDS = 5
_SIGMA = 0.3
"""Of a measured place [pixels], to which the spot's own size is added."""
_APART = 0.5
"""Of a reflection's distance from the Ewald sphere [widths of the spot]: on a still of a mosaic crystal the places are off by as
many of their standard deviations, and rotations about axes across the beam are told by these distances alone."""
_STEADY, _DIFFERENCE = 1e-3, 1e-3
"""Relative change of the sum of squares at which a round ends, and the step of differences [variables of the solver]."""
_LEAST = 6
"""Spots below which nothing is fitted."""


@dataclass(frozen=True)
class Fit:
    """What became of the variables, and the spots that were used."""

    x: Array
    hkl: NDArray[np.int64]
    used: NDArray[np.int64]
    """rows of the spots"""
    distance: Array
    """of these, from their predictions [pixels]"""


def indices(scenes: list[Scene], spots: Spots) -> tuple[Array, Array]:
    """Real Miller indices (n, 3) of spots, and their scattering vectors [1/Angstrom]."""
    hkl, vectors = np.zeros((len(spots), 3)), np.zeros((len(spots), 3))
    for i, scene in enumerate(scenes):
        here = spots.panel == i
        if here.any():
            mean = Mean(scene)
            vectors[here] = scattering(scene, mean, np.column_stack([spots.fast[here], spots.slow[here]]))
            hkl[here] = vectors[here] @ mean.real.T
    return hkl, vectors


def scattering(scene: Scene, mean: Mean, place: Array) -> Array:
    """(n, 3) scattering vectors [1/Angstrom] of places on a panel [pixels]."""
    plane = Plane(scene)
    ray = plane.pix0 + place @ plane.steps
    ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    return np.asarray((ray - mean.beam) / mean.wavelength)


def mosaic_angle(scene: Scene) -> float:
    """Root mean square of the angle about an axis by which domains (and phi steps) are turned [rad]."""
    mean = Mean(scene)
    turned = np.einsum("ij,njk->nik", mean.reciprocal, mean.crystals) - np.eye(3)
    return float(np.sqrt((turned**2).sum() / (6 * len(turned))))


def tilts(scenes: list[Scene], panel: NDArray[np.int64], hkl: Array) -> Array:
    """Angles [rad] by which reflections would have to be turned to lie on the Ewald sphere, without those for direction."""
    found = np.zeros(len(hkl))
    for i, scene in enumerate(scenes):
        here = panel == i
        if here.any():
            mean = Mean(scene)
            vector = hkl[here] @ mean.reciprocal.T
            error = np.linalg.norm(vector + mean.beam / mean.wavelength, axis=1) - 1 / mean.wavelength
            found[here] = error / np.linalg.norm(vector, axis=1)
    return found


def spot_metric(scene: Scene, mean: Mean, hkl: Array, angle: float) -> tuple[Array, Array]:
    """Reciprocal lattice vectors (n, 3), and for each the matrix under which its spot is round with the width 1.

    The spot's covariance is that of its shape plus that of the mosaic rotations, a^2 (q^2 - q q^T) with the rms angle a about
    an axis.
    """
    vector = hkl @ mean.reciprocal.T
    size = blocks(scene)[0] @ mean.real
    shape = spread(scene) ** 2 * np.linalg.inv(size.T @ size)
    lengths = (vector**2).sum(1)[:, None, None]
    mosaic = angle**2 * (lengths * np.eye(3) - vector[:, :, None] * vector[:, None, :])
    return vector, np.linalg.inv(np.linalg.cholesky(shape + mosaic))


def predicted_places(
    scenes: list[Scene], panel: NDArray[np.int64], hkl: Array, angle: float
) -> tuple[Array, Array, Array]:
    """Places (n, 2) [pixels] of given reflections, their distances from the Ewald sphere in widths of the spot, and the
    widths of the spots along the detector [pixels]."""
    place, apart, width = np.zeros((len(hkl), 2)), np.zeros(len(hkl)), np.ones(len(hkl))
    for i, scene in enumerate(scenes):
        here = panel == i
        if not here.any():
            continue
        mean, plane = Mean(scene), Plane(scene)
        vector, metric = spot_metric(scene, mean, hkl[here], angle)
        rays = brightest(scene, metric, vector, mean.beam, mean.wavelength)
        captured = plane.captured(rays.direction)
        place[here] = plane.pixels(rays.direction, captured)
        difference = (rays.direction - mean.beam) / mean.wavelength - vector
        side = np.sign(np.linalg.norm(vector + mean.beam / mean.wavelength, axis=1) - 1 / mean.wavelength)
        apart[here] = side * np.linalg.norm(np.einsum("nij,nj->ni", metric, difference), axis=1)
        slope = plane.slopes(rays.direction)
        flat = np.linalg.inv(np.einsum("nki,nkj->nij", metric, metric))
        spot = np.einsum("nia,nab,njb->nij", slope, flat, slope) * mean.wavelength**2
        width[here] = np.sqrt(np.maximum(np.einsum("nii->n", spot) / 2, 1e-6))
    return place, apart, width


def fit(parameters: Parameters, spots: Spots, start: Array, *, most: int = 200) -> Fit | None:
    """Fit the places of spots, beginning with those near the beam; None where there are too few.

    The residuals are the distances of spots from where their reflections are predicted, and of the reflections from the
    Ewald sphere, both over their standard deviations (the widths of the spots and `_SIGMA`); weak priors hold what the spots
    do not tell.
    """
    x = start.copy()
    single = parameters.with_one_domain()
    strongest = Spots(*(getattr(spots, name)[:most] for name in ("panel", "fast", "slow", "intensity")))
    loose = _looseness(parameters)
    least_angle = mosaic_angle(parameters.scenes(start)[0])
    result: Fit | None = None
    for number in range(_ROUNDS):
        scenes = single.scenes(x)
        real, vectors = indices(scenes, strongest)
        whole = np.rint(real)
        reach = np.sort(np.linalg.norm(vectors, axis=1))
        share = min(1.0, 0.25 + 0.25 * number)
        limit = reach[max(min(int(share * len(reach)) - 1, len(reach) - 1), min(_LEAST * 3, len(reach) - 1))]
        used = (np.abs(real - whole).max(1) < _NEAR) & (np.linalg.norm(vectors, axis=1) <= limit) & whole.any(1)
        if used.sum() < _LEAST:
            continue
        rows = np.flatnonzero(used)
        panel, hkl = strongest.panel[rows], whole[rows]
        measured = np.column_stack([strongest.fast[rows], strongest.slow[rows]])
        # what shines must have been on the sphere: turns that are larger than the experiment's tell of a wider mosaic
        angle = max(least_angle, 1.5 * float(np.median(np.abs(tilts(scenes, panel, hkl)))))

        def residuals(v: Array, panel=panel, hkl=hkl, measured=measured, angle=angle) -> Array:
            place, apart, width = predicted_places(single.scenes(v), panel, hkl, angle)
            sigma = np.hypot(_SIGMA, 0.3 * width)[:, None]
            return np.concatenate([((place - measured) / sigma).ravel(), apart / _APART, (v - start) / loose])

        # hardly curved: the slopes of the round's start serve for all of its steps
        fixed = _differences(residuals, x)

        def slopes(_: Array, fixed: Array = fixed) -> Array:
            return fixed

        x = minimized(residuals, slopes, x, loss="soft_l1", ftol=_STEADY, most=6).x
        place, _, _ = predicted_places(single.scenes(x), panel, hkl, angle)
        result = Fit(x, hkl.astype(np.int64), rows, np.linalg.norm(place - measured, axis=1))
    return result


def _differences(function: Callable[[Array], Array], x: Array) -> Array:
    """The derivative of a function (n,) of the variables (k,), shape (n, k), by forward differences."""
    start = function(x)
    return np.stack([(function(x + step) - start) / _DIFFERENCE for step in np.eye(len(x)) * _DIFFERENCE], axis=1)


def _looseness(parameters: Parameters) -> Array:
    """Standard deviations of the weak priors, in the solver's variables."""
    values = []
    for name, unit in zip(parameters.names, parameters.units, strict=True):
        if name.startswith("crystal.misset"):
            values.append(200.0)  # 2 degrees
        elif name.startswith("crystal.unit_cell"):
            values.append(100.0)  # 1 % or 1 degree
        elif unit == "mm":
            values.append(200.0)
        else:
            values.append(1.0)  # places do not depend on it, or hardly
    return np.array(values)
