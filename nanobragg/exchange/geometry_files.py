"""Geometry files of every format: told apart by their content when they are read, by their name when they are written."""

from __future__ import annotations

import dataclasses
import os
import warnings
from os import fspath
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.experiment import File
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.exchange.geometry import of_experiment, to_experiment, wavelength_angstrom
from nanobragg.exchange.toml import read_toml
from nanobragg.exchange.toml_text import experiment_toml
from nanobragg.io.atomic import write_bytes
from nanobragg.io.geometry.crystfel.geom import read_crystfel
from nanobragg.io.geometry.crystfel.writing import write_geom, write_stream
from nanobragg.io.geometry.dials.reading import read_expt, read_expt_scan
from nanobragg.io.geometry.dials.writing import write_expt
from nanobragg.io.geometry.headers.reading import geometry_of_image, kind_of_file
from nanobragg.io.geometry.mosflm import read_mosflm, write_mosflm
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.geometry.xds.reading import read_xds
from nanobragg.io.geometry.xds.writing import write_xds_inp, write_xparm

_WRITERS: dict[str, Any] = {
    "expt": write_expt, "xds_inp": write_xds_inp, "xparm": write_xparm, "matrix": write_mosflm, "stream": write_stream,
}  # fmt: skip
NAMES = ".expt, XDS.INP, XPARM.XDS, .mat, .geom, .stream, .toml"
"""Names that decide the format of a file that is written."""
CRYSTAL_ALONE = ("matrix", "stream")
"""Formats without a detector."""


def read_geometry(
    path: File, *, template: Experiment | None = None, image: int | None = None, index: int | None = None,
    stream: File | None = None, structure_factors: Any = None, wavelength_angstrom: float | None = None,
    camera_length_m: float | None = None,
) -> Experiment:  # fmt: skip
    """The experiment that a geometry file of any format means; its content decides the format.

    Parameters
    ----------
    path : path
        DIALS experiment list (``.expt``), XPARM.XDS, GXPARM.XDS, XDS.INP, MOSFLM matrix, CrystFEL geometry (``.geom``) or
        stream, or an image with a header (SMV, miniCBF, NXmx). A ``.toml`` file of nanobragg is an experiment itself.
    template : Experiment, optional
        Supplies all that the file does not hold: structure factors, size, shape and mosaicity of the crystal, fluence,
        sampling, and the detector where the file has none. Its laboratory frame is kept.
    image : int, optional
        Number of the image in the scan; None: the first.
    index : int, optional
        Which experiment or crystal of the file, from 0; None: the only one, of an experiment list the first, with a warning.
    stream : path, optional
        CrystFEL stream with the crystals that go with a ``.geom``.
    structure_factors : StructureFactors, optional
        In place of the template's; with neither, every index has 1 electron, with a warning.
    wavelength_angstrom : float, optional
        Where the file does not hold it: folded into a MOSFLM matrix (None: that of the template), or in the images that a
        ``.geom`` belongs to [Angstrom].
    camera_length_m : float, optional
        ``clen`` of a ``.geom``, where it stands in the images [m].

    Returns
    -------
    Experiment

    Raises
    ------
    FileFormatError
        For what cannot be read or represented; the message names the place inside the file.
    ConfigError
        When the wavelength of a matrix is not known.
    """
    if _is_toml(path) and template is None and structure_factors is None:
        return read_toml(path).experiment
    found = geometry_in(
        path, image=image, index=index, stream=stream, camera_length_m=camera_length_m,
        wavelength_angstrom=folded_wavelength(wavelength_angstrom, template) if _is_matrix(path) else wavelength_angstrom,
        first=True,
    )  # fmt: skip
    return to_experiment(found, path, template, structure_factors)


def read_scan(
    path: File, *, template: Experiment | None = None, index: int | None = None, structure_factors: Any = None
) -> list[Experiment]:
    """The experiments of all images of a scan, each with the models of its image.

    What changes during the scan (crystal, beam and goniometer of a DIALS experiment list) has its value in the middle of
    the exposure; any other file gives the same models at the angles of its images.

    Parameters
    ----------
    path : path
        As for `read_geometry`.
    template, index, structure_factors
        As for `read_geometry`.

    Returns
    -------
    list of Experiment
        One an image, for `nanobragg.simulate_scan`.

    Raises
    ------
    FileFormatError, ConfigError
        As `read_geometry`.
    """
    if not _is_toml(path) and kind_of_file(path) == "expt":
        images = read_expt_scan(path, index)
    else:
        first = geometry_in(path, index=index)
        start, width = first.phi_start or 0.0, first.osc or 0.0
        images = [dataclasses.replace(first, phi_start=start + i * width) for i in range(first.n_images)]
    found = [to_experiment(images[0], path, template, structure_factors)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)  # told of the first
        for image in images[1:]:
            if image.a_star is not None:  # the detector is that of the first, masks and all
                found.append(to_experiment(dataclasses.replace(image, panels=()), path, found[0], structure_factors))
            else:
                found.append(to_experiment(image, path, template, structure_factors))
    return found


def write_geometry(experiment: Experiment, path: File, *, n_images: int = 1) -> None:
    """Write the geometry of an experiment in the format that the name of the file says.

    Parameters
    ----------
    experiment : Experiment
        Of the first image.
    path : path
        ``.expt`` or ``.json`` (DIALS), ``XDS.INP``, a name with ``XPARM``, ``.mat`` (MOSFLM, the crystal alone), ``.geom``
        (CrystFEL; the crystal goes into a ``.stream`` beside it), ``.stream``, or ``.toml``.
    n_images : int
        Length of the scan, where the format has one.

    Raises
    ------
    ConfigError
        For a name of no known format, and for what the format cannot hold: a curved detector, several panels in XDS, several
        crystals in XDS or MOSFLM.
    """
    if _is_toml(path):
        write_bytes(path, [experiment_toml(experiment).encode()])
    else:
        save_geometry(path, of_experiment(experiment, n_images))


def folded_wavelength(given: float | None, template: Experiment | None) -> float:
    """The wavelength that is a factor of a MOSFLM matrix: as given, or that of the template [Angstrom].

    Raises
    ------
    ConfigError
        When there is neither.
    """
    if given is not None:
        return given
    if template is None:
        raise ConfigError(
            "wavelength_angstrom", None, "is needed: the matrix holds it as a factor", "give it, or template="
        )
    return wavelength_angstrom(template)


def geometry_in(
    path: File, *, image: int | None = None, index: int | None = None, stream: File | None = None,
    wavelength_angstrom: float | None = None, camera_length_m: float | None = None, first: bool = False,
) -> Geometry:  # fmt: skip
    """The plain geometry in a file; parameters as `read_geometry`, a matrix needs its wavelength; `first` as for `read_expt`."""
    if _is_toml(path):
        return of_experiment(read_toml(path).experiment)
    kind = kind_of_file(path)
    if kind == "expt":
        return read_expt(path, index, image, first=first)
    if kind in ("xparm", "xds_inp"):
        return read_xds(path, image)
    if kind == "matrix":
        return read_mosflm(path, folded_wavelength(wavelength_angstrom, None))
    if kind in ("geom", "stream"):
        geom, crystals = (path, stream) if kind == "geom" else (None, path)
        return read_crystfel(geom, crystals, index=index, wavelength=wavelength_angstrom, camera_length=camera_length_m)
    return geometry_of_image(path, image)


def save_geometry(path: File, geometry: Geometry) -> None:
    """Write a plain geometry in the format that the name of the file says.

    Raises
    ------
    ConfigError
        For a name of no known format.
    """
    kind = kind_of_name(path)
    if kind == "geom":
        write_geom(path, geometry)
        if geometry.a_star is not None:
            write_stream(os.path.splitext(fspath(path))[0] + ".stream", geometry)
    elif kind in _WRITERS:
        _WRITERS[kind](path, geometry)
    else:
        raise ConfigError("path", fspath(path), "is the name of no known format of geometry", f"use {NAMES}")


def kind_of_name(path: File) -> str | None:
    """The format that a name says, in the words of `kind_of_file`, and toml; None: no known one."""
    name = os.path.basename(fspath(path)).lower()
    for suffixes, kind in (
        ((".expt", ".json"), "expt"), ((".inp",), "xds_inp"), ((".mat",), "matrix"), ((".geom",), "geom"),
        ((".stream",), "stream"), ((".toml",), "toml"),
    ):  # fmt: skip
        if name.endswith(suffixes):
            return kind
    return "xparm" if "xparm" in name else None


def _is_toml(path: File) -> bool:
    return fspath(path).endswith(".toml")


def _is_matrix(path: File) -> bool:
    return not _is_toml(path) and kind_of_file(path) == "matrix"
