"""Lists of reflections that hold intensities and look like lists of amplitudes: SHELX HKLF 4 and XDS."""

from __future__ import annotations

import re
import warnings
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from nanobragg.errors import FileFormatError, NanoBraggWarning

_INDEX, _VALUE = 4, 8
"""Widths of the fixed columns: h k l, then F^2 and its sigma."""
_XDS = rb"^!(?:FORMAT=XDS_ASCII|OUTPUT_FILE=\S*INTEGRATE)"


def refuse_unmerged(path: str | PathLike[str], data: bytes) -> None:
    """Refuse INTEGRATE.HKL and XDS_ASCII.HKL.

    Raises
    ------
    FileFormatError
    """
    if re.match(_XDS, data):
        raise FileFormatError(path, "is a list of XDS, unmerged and with intensities; merge it first (pointless and aimless, or "
                              "XSCALE and XDSCONV, to MTZ) and use from_mtz")  # fmt: skip


def hklf4(path: str | PathLike[str], data: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Indices and amplitudes of a SHELX list in the format HKLF 4; None: it is none.

    The columns are fixed (3I4, 2F8.2, I4) and may touch; the list ends with 0 0 0. It holds F^2: the amplitude is the root of
    the mean over the rows of an index, negative ones are 0.
    """
    lines = data.split(b"\n")
    rows = []
    ended = False
    for line in lines:
        line = line.rstrip(b"\r ")
        if not line:
            continue
        if not _fixed(line):
            return None
        hkl = tuple(int(line[i * _INDEX : (i + 1) * _INDEX]) for i in range(3))
        if hkl == (0, 0, 0):
            ended = True
            break
        start = 3 * _INDEX
        rows.append((*hkl, float(line[start : start + _VALUE])))
    if not ended or not rows:
        return None
    table = np.array(rows)
    hkl_all, inverse = np.unique(table[:, :3].astype(np.int64), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    intensity = np.bincount(inverse, table[:, 3]) / np.bincount(inverse)
    negative = int((intensity < 0).sum())
    warnings.warn(f"{path}: is a list of SHELX in the format HKLF 4; amplitudes are the roots of its intensities"
                  + (f", {negative} negative ones count as 0" if negative else "") + "; no symmetry is applied",
                  NanoBraggWarning, stacklevel=3)  # fmt: skip
    return hkl_all, np.sqrt(np.maximum(intensity, 0.0))


def _fixed(line: bytes) -> bool:
    """Whether a line has the fixed columns."""
    if not 3 * _INDEX + 2 * _VALUE <= len(line) <= 3 * _INDEX + 2 * _VALUE + 4:
        return False
    fields = [line[i * _INDEX : (i + 1) * _INDEX] for i in range(3)]
    values = [line[start : start + _VALUE] for start in (3 * _INDEX, 3 * _INDEX + _VALUE)]
    return all(re.fullmatch(rb" *-?\d+", field) for field in fields) and all(
        re.fullmatch(rb" *-?\d*\.\d{1,3}", value) for value in values
    )
