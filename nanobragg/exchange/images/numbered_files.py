"""Images of a scan as numbered files, and the geometry beside them as a DIALS experiment list."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterable
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.errors import ConfigError
from nanobragg.exchange.images.described import Described, check_dialect
from nanobragg.io.geometry.dials.writing import write_expt
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.cbf.writing import whole_counts
from nanobragg.io.images.fabio_images import save_edf, save_tiff


def frame_path(template: str | PathLike[str], image: int) -> str:
    """Name of an image: the ``#`` of the template, or a number before its suffix, become the image's number.

    >>> frame_path("out_####.cbf", 7), frame_path("out.img", 12)
    ('out_0007.cbf', 'out_0012.img')
    """
    name = numbered(template)
    digits = re.search(r"#+", name)
    assert digits is not None
    return name[: digits.start()] + f"{image:0{len(digits[0])}d}" + name[digits.end() :]


def numbered(template: str | PathLike[str]) -> str:
    """The template with ``#`` in it: readers of frames want a number at the end of the name."""
    name = fspath(template)
    folder, base = os.path.split(name)
    if "#" in base:
        return name
    stem, suffix = os.path.splitext(base)
    return os.path.join(folder, f"{stem}_####{suffix}")


def write_frames(
    template: str | PathLike[str], images: Any, experiment: Experiment, *, dialect: str = "dxtbx", adc_offset: float = 0.0,
    provenance: Any = None, sidecar: bool = False, saturation: int | None = None,
    numbers: Iterable[int] | None = None,
) -> list[str]:  # fmt: skip
    """Write the images of a scan, one file each; the suffix decides the format.

    Parameters
    ----------
    template : path
        For example ``out_####.cbf``. Suffixes: cbf (miniCBF), img (SMV), tif, tiff, edf.
    images : iterable of arrays
        In order; counts for CBF and SMV.
    experiment : Experiment
        Geometry of the first image.
    dialect : {"dxtbx", "nanobragg"}
        Of SMV headers.
    adc_offset : float
        What was added to the counts; recorded.
    provenance : dict, optional
        Further values for the record.
    sidecar : bool
        Also write a DIALS experiment list beside the images.
    saturation : int, optional
        Largest number of a pixel that is a count; None: that of the type. Of a `Readout`:
        ``readout.saturation``.
    numbers : iterable of int, optional
        Numbers of the images, from 1; None: 1, 2, 3 ...

    Returns
    -------
    list of str
        The names.
    """
    described = Described(experiment, provenance, saturation)
    write = _writer(numbered(template), described, dialect, adc_offset)
    names, last = [], 0
    each = [images] if getattr(images, "ndim", 3) == 2 else images
    # the number comes first: an image more than numbers would be rendered and lost
    for i, image in zip(itertools.count(1) if numbers is None else numbers, each, strict=False):
        names.append(frame_path(template, i))
        write(names[-1], image, i)
        last = max(last, i)
    if sidecar:
        write_sidecar(template, described.geometry, last)
    return names


def write_sidecar(template: str | PathLike[str], geometry: Geometry, n_images: int, single_file: bool = False) -> str:
    """Write the experiment list of a scan beside its images; returns its name."""
    images = fspath(template) if single_file else numbered(template)
    name = os.path.splitext(images)[0].replace("#", "").rstrip("_") + ".expt"
    if name == images:
        raise ConfigError("template", images, "is the name that the experiment list would get")
    write_expt(name, dataclasses.replace(geometry, n_images=n_images), os.path.abspath(images), single_file)
    return name


def _writer(name: str, described: Described, dialect: str, adc_offset: float) -> Callable[[str, Any, int], None]:
    suffix = os.path.splitext(name)[1].lower()
    if suffix == ".cbf":
        return described.write_cbf
    if suffix in (".img", ".smv"):
        check_dialect(dialect)

        def write_smv(path: str, image: Any, i: int) -> None:
            described.write_smv(path, whole_counts(image, np.shape(image), np.uint16), dialect, i, adc_offset)

        return write_smv
    if suffix in (".tif", ".tiff", ".edf"):
        save = save_edf if suffix == ".edf" else save_tiff
        known = described.experiment is not None
        return lambda path, image, i: save(path, image, described.record(image=i) if known else None)
    raise ConfigError(
        "template", name, "has a suffix of no known image format", "use .cbf, .img, .tif, .edf, or write_nxmx"
    )
