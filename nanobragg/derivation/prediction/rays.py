"""From a reciprocal lattice vector to the ray that carries most of its photons, and from the ray to the pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.derivation.prediction.spots import blocks, plane_integral, spread
from nanobragg.derivation.scene import Scene
from nanobragg.errors import ConfigError
from nanobragg.io.geometry.axes import Array
from nanobragg.lazy import dataclass

_STEPS = 3
# of Gauss and Newton towards the brightest ray; the second moves it by less than 1e-6 of a spot


@dataclass(frozen=True)
class Rays:
    """The brightest ray of every pair of a reflection and a crystal, for one source."""

    direction: Array
    """(..., 3) unit vectors"""
    strength: Array
    """(...) integral of F_latt^2 over the solid angle [sr]"""
    covariance: Array
    """(..., 3, 3) of the directions about the brightest one, for the shape's Gaussian"""


def brightest(scene: Scene, metric: Array, vector: Array, incident: Array, wavelength: float) -> Rays:
    """Where on the Ewald sphere the lattice factor of a reflection is largest, and its integral there.

    With S the scattering vector of the direction u, S = (u - s0)/lambda, the point of the sphere that lies closest to the
    reflection in the metric of the crystal is found by Gauss and Newton; the sphere is taken as its tangent plane there.

    Parameters
    ----------
    scene : Scene
        Shape and size of the crystal.
    metric : (..., 3, 3) array
        M = diag(N) (a, b, c) [Angstrom].
    vector : (..., 3) array
        Reciprocal lattice vectors [1/Angstrom].
    incident : (3,) array
        Unit vector along the beam.
    wavelength : float
        [Angstrom]
    """
    beam = incident / wavelength
    u = vector + beam
    u = u / np.linalg.norm(u, axis=-1, keepdims=True)
    for _ in range(_STEPS):
        tangent = _tangents(u)
        slope = np.stack([_times(metric, tangent[..., k]) for k in (0, 1)], -1) / wavelength
        apart = _times(metric, u / wavelength - beam - vector)
        turned = slope.swapaxes(-1, -2)
        normal = np.stack([_times(turned, slope[..., k]) for k in (0, 1)], -1)
        gradient = _times(turned, apart)
        inverse, determinant = _inverse(normal)
        u = u - _times(tangent, _times(inverse, gradient))
        u = u / np.linalg.norm(u, axis=-1, keepdims=True)
    apart = _times(metric, u / wavelength - beam - vector)
    across = np.cross(slope[..., 0], slope[..., 1])
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    distance = _times(across[..., None, :], apart)[..., 0]
    shape = distance.shape
    height = blocks(scene)[1] ** 2
    plane = plane_integral(scene, distance.ravel() ** 2, across.reshape(-1, 3)).reshape(shape)
    rows = np.stack([_times(inverse, tangent[..., a, :]) for a in range(3)], -1)
    inside = spread(scene) ** 2 * np.stack([_times(tangent, rows[..., b]) for b in range(3)], -1)
    return Rays(u, height * plane / np.sqrt(determinant), inside)


def _times(matrix: Array, vector: Array) -> Array:
    """Matrices (..., i, j) times vectors (..., j), written out: einsum takes five times as long for matrices this small."""
    n = vector.shape[-1]
    return np.stack([sum(matrix[..., i, j] * vector[..., j] for j in range(n)) for i in range(matrix.shape[-2])], -1)


def _tangents(u: Array) -> Array:
    """(..., 3, 2): two perpendicular unit vectors across u."""
    helper = np.where(np.abs(u[..., :1]) < 0.7, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    first = np.cross(u, helper)
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    return np.stack([first, np.cross(u, first)], -1)


def _inverse(m: Array) -> tuple[Array, Array]:
    """Inverse and determinant of symmetric (..., 2, 2) matrices."""
    determinant = m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] ** 2
    other = np.empty_like(m)
    other[..., 0, 0], other[..., 1, 1] = m[..., 1, 1], m[..., 0, 0]
    other[..., 0, 1] = other[..., 1, 0] = -m[..., 0, 1]
    return other / determinant[..., None, None], determinant


class Plane:
    """The flat panel of a scene, front of its sensor or at a depth in it.

    Raises
    ------
    ConfigError
        For a curved detector.
    """

    def __init__(self, scene: Scene) -> None:
        if scene.curved:
            raise ConfigError(
                "detector.curved",
                True,
                "has no prediction: rays are met with a plane",
                "render the image instead, nanobragg.simulate(experiment)",
            )
        fast, slow, self.normal, self.pix0 = (
            np.asarray(v, dtype=np.float64) for v in (scene.fast, scene.slow, scene.normal, scene.pix0)
        )
        edges = np.asarray(scene.pixel_size, dtype=np.float64)
        self.steps = edges[:, None] * np.stack([fast, slow])
        """(2, 3) from pixel to pixel along fast and slow [m]"""
        skew = float(fast @ slow)
        self.per_meter = np.stack([fast - skew * slow, slow - skew * fast]) / (1 - skew * skew) / edges[:, None]
        """(2, 3) vectors of the plane whose products with a place of it are its pixels along fast and slow [1/m]"""
        self.distance = float(self.pix0 @ self.normal)
        self.has_sensor = scene.has_sensor
        self.depths = np.arange(scene.n_layers) * float(scene.layer_thickness)
        self.step, self.attenuation = float(scene.layer_thickness), float(scene.attenuation)

    def captured(self, direction: Array) -> Array:
        """(..., n_layers): the part of the photons that each layer of the sensor takes (Beer and Lambert)."""
        if not self.has_sensor:
            return np.ones((*direction.shape[:-1], 1))
        path = self.attenuation / (direction @ self.normal)[..., None]
        return np.exp(-self.depths * path) - np.exp(-(self.depths + self.step) * path)

    def pixels(self, direction: Array, captured: Array | None = None) -> Array:
        """(..., 2): where rays meet the panel, fast and slow in pixels from its outer corner; NaN for rays that do not.

        Parameters
        ----------
        direction : (..., 3) array
        captured : (..., n_layers) array, optional
            From `captured`, for the mean over the layers; None: on the front.
        """
        along = direction @ self.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = 0.0 if captured is None else captured @ self.depths / captured.sum(-1)
            place = direction * ((self.distance + depth) / along)[..., None] - self.pix0
            found = place @ self.per_meter.T
        # layers stand behind each other along the normal: the place on them is that of the pixel above
        return np.where((along * self.distance > 0)[..., None], found, np.nan)

    def slopes(self, direction: Array) -> Array:
        """(..., 2, 3): derivative of `pixels` on the front by the direction."""
        along = (direction @ self.normal)[..., None, None]
        across = (direction @ self.per_meter.T)[..., None] * self.normal / along
        return np.asarray((self.per_meter - across) * self.distance / along)


def polarization(scene: Scene, incident: Array, direction: Array) -> Array:
    """Kahn's factor, (1 + cos^2 2theta - K cos 2psi sin^2 2theta)/2; source: docs/model.md, Polarization."""
    if not scene.polarized:
        return np.ones(direction.shape[:-1])
    axis, degree = np.asarray(scene.polarization_axis, dtype=np.float64), float(scene.kahn_factor)
    magnetic = np.cross(axis, incident)
    length = np.linalg.norm(magnetic)
    along = (direction @ incident) ** 2
    if length == 0:
        return np.asarray((1 + along - degree * (1 - along)) / 2)
    magnetic = magnetic / length
    electric = np.cross(incident, magnetic)
    return np.asarray((1 + along - degree * ((direction @ electric) ** 2 - (direction @ magnetic) ** 2)) / 2)


def spot_covariance(plane: Plane, rays: Rays, captured: Array) -> Array:
    """(..., 2, 2): covariance of a spot on the panel [pixels^2], for the shape's Gaussian and the layers of the sensor."""
    slope: Any = plane.slopes(rays.direction)
    found = np.asarray(np.einsum("...ia,...ab,...jb->...ij", slope, rays.covariance, slope))
    if len(plane.depths) > 1:
        total = captured.sum(-1)
        mean = captured @ plane.depths / total
        variance = np.maximum(captured @ plane.depths**2 / total - mean**2, 0.0)
        lean = rays.direction @ plane.per_meter.T / (rays.direction @ plane.normal)[..., None]
        found = found + variance[..., None, None] * lean[..., :, None] * lean[..., None, :]
    return found
