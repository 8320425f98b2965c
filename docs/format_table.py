"""What each geometry format keeps: measured by writing a geometry with one property after the other and reading it back."""

from __future__ import annotations

import dataclasses
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import NanoBraggError
from nanobragg.exchange.geometry import of_experiment, to_experiment
from nanobragg.exchange.geometry_files import geometry_in, save_geometry
from nanobragg.exchange.images.described import Described
from nanobragg.exchange.images.writers import write_cbf, write_nxmx
from nanobragg.io.geometry.axes import rotation
from nanobragg.io.geometry.record import Geometry, Panel

_OWN = (".json", ".toml")
_PANEL = Panel(n_fast=30, n_slow=20, edges_mm=(0.2, 0.2), origin=np.array([-3.0, 2.0, -50.0]), fast=np.array([1.0, 0, 0]),
               slow=np.array([0, -1.0, 0]))  # fmt: skip
PLAIN = Geometry(
    panels=(_PANEL,), wavelength=1.25, beam=np.array([0, 0, -1.0]), spindle=np.array([1.0, 0, 0]), phi_start=0.0, osc=1.0,
    a_star=np.diag([0.02, 0.015, 0.01]), polarization_axis=np.array([1.0, 0, 0]), kahn_factor=0.0,
)  # fmt: skip


def _with_panel(**values: Any) -> Geometry:
    return dataclasses.replace(PLAIN, panels=(dataclasses.replace(_PANEL, **values),))


def _with(**values: Any) -> Geometry:
    return dataclasses.replace(PLAIN, **values)


_TURN = rotation(np.array([1.0, 2.0, 3.0]), 5.0)
_MASK = np.ones((20, 30), bool)
_MASK[3:5, 7:9] = False
_SENSOR = _with_panel(thickness_mm=0.45, mu_per_mm=3.7, material="CdTe")
PROPERTIES: dict[str, tuple[Geometry, Callable[[Geometry], Any]]] = {
    "pixels": (PLAIN, lambda g: (g.panels[0].n_fast, g.panels[0].n_slow, g.panels[0].edges_mm)),
    "oblong pixels": (_with_panel(edges_mm=(0.2, 0.25)), lambda g: g.panels[0].edges_mm),
    "axes that are not perpendicular": (_with_panel(slow=np.array([0.006, -0.999982, 0.0])), lambda g: g.panels[0].slow),
    "place of the detector": (PLAIN, lambda g: g.panels[0].origin),
    "tilt": (_with_panel(fast=_TURN @ _PANEL.fast, slow=_TURN @ _PANEL.slow), lambda g: (g.panels[0].fast, g.panels[0].slow)),
    "several panels": (_with(panels=(_PANEL, dataclasses.replace(_PANEL, origin=np.array([-3.0, -2.5, -50.0])))),
                       lambda g: [p.origin for p in g.panels]),
    "names of panels": (_with_panel(name="D0q1"), lambda g: g.panels[0].name),
    "mask": (_with_panel(mask=_MASK), lambda g: g.panels[0].mask),
    "thickness of the sensor": (_SENSOR, lambda g: g.panels[0].thickness_mm),
    "material of the sensor": (_SENSOR, lambda g: g.panels[0].material),
    "attenuation of the sensor": (_SENSOR, lambda g: g.panels[0].mu_per_mm),
    "wavelength": (PLAIN, lambda g: g.wavelength),
    "polarization": (_with(kahn_factor=0.75), lambda g: g.kahn_factor),
    "flux": (_with(flux=1e12), lambda g: g.flux),
    "exposure": (_with(exposure_s=0.25), lambda g: g.exposure_s),
    "spindle": (_with(spindle=_TURN @ PLAIN.spindle), lambda g: g.spindle),
    "start and width": (_with(phi_start=12.0, osc=0.5), lambda g: (g.phi_start, g.osc)),
    "orientation": (_with(a_star=PLAIN.a_star @ _TURN.T), lambda g: g.a_star),
    "space group": (_with(space_group=" P 2ac 2ab"), lambda g: g.space_group),
}  # fmt: skip
"""By name: a geometry that has the property, and where it stands."""


def _saved(name: str, geometry: Geometry) -> None:
    path = Path(name)
    counts = [np.zeros((p.n_slow, p.n_fast), np.uint16) for p in geometry.panels]
    image = counts[0] if len(counts) == 1 else counts
    if path.suffix in _OWN:
        experiment = to_experiment(geometry, name, None, StructureFactors.constant(1.0))
        experiment.to_json(name) if path.suffix == ".json" else experiment.to_toml(name)
    elif path.suffix == ".nxs":
        write_nxmx(name, image, geometry)
    elif path.suffix == ".cbf":
        write_cbf(name, image, geometry)
    elif path.suffix == ".img":
        Described(geometry).write_smv(name, image, "dxtbx", 1)
    else:
        save_geometry(name, geometry)


def through(name: str, geometry: Geometry) -> Geometry:
    """A geometry as it comes back from a file of that name."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = f"{folder}/{name}"
        _saved(path, geometry)
        if name.endswith(".json"):
            return of_experiment(Experiment.from_json_file(path))
        stream = f"{folder}/{Path(name).stem}.stream" if name.endswith(".geom") else None
        matrix = {"wavelength_angstrom": geometry.wavelength} if name.endswith(".mat") else {}
        return geometry_in(path, stream=stream, **matrix)


def kept(name: str, title: str) -> bool:
    """Whether a property comes back from a file of that name."""
    if title == "wavelength" and name.endswith(".mat"):
        return False  # a factor of the matrix, which nobody can tell from it
    geometry, value = PROPERTIES[title]
    try:
        after = value(through(name, geometry))
    except (NanoBraggError, IndexError):
        return False
    return same(value(geometry), after)


def same(before: Any, after: Any) -> bool:
    """Whether a value came back."""
    if isinstance(before, tuple | list):
        return len(before) == len(after) and all(same(*pair) for pair in zip(before, after, strict=True))
    if after is None or isinstance(before, str):
        return after is not None and bool(before == after)
    return np.shape(before) == np.shape(after) and bool(np.allclose(before, after, rtol=1e-6, atol=1e-6))


FORMATS = {"DIALS": "x.expt", "XDS": "XDS.INP", "XDS ": "XPARM.XDS", "MOSFLM": "x.mat", "CrystFEL": "x.geom", "NXmx": "x.nxs",
           "miniCBF": "x.cbf", "SMV": "x.img", "nanobragg": "x.json", "nanobragg ": "x.toml"}  # fmt: skip


def rows() -> Iterator[tuple[str, str, str]]:
    """Format, what is written and read back, what is lost."""
    for program, name in FORMATS.items():
        found = {title: kept(name, title) for title in PROPERTIES}
        file = name if name[0] == "X" else f"`{Path(name).suffix}`"
        if name.endswith(".geom"):
            file = "`.geom` and `.stream`"
        yield (f"{program.strip()}, {file}", ", ".join(t for t, ok in found.items() if ok),
               ", ".join(t for t, ok in found.items() if not ok) or "nothing")  # fmt: skip
