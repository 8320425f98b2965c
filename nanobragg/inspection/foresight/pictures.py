"""An image in which there is nothing: 0 everywhere, or no spot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.derivation.scene import Scene
from nanobragg.inspection.foresight.limits import FAINTEST_SPOT

_LEAST_PIXELS = 1024
"""Between the spots there are small regions without any."""
_MOST_FACTORS = 1 << 16
"""Structure factors that are looked at for their mean."""


def image_doubt(image: Any, scene: Scene) -> str:
    """What is missing in an image of the spots; empty: nothing.

    Parameters
    ----------
    image : (n_slow, n_fast) array or tensor
        Expected photons, before anything but `Scene.background` is added to the spots.
    scene : Scene
        What was rendered.
    """
    if scene.n_pixels == 0 or is_transformed(image):
        return ""
    values = image.detach() if is_tensor(image) else image
    top, lit = detached(values.max()), detached(scene.background) != 0
    bottom = detached(values.min()) if lit or top == 0 else 0.0
    if top == bottom == 0:
        reason = "the fluence is 0" if detached(scene.fluence) == 0 else _NOTHING
        return f"the image is 0 everywhere: {reason}"
    over = top - bottom if lit else top
    if scene.n_pixels >= _LEAST_PIXELS and 0 <= over < FAINTEST_SPOT * _mean_pixel(scene):
        return f"there is no spot in the image: {_NOTHING}"
    return ""


_NOTHING = (
    "no reflection of the list meets the detector; look at wavelength, distance, cell and orientation, at the structure factors, "
    "and at the rendered region"
)


def _mean_pixel(scene: Scene) -> float:
    """Photons of a pixel at normal incidence if spots filled reciprocal space evenly: r_e^2 fluence <F^2> N_a N_b N_c Omega.

    The squared lattice factor of N cells has the mean N over a cell of reciprocal space (Parseval).
    """
    distance = detached(scene.distance) or math.inf
    edges = [detached(edge) for edge in elements(scene.pixel_size)]
    omega = edges[0] * edges[1] / distance**2
    cells = math.prod(detached(n) for n in elements(scene.n_cells))
    return detached(scene.r_e_sqr) * detached(scene.fluence) * _mean_factor(scene) * cells * omega


def _mean_factor(scene: Scene) -> float:
    """Mean of F^2 over what is not 0."""
    table = scene.f_table[: scene.table_shape[0]]
    step = int((math.prod(table.shape) / _MOST_FACTORS) ** (1 / 3)) | 1  # odd, or only even indices would be seen
    part = table[::step, ::step, ::step]
    flat = (part.detach().cpu().numpy() if is_tensor(part) else part).reshape(-1)
    held = flat[flat != 0]
    return (
        float(np.mean(held.astype(np.float64) ** 2))
        if len(held)
        else detached(scene.default_F) * detached(scene.default_F)
    )
