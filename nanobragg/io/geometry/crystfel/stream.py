"""Streams of CrystFEL: the geometry file that they quote, and their crystals."""

from __future__ import annotations

import re
import warnings

import numpy as np

from nanobragg.constants import EV_ANGSTROM
from nanobragg.errors import FileFormatError, NanoBraggWarning
from nanobragg.io.atomic import read_bytes
from nanobragg.io.geometry.axes import Array
from nanobragg.io.geometry.record import Path
from nanobragg.lazy import dataclass

_STAR = re.compile(r"^([abc])star\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s*nm\^-1", re.MULTILINE)


@dataclass(frozen=True)
class Indexed:
    """A crystal of a stream, and what its chunk says of the shot."""

    a_star: Array
    """rows a*, b*, c* [1/Angstrom] in the CrystFEL frame"""
    wavelength: float | None
    """[Angstrom]"""
    camera_length: float | None
    """mean over the panels of clen and coffset [m]"""


def is_stream(path: Path) -> bool:
    """Whether a file is a stream."""
    return read_bytes(path)[:15] == b"CrystFEL stream"


def quoted(stream: Path) -> str:
    """The geometry file that CrystFEL copies into the head of a stream; empty when there is none."""
    text = read_bytes(stream).decode("utf-8", "replace").partition("Begin chunk")[0]
    return text.partition("Begin geometry file -----")[2].partition("----- End geometry file")[0]


def crystal(path: Path, index: int | None) -> Indexed:
    """The crystal of a number that counts crystals, not chunks, from 0; None: the only one."""
    texts = _texts(path)
    if index is None and len(texts) > 1:
        raise FileFormatError(path, f"holds {len(texts)} crystals; choose one with index=0 to {len(texts) - 1}")
    if not 0 <= (index or 0) < len(texts):
        raise FileFormatError(path, f"index={index}: it holds crystals 0 to {len(texts) - 1}")
    return _read(path, index or 0, *texts[index or 0])


def crystals(path: Path) -> list[Indexed]:
    """All crystals."""
    return [_read(path, i, *texts) for i, texts in enumerate(_texts(path))]


def _texts(path: Path) -> list[tuple[str, str]]:
    """The text of every crystal, and that of its chunk."""
    chunks = re.split(r"-+ Begin chunk -+", read_bytes(path).decode("utf-8", "replace"))[1:]
    found = [(text, chunk) for chunk in chunks for text in re.split(r"-+ Begin crystal\b", chunk)[1:]]
    if not found:
        raise FileFormatError(path, "holds no indexed crystal (Begin crystal)")
    return found


def _read(path: Path, index: int, text: str, chunk: str) -> Indexed:
    where = f"crystal {index}"
    stars = {match[1]: [_number(path, where, match[i]) for i in (2, 3, 4)] for match in _STAR.finditer(text)}
    if set(stars) != {"a", "b", "c"}:
        raise FileFormatError(path, f"crystal {index}: astar, bstar, cstar are not all there")
    shift = re.search(r"det_shift x = (\S+) y = (\S+) mm", text)
    if shift and any(_number(path, where, shift[i]) for i in (1, 2)):
        warnings.warn(f"{path}: crystal {index}: det_shift x = {shift[1]} y = {shift[2]} mm is not applied",
                      NanoBraggWarning, stacklevel=2)  # fmt: skip
    energy = re.search(r"photon_energy_eV = (\S+)", chunk)
    ev = _number(path, f"chunk of {where}", energy[1]) if energy else None
    average = re.search(r"average_camera_length = (\S+) m\b", chunk)
    length = _number(path, f"chunk of {where}", average[1]) if average else None
    if ev is not None and not ev > 0:
        raise FileFormatError(path, f"chunk of {where}: photon_energy_eV = {ev:g}, must be > 0")
    matrix = np.array([stars[name] for name in "abc"]) * 0.1
    if not abs(np.linalg.det(matrix)) > 0:
        raise FileFormatError(path, f"{where}: astar, bstar, cstar lie in a plane")
    return Indexed(matrix, None if ev is None else EV_ANGSTROM / ev, length)


def _number(path: Path, where: str, text: str) -> float:
    try:
        value = float(text)
        if np.isfinite(value):
            return value
    except ValueError:
        pass
    raise FileFormatError(path, f"{where}: {text!r} is not a number")
