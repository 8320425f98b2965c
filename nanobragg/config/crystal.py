"""The crystal: unit cell, orientation, size, shape, mosaic domains."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import numpy as np

from nanobragg.arrays import detached, drawn_seed, elements, is_tensor
from nanobragg.config.crystals.blocks import BlockSizes, check_blocks
from nanobragg.config.crystals.diffuse import Diffuse
from nanobragg.config.crystals.displacement import Damage, Displacement
from nanobragg.config.crystals.mosaic import Mosaic
from nanobragg.config.fields import NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import BackendUnavailableError, ConfigError
from nanobragg.io.space_groups import hall_symbol
from nanobragg.lazy import dataclass

_ANGLE = (lambda v: 0 < v < 180, "must be > 0 and < 180")


class Shape(enum.IntEnum):
    """Crystal shape, which decides the lattice factor F_latt; numbers as in csrc/nanobragg.h."""

    SQUARE = 0
    ROUND = 1
    GAUSS = 2
    TOPHAT = 3


@dataclass(frozen=True, eq=False)
class UnitCell(Config):
    """Unit cell: edges a, b, c [Angstrom] and angles alpha, beta, gamma [degrees]."""

    _path = "crystal.unit_cell"
    a: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE, doc="edge a")
    b: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE, doc="edge b")
    c: Any = setting(kind="scalar", unit="Angstrom", differentiable=True, flags="-cell", check=POSITIVE, doc="edge c")
    alpha: Any = setting(
        kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE, doc="angle between b and c"
    )
    beta: Any = setting(
        kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE, doc="angle between a and c"
    )
    gamma: Any = setting(
        kind="scalar", unit="degrees", differentiable=True, flags="-cell", check=_ANGLE, doc="angle between a and b"
    )

    def _check(self) -> None:
        angles = (self.alpha, self.beta, self.gamma)
        if any(is_tensor(angle) for angle in angles):
            return
        radians = np.radians([detached(angle) for angle in angles])
        half = radians.sum() / 2
        if np.sin(half) * np.prod(np.sin(half - radians)) < 1e-12:  # the volume of a unit cell, squared, over 4
            raise ConfigError(
                self._path,
                angles,
                "these angles close no cell",
                "each must be smaller than the sum of the other two, and the sum below 360 degrees",
            )

    @classmethod
    def unchecked(cls, a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> UnitCell:
        """A cell that the original program renders although it closes no cell; for the lenient command line only."""
        cell = object.__new__(cls)
        for name, value in zip(("a", "b", "c", "alpha", "beta", "gamma"), (a, b, c, alpha, beta, gamma), strict=True):
            object.__setattr__(cell, name, float(value))
        return cell


@dataclass(frozen=True, eq=False, kw_only=True)
class Crystal(Config):
    """The crystal: cell or matrix, orientation, size, shape, mosaic domains and structure factors.

    A random orientation without a `misset_seed` is drawn when the object is made: whatever is rendered, traced, explained
    or recorded of it has that one orientation, and `orientation_seed` says which; plain data, JSON and TOML hold that seed.
    Another Crystal draws another, also one made by ``experiment.replace("crystal.n_cells", ...)``, unless `misset_seed` is
    given.
    """

    _path = "crystal"
    _drawn_seed: ClassVar[int | None] = None
    unit_cell: UnitCell | None = setting(
        None,
        part=UnitCell,
        flags="-cell",
        doc="None: that of the structure factors' file, unless a_star_matrix is given",
    )
    a_star_matrix: Any = setting(
        None,
        kind="matrix3",
        unit="1/Angstrom",
        differentiable=True,
        flags="-mat",
        doc="rows a*, b*, c* in the laboratory frame, wavelength removed",
    )
    misset_deg: Any = setting(
        (0.0, 0.0, 0.0),
        kind="vector3",
        words=("random",),
        unit="degrees",
        differentiable=True,
        flags="-misset",
        doc="rotations about lab x, y, z in that order, or 'random'",
    )
    misset_seed: int | None = setting(
        None,
        kind="int",
        flags="-misset_seed",
        doc="seed of the random orientation; None: from the system, drawn when the object is made",
    )
    n_cells: Any = setting(
        (1.0, 1.0, 1.0), kind="vector3", differentiable=True, flags="-N -Na -Nb -Nc", doc="cells along a, b, c"
    )
    size_mm: Any = setting(
        None,
        kind="vector3",
        items_optional=True,
        unit="mm",
        flags="-xtalsize -sample_x -sample_y -sample_z",
        check=NOT_NEGATIVE,
        doc="size along a, b, c; 0 or None for an axis leaves n_cells",
    )
    block_matrix: Any = setting(
        None,
        kind="matrix3",
        unit="cells",
        differentiable=True,
        doc="symmetric matrix M in place of n_cells, its diagonal, for blocks that are not aligned with the axes: "
        "h - h0 counts by |M (h - h0)|",
    )
    n_blocks: Any = setting(
        None,
        kind="scalar",
        differentiable=True,
        check=POSITIVE,
        flags="--blocks",
        doc="blocks of n_cells in the beam, which scatter independently; None: 1, or from volume_mm3",
    )
    volume_mm3: Any = setting(
        None,
        kind="scalar",
        unit="mm^3",
        differentiable=True,
        check=POSITIVE,
        flags="--volume-mm3",
        doc="volume of the crystal in the beam, as many blocks as it holds",
    )
    sizes: BlockSizes = setting(factory=BlockSizes, part=BlockSizes, doc="how the sizes of the blocks differ")
    shape: str = setting(
        "square",
        kind="enum",
        choices=tuple(shape.name.lower() for shape in Shape),
        flags="-square_xtal -round_xtal -gauss_xtal -tophat_spots",
        doc="of the crystal, which decides the form of the spots",
    )
    fudge: Any = setting(
        1.0, kind="scalar", differentiable=True, flags="-fudge", doc="radius^2 multiplier of round, gauss and tophat"
    )
    mosaic: Mosaic = setting(factory=Mosaic, part=Mosaic, doc="misoriented domains")
    displacement: Displacement = setting(
        factory=Displacement, part=Displacement, doc="B and U beyond those in the structure factors"
    )
    damage: Damage = setting(factory=Damage, part=Damage, doc="what dose does")
    diffuse: Diffuse = setting(factory=Diffuse, part=Diffuse, doc="scattering beside and between the reflections")
    structure_factors: StructureFactors | None = setting(
        None, part=StructureFactors, flags="-hkl -default_F -dump", doc="amplitudes of the reflections; required"
    )
    space_group: Any = setting(
        None,
        kind="symbol",
        doc="symbol as 'P 21 21 21', number, or Hall symbol, which begins with a blank or '-'; for files that name the "
        "group, the image does not depend on it; None: that of the structure factors' file",
    )

    @property
    def orientation_seed(self) -> int | None:
        """Seed of the random orientation: `misset_seed`, or the one that was drawn; None: the orientation is given."""
        if not isinstance(self.misset_deg, str):
            return None
        return self._drawn_seed if self.misset_seed is None else self.misset_seed

    def stored(self) -> dict[str, Any]:
        """A random orientation stands in files as what was drawn: by its seed."""
        return {"misset_seed": self.orientation_seed} if isinstance(self.misset_deg, str) else {}

    @property
    def displaced(self) -> bool:
        """Whether displacements or damage change the structure factors of the reflections unlike."""
        return self.displacement.acts or self.damage.by_resolution or self.diffuse.damps

    def _check(self) -> None:
        if isinstance(self.misset_deg, str) and self.misset_seed is None:
            object.__setattr__(self, "_drawn_seed", drawn_seed())
        table = self.structure_factors
        if self.space_group is not None:
            _check_group(self.space_group)
        if self.unit_cell is None and self.a_star_matrix is None:
            if table is None or table.unit_cell is None:
                raise ConfigError("crystal.unit_cell", None, "is required", "give unit_cell or a_star_matrix")
            object.__setattr__(self, "unit_cell", UnitCell(*table.unit_cell))
        if self.structure_factors is None:
            raise ConfigError(
                "crystal.structure_factors",
                None,
                "is required",
                "use StructureFactors.from_mtz, from_model, from_hkl, from_arrays or constant",
            )
        check_blocks(self)
        if self.shape == "round" and detached(self.fudge) < 0:
            raise ConfigError("crystal.fudge", self.fudge, "must be >= 0 for shape 'round', which takes its root")
        if any(is_tensor(n) for n in elements(self.n_cells)) and self.shape in ("square", "tophat"):
            raise ConfigError(
                "crystal.n_cells",
                self.n_cells,
                f"is not differentiable for shape {self.shape!r}",
                "use shape='gauss' or 'round', or plain integers",
            )
        if self.shape in ("square", "round"):
            for i, n in enumerate(elements(self.n_cells)):
                if not is_tensor(n) and n != int(n):
                    raise ConfigError(
                        f"crystal.n_cells[{i}]",
                        n,
                        f"must be a whole number for shape {self.shape!r}",
                        "use shape='gauss' for fractional sizes",
                    )


def _check_group(group: Any) -> None:
    try:
        hall_symbol(group)
    except ValueError as error:
        raise ConfigError("crystal.space_group", group, str(error)) from None
    except BackendUnavailableError:  # the symbol is looked up when a file is written
        pass
