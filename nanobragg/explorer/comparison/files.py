"""Which files are read as an image."""

from __future__ import annotations

import os
import stat

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.images.hdf5 import find_data, open_hdf5
from nanobragg.io.images.image_file import image_format

_MOST_BYTES = 2**30
"""Of one image; the largest detectors have a tenth of it."""


def check_file(name: str, *, image: bool = True) -> None:
    """Refuse what is no file, or larger than any image: a pipe never ends, and a device may have no end.

    Parameters
    ----------
    name : str
    image : bool
        Whether it is to hold an image: of a file of HDF5 the size of one counts, not that of the file.

    Raises
    ------
    FileFormatError
    """
    try:
        found = os.stat(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileFormatError(name, f"cannot be read: {reason}; check the name and the permissions") from None
    if not stat.S_ISREG(found.st_mode):
        raise FileFormatError(name, "is no file but a folder, a pipe or a device")
    if not os.access(name, os.R_OK):
        raise FileFormatError(name, "cannot be read: no permission")
    if (
        image and image_format(name) == "nxmx"
    ):  # which may hold many images, and may be larger than they are when it is packed
        with open_hdf5(name) as file:
            data = find_data(name, file)
            sizes = [
                float(part.dtype.itemsize) * np.prod(part.shape[1:], dtype=float)
                for part in getattr(data, "parts", (data,))
            ]
        size = max(sizes, default=0.0)
    else:
        size = float(found.st_size)
    if size > _MOST_BYTES:
        raise FileFormatError(
            name, f"{size / 2**30:.1f} GiB are no image that fits a page, {_MOST_BYTES / 2**30:.0f} GiB do"
        )
