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

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nanobragg.config import (
    Background,
    Beam,
    Crystal,
    Detector,
    Divergence,
    Experiment,
    Goniometer,
    Mosaic,
    Pose,
    Sampling,
    Sensor,
    Sources,
    UnitCell,
)
from nanobragg.config.quirks import Quirk
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import (
    BackendUnavailableError,
    ConfigError,
    CoreError,
    FileFormatError,
    IneffectiveWarning,
    NanoBraggError,
    NanoBraggWarning,
    QuirkWarning,
    UsageError,
)

if TYPE_CHECKING:
    from nanobragg import io
    from nanobragg.api import prepare, simulate
    from nanobragg.imaging.noise import add_noise
    from nanobragg.inspection.comparison import compare
    from nanobragg.inspection.explanation import explain
    from nanobragg.inspection.tracing.trace import trace
    from nanobragg.inspection.tracing.versus import compare_traces
    from nanobragg.scan import simulate_scan

_LAZY = {
    "simulate": "nanobragg.api",
    "prepare": "nanobragg.api",
    "explain": "nanobragg.inspection.explanation",
    "trace": "nanobragg.inspection.tracing.trace",
    "compare": "nanobragg.inspection.comparison",
    "compare_traces": "nanobragg.inspection.tracing.versus",
    "simulate_scan": "nanobragg.scan",
    "add_noise": "nanobragg.imaging.noise",
    "ExperimentModule": "nanobragg.torch_backend",
    "io": "",
}
"""Names that are imported when they are first used, and the module that holds them."""

__all__ = [
    "BackendUnavailableError",
    "Background",
    "Beam",
    "ConfigError",
    "CoreError",
    "Crystal",
    "Detector",
    "Divergence",
    "Experiment",
    "ExperimentModule",
    "FileFormatError",
    "Goniometer",
    "IneffectiveWarning",
    "Mosaic",
    "NanoBraggError",
    "NanoBraggWarning",
    "Pose",
    "Quirk",
    "QuirkWarning",
    "Sampling",
    "Sensor",
    "Sources",
    "StructureFactors",
    "UnitCell",
    "UsageError",
    "add_noise",
    "compare",
    "compare_traces",
    "explain",
    "io",
    "prepare",
    "simulate",
    "simulate_scan",
    "trace",
]  # fmt: skip

if find_spec("nanobragg._core") is None:
    raise ImportError(
        "nanobragg has no compiled core here: this looks like its source folder; leave the folder, or install it with "
        "'pip install .' (or 'pip install -e .' to work on it)"
    )


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nanobragg")
    if name not in _LAZY:
        raise AttributeError(f"module 'nanobragg' has no attribute {name!r}")
    module = _LAZY[name]
    value = getattr(import_module(module), name) if module else import_module(f"nanobragg.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, "__version__"})
