"""The solid angle that the report prints (spec physics.md 15.6 and 16, OMEGA_PRINT)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.derivation.scene import FactorMode, Scene

_CHUNK = 1 << 15


def detector_solid_angle(scene: Scene, as_original: bool) -> float:
    """Solid angle of the rendered pixels [steradian].

    Parameters
    ----------
    scene : Scene
        With numpy values.
    as_original : bool
        The sum over layers and sub-pixels divided by the number of steps, so it is too small when there are several
        sources, domains or phi steps; otherwise the mean over sub-pixels on the front plane.
    """
    n = scene.oversample
    cached = as_original and scene.omega_mode is FactorMode.CACHED
    layers = scene.n_layers if as_original and not cached else 1
    subs = 1 if cached else n
    total = 0.0
    for begin in range(0, scene.n_pixels, _CHUNK):
        slow, fast = np.divmod(scene.pixels[begin : begin + _CHUNK], scene.n_fast)
        for layer in range(layers):
            for j in range(subs):
                for i in range(subs):
                    total += float(_omega(scene, fast * n + i, slow * n + j, layer).sum())
    if not as_original:
        return total / (n * n)
    return total * (n * n * scene.n_layers if cached else 1) / float(scene.steps)


def _omega(scene: Scene, fast: Any, slow: Any, layer: int) -> Any:
    """Solid angle of sub-pixel centres [steradian]."""
    if scene.curved:  # every point is turned about the sample from the beam spot
        r = np.full(len(fast), abs(scene.distance))
    else:
        sub = scene.pixel_size / scene.oversample
        x = sub * fast + sub / 2
        y = sub * slow + sub / 2
        depth = layer * scene.layer_thickness
        r = np.sqrt(
            sum(
                (x * scene.fast[k] + y * scene.slow[k] + depth * scene.normal[k] + scene.pix0[k]) ** 2 for k in range(3)
            )
        )
    omega = scene.pixel_area / r / r
    return omega if scene.point_pixel else omega * scene.close_distance / r
