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

from importlib.util import find_spec
from typing import Any

if find_spec("nanobragg._core") is None:
    raise ImportError(
        "nanobragg has no compiled core here: this looks like its source folder; leave the folder, or install it with "
        "'pip install .' (or 'pip install -e .' to work on it)"
    )

from nanobragg import lazy
from nanobragg.exchange import doors
from nanobragg.version import installed_version

_load, __dir__, __all__ = lazy.attach(__name__)
doors.attach()


def __getattr__(name: str) -> Any:
    return installed_version() if name == "__version__" else _load(name)
