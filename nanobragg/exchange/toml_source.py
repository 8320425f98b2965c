"""Where an experiment file says that structure factors come from."""

from __future__ import annotations

import dataclasses
import json
import os
from itertools import pairwise
from typing import Any

from nanobragg.config.crystals.anomalous import AnomalousModel
from nanobragg.config.fields import NOT_NEGATIVE, POSITIVE, Config, setting
from nanobragg.config.serialize import Braces, built
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io.atomic import read_bytes
from nanobragg.io.reflections.origin import checksum
from nanobragg.lazy import dataclass

_FILES = ("mtz", "cif", "model", "hkl", "fdump", "table")
_BY_ENERGY = ("mtz", "cif", "hkl")
"""Of which there may be one for each photon energy."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Source(Config):
    """Where structure factors come from: one of the files, or `default_F` alone."""

    _path = "crystal.structure_factors"
    mtz: Any = setting(
        None,
        doc="MTZ file; its symmetry is applied and its cell offered to the crystal; or one for each of energies_ev",
    )
    cif: Any = setting(None, doc="structure-factor mmCIF file, or one for each of energies_ev")
    label: str | None = setting(None, doc="column of mtz or cif; None: the best there is; a warning says which")
    model: str | None = setting(None, doc="PDB or mmCIF coordinates")
    d_min_angstrom: float | None = setting(
        None, kind="scalar", unit="Angstrom", check=POSITIVE, doc="resolution of model"
    )
    k_sol: float = setting(
        0.35, kind="scalar", unit="electrons/Angstrom^3", check=NOT_NEGATIVE, doc="bulk solvent of model"
    )
    b_sol: float = setting(46.0, kind="scalar", unit="Angstrom^2", check=NOT_NEGATIVE, doc="its B factor")
    anomalous_energy_ev: float | None = setting(
        None, kind="scalar", unit="eV", check=POSITIVE, doc="anomalous scattering of model at this energy; None: none"
    )
    energies_ev: Any = setting(
        None,
        kind="array",
        unit="eV",
        doc="a table of model, or a file, for each of these photon energies, ascending; None: one for all",
    )
    elements: Any = setting(
        None, doc="whose anomalous scattering counts with energies_ev; None: every element beyond neon"
    )
    hkl: Any = setting(None, doc="text lines 'h k l F', all of P1; or a file for each of energies_ev")
    fdump: str | None = setting(None, doc="binary dump of the original program")
    table: str | None = setting(None, doc="JSON file that Experiment.to_toml wrote beside this one")
    sha256: str | None = setting(None, doc="checksum of the file, which is refused when it has another one")
    default_F: float = setting(0.0, kind="scalar", unit="electrons", doc="amplitude of every index that is not listed")

    def _check(self) -> None:
        given = [name for name in _FILES if getattr(self, name) is not None]
        for name in given:
            value = getattr(self, name)
            if isinstance(value, tuple) and name in _BY_ENERGY and all(isinstance(one, str) for one in value):
                self._check_files(name, value)
            elif not isinstance(value, str):
                raise ConfigError(f"{self._path}.{name}", value, "must be the name of a file")
        if len(given) > 1:
            raise ConfigError(self._path, given, "must name one file", "leave the others out")
        if self.label is not None and given[:1] not in (["mtz"], ["cif"]):
            raise ConfigError(f"{self._path}.label", self.label, "belongs to mtz or cif")
        if "model" in given and self.d_min_angstrom is None:
            raise ConfigError(f"{self._path}.d_min_angstrom", None, "is required with model")
        several = any(isinstance(getattr(self, name), tuple) for name in given)
        if (
            self.energies_ev is not None
            and not several
            and ("model" not in given or self.anomalous_energy_ev is not None)
        ):
            raise ConfigError(
                f"{self._path}.energies_ev", [float(x) for x in self.energies_ev],
                "belongs to model, without anomalous_energy_ev, or to as many files", 'mtz = ["low.mtz", "high.mtz"]',
            )  # fmt: skip
        if self.elements is not None and (
            self.energies_ev is None
            or not isinstance(self.elements, tuple)
            or not all(isinstance(name, str) for name in self.elements)
        ):
            raise ConfigError(
                f"{self._path}.elements", self.elements, "must be symbols of elements, beside energies_ev", '["Se"]'
            )

    def _check_files(self, name: str, files: tuple[str, ...]) -> None:
        """One for each energy."""
        energies = [] if self.energies_ev is None else [float(x) for x in self.energies_ev]
        if len(energies) != len(files):
            raise ConfigError(
                f"{self._path}.energies_ev",
                energies,
                f"must be {len(files)} numbers, one for each file of {name}",
            )
        if any(high <= low for low, high in pairwise(energies)):
            raise ConfigError(
                f"{self._path}.energies_ev", energies, "must ascend", f"sort them, the files of {name} with them"
            )
        if self.sha256 is not None:
            raise ConfigError(f"{self._path}.sha256", self.sha256, "belongs to one file", "leave it out")

    def read(self, folder: str) -> StructureFactors:
        """Read the file; names are relative to a folder."""
        name = next((name for name in _FILES if getattr(self, name) is not None), None)
        if name is None:
            if self.default_F == 0:
                raise ConfigError(self._path, Braces(), "holds no structure factors",
                                  f"name a file ({' or '.join(_FILES[:-1])}), or give a default_F")  # fmt: skip
            return StructureFactors.constant(self.default_F)
        files = getattr(self, name)
        if isinstance(files, tuple):
            parts = [dataclasses.replace(self, **{name: one}, energies_ev=None).read(folder) for one in files]
            return StructureFactors.by_energy(dict(zip(map(float, self.energies_ev), parts, strict=True)))
        path = os.path.join(folder, files)
        if self.sha256 is not None and checksum(path) != self.sha256:
            raise ConfigError(f"{self._path}.sha256", self.sha256, f"is not that of {path}, which has changed since")
        if name == "table":
            return _table_in(path)
        if name == "model":
            assert self.d_min_angstrom is not None
            if self.energies_ev is not None:
                model = AnomalousModel.from_model(path, self.d_min_angstrom, elements=self.elements, k_sol=self.k_sol,
                                                  b_sol=self.b_sol, default_F=self.default_F)  # fmt: skip
                return model.at(self.energies_ev)
            return StructureFactors.from_model(path, self.d_min_angstrom, k_sol=self.k_sol, b_sol=self.b_sol,
                                               energy_ev=self.anomalous_energy_ev, default_F=self.default_F)  # fmt: skip
        if name in ("mtz", "cif"):
            return getattr(StructureFactors, f"from_{name}")(path, self.label, default_F=self.default_F)
        return getattr(StructureFactors, f"from_{name}")(path, default_F=self.default_F)


def _table_in(path: str) -> StructureFactors:
    text = read_bytes(path)
    try:
        data = json.loads(text.decode())
        return built(StructureFactors, Source._path, data)
    except ConfigError as error:
        raise FileFormatError(path, str(error)) from None
    except ValueError as error:
        raise FileFormatError(path, f"is not JSON: {error}") from None
