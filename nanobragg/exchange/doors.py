"""The doors of `nanobragg.Experiment` to other programs: attached to the class when nanobragg is imported.

The class itself knows no file format and no command line; `nanobragg.config.experiment` repeats the signatures for type
checkers, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanobragg import exchange, lazy
from nanobragg.config import Experiment
from nanobragg.config.experiment import File
from nanobragg.config.fields import Config
from nanobragg.errors import ConfigError
from nanobragg.io import geometry


def from_nanobragg_args(cls: type[Experiment], args: Sequence[File], fidelity: str = "reference") -> Experiment:
    """The experiment that a command line of the original program means.

    Parameters
    ----------
    args : sequence of str
        The arguments, without the program name. Files are read relative to the current directory.
    fidelity : {"reference", "corrected"}
        ``"corrected"`` implies the strict parsing rules, ``"reference"`` the lenient ones. A ``--fidelity``,
        ``--strict`` or ``--quirks`` token among `args` wins.
    """
    if isinstance(args, str):
        raise ConfigError("args", args, "must be a list of arguments", "split it: shlex.split(args)")
    return exchange.experiment_from_args([str(arg) for arg in args], fidelity)


def from_dials(
    cls: type[Experiment],
    path: File,
    template: Experiment | None = None,
    *,
    structure_factors: Any = None,
    index: int | None = None,
    image: int | None = None,
) -> Experiment:
    """The geometry of a DIALS experiment list (``.expt``).

    Parameters
    ----------
    path : path
        The file.
    template : Experiment, optional
        Supplies all that the file does not hold: structure factors, size, shape and mosaicity of the crystal, fluence,
        sampling. Its laboratory frame is kept. This holds for all readers of geometry. Where it has a mosaicity or a size of
        its own, these are kept too.
    structure_factors : StructureFactors, optional
        In place of the template's; with neither, every index has 1 electron.
    index : int, optional
        Which experiment of the list, from 0; None: the first, with a warning where there are more.
    image : int, optional
        Number of the image in the scan; None: the first.

    Raises
    ------
    FileFormatError
        For what cannot be read or represented; the message names the place inside the file.

    Notes
    -----
    Half the mosaicity of dxtbx (Sauter 2014) becomes the largest angle of the model "ball", the mosaicity of Kabsch (2010) and
    the sigma_m of profiles the standard deviation of "gaussian"; a domain size becomes whole numbers of cells.
    """
    return exchange.to_experiment(geometry.read_expt(path, index, image, first=True), path, template, structure_factors)


def from_xds(
    cls: type[Experiment],
    path: File,
    template: Experiment | None = None,
    *,
    structure_factors: Any = None,
    image: int | None = None,
) -> Experiment:
    """The geometry of XPARM.XDS, GXPARM.XDS or XDS.INP; parameters as `from_dials`."""
    return exchange.to_experiment(geometry.read_xds(path, image), path, template, structure_factors)


def from_mosflm(
    cls: type[Experiment],
    path: File,
    template: Experiment | None = None,
    *,
    structure_factors: Any = None,
    wavelength_angstrom: float | None = None,
) -> Experiment:
    """The crystal orientation of a MOSFLM matrix file; detector and beam are those of the template.

    `wavelength_angstrom` is the one folded into the matrix; None: that of the template.
    """
    factor = exchange.folded_wavelength(wavelength_angstrom, template)
    return exchange.to_experiment(geometry.read_mosflm(path, factor), path, template, structure_factors)


def from_crystfel(
    cls: type[Experiment],
    geom: File,
    stream: File | None = None,
    template: Experiment | None = None,
    *,
    structure_factors: Any = None,
    index: int | None = None,
    wavelength_angstrom: float | None = None,
    camera_length_m: float | None = None,
) -> Experiment:
    """The panels of a CrystFEL geometry file, and a crystal of a stream.

    `index` chooses the crystal, from 0; `wavelength_angstrom` and `camera_length_m` are needed where the geometry
    file refers to the image files for them. Other parameters as `from_dials`.
    """
    found = geometry.read_crystfel(
        geom, stream, index=index, wavelength=wavelength_angstrom, camera_length=camera_length_m
    )
    return exchange.to_experiment(found, geom, template, structure_factors)


def from_image(
    cls: type[Experiment],
    path: File,
    template: Experiment | None = None,
    *,
    structure_factors: Any = None,
    image: int | None = None,
) -> Experiment:
    """The geometry in the header of an image: SMV, miniCBF or NXmx; parameters as `from_dials`."""
    return exchange.to_experiment(geometry.geometry_of_image(path, image), path, template, structure_factors)


def from_json_file(cls: type[Experiment], path: File) -> Experiment:
    """The experiment in a JSON file that `to_json` wrote; a table in another file is read from there.

    Raises
    ------
    FileFormatError
        When it cannot be read, or a file that it refers to is missing or has changed since.
    """
    return exchange.from_json_file(cls, path)


def from_toml(cls: type[Experiment], path: File) -> Experiment:
    """The experiment in a TOML file, as `to_toml` and ``nanoBragg init`` write it; its ``[run]`` and ``[readout]`` are left out.

    Raises
    ------
    FileFormatError
        For what cannot be read, and for unknown keys, with a suggestion.
    """
    return exchange.from_toml(path)


def to_json(self: Experiment, path: File | None = None, *, tables: str = "auto") -> str:
    """`to_dict` as JSON text, which is returned, and written when a path is given.

    Parameters
    ----------
    path : path, optional
        A file to write; `from_json_file` reads it. Without one all tables are part of the text, which `from_json` reads.
    tables : {"auto", "inline"}
        In a file: "auto" names the file that the structure factors were read from, with its SHA-256, as long as it is
        there and unchanged; "inline" keeps the numbers. Tables that were made, changed or carry a gradient are inline.

    Raises
    ------
    ConfigError
        For NaN, which has no place in JSON.
    """
    return exchange.to_json(self, path, tables)


def to_toml(self: Experiment, path: File) -> list[str]:
    """Write an experiment file for `from_toml` and ``nanoBragg run``, with the values that are not the defaults.

    Masks go into images beside it (``NAME_mask.img``). Structure factors that were read from a file are named, with the
    SHA-256 of the file, as long as it is there and unchanged; else they go into ``NAME_table.json`` beside it.

    Returns
    -------
    list of str
        The files that were written.
    """
    return exchange.to_toml(self, path)


def to_dials(self: Experiment, path: File, *, n_images: int = 1, images: str | None = None) -> None:
    """Write a DIALS experiment list of a scan of `n_images` that starts here, with one experiment for each crystal.

    `images` names the image files, as ``out_####.cbf``; DIALS programs that predict the spots of a scan need it, and the
    images there (the writers of images write both with ``sidecar=True``). Beam spread, mosaicity and crystal size are
    not part of it.

    Raises
    ------
    ConfigError
        For a curved detector, in this and all other writers of geometry.
    """
    geometry.write_expt(path, exchange.of_experiment(self, n_images), images)


def to_xds_inp(self: Experiment, path: File, *, n_images: int = 1, images: str = "image_????.cbf") -> None:
    """Write an XDS.INP; one panel only."""
    geometry.write_xds_inp(path, exchange.of_experiment(self, n_images), images)


def to_xparm(self: Experiment, path: File) -> None:
    """Write an XPARM.XDS; one panel only."""
    geometry.write_xparm(path, exchange.of_experiment(self))


def to_mosflm(self: Experiment, path: File, *, digits: int = 8) -> None:
    """Write a MOSFLM matrix file with 8 decimals, as MOSFLM reads them; 17 digits keep the orientation exactly."""
    geometry.write_mosflm(path, exchange.of_experiment(self), digits)


def to_crystfel(self: Experiment, geom: File, stream: File | None = None) -> None:
    """Write a CrystFEL geometry file, and the crystals (at phi 0) as a stream of one chunk."""
    record = exchange.of_experiment(self)
    geometry.write_geom(geom, record)
    if stream is not None:
        geometry.write_stream(stream, record)


DOORS: tuple[Any, ...] = (
    from_nanobragg_args,
    from_dials,
    from_xds,
    from_mosflm,
    from_crystfel,
    from_image,
    from_json_file,
    from_toml,
    to_json,
    to_toml,
    to_dials,
    to_xds_inp,
    to_xparm,
    to_mosflm,
    to_crystfel,
)


def _part_page(self: Config) -> str:
    """What a notebook shows of a part of an experiment."""
    return exchange.part_html(self)


def _experiment_page(self: Experiment) -> str:
    """What a notebook shows of an experiment."""
    return exchange.experiment_html(self)


def attach() -> None:
    """Give the class its doors, notebooks their pages, and `nanobragg.io` the writers that take an Experiment."""
    lazy.supply("nanobragg.io", "nanobragg.exchange")
    Config._repr_html_ = _part_page  # type: ignore[attr-defined]
    Experiment._repr_html_ = _experiment_page  # type: ignore[attr-defined]
    for door in DOORS:
        door.__qualname__ = f"Experiment.{door.__name__}"
        setattr(Experiment, door.__name__, classmethod(door) if door.__name__.startswith("from_") else door)
