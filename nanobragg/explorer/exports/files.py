"""Every file that the page offers, by name."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nanobragg.arrays import detached
from nanobragg.config import Experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.serialize import plain
from nanobragg.config.spoken.speaks import told
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError
from nanobragg.exchange.images.writers import write_cbf, write_nxmx
from nanobragg.exchange.toml_text import readout_toml
from nanobragg.explorer.comparison.layers import tiles
from nanobragg.explorer.comparison.measured import Measured, agreement
from nanobragg.explorer.drawing.tiles import Tile, View
from nanobragg.explorer.exports.command_text import EXPERIMENT, CommandText
from nanobragg.explorer.exports.python_text import PythonText
from nanobragg.explorer.exports.snapshot import Seen, colored, snapshot
from nanobragg.explorer.session import SEED, Picture, Session
from nanobragg.exposure import expose
from nanobragg.io.images.png import encode_png

Found = list[tuple[str, Tile]]
Taken = tuple[str, str, bytes]
"""Name, type, content."""
MENU = {
    "toml": "experiment (TOML)", "python": "Python", "command": "command line", "png": "picture (PNG)",
    "cbf": "counts with noise (CBF)", "counts": "counts with noise (NXmx)", "nxmx": "expected photons (NXmx)",
    "html": "page to send (HTML)",
}  # fmt: skip
_WAIT = 120.0
"""Seconds for the exact image."""
_NO_FILE = "take the picture (PNG), or Python"
_ZIP = "application/zip"


def exported(name: str, session: Session, view: View, measured: Measured | None, colors: str) -> Taken:
    """A file of the present state, exact.

    Raises
    ------
    ConfigError
        For another name, and for what the format does not hold.
    """
    makers: dict[str, Callable[[], Taken]] = {
        "toml": lambda: _toml(session), "python": lambda: _python(session), "command": lambda: _command(session),
        "png": lambda: _png(session.wait(_WAIT), view, measured, colors), "cbf": lambda: _cbf(session),
        "nxmx": lambda: _nxmx(session), "counts": lambda: _nxmx_counts(session),
        "html": lambda: _html(session, view, measured, colors),
    }  # fmt: skip
    if name not in makers:
        raise ConfigError("export", name, f"must be one of {', '.join(makers)}")
    return makers[name]()


def _toml(session: Session) -> Taken:
    readout = session.shown_readout  # the gain of counts is kept, though none are shown
    named = _acting(session)[0] is not None or next(told(readout), None) is not None
    with tempfile.TemporaryDirectory() as folder:
        written = _write_toml(folder, session.shown, readout if named else None)
        return _packed(folder, written, "application/toml", "experiment")


def _write_toml(folder: str, experiment: Experiment, readout: Readout | None) -> list[str]:
    """Names of the experiment file, with the readout where there is one, and of what it reads."""
    path = os.path.join(folder, EXPERIMENT)
    written = experiment.to_toml(path)
    if readout is not None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(readout_toml(readout))
    return [os.path.basename(name) for name in written]


def _python(session: Session) -> Taken:
    made = python_of(session, session.shown)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "experiment.py"), "w", encoding="utf-8") as file:
            file.write(made.text)
        for name, value in made.files.items():
            path = os.path.join(folder, name)
            if isinstance(value, StructureFactors):
                value.to_hkl(path)
            else:
                np.save(path, value)
        return _packed(folder, ["experiment.py", *made.files], "text/x-python", "experiment_python")


def python_of(session: Session, experiment: Experiment) -> PythonText:
    """The Python of an experiment that is shown, with the readout where spread or noise is switched on."""
    return PythonText(experiment, *_acting(session))


def _command_of(session: Session, experiment: Experiment) -> CommandText:
    """The command line of an experiment that is shown, likewise."""
    readout, frame = _acting(session)
    return CommandText(experiment, readout, noise=frame is not None)


def _acting(session: Session) -> tuple[Readout | None, int | None]:
    """The readout and the frame of noise in what is shown; None: there is none."""
    with session.lock:
        spread, noise = session.switches["spread"], session.switches["noise"]
        return session.shown_readout if spread or noise else None, session.noise_frame if noise else None


def _command(session: Session) -> Taken:
    made = _command_of(session, session.shown)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "run.sh"), "w", encoding="utf-8") as file:
            file.write(made.text)
        names = ["run.sh", *made.write_files(folder)]
        if not made.whole:
            toml = _write_toml(folder, made.experiment, made.readout)
            names += [name for name in toml if name not in names]  # both name the same mask
        return _packed(folder, names, "application/x-sh", "command")


def _packed(folder: str, names: list[str], kind: str, together: str) -> Taken:
    """One file as it is, several as a zip."""
    if len(names) == 1:
        with open(os.path.join(folder, names[0]), "rb") as file:
            return names[0], kind, file.read()
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(os.path.join(folder, name), name)
    return f"{together}.zip", _ZIP, room.getvalue()


def _whole(picture: Picture, view: View) -> View:
    """The view without its place: all of the picture, pixel by pixel."""
    rows, columns = picture.layout.shape
    return replace(
        view, fast=(0.0, float(columns)), slow=(0.0, float(rows)), width=min(columns, 8192), height=min(rows, 8192)
    )


def _png(picture: Picture, view: View, measured: Measured | None, colors: str) -> Taken:
    found = tiles(picture, _whole(picture, view), measured)
    images = [colored(tile, "difference" if name == "difference" else colors) for name, tile in found]
    if view.layer == "blend":
        share = view.opacity
        images = [np.rint((1 - share) * images[0] + share * images[1]).astype(np.uint8)]
    return "image.png", "image/png", encode_png(np.concatenate(images, axis=1))


def _counts(session: Session) -> tuple[Picture, Any, Readout, dict[str, Any]]:
    """The picture, its counts as the detector of the readout makes them, and what is recorded of that."""
    with session.lock:
        readout, frame = session.shown_readout, session.noise_frame
    picture = session.wait(_WAIT)
    counts = expose(picture.frame.experiment, readout, photons=picture.frame.photons, seed=SEED, frame=frame).counts
    more = {"noise_seed": SEED, "frame": frame, "adc_offset": detached(readout.offset_adu), "readout": plain(readout)}
    return picture, counts, readout, more


def _cbf(session: Session) -> Taken:
    picture, counts, readout, more = _counts(session)

    def write(path: str) -> None:
        write_cbf(path, counts, picture.frame.experiment, saturation=readout.saturation, provenance=more)

    return "image_00001.cbf", "application/octet-stream", _written("image_00001.cbf", write, _remedy(picture))


def _nxmx_counts(session: Session) -> Taken:
    picture, counts, readout, more = _counts(session)

    def write(path: str) -> None:
        write_nxmx(path, _as_one(counts), picture.frame.experiment, saturation=readout.saturation, provenance=more)

    return "counts.nxs", "application/x-hdf5", _written("counts.nxs", write, _NO_FILE)


def _nxmx(session: Session) -> Taken:
    picture = session.wait(_WAIT)

    def write(path: str) -> None:
        write_nxmx(path, _as_one(picture.frame.photons), picture.frame.experiment)

    return "photons.nxs", "application/x-hdf5", _written("photons.nxs", write, _NO_FILE)


def _remedy(picture: Picture) -> str:
    """For what a CBF header does not hold."""
    details = [part[0].experiment.detector for part in picture.plan.decided]
    return _NO_FILE if any(one.curved for one in details) else "take counts as NXmx"


def _as_one(images: Any) -> Any:
    """A series of one image."""
    return images if isinstance(images, list) else [images]


def _written(name: str, write: Callable[[str], None], remedy: str) -> bytes:
    """The bytes of a file; what the format cannot hold is told with what can be taken from the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        try:
            write(path)
        except ConfigError as error:
            raise ConfigError("export", name, str(error).partition(";")[0], remedy) from None
        with open(path, "rb") as file:
            return file.read()


def _html(session: Session, view: View, measured: Measured | None, colors: str) -> Taken:
    picture = session.wait(_WAIT)
    experiment = picture.frame.experiment
    made, line = python_of(session, experiment), _command_of(session, experiment)
    with tempfile.TemporaryDirectory() as folder:  # as it is exported, with the names of the files that it reads
        names = _write_toml(folder, experiment, line.readout)
        with open(os.path.join(folder, EXPERIMENT), encoding="utf-8") as file:
            toml = file.read()
    texts = {
        "Python": ("python experiment.py", made.text),
        "TOML": (line.run, toml),
        "Command line": ("sh run.sh", line.text),
    }
    beside = sorted({*made.files, *line.files, *names} - {EXPERIMENT})
    found = tiles(picture, _whole(picture, view), measured)
    unit = picture.unit if _alone(found) else "counts"
    seen = Seen(found, colors, view.scale, unit, _said(session, picture, measured, found))
    page = snapshot(experiment, seen, texts, beside)
    return "snapshot.html", "text/html; charset=utf-8", page.encode()


def _said(session: Session, picture: Picture, measured: Measured | None, found: Found) -> str:
    """What the pictures show."""
    rows, columns = picture.layout.shape
    with session.lock:
        on, frame = session.switches, session.noise_frame
    parts = [f"{columns} x {rows} pixels, {picture.unit}"]
    parts += ["without background"] if not on["background"] else []
    parts += ["with point spread"] if on["spread"] else []
    parts += [f"with noise (seed {SEED}, frame {frame})"] if on["noise"] else []
    if measured is not None and not _alone(found):
        values = np.asarray(picture.layout.picture(picture.values), np.float64)
        parts.append(f"measured: {os.path.basename(measured.name)}, counts = {measured.factor:.6g} x photons + "
                     f"{measured.offset:.6g}; {agreement(measured, picture.layout, values)}")  # fmt: skip
    return "; ".join(parts) + "."


def _alone(found: Found) -> bool:
    """Whether the simulated image stands alone, in its own unit."""
    return [name for name, _ in found] == ["simulated"]
