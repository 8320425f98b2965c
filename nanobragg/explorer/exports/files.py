"""Every file that the page offers, by name."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nanobragg.config.image_chain.readout import Psf
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.exchange.images.writers import write_cbf, write_nxmx
from nanobragg.exchange.toml_text import experiment_toml
from nanobragg.explorer.comparison.layers import tiles
from nanobragg.explorer.comparison.measured import Measured
from nanobragg.explorer.drawing.tiles import View
from nanobragg.explorer.exports.command_text import CommandText
from nanobragg.explorer.exports.python_text import PythonText
from nanobragg.explorer.exports.snapshot import colored, snapshot
from nanobragg.explorer.session import Picture, Session
from nanobragg.exposure import expose
from nanobragg.io.images.png import encode_png

Taken = tuple[str, str, bytes]
"""Name, type, content."""
MENU = {
    "toml": "experiment (TOML)", "python": "Python", "command": "command line", "png": "picture (PNG)", "cbf": "counts (CBF)",
    "nxmx": "photons (NXmx)", "html": "page to send (HTML)",
}  # fmt: skip
_WAIT = 120.0
"""Seconds for the exact image."""
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
        "nxmx": lambda: _nxmx(session), "html": lambda: _html(session, view, measured, colors),
    }  # fmt: skip
    if name not in makers:
        raise ConfigError("export", name, f"must be one of {', '.join(makers)}")
    return makers[name]()


def _toml(session: Session) -> Taken:
    experiment = session.state.experiment
    with tempfile.TemporaryDirectory() as folder:
        written = experiment.to_toml(os.path.join(folder, "experiment.toml"))
        return _packed(
            folder, [os.path.basename(path) for path in written], "experiment.toml", "application/toml", "experiment"
        )


def _python(session: Session) -> Taken:
    made = PythonText(session.state.experiment)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "experiment.py"), "w", encoding="utf-8") as file:
            file.write(made.text)
        for name, value in made.files.items():
            path = os.path.join(folder, name)
            if isinstance(value, StructureFactors):
                value.to_hkl(path)
            else:
                np.save(path, value)
        return _packed(folder, ["experiment.py", *made.files], "experiment.py", "text/x-python", "experiment_python")


def _command(session: Session) -> Taken:
    made = CommandText(session.state.experiment)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "run.sh"), "w", encoding="utf-8") as file:
            file.write(made.text)
        return _packed(folder, ["run.sh", *made.write_files(folder)], "run.sh", "application/x-sh", "command")


def _packed(folder: str, names: list[str], single: str, kind: str, together: str) -> Taken:
    """One file as it is, several as a zip."""
    if len(names) == 1:
        with open(os.path.join(folder, names[0]), "rb") as file:
            return single, kind, file.read()
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


def _cbf(session: Session) -> Taken:
    picture, readout = session.wait(_WAIT), session.state.readout
    own = readout if session.switches["spread"] else readout.with_value("psf", Psf())
    counts = expose(
        picture.frame.experiment, own, photons=picture.frame.photons, seed=1, frame=session.noise_frame
    ).counts
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "image_00001.cbf")
        write_cbf(path, counts, picture.frame.experiment, saturation=readout.saturation)
        with open(path, "rb") as file:
            return "image_00001.cbf", "application/octet-stream", file.read()


def _nxmx(session: Session) -> Taken:
    picture = session.wait(_WAIT)
    photons = picture.frame.photons
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "image.nxs")
        write_nxmx(path, photons if isinstance(photons, list) else [photons], picture.frame.experiment)
        with open(path, "rb") as file:
            return "image.nxs", "application/x-hdf5", file.read()


def _html(session: Session, view: View, measured: Measured | None, colors: str) -> Taken:
    picture = session.wait(_WAIT)
    experiment = session.state.experiment
    texts = {"Python": PythonText(experiment).text, "TOML": experiment_toml(experiment)}
    try:
        texts["Command line"] = CommandText(experiment).text
    except NanoBraggError as error:
        texts["Command line"] = str(error)
    page = snapshot(experiment, tiles(picture, _whole(picture, view), measured), colors, picture.unit, texts)
    return "snapshot.html", "text/html; charset=utf-8", page.encode()
