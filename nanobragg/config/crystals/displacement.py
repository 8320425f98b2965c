"""Displacements of the atoms beyond those in the structure factors, and what dose does to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import is_tensor, is_transformed
from nanobragg.config.crystals.mosaic import plain_array
from nanobragg.config.fields import NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.errors import ConfigError
from nanobragg.lazy import dataclass


@dataclass(frozen=True, eq=False, kw_only=True)
class Displacement(Config):
    """Displacements of the atoms that are not in the structure factors yet."""

    _path = "crystal.displacement"
    b_angstrom2: Any = setting(
        0.0,
        kind="scalar",
        unit="Angstrom^2",
        differentiable=True,
        doc="B factor, 8 pi^2 <u^2>: intensities go with exp(-B |q|^2/2), |q| = 1/d; may be negative",
    )
    u_angstrom2: Any = setting(
        None,
        kind="matrix3",
        unit="Angstrom^2",
        differentiable=True,
        doc="U, mean squares and products of the displacements in the axes a, c* x a, c* of the crystal: intensities go with "
        "exp(-4 pi^2 q.U.q)",
    )

    @property
    def acts(self) -> bool:
        """Whether there are any, or some that may be differentiated by."""
        return is_tensor(self.b_angstrom2) or self.b_angstrom2 != 0 or self.u_angstrom2 is not None

    def _check(self) -> None:
        if self.u_angstrom2 is None or is_transformed(self.u_angstrom2):
            return
        matrix = plain_array(self.u_angstrom2)
        if np.abs(matrix - matrix.T).max() > 1e-12 * np.abs(matrix).max():
            raise ConfigError(f"{self._path}.u_angstrom2", matrix.tolist(), "must be symmetric", "write (U + U.T)/2")


@dataclass(frozen=True, eq=False, kw_only=True)
class Damage(Config):
    """Radiation damage: what the dose D in the middle of the exposure does to the intensities."""

    _path = "crystal.damage"
    dose_mgy: Any = setting(
        0.0, kind="scalar", unit="MGy", differentiable=True, check=NOT_NEGATIVE, doc="dose before the image begins"
    )
    frame_dose_mgy: Any = setting(
        0.0, kind="scalar", unit="MGy", differentiable=True, check=NOT_NEGATIVE,
        doc="dose during an image; D = dose_mgy + half of it, and the next image of a series begins with all of it",
    )  # fmt: skip
    b_per_mgy: Any = setting(
        0.0, kind="scalar", unit="Angstrom^2/MGy", differentiable=True, doc="growth of the B factor; some 1 at 100 K"
    )
    decay_per_mgy: Any = setting(
        0.0, kind="scalar", unit="1/MGy", differentiable=True, doc="all intensities go with exp(-decay D)"
    )
    dose_1_mgy: Any = setting(
        None, kind="scalar", unit="MGy Angstrom^-exponent", differentiable=True, check=POSITIVE,
        doc="intensities go with exp(-D |q|^exponent/dose_1); 14.4 with exponent 1: half of it is gone after 10 MGy per Angstrom",
    )  # fmt: skip
    exponent: Any = setting(
        1.0, kind="scalar", check=POSITIVE, doc="of the resolution in dose_1_mgy; 2 is a B factor of 2/dose_1 per MGy"
    )

    @property
    def acts(self) -> bool:
        """Whether there is a dose, or one that may be differentiated by."""
        return any(is_tensor(x) or x != 0 for x in (self.dose_mgy, self.frame_dose_mgy))

    @property
    def by_resolution(self) -> bool:
        """Whether the dose changes the intensities of the reflections unlike."""
        growth = is_tensor(self.b_per_mgy) or self.b_per_mgy != 0
        return self.acts and (growth or self.dose_1_mgy is not None)
