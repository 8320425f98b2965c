"""Target: mutated files of structure factors, geometry and images through the readers.

A reader returns finite numbers or raises a FileFormatError that names the file.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mutated_bytes
import numpy as np
from fuzz_finding import require

from nanobragg import Crystal, Experiment, StructureFactors, UnitCell, io, read_geometry
from nanobragg.errors import FileFormatError
from nanobragg.io.images.smv import header_values, load_smv
from nanobragg.io.matrix import read_matrix_legacy
from nanobragg.io.reflections.hkl import read_hkl_legacy
from nanobragg.io.sourcefile import read_sourcefile_legacy

INPUTS = Path(__file__).resolve().parents[2] / "golden" / "inputs"
FIELD = Path(__file__).resolve().parents[1] / "data" / "field"
_TEMPLATE = Experiment(
    crystal=Crystal(unit_cell=UnitCell(50, 60, 70, 90, 90, 90), structure_factors=StructureFactors.constant(1.0))
)
_TABLE = 2**21
_KEYS = ("SIZE1", "PIXEL_SIZE", "DISTANCE", "BEAM_CENTER_X", "ORGX", "PHI")
_PGM = b"P5\n4 3\n# pixels scaled by 1\n255\n" + bytes(range(12))


def _smv(strict: bool) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        image = load_smv(path, strict=strict)
        header_values(path, image.text, _KEYS, strict)

    return read


def _strictly_finite(array: Any) -> None:
    require(bool(np.isfinite(array).all()), "numbers that are not finite come out of a strict reader")


def _hkl(path: Path) -> None:
    _strictly_finite(StructureFactors.from_hkl(path, max_bytes=_TABLE).amplitude)


def _fdump(path: Path) -> None:
    _strictly_finite(StructureFactors.from_fdump(path, max_bytes=_TABLE).amplitude)


def _geometry(path: Path) -> None:
    experiment = read_geometry(path, template=_TEMPLATE, wavelength_angstrom=1.0, camera_length_m=0.1)
    for panel in experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,):
        for vector in (panel.pix0_mm, panel.fast_axis, panel.slow_axis):
            if vector is not None:
                _strictly_finite(vector)


def _of_list(path: Path) -> None:
    direction = Experiment.from_dials(path, _TEMPLATE, index=0).beam.direction
    _strictly_finite((0.0, 0.0, 0.0) if direction is None else direction)  # None: a list without a beam


def _in(folder: str, *names: str) -> tuple[bytes, ...]:
    return tuple((FIELD / folder / name).read_bytes() for name in names)


_READERS: dict[str, tuple[tuple[str | bytes, ...], Callable[[Path], Any]]] = {
    "hkl": (("p1_small.hkl", "p1_text.hkl"), _hkl),
    "hkl lenient": (("p1_small.hkl", "p1_text.hkl"), read_hkl_legacy),
    "fdump": (("Fdump_asym.bin",), _fdump),
    "matrix": (("A.mat", "ortho_l1.mat"), lambda path: _strictly_finite(io.read_matrix(path))),
    "matrix lenient": (("A.mat", "ortho_l1.mat"), read_matrix_legacy),
    "sources": (("sources_full.txt", "sources_partial.txt"), io.read_sourcefile),
    "sources lenient": (("sources_full.txt", "sources_partial.txt"), read_sourcefile_legacy),
    "spectrum": ((b"# E flux\n9000 1\n9001.5, 2 7\n9003 0.5\n", b"1.0 1\n1.1 2\n"), io.read_spectrum),
    "smv": (("header_full.img", "mask.img"), _smv(True)),
    "smv lenient": (("header_full.img", "mask.img"), _smv(False)),
    "smv image": (("header_plain.img",), io.read_smv),
    "pgm": ((_PGM,), io.read_pgm),
    "dials": (_in("f01_scan_varying", "beam_varies.expt", "crystal_varies.expt", "goniometer_varies.expt"), _of_list),
    "xds": ((*_in("m04_xds_segments", "XPARM.XDS", "XDS.INP"), *_in("m06_old_xparm", "XPARM.XDS")), _geometry),
    "crystfel": ((*_in("f04_detector_shift", "shift_mm.geom"), *_in("m08_stream_geometry", "block.stream")), _geometry),
    "headers": (
        (
            *_in("f14_lists_and_headers", "not_read_0001.cbf", "crlf_0001.img"),
            *_in("m01_imgcif", "axes_0001.cbf"),
            *_in("m05_dtrek", "swing_0001.img"),
        ),
        _geometry,
    ),
    "images": (
        (
            *_in("f13_messages", "image_0001.cbf", "image_0001.cbf.gz", "image_0001.cbf.bz2"),
            *_in("m09_packed", "packed_0001.cbf"),
        ),
        lambda path: io.read_image(path),
    ),
    "fcf": (_in("m07_fcf", "list4.fcf", "list6.fcf"), lambda path: StructureFactors.from_cif(path, max_bytes=_TABLE)),
    "mtz": (_in("f08_mtz_anomalous", "phenix.mtz"), lambda path: StructureFactors.from_mtz(path, max_bytes=_TABLE)),
    "shelx": (_in("f14_lists_and_headers", "hklf4.hkl"), _hkl),
    "float": ((bytes(48),), lambda path: io.read_float(path, (3, 4))),
}


class Case(NamedTuple):
    """A reader, and the bytes that it is given."""

    reader: str
    data: bytes


def make(r: random.Random) -> Case:
    """A mutated file for a random reader."""
    reader = r.choice(sorted(_READERS))
    source = r.choice(_READERS[reader][0])
    data = source if isinstance(source, bytes) else (INPUTS / source).read_bytes()
    return Case(reader, mutated_bytes.mutated(data, r))


def check(case: Case, folder: Path) -> str:
    """Read it."""
    path = folder / "mutated"
    path.write_bytes(case.data)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("ignore")
        try:
            _READERS[case.reader][1](path)
        except FileFormatError as error:
            require(str(path) in str(error), f"the message does not name the file: {error}")
            return "refused"
    return "read"
