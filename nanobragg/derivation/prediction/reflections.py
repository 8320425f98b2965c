"""The reflections of one panel: where, how bright, how complete (docs/model.md, Prediction)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.prediction.candidates import Mean, amplitudes, candidates
from nanobragg.derivation.prediction.rays import Plane, brightest, polarization, spot_covariance
from nanobragg.derivation.prediction.spots import blocks, volume_integral
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import FLOAT_OPS, Vec, rotaxis
from nanobragg.io.geometry.axes import Array
from nanobragg.lazy import dataclass

_PAIRS = 100_000
"""Reflections times crystals that are worked on at a time."""


@dataclass(frozen=True)
class Predicted:
    """n reflections of a panel."""

    hkl: NDArray[np.int32]
    center: Array
    """(n, 2) fast, slow from the outer corner of the panel [pixels]"""
    covariance: Array
    """(n, 2, 2) of the spot [pixels^2]"""
    d: Array
    phi: Array
    """[rad]"""
    excitation: Array
    """distance of the reflection from the Ewald sphere [1/Angstrom], positive outside"""
    photons: Array
    partiality: Array
    amplitude: Array
    direction: Array
    """(n, 3) unit vectors of the diffracted rays"""


def predicted(
    derived: Derivation,
    d_min: float | None = None,
    *,
    least: float = 1e-3,
    progress: Callable[[int, int], object] | None = None,
) -> Predicted:
    """The reflections that a panel holds.

    Parameters
    ----------
    derived : Derivation
        Of the panel's experiment.
    d_min : float, optional
        Smallest spacing [Angstrom]; None: that of the corner of the panel.
    least : float
        Reflections with a smaller partiality are left out.
    progress : callable, optional
        Receives (reflections done, of how many) where they are worked on in several portions; what it raises ends the work.
    """
    scene = derived.scene
    plane, mean = Plane(scene), Mean(scene)
    mean.size = max(mean.size_of(part) for part in derived.scenes)
    d_min = max(resolution(scene, plane, mean), float(scene.d_min) * 1e10, d_min or 0.0)
    hkl = candidates(scene, mean, d_min)
    hkl = hkl[_toward(scene, plane, mean, hkl)]
    amplitude = amplitudes(scene, hkl)
    hkl, amplitude = hkl[amplitude != 0], amplitude[amplitude != 0]
    turning = scene.n_phi > 1 and derived.rotation.osc != 0
    portion = max(1, _PAIRS // max(len(mean.crystals), 1))
    parts = []
    for i in range(0, max(len(hkl), 1), portion):
        if i > 0 and progress is not None:
            progress(i, len(hkl))
        some = slice(i, i + portion)
        parts.append(_part(derived, plane, mean, hkl[some], amplitude[some], turning))
    whole = Predicted(*(np.concatenate([getattr(p, name) for p in parts]) for name in Predicted.__dataclass_fields__))
    kept = np.flatnonzero(_inside(scene, whole.center) & (whole.partiality >= least))
    return Predicted(*(getattr(whole, name)[kept] for name in Predicted.__dataclass_fields__))


def _inside(scene: Scene, center: Array) -> NDArray[np.bool_]:
    """Whether places (n, 2) lie on the panel."""
    fast, slow = center.T
    return np.asarray((fast >= 0) & (fast < scene.n_fast) & (slow >= 0) & (slow < scene.n_slow))


_MARGIN = 3.0
"""By which the angle between the ray of a reflection and that of its mean is overestimated."""


def _toward(scene: Scene, plane: Plane, mean: Mean, hkl: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether reflections, which come within reach of the Ewald sphere, can have rays toward the panel.

    The panel lies in a cone about its middle. A ray ends where the reflection is nearest to the sphere; it is off that of the
    mean crystal by the size of the spot and by how far domains, steps and wavelengths move the reflection.
    """
    ends = [plane.pix0 + np.array([f, s]) @ plane.steps for f in (0, scene.n_fast) for s in (0, scene.n_slow)]
    middle = np.mean(ends, axis=0)
    axis = middle / np.linalg.norm(middle)
    half = max(math.acos(min(1.0, float(end @ axis / np.linalg.norm(end)))) for end in ends)
    beam = mean.beam / mean.wavelength
    vector = onto_sphere(hkl @ mean.reciprocal.T, beam)
    ray = vector + beam
    off = _MARGIN * mean.wavelength * (mean.size + mean.turn * np.linalg.norm(vector, axis=1)) + mean.turn
    cosine = ray @ axis / np.linalg.norm(ray, axis=1).clip(1e-300)
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)) <= half + off)


def resolution(scene: Scene, plane: Plane, mean: Mean) -> float:
    """Spacing [Angstrom] of the outermost pixel corner."""
    corners = [plane.pix0 + np.array([f, s]) @ plane.steps for f in (0, scene.n_fast) for s in (0, scene.n_slow)]
    cosine = min(float(c @ mean.beam / np.linalg.norm(c)) for c in corners)
    return mean.wavelength / (2 * math.sqrt(max((1 - cosine) / 2, 1e-12)))


def _part(
    derived: Derivation, plane: Plane, mean: Mean, hkl: NDArray[np.int32], amplitude: Array, turning: bool
) -> Predicted:
    """The reflections of some indices, whatever their photons and places."""
    scene = derived.scene
    index = hkl.astype(np.float64)
    reciprocal = np.linalg.inv(mean.crystals)
    vectors = np.einsum("eij,nj->nei", reciprocal, index)
    middle = index @ mean.reciprocal.T
    length = np.linalg.norm(middle, axis=1)
    error = np.linalg.norm(middle + mean.beam / mean.wavelength, axis=1) - 1 / mean.wavelength
    found = _Sum(scene, plane, derived.rotation.phi, len(hkl))
    for part in derived.scenes:
        found.add(part, mean.crystals, vectors)
    scale = float(scene.r_e_sqr) * float(scene.fluence) * scene.oversample**2 / float(scene.steps)
    photons = scale * amplitude**2 * found.total
    center, phi = found.center, found.phi
    direction = found.direction
    if turning:
        # the spindle stands at phi for every crystal of the mean: half way through the rotation
        half = float(np.mean(derived.rotation.phi))
        phi, moved = crossing(middle, mean.beam / mean.wavelength, derived.placement.spindle, half)
        ray = moved + mean.beam / mean.wavelength
        ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
        met = np.isfinite(phi)
        direction = np.where(met[:, None], ray, direction)
        center = np.where(met[:, None], plane.pixels(direction, plane.captured(direction)), center)
        most = _full(derived, mean, amplitude, ray, plane)
        phi = np.where(met, phi, found.phi)
    else:
        # of those that are on the panel: the others are left out
        here = _inside(scene, center) & (photons > 0)
        best = _Sum(scene, plane, derived.rotation.phi, int(here.sum()))
        moved = vectors[here] + (onto_sphere(middle[here], mean.beam / mean.wavelength) - middle[here])[:, None, :]
        for part in derived.scenes:
            best.add(part, mean.crystals, moved)
        most = np.zeros(len(hkl))
        most[here] = scale * amplitude[here] ** 2 * best.total
    with np.errstate(divide="ignore", invalid="ignore"):
        partiality = np.where(most > 0, photons / most, 0.0)
    return Predicted(hkl, center, found.covariance, 1 / length, phi, error, photons, partiality, amplitude, direction)


class _Sum:
    """Sums over phi steps, domains and sources for n reflections."""

    def __init__(self, scene: Scene, plane: Plane, phi: list[float], n: int) -> None:
        self._scene, self._plane = scene, plane
        self._angles = np.repeat(np.asarray(phi, dtype=np.float64), scene.n_domains)
        weights = np.ones(scene.n_domains) if scene.domain_weight is None else np.asarray(scene.domain_weight)
        self._domains = np.tile(weights, scene.n_phi)
        self.total = np.zeros(n)
        """sum of weight x polarization x capture x integral of F_latt^2 [sr]"""
        self._place, self._squares, self._ray = np.zeros((n, 2)), np.zeros((n, 2, 2)), np.zeros((n, 3))
        self._turned = np.zeros(n)

    def add(self, part: Scene, crystals: Array, vectors: Array) -> None:
        """Add the contributions of crystals (e, 3, 3) whose reciprocal lattice vectors are (n, e, 3), as blocks of one size."""
        scene, plane = self._scene, self._plane
        metric, times = blocks(part)[0] @ crystals, float(scene.steps) / float(part.steps)
        for source in range(scene.n_sources):
            incident = np.asarray(scene.incident[source], dtype=np.float64)
            wavelength = float(scene.wavelength[source]) * 1e10
            rays = brightest(part, metric[None], vectors, incident, wavelength)
            captured = plane.captured(rays.direction)
            strength = rays.strength * polarization(scene, incident, rays.direction) * captured.sum(-1)
            strength = strength * float(scene.weight[source]) * times * self._domains
            place = plane.pixels(rays.direction, captured)
            missed = np.asarray(~np.isfinite(place).all(-1))
            strength, place = np.where(missed, 0.0, strength), np.where(missed[..., None], 0.0, place)
            self.total += strength.sum(1)
            self._place += np.einsum("ne,nei->ni", strength, place)
            self._ray += np.einsum("ne,nei->ni", strength, rays.direction)
            inside = spot_covariance(plane, rays, captured) + np.einsum("nei,nej->neij", place, place)
            self._squares += np.einsum("ne,neij->nij", strength, inside)
            self._turned += strength @ self._angles

    @property
    def _divisor(self) -> Array:
        return np.where(self.total > 0, self.total, np.nan)

    @property
    def center(self) -> Array:
        """(n, 2) mean over the photons [pixels]."""
        return np.asarray(self._place / self._divisor[:, None])

    @property
    def covariance(self) -> Array:
        """(n, 2, 2) of the photons [pixels^2]."""
        center = self.center
        return np.asarray(self._squares / self._divisor[:, None, None] - center[:, :, None] * center[:, None, :])

    @property
    def direction(self) -> Array:
        """(n, 3) mean direction of the rays."""
        return np.asarray(self._ray / np.linalg.norm(self._ray, axis=1, keepdims=True).clip(1e-300))

    @property
    def phi(self) -> Array:
        """(n,) mean rotation angle of the photons [rad]."""
        return np.asarray(self._turned / self._divisor)


def onto_sphere(vector: Array, beam: Array) -> Array:
    """Reciprocal lattice vectors (n, 3) after the smallest rotation that brings them onto the Ewald sphere.

    With b = -beam/|beam| and q the length, the vector on the sphere has the component q^2 lambda/2 along b; the rest of it
    lies along the part of the vector across the beam. A reflection that is too short or long for the sphere stays.
    """
    k = np.linalg.norm(beam)
    axis = -beam / k
    length_sqr = (vector * vector).sum(-1)
    along = length_sqr / (2 * k)
    across = vector - (vector @ axis)[:, None] * axis
    width = np.linalg.norm(across, axis=1)
    rest = length_sqr - along**2
    good = (rest > 0) & (width > 0)
    scale = np.sqrt(np.where(good, rest, 0.0)) / np.where(width > 0, width, 1.0)
    return np.where(good[:, None], along[:, None] * axis + scale[:, None] * across, vector)


def crossing(vector: Array, beam: Array, spindle: Vec, middle: float) -> tuple[Array, Array]:
    """Rotation angle at which reflections cross the Ewald sphere nearest to `middle`, and their vectors there.

    Parameters
    ----------
    vector : (n, 3) array
        Reciprocal lattice vectors at the angle `middle`.
    beam : (3,) array
        s0/lambda.
    spindle : tuple
        Unit vector.
    middle : float
        [rad]

    Returns
    -------
    phi : (n,) array
        NaN for reflections that never cross.
    vector : (n, 3) array
    """
    axis = np.array(spindle, dtype=np.float64)
    along = (vector @ axis)[:, None] * axis
    across = vector - along
    a, b = across @ beam, np.cross(axis, across) @ beam
    c = -(vector * vector).sum(-1) / 2 - along @ beam
    size = np.hypot(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.arccos(c / size)
    base = np.arctan2(b, a)
    both = np.stack([base + turn, base - turn])
    both = (both + math.pi) % (2 * math.pi) - math.pi
    angle = np.where(np.abs(both[0]) <= np.abs(both[1]), both[0], both[1])
    moved = rotaxis(
        (vector[:, 0], vector[:, 1], vector[:, 2]), (axis[0], axis[1], axis[2]), np.nan_to_num(angle), FLOAT_OPS
    )
    return middle + angle, np.stack(moved, -1)


def _full(derived: Derivation, mean: Mean, amplitude: Array, ray: Array, plane: Plane) -> Array:
    """Photons of reflections that are rotated through completely within the scene's rotation (Darwin).

    (Phi/W) r_e^2 lambda^3 (integral of F_latt^2 over S) L P |F|^2 with W the rotation and L = 1/|e . (s1 x s0)|; the
    integral over S is Na Nb Nc/V times that over the indices.
    """
    scene = derived.scene
    axis = np.array(derived.placement.spindle, dtype=np.float64)
    lorentz = 1 / np.maximum(np.abs(np.cross(ray, mean.beam) @ axis), 1e-12)
    volume = abs(float(np.linalg.det(mean.real)))
    # how many times the crystal counts
    alone = scene.oversample**2 * len(mean.crystals) * float(np.sum(scene.weight))
    cells = sum(alone / float(part.steps) * blocks(part)[1] * volume_integral(part) for part in derived.scenes)
    factor = polarization(scene, mean.beam, ray) * plane.captured(ray).sum(-1)
    photons = float(scene.fluence) / abs(derived.rotation.osc) * float(scene.r_e_sqr) * mean.wavelength**3
    return np.asarray(photons * cells / volume * lorentz * factor * amplitude**2)
