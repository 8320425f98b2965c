"""Diffuse scattering: what correlated displacements of the atoms scatter beside and between the reflections."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanobragg.arrays import detached, elements, is_tensor, is_transformed
from nanobragg.config.crystals.mosaic import plain_array
from nanobragg.config.fields import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.errors import BackendUnavailableError, ConfigError
from nanobragg.io.space_groups import laue_rotations
from nanobragg.lazy import dataclass

METHODS = ("stencil", "fft")
TABLES = ("with_B", "static")
MOST_NEIGHBORS = 50
MOST_ORDERS = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class Diffuse(Config):
    """Diffuse scattering of liquid-like motions, displacements whose correlation decays as exp(-r/gamma); or a map."""

    _path = "crystal.diffuse"
    sigma_angstrom: Any = setting(
        0.0, kind="spreads", unit="Angstrom", differentiable=True, check=NOT_NEGATIVE,
        doc="root mean square displacement along each axis of the crystal, three numbers: along a, c* x a and c*; 0: no diffuse "
        "scattering",
    )  # fmt: skip
    gamma_angstrom: Any = setting(
        50.0, kind="spreads", unit="Angstrom", differentiable=True, check=POSITIVE,
        doc="length over which displacements are correlated, for all axes or along a, c* x a and c*",
    )  # fmt: skip
    stencil: int = setting(
        1, kind="int", check=(lambda n: 0 <= n <= MOST_NEIGHBORS, f"must be within 0 and {MOST_NEIGHBORS}"),
        doc="method stencil: reflections up to so many indices from the nearest one count",
    )  # fmt: skip
    n_orders: int | None = setting(
        None, kind="int", check=(lambda n: 1 <= n <= MOST_ORDERS, f"must be within 1 and {MOST_ORDERS}"),
        doc="orders of the series in x = 4 pi^2 q.U.q; None: 1 where x <= 0.3 everywhere in the image, else 4",
    )  # fmt: skip
    laue_group: Any = setting(
        None, kind="symbol",
        doc="Laue group over whose rotations the motions are averaged, as '4/mmm' or by a space group; None: that of space_group "
        "or of the structure factors' file, else '-1'",
    )  # fmt: skip
    method: str = setting(
        "stencil", kind="enum", choices=METHODS,
        doc="stencil: the sum over the reflections nearby, at every pixel; fft: over all of them, as a map",
    )  # fmt: skip
    grid: int = setting(5, kind="int", check=AT_LEAST_ONE, doc="points of a map for each index along h, k and l")
    table: str = setting(
        "with_B", kind="enum", choices=TABLES,
        doc="whether the structure factors hold the B factor of these displacements; static: they do not, and spots and "
        "diffuse scattering go with exp(-x)",
    )  # fmt: skip
    map: Any = setting(
        None, kind="array", unit="electrons^2", differentiable=True,
        doc="(n_h, n_k, n_l) diffuse intensity of a unit cell at the indices map_hkl_min + i/grid, in place of "
        "sigma_angstrom; 0 outside",
    )  # fmt: skip
    map_hkl_min: Any = setting((0.0, 0.0, 0.0), kind="vector3", doc="indices of the first value of map")

    @property
    def acts(self) -> bool:
        """Whether there is any, or some that may be differentiated by."""
        return self.map is not None or any(is_tensor(x) or x != 0 for x in _three(self.sigma_angstrom))

    @property
    def damps(self) -> bool:
        """Whether the displacements are to be taken from the structure factors."""
        return self.table == "static" and self.map is None and self.acts

    @property
    def sigmas(self) -> tuple[Any, Any, Any]:
        """The three displacements [Angstrom]."""
        return _three(self.sigma_angstrom)

    @property
    def gammas(self) -> tuple[Any, Any, Any]:
        """The three lengths [Angstrom]."""
        return _three(self.gamma_angstrom)

    @property
    def isotropic(self) -> bool:
        """Whether displacements and lengths were given by one number each."""
        return not any(_several(x) for x in (self.sigma_angstrom, self.gamma_angstrom))

    @property
    def longest(self) -> float:
        """The longest correlation [Angstrom]."""
        return max(detached(x) for x in self.gammas)

    def _check(self) -> None:
        if self.laue_group is not None:
            check_laue_group(f"{self._path}.laue_group", self.laue_group)
        if self.map is None:
            return
        if any(is_tensor(x) or x != 0 for x in self.sigmas):
            raise ConfigError(f"{self._path}.map", "with sigma_angstrom", "takes its place", "leave one of them out")
        if self.laue_group is not None:
            raise ConfigError(f"{self._path}.map", "with laue_group", "is taken as it is", "leave laue_group out")
        shape = tuple(self.map.shape)
        if len(shape) != 3 or min(shape) < 2:
            raise ConfigError(
                f"{self._path}.map", f"array of shape {shape}", "must have three axes of 2 values or more"
            )
        if not is_transformed(self.map) and not np.isfinite(plain_array(self.map)).all():
            raise ConfigError(f"{self._path}.map", "NaN or infinity", "must be finite")


def check_laue_group(path: str, group: Any) -> None:
    """Refuse a symbol that names no Laue group.

    Raises
    ------
    ConfigError
    """
    try:
        laue_rotations(group)
    except ValueError as error:
        raise ConfigError(path, group, str(error)) from None
    except BackendUnavailableError:  # the group is looked up when the image is made
        pass


def _several(value: Any) -> bool:
    return isinstance(value, tuple) or (is_tensor(value) and len(value.shape) == 1)


def _three(value: Any) -> tuple[Any, Any, Any]:
    x, y, z = elements(value) if _several(value) else (value, value, value)
    return x, y, z
