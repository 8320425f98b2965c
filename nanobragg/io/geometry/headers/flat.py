"""The detector of simple headers: one panel at right angles to the beam."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.io.geometry.axes import Array
from nanobragg.io.geometry.record import BEAM, Geometry, Path, forwards, panel_of

FAST, SLOW = np.array([1.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
SPINDLE = np.array([1.0, 0.0, 0.0])
_ELECTRIC = np.array([1.0, 0.0, 0.0])
"""Of a synchrotron: horizontal."""


def flat(
    path: Path, where: str, shape: tuple[int, int], edges: tuple[float, float], beam: tuple[float, float], distance: float,
    *, wavelength: float, spindle: Array = SPINDLE, start: float = 0.0, width: float = 0.0, exposure_s: float | None = None,
    polarization: float | None = None, **panel: Any,
) -> Geometry:  # fmt: skip
    """Geometry of a header.

    Parameters
    ----------
    path, where : path and str
        For messages.
    shape : tuple of 2 int
        (n_slow, n_fast) pixels.
    edges : tuple of 2 float
        Of a pixel along fast and slow [mm].
    beam : tuple of 2 float
        Where the beam meets the panel, along fast and slow from the outer corner of the first pixel [mm].
    distance : float
        [mm]
    wavelength : float
        [Angstrom]
    spindle, start, width
        Of the image; angles [degrees].
    exposure_s : float, optional
        [s]
    polarization : float, optional
        Horizontal fraction p of the intensity, 0 to 1; the Kahn factor is 2 p - 1.
    **panel
        Other fields of `Panel`.
    """
    spindle, start, width = forwards(spindle, start, width)
    found = panel_of(path, where, edges, n_fast=shape[1], n_slow=shape[0], origin=np.array([-beam[0], beam[1], -distance]),
                     fast=FAST, slow=SLOW, **panel)  # fmt: skip
    return Geometry(
        panels=(found,), wavelength=wavelength, beam=BEAM, spindle=spindle, phi_start=start, osc=width or None,
        exposure_s=exposure_s, polarization_axis=None if polarization is None else _ELECTRIC,
        kahn_factor=None if polarization is None else 2 * polarization - 1,
    )  # fmt: skip
