"""The writers of images that take an Experiment; `nanobragg.io` shows them beside the readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nanobragg.config import Experiment
from nanobragg.errors import ConfigError
from nanobragg.exchange.images.described import Described, File, check_dialect
from nanobragg.exchange.images.numbered_files import write_sidecar
from nanobragg.exchange.images.provenance import provenance_json
from nanobragg.io.geometry.record import Geometry
from nanobragg.io.images.fabio_images import save_edf, save_tiff
from nanobragg.io.images.nxmx import save_nxmx
from nanobragg.io.images.smv import save_smv


def write_cbf(
    path: File,
    counts: Any,
    experiment: Experiment,
    *,
    image: int = 1,
    provenance: Any = None,
    saturation: int | None = None,
) -> None:
    """Write one image of counts with its geometry as miniCBF.

    Parameters
    ----------
    path : path
        The file; the name must end in the number of the image for most readers.
    counts : (n_slow, n_fast) integers
        Masked pixels become -1.
    experiment : Experiment
        Geometry of the first image of the scan: one flat panel at right angles to the beam, which is all that this header
        can hold.
    image : int
        Number of this image in the scan, from 1.
    provenance : dict, optional
        Further values for the record, see `nanobragg.exchange.images.provenance`.
    saturation : int, optional
        Largest number of a pixel that is a count, for the header; None: that of the type. Of a `Readout`:
        ``readout.saturation``.

    Raises
    ------
    ConfigError
        For a tilted detector or several panels (use write_nxmx), and for expected photons in place of counts.
    """
    Described(experiment, provenance, saturation).write_cbf(path, counts, image)


def write_nxmx(
    path: File, images: Any, experiment: Experiment | Sequence[Experiment], *, compression: str = "gzip",
    provenance: Any = None, sidecar: bool = False, saturation: int | None = None,
) -> None:  # fmt: skip
    """Write images and geometry as NXmx.

    Parameters
    ----------
    path : path
        The file.
    images : array, or iterable of arrays
        One image, or the images of a scan in order, each as `nanobragg.simulate` returns it (panels are put below each
        other). Whole numbers are stored as int32, others as float32.
    experiment : Experiment, or sequence of Experiment
        Geometry of the first image of a scan; the width of an image is ``goniometer.osc_deg``. Several: one for each image of
        a series of stills, which may differ in crystal, wavelength and flux; `read_geometry` with ``image=`` reads each.
    compression : {"gzip", "bitshuffle-lz4", "none"}
        gzip is read by every HDF5; bitshuffle-lz4 is faster and needs hdf5plugin, here and wherever it is read.
    provenance : dict, optional
        Further values for the record (see `nanobragg.exchange.images.provenance`), for example the seed of the noise.
    sidecar : bool
        Also write the geometry as a DIALS experiment list beside it.
    saturation : int, optional
        Largest number of a pixel that is a count, for the header; None: that of the type. Of a `Readout`:
        ``readout.saturation``.

    Raises
    ------
    ConfigError
        When an image does not fit the detector, several images lack an oscillation width, or stills do not go together.
    FileFormatError
        When the file cannot be written; nothing is left behind.
    """
    if not isinstance(experiment, Experiment | Geometry):
        stills = list(experiment)
        if sidecar:
            raise ConfigError("sidecar", True, "an experiment list beside the images is that of a scan", "leave it out")
        geometries = [Described(one).geometry for one in stills]
        save_nxmx(path, images, geometries, compression=compression, saturation=saturation,
                  text=provenance_json(stills, **(provenance or {})))  # fmt: skip
        return
    described = Described(experiment, provenance)
    count = save_nxmx(path, images, described.geometry, compression=compression, text=described.record(),
                      saturation=saturation)  # fmt: skip
    if sidecar:
        write_sidecar(path, described.geometry, count, single_file=True)


def write_smv(
    path: File, counts: Any, header: Experiment | bytes | Mapping[str, object] | Iterable[tuple[str, object]] = (), *,
    experiment: Experiment | None = None, dialect: str = "nanobragg", image: int = 1, adc_offset: float = 0.0,
    provenance: Any = None, saturation: int | None = None,
) -> None:  # fmt: skip
    """Write an SMV image in native byte order.

    Parameters
    ----------
    path : path
        The file.
    counts : (n_slow, n_fast) uint16
        Pixels.
    header : Experiment, bytes, mapping or iterable of (key, value)
        An Experiment, as in the other writers: see `experiment`. Else the whole header, or entries that follow the mandatory
        ones; of a mapping, as `read_smv` gives, the mandatory ones are passed over.
    experiment : Experiment, optional
        Geometry of the first image of the scan, one panel; its entries come before those of `header`.
    dialect : {"nanobragg", "dxtbx"}
        The original's words (dxtbx takes such a beam center for another one), or those of an ADSC detector, which give
        dxtbx, XDS and MOSFLM the right geometry of a detector at right angles to the beam.
    image : int
        Number of this image in the scan, from 1.
    adc_offset : float
        Added to the counts; recorded.
    provenance : dict, optional
        Further values for the record.
    saturation : int, optional
        Largest number of a pixel that is a count, for the header; None: that of the type. Of a `Readout`:
        ``readout.saturation``.

    Raises
    ------
    ConfigError
        For two experiments; when `counts` is not a 2-d uint16 array, or not that of the experiment's detector.
    FileFormatError
        When the file cannot be written.
    """
    check_dialect(dialect)
    if isinstance(header, Experiment):
        if experiment is not None:
            raise ConfigError("header", header, "is an Experiment, and experiment= is given too", "give one of them")
        experiment, header = header, ()
    if experiment is None:
        save_smv(path, counts, header)
    else:
        Described(experiment, provenance, saturation).write_smv(path, counts, dialect, image, adc_offset, header)


def write_tiff(path: File, image: Any, experiment: Experiment | None = None, *, provenance: Any = None) -> None:
    """Write a TIFF image: float32, or the integers as they are; with an experiment, its record is the description."""
    save_tiff(path, image, None if experiment is None else Described(experiment, provenance).record())


def write_edf(path: File, image: Any, experiment: Experiment | None = None, *, provenance: Any = None) -> None:
    """Write an EDF image: float32, or the integers as they are; with an experiment, its record is in the header."""
    save_edf(path, image, None if experiment is None else Described(experiment, provenance).record())
