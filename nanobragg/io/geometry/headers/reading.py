"""Geometry of an image of any format, and what kind of file a geometry file is."""

from __future__ import annotations

import re
from os import PathLike, fspath

from nanobragg.errors import FileFormatError
from nanobragg.io.geometry.headers.dtrek import dtrek_geometry, is_dtrek
from nanobragg.io.geometry.headers.imgcif import imgcif_geometry, is_imgcif
from nanobragg.io.geometry.headers.minicbf import minicbf_geometry
from nanobragg.io.geometry.headers.smv import smv_geometry
from nanobragg.io.geometry.mosflm import is_matrix
from nanobragg.io.geometry.nexus.reading import read_nxmx
from nanobragg.io.geometry.record import Geometry, Path, reader
from nanobragg.io.geometry.xds.reading import is_old_xparm
from nanobragg.io.images.cbf.reading import cbf_header
from nanobragg.io.images.image_file import image_format
from nanobragg.io.images.smv import load_smv
from nanobragg.io.packing import first_bytes


@reader
def geometry_of_image(path: str | PathLike[str], image: int | None = None) -> Geometry:
    """Geometry of an image file.

    Parameters
    ----------
    path : path
        SMV (ADSC, d*TREK), CBF (mini or full imgCIF), NXmx or an Eiger master file, told apart by the first bytes; may be
        packed (.gz, .bz2).
    image : int, optional
        Number of the image in a stack, from 1; None: the first.

    Raises
    ------
    FileFormatError
        When the format is another one, or the header lacks something; the message names the key or the place.
    """
    kind = image_format(path)
    if kind == "nxmx":
        return read_nxmx(path, image)
    if image not in (None, 1):
        raise FileFormatError(path, f"image={image}: it holds one image")
    if kind == "smv":
        found = load_smv(path, strict=True)
        shape = (found.pixels.shape[0], found.pixels.shape[1])
        return (dtrek_geometry if is_dtrek(found.header) else smv_geometry)(path, found.header, shape)
    if kind == "cbf":
        header, shape = cbf_header(path)
        return (imgcif_geometry if is_imgcif(header) else minicbf_geometry)(path, header, shape)
    raise FileFormatError(
        path, "has no geometry that is read: only SMV, CBF, NXmx and Eiger files have; convert it first"
    )


def kind_of_file(path: Path) -> str:
    """What a geometry file is, by name and content: expt, xparm, xds_inp, geom, stream, matrix or image."""
    name = fspath(path).lower()
    if image_format(path) != "other":
        return "image"
    text = first_bytes(path, 4096).decode("latin-1")
    if text.lstrip().startswith("{"):
        return "expt"
    if text.lstrip().upper().startswith("XPARM") or is_old_xparm(text):
        return "xparm"
    if text.startswith("CrystFEL stream"):
        return "stream"
    if name.endswith(".geom") or re.search(r"^\s*\w+/(fs|ss|corner_x)\s*=", text, re.MULTILINE):
        return "geom"
    if re.search(r"\b(ORGX|DETECTOR_DISTANCE|OSCILLATION_RANGE)=", text):
        return "xds_inp"
    if is_matrix(path):
        return "matrix"
    raise FileFormatError(
        path, "is not a geometry file that is known: .expt, XPARM.XDS, XDS.INP, .geom, .stream, MOSFLM matrix or image"
    )
