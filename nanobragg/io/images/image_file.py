"""Images of any format that we know, told apart by their first bytes."""

from __future__ import annotations

import re
import zlib
from os import PathLike
from typing import Any

import numpy as np

from nanobragg.errors import FileFormatError
from nanobragg.io.images.cbf.reading import read_cbf
from nanobragg.io.images.embedded import COMMENT, SMV_KEY, unpacked
from nanobragg.io.images.fabio_images import read_with_fabio
from nanobragg.io.images.hdf5 import find_data, member, open_hdf5, panels_of, read_frame
from nanobragg.io.images.pgm import read_pgm
from nanobragg.io.images.smv import read_smv
from nanobragg.io.packing import first_bytes
from nanobragg.lazy import dataclass

_HDF5, _CBF, _PGM = b"\x89HDF", b"###CBF", b"P5"
_SMV, _SMV_CRLF = b"{\nHEADER_BYTES", b"{\r\nHEADER_BYTE"


def image_format(path: str | PathLike[str]) -> str:
    """One of nxmx, cbf, smv, pgm, other; of a packed file (.gz, .bz2) that of its content."""
    start = first_bytes(path, 16)
    for magic, name in ((_HDF5, "nxmx"), (_CBF, "cbf"), (_SMV, "smv"), (_SMV_CRLF, "smv"), (_PGM, "pgm")):
        if start.startswith(magic):
            return name
    return "other"


def read_image(path: str | PathLike[str], image: int = 1) -> Any:
    """Pixels of an SMV, CBF, NXmx, Eiger master, PGM, TIFF or EDF file, or of what else fabio reads; also packed (.gz, .bz2).

    Parameters
    ----------
    path : path
        The file.
    image : int
        Number of the image in a stack, from 1.

    Returns
    -------
    (n_slow, n_fast) array
        Pixels that were not measured are negative or as stored. Of an NXmx file with several modules:
        (n_panels, n_slow, n_fast), or a list of arrays when the panels differ in shape, as `simulate` returns them and
        `write_nxmx` takes them.

    Raises
    ------
    FileFormatError
        When the file cannot be read, or has no such image.
    """
    kind = image_format(path)
    if kind == "nxmx":
        with open_hdf5(path) as file:
            data = find_data(path, file)
            if not 1 <= image <= len(data):
                raise FileFormatError(path, f"{data.name}: image={image}, it holds images 1 to {len(data)}")
            panels = panels_of(file, read_frame(path, data, image))
        if len(panels) == 1:
            return panels[0]
        return np.stack(panels) if len({panel.shape for panel in panels}) == 1 else panels
    if image != 1:
        raise FileFormatError(path, f"image={image}: it holds one image")
    if kind == "cbf":
        return read_cbf(path)[0]
    if kind == "smv":
        return read_smv(path)[0]
    if kind == "pgm":
        return np.asarray(read_pgm(path))
    return read_with_fabio(path)[0]


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image of a file, with what the file says of its pixels."""

    pixels: Any
    """as `read_image` gives them"""
    n_images: int = 1
    """in the file"""
    largest: float | None = None
    """largest number that is a count; None: the file does not say"""
    good: Any = None
    """(n_slow, n_fast) of bool, or one for each panel: pixels that count; None: the file does not say"""


def stored_image(path: str | PathLike[str], image: int = 1) -> StoredImage:
    """An image with the largest count, the mask and the number of images that its file names; errors as `read_image`."""
    kind = image_format(path)
    if kind == "nxmx":
        return _in_hdf5(path, image)
    if kind == "cbf" and image == 1:
        pixels, text = read_cbf(path)
        return StoredImage(pixels, largest=_number(re.search(r"Count_cutoff\s+(\d+)", text)))
    if kind == "smv" and image == 1:
        counts, header = read_smv(path)
        stated = _number(re.fullmatch(r"\s*(\d+)\s*", header.get("CCD_IMAGE_SATURATION", "")))
        return StoredImage(counts, largest=stated)
    return StoredImage(read_image(path, image))


def _in_hdf5(path: str | PathLike[str], image: int) -> StoredImage:
    pixels = read_image(path, image)
    with open_hdf5(path) as file:
        n_images = len(find_data(path, file))
        try:
            stated = member(file, "/entry/instrument/detector/saturation_value")
            largest = None if stated is None else float(np.ravel(stated[()])[0])
            mask = member(file, "/entry/instrument/detector/pixel_mask")
            bits = None if mask is None else np.asarray(mask[()])
            good = None if bits is None or bits.ndim != 2 else [part == 0 for part in panels_of(file, bits)]
        except (OSError, RuntimeError, TypeError, ValueError, IndexError) as error:
            raise FileFormatError(path, f"/entry/instrument/detector: {error}; is it damaged?") from None
    return StoredImage(pixels, n_images, largest, good)


def _number(found: re.Match[str] | None) -> float | None:
    return None if found is None else float(found[1])


def embedded_text(path: str | PathLike[str]) -> str | None:
    """The text that the writers here put into an image file, see `embedded`; None: there is none."""
    kind = image_format(path)
    if kind == "nxmx":
        with open_hdf5(path) as file:
            try:
                found = file.get("/entry/nanobragg/provenance")
                return None if found is None else str(found.asstr()[()])
            except (OSError, RuntimeError, AttributeError, TypeError, UnicodeDecodeError) as error:
                raise FileFormatError(path, f"/entry/nanobragg/provenance: {error}; is it damaged?") from None
    if kind == "cbf":
        lines = (line for line in read_cbf(path)[1].splitlines() if line.startswith(COMMENT))
        return next((line[len(COMMENT) :] for line in lines), None)
    if kind == "smv":
        return _unpacked(path, read_smv(path)[1].get(SMV_KEY))
    if kind == "pgm":
        return None
    return _unpacked(path, read_with_fabio(path)[1])


def _unpacked(path: str | PathLike[str], text: str | None) -> str | None:
    try:
        return None if text is None else unpacked(text)
    except (ValueError, zlib.error) as error:
        raise FileFormatError(path, f"its provenance is damaged: {error}") from None
