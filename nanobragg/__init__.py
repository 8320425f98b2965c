"""X-ray diffraction of nanocrystals on absolute scale: the physics of nanoBragg with two interchangeable engines.

>>> import nanobragg as nb
>>> experiment = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(5, 5, 5),
...                            structure_factors=nb.StructureFactors.constant(100.0)),
...                            detector=nb.Detector(n_fast=64, n_slow=64))
>>> image = nb.simulate(experiment, backend="c")    # expected photons per pixel
>>> image.shape
(64, 64)
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any


def _use_installed() -> None:
    """Take the installed package in place of this folder of sources, whose core is not compiled.

    The whole module is replaced: Python files and core of two copies never mix.

    Raises
    ------
    ImportError
        Where none of this version is installed; says what to type.
    """
    import re
    from importlib.metadata import distributions
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    here = Path(__file__).resolve().parent
    header = here.parent / "csrc" / "nanobragg.h"
    if not header.is_file():
        raise ImportError(f"{here} has no compiled core: install nanobragg again")
    stated = re.search(r'#define NB_VERSION "([^"]+)"', header.read_text())
    elsewhere = [place for place in sys.path if Path(place or ".").resolve() != here.parent]
    found = ""
    for distribution in distributions(name="nanobragg", path=elsewhere):
        package = Path(str(distribution.locate_file("nanobragg")))
        if not (package / "__init__.py").is_file() or not any(package.glob("_core*")):
            continue
        found = distribution.version
        if stated and found == stated[1]:
            spec = spec_from_file_location(__name__, package / "__init__.py", submodule_search_locations=[str(package)])
            if spec is not None and spec.loader is not None:
                sys.modules[__name__] = module = module_from_spec(spec)
                return spec.loader.exec_module(module)
    which = f" of another version than the installed {found}" if found else ""
    raise ImportError(f"this is nanobragg's source folder{which}, without a compiled core: type  pip install .  here")


if find_spec("nanobragg._core") is None:
    _use_installed()
else:
    from nanobragg import lazy
    from nanobragg.exchange import doors
    from nanobragg.version import installed_version

    _load, __dir__, __all__ = lazy.attach(__name__)
    doors.attach()

    def __getattr__(name: str) -> Any:
        return installed_version() if name == "__version__" else _load(name)
