"""Peak lists in HDF5 as CXI files have them: ``/entry_1/result_1`` with one row of peaks for each frame.

Of several panels the coordinates are those of the array in which they stand below each other.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.io.atomic import replacing
from nanobragg.io.optional import needed


def write_cxi(path: str | PathLike[str], fast: NDArray[Any], slow: NDArray[Any], intensity: NDArray[Any]) -> None:
    """Write the peaks of one frame; centers of pixels are whole numbers there.

    Parameters
    ----------
    path : path
        The file.
    fast, slow : (n,) arrays
        From the outer corner of the first pixel [pixels].
    intensity : (n,) array
    """
    h5py = needed("h5py", "a CXI file")
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        group = file.create_group("entry_1/result_1")
        group["nPeaks"] = np.array([len(fast)], np.int64)
        for name, values in (
            ("peakXPosRaw", fast - 0.5),
            ("peakYPosRaw", slow - 0.5),
            ("peakTotalIntensity", intensity),
        ):
            group[name] = np.asarray(values, np.float64)[None]
        file["cxi_version"] = 150
