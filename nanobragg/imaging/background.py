"""The photons that amorphous bodies scatter into every pixel: once a pixel, whatever the crystal does.

For a slab, the mean over rays and sub-pixels of F(s)^2 P Omega chi A times ``Component.strength``; for a stretch of the
beam's path the integral of F(s)^2 P Omega chi along it, by Gauss and Legendre up to where the beam stop shades the pixel.
P is the polarization factor, Omega the solid angle, chi the fraction that the sensor takes, A the absorption of both rays in
the slab. Numpy arrays go through the C core, tensors through torch; both do the same.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg import _core, _imaging
from nanobragg.arrays import available_cores, is_tensor
from nanobragg.config import Experiment
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.background import BackgroundScene, Component, background_scene
from nanobragg.derivation.scene import Scene
from nanobragg.derivation.vectors import Ops
from nanobragg.errors import NanoBraggWarning
from nanobragg.imaging.namespace import Namespace, namespace_of
from nanobragg.streams import in_parts

_SHARE = 1 << 16
"""Pixels that a thread takes at least."""
_MOST_POINTS = 1 << 24
"""Points that are computed in one go, some 0.1 s, for a signal is not heard meanwhile."""


def with_background(
    image: Any, experiment: Experiment, scene: Scene, ops: Ops, *, n_threads: int | None = None, kernel: str = "auto"
) -> Any:
    """The image of the crystal with the photons of the amorphous bodies added.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        An array is added to in place.
    experiment : Experiment
        A decided one.
    scene : Scene
        Derived from it with `ops`.
    n_threads : int, optional
        None: all cores that this process may use.
    kernel : str
        Of the C engine.
    """
    background = background_scene(experiment, scene, ops)
    if background is None:
        return image
    threads = n_threads or available_cores()
    if not is_tensor(image) and _takes_sums(image) and scene.n_pixels == image.size:
        _add(scene, background, image.reshape(-1), threads, kernel)
        return image
    photons = background_photons(scene, background, n_threads=threads, kernel=kernel)
    if is_tensor(image):
        flat = namespace_of(image).asarray(photons).to(device=image.device, dtype=image.dtype)
        whole = flat.new_zeros(scene.n_slow * scene.n_fast)
        whole[scene.pixels] = flat
        return image + whole.reshape(image.shape)
    slow, fast = np.divmod(scene.pixels, scene.n_fast)
    image[slow, fast] += photons
    return image


def background_photons(scene: Scene, background: BackgroundScene, *, n_threads: int = 1, kernel: str = "auto") -> Any:
    """Expected photons of the background in ``scene.pixels``.

    Parameters
    ----------
    scene : Scene
        The detector and the polarization.
    background : BackgroundScene
        Derived with the same namespace.
    kernel : str
        Of the C engine: "scalar", or anything else for vectors where the machine has those of four numbers.

    Returns
    -------
    (n_pixels,) array or tensor

    Notes
    -----
    Warns where a table ends before the pixels do, and says for how many; F is constant there.
    """
    if is_tensor(background.weight):
        return sum(_evaluated(scene, background, one, namespace_of(background.weight)) for one in background.components)
    photons = np.zeros(scene.n_pixels)
    _add(scene, background, photons, n_threads, kernel)
    return photons


def _takes_sums(image: NDArray[Any]) -> bool:
    return image.dtype == np.float64 and image.flags.c_contiguous


def _add(scene: Scene, background: BackgroundScene, photons: NDArray[np.float64], n_threads: int, kernel: str) -> None:
    """Add to the photons (n_pixels,) of ``scene.pixels``, on threads."""
    here = _core.available_kernels
    chosen = kernel if kernel in here else here[-1]  # "auto" and "simd" are the widest vectors, as "fast" is
    whole = scene.n_pixels == scene.n_slow * scene.n_fast
    for one in background.components:
        core = _imaging.Background(scene, background, one, *_nodes(), curved_axes=Quirk.CURVED_DET_AXES in scene.quirks)

        def add(part: slice, core: _imaging.Background = core) -> int:
            return core.add(None if whole else scene.pixels[part], part.start, photons[part], chosen)

        points = len(background.weight) * one.oversample**2 * (1 if one.path is None else len(_nodes()[0]))
        share = max(_SHARE, -(-scene.n_pixels // n_threads))
        share = max(1, min(share, _MOST_POINTS // points))
        count = sum(in_parts(scene.n_pixels, share, n_threads, add))
        if count:
            warnings.warn(
                f"background.components: {100 * count / scene.n_pixels:.3g} % of the pixels lie beyond the table, which ends at "
                f"sin(theta)/lambda = {one.stol[-1] / 1e10:g} 1/Angstrom; F is constant there", NanoBraggWarning, stacklevel=2,
            )  # fmt: skip


@cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a path is evaluated, and how much that counts, on -1 ... 1: 1e-10 of 50 mm of air at 100 mm."""
    return np.polynomial.legendre.leggauss(8)


def _evaluated(scene: Scene, background: BackgroundScene, one: Component, xp: Namespace) -> Any:
    """One component, written over the array namespace."""
    slow, fast = (xp.asarray(index.astype(np.float64)) for index in np.divmod(scene.pixels, scene.n_fast))
    n, total = one.oversample, 0.0
    for sub_slow in range(n):
        for sub_fast in range(n):
            along_fast = (fast + (sub_fast + 0.5) / n) * scene.pixel_size[0]
            along_slow = (slow + (sub_slow + 0.5) / n) * scene.pixel_size[1]
            x = along_fast[:, None] * scene.fast + along_slow[:, None] * scene.slow + scene.pix0
            upright = scene.normal
            if scene.curved:
                x = _bent(scene, x, xp)
                upright = x / xp.sqrt((x * x).sum(-1))[:, None] * (scene.close_distance / scene.distance)
            total = total + _of_point(scene, background, one, x, upright, xp)
    return one.strength * total / (n * n)


def _bent(scene: Scene, x: Any, xp: Namespace) -> Any:
    """Points of the flat detector on the sphere (docs/model.md, Pixel positions)."""
    v = scene.distance * scene.beam
    if Quirk.CURVED_DET_AXES in scene.quirks:
        about_slow, about_fast = x[:, 1] / scene.distance, x[:, 2] / scene.distance
    else:
        handed = _plain((_cross(scene.slow, scene.beam) * scene.fast).sum())
        about = (x - v) * (1.0 if handed > 0 else -1.0) / scene.distance
        about_slow, about_fast = (about * scene.fast).sum(-1), -(about * scene.slow).sum(-1)
    once = _rotated(v + 0.0 * x, scene.slow, about_slow, xp)
    return _rotated(once, scene.fast, about_fast, xp)


def _rotated(v: Any, axis: Any, angle: Any, xp: Namespace) -> Any:
    """Rodrigues' formula for vectors (n, 3), each by its own angle."""
    c, s = xp.cos(angle)[:, None], xp.sin(angle)[:, None]
    across = v[:, [2, 0, 1]] * axis[[1, 2, 0]] - v[:, [1, 2, 0]] * axis[[2, 0, 1]]
    return axis * ((v * axis).sum(-1)[:, None] * (1.0 - c)) + v * c + across * s


def _of_point(scene: Scene, background: BackgroundScene, one: Component, x: Any, upright: Any, xp: Namespace) -> Any:
    """F^2 P Omega chi A of a point of every pixel, for a path integrated; upright: the pixels' normals."""
    if one.path is None:
        lit = 1.0
        if one.beamstop is not None:
            lit = xp.asarray(_plain(_shade(scene, one, x, xp)) > 0.0)
        return _scattered(scene, background, one, x, upright, xp) * lit
    first, last = one.path
    end = 0.0 * x[:, 0] + last
    if one.beamstop is not None:
        shade = _shade(scene, one, x, xp)
        end = xp.where(xp.asarray(_plain(shade) < _plain(end)), shade, end)
        end = xp.where(xp.asarray(_plain(end) > _plain(first)), end, first + 0.0 * end)
    half, total = (end - first) / 2.0, 0.0
    for node, weight in zip(*_nodes(), strict=True):
        z = first + half * (1.0 + node)
        total = total + weight * half * _scattered(scene, background, one, x - z[:, None] * scene.beam, upright, xp)
    return total


def _shade(scene: Scene, one: Component, x: Any, xp: Namespace) -> Any:
    """Where along the beam the stop begins to shade the pixel: light from before that point reaches it."""
    assert one.beamstop is not None
    radius, distance = one.beamstop
    along = (x * scene.beam).sum(-1)
    off = x - along[:, None] * scene.beam
    rho = xp.sqrt((off * off).sum(-1))
    outside = xp.asarray(_plain(rho) > radius)
    gap = xp.where(outside, rho - radius, 1.0 + 0.0 * rho)
    return xp.where(outside, (distance * rho - radius * along) / gap, -1e9 + 0.0 * rho)


def _scattered(scene: Scene, background: BackgroundScene, one: Component, x: Any, upright: Any, xp: Namespace) -> Any:
    r = xp.sqrt((x * x).sum(-1))
    direction = x / r[:, None]
    cosine = (direction * scene.normal).sum(-1)
    omega = scene.pixel_area / (r * r)
    if not scene.point_pixel:
        omega = omega * (direction * upright).sum(-1)
    if scene.has_sensor:
        omega = omega * (1.0 - xp.exp(-scene.attenuation * scene.layer_thickness * scene.n_layers / cosine))
    total = 0.0
    for k, wavelength, weight in zip(background.incident, background.wavelength, background.weight, strict=True):
        s = 0.5 * xp.sqrt(((direction - k) ** 2).sum(-1) + 1e-300) / wavelength
        f = _factor(one, s, xp)
        c = (direction * k).sum(-1)
        term = f * f * weight
        if scene.polarized:
            term = term * _polarization(scene, direction, k, c, xp)
        if _plain(one.depth) > 0:
            term = term * _absorbed(one.depth, c, xp)
        total = total + term
    return total * omega


def _factor(one: Component, s: Any, xp: Namespace) -> Any:
    """F at s, constant outside the table."""
    nodes = _plain(one.stol)
    at = _plain(s)
    i = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    below, above = xp.asarray(at < nodes[0]), xp.asarray(at > nodes[-1])
    width = one.stol[i + 1] - one.stol[i]
    t = xp.where(above, width, xp.where(below, 0.0 * s, s - one.stol[i]))
    c = one.polynomial[i]
    return c[:, 0] + t * (c[:, 1] + t * (c[:, 2] + t * c[:, 3]))


def _polarization(scene: Scene, direction: Any, k: Any, c: Any, xp: Namespace) -> Any:
    """Kahn's factor, with K cos(2 psi) sin^2(2 theta) = K (E^2 - B^2) of the components along and across the field."""
    magnetic = _cross(scene.polarization_axis, k)
    magnetic = magnetic / xp.sqrt((magnetic * magnetic).sum())
    electric = _cross(k, magnetic)
    e, b = (direction * electric).sum(-1), (direction * magnetic).sum(-1)
    return 0.5 * (1.0 + c * c - scene.kahn_factor * (e * e - b * b))


def _cross(a: Any, b: Any) -> Any:
    order, other = [1, 2, 0], [2, 0, 1]
    return a[order] * b[other] - a[other] * b[order]


def _absorbed(depth: Any, c: Any, xp: Namespace) -> Any:
    """What a slab of this depth, in attenuation lengths, lets through of both rays together."""
    forward = xp.asarray(_plain(c) > 0)
    path = 1.0 / xp.where(forward, c, 1.0 + 0.0 * c)
    back = 1.0 / xp.where(forward, 1.0 + 0.0 * c, -c + 1e-300)
    w = depth * xp.where(forward, path - 1.0, 1.0 + back)
    small = xp.asarray(_plain(w) < 1e-4)
    safe = xp.where(small, 1.0 + 0.0 * w, w)
    mean = xp.where(small, 1.0 - w / 2.0 + w * w / 6.0, (1.0 - xp.exp(-safe)) / safe)
    return mean * xp.where(forward, xp.exp(-depth + 0.0 * w), 1.0 + 0.0 * w)


def _plain(value: Any) -> NDArray[np.float64]:
    return np.asarray(value.detach().cpu() if is_tensor(value) else value, np.float64)
