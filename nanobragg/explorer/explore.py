"""`explore`: an experiment on a page of the browser."""

from __future__ import annotations

import atexit
import base64
import html
import os
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

import numpy as np

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.config.spoken.speaks import told
from nanobragg.errors import ConfigError, NanoBraggError
from nanobragg.explorer.comparison.measured import Measured, read_measured
from nanobragg.explorer.exports.still import still
from nanobragg.explorer.serving.desk import Desk
from nanobragg.explorer.serving.opening import Opening
from nanobragg.explorer.serving.server import Server
from nanobragg.explorer.session import Session
from nanobragg.refinement.results.result import Refinement

_NOTEBOOK_SECONDS = 5.0
"""That a cell waits for the exact image, for the picture below the page."""
_OPEN: list[Explorer] = []
"""They serve until they are closed, whoever still holds them: their pages may be open. What is left is closed at the end of
the interpreter."""


class Explorer:
    """An experiment on a page of the browser: what is moved there is moved here.

    Made by `explore`. In a notebook the page stands below the cell, and a picture of it, which stays in the saved file. It
    serves until `close`, the end of a ``with`` block, or the end of Python, also when no name is left for it.
    """

    def __init__(self, experiment: Experiment, readout: Readout | None, measured: Any, host: str, port: int) -> None:
        image = _measured(measured)
        self._process, self._closed = os.getpid(), False
        self._opening: Opening | None = None
        self._session = Session(experiment, readout)
        self._desk = Desk(self._session)
        try:
            if image is not None:
                self._desk.measure(image)
            self._server = Server(self._desk, host, port)
            self._session.begin()
        except BaseException:
            self._desk.close()
            raise
        _OPEN.append(self)

    @property
    def url(self) -> str:
        """Address of the page, with the token that opens it."""
        return self._server.url

    @property
    def port(self) -> int:
        """On which the server listens."""
        return self._server.port

    @property
    def is_local(self) -> bool:
        """Whether it listens to this machine alone."""
        return self._server.is_local

    @property
    def experiment(self) -> Experiment:
        """As it stands on the page, without background where that is switched off; it can be set, which can be undone.

        What is set without a background while that is switched off keeps the one that was switched off.
        """
        return self._session.shown

    @experiment.setter
    def experiment(self, value: Experiment) -> None:
        self._check_open()
        check_experiment(value)
        session = self._session
        with session.lock:
            if not session.switches["background"] and next(told(value.background), None) is None:
                value = value.replace(background=session.state.experiment.background)
            session.take(replace(session.state, experiment=value), "")
        self._desk.tell_state()

    @property
    def refinement(self) -> Refinement | None:
        """What the last refinement on the page found; None: there was none, or it did not come to its end."""
        return self._desk.refinement

    def image(self, timeout: float | None = None) -> Any:
        """The exact image of the present experiment, as `nanobragg.simulate` returns it; waits for it.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which it is a TimeoutError; None: none.

        Returns
        -------
        (n_slow, n_fast) float64 array
            Of several panels as `nanobragg.simulate` returns them.

        Raises
        ------
        ConfigError
            Where the experiment cannot be simulated, its rendering was ended on the page, or the explorer is closed.
        TimeoutError
        """
        self._check_process()
        return self._session.wait(timeout).frame.photons

    def shown(self, timeout: float | None = None) -> Any:
        """What the page shows: the photons, or with point spread or noise switched on what the detector makes of them.

        Parameters and errors are those of `image`.
        """
        self._check_process()
        return self._session.wait(timeout).values

    def compare(self, measured: Any) -> None:
        """Compare with another image on the page.

        Parameters
        ----------
        measured : path, array, list of panels or Exposure
            As for `explore`; None: with none.

        Raises
        ------
        ConfigError, FileFormatError
            As `explore`.
        """
        self._check_open()
        image = _measured(measured)
        if image is None:
            self._desk.comparing.take(None)
        else:
            self._desk.measure(image)

    def close(self) -> None:
        """End the server; the page stays with its last picture. What was rendered last can still be asked for."""
        if self._closed or self._process != os.getpid():  # the threads of another process are not here
            return
        self._closed = True
        if self in _OPEN:
            _OPEN.remove(self)
        self._desk.close()  # exports that wait for an image end with it
        self._server.close()
        if self._opening is not None:
            self._opening.close()

    def open(self) -> None:
        """Open the page in the browser of this machine."""
        self._opening = self._opening or Opening(self.url)
        self._opening.show()

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<Explorer, closed>" if self._closed else f"<Explorer at {self.url}>"

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        """For notebooks: the page with a picture below it, and the picture alone for what shows no page."""
        png = self._picture()
        bundle = {"text/plain": repr(self), "text/html": self._page(png)}
        if png is not None:
            bundle["image/png"] = base64.b64encode(png).decode()
        return bundle

    def _repr_html_(self) -> str:
        """The page, and below it a picture, which stays when the server has ended."""
        return self._page(self._picture())

    def _picture(self) -> bytes | None:
        try:
            return still(self._session.wait(_NOTEBOOK_SECONDS))
        except (NanoBraggError, TimeoutError):
            return None

    def _page(self, png: bytes | None) -> str:
        parts = []
        if not self._closed:
            parts.append(
                f"<iframe src='{html.escape(self.url)}' title='nanobragg explorer' width='100%' height='720' "
                "style='border:1px solid #d0d7de'></iframe>"
            )
        if png is not None:
            data = base64.b64encode(png).decode()
            parts.append(
                "<details open><summary>as it was when the cell was run</summary><img alt='diffraction image, dark where "
                f"photons are' style='max-width:100%;border:1px solid #d0d7de' src='data:image/png;base64,{data}'></details>"
            )
        return "".join(parts) or "<p>an explorer that was closed before it had an image</p>"

    def _check_open(self) -> None:
        self._check_process()
        if self._closed:
            raise ConfigError("explorer", "closed", "renders no more", "open another one")

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ConfigError("explorer", f"of process {self._process}", "has no threads in a process that was forked from it",
                              "open another one here")  # fmt: skip


def _close_all() -> None:
    """At the end of the interpreter, while its threads can still be told to end."""
    for one in list(_OPEN):
        one.close()


atexit.register(_close_all)


def explore(
    experiment: Experiment,
    *,
    readout: Readout | None = None,
    measured: Any = None,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = False,
) -> Explorer:
    """Open an experiment as an interactive page: its values move, and the image follows.

    Parameters
    ----------
    experiment : Experiment
        The start.
    readout : Readout, optional
        The response of the detector, for the switches of point spread and noise.
    measured : path, array, list of panels or Exposure, optional
        An image in counts (n_slow, n_fast) to compare with, of the detector of the experiment; pixels that are negative or no
        numbers do not count.
    host : str
        Address on which the server listens; any other than this machine's own is open to the network, to those who have the
        token.
    port : int
        0: a free one.
    browser : bool
        Open the page in the browser of this machine.

    Returns
    -------
    Explorer
        With the address of the page (``url``), the present ``experiment`` and its ``image()``; a notebook shows the page.

    Raises
    ------
    ConfigError
        For what is no experiment, and for an image of another detector.
    FileFormatError
        Where the measured image cannot be read.
    BackendUnavailableError
        Without the packages of ``pip install 'nanobragg[explore]'``.
    OSError
        Where the port is taken.

    Examples
    --------
    >>> import nanobragg as nb
    >>> experiment = nb.Experiment(crystal=nb.Crystal(unit_cell=nb.UnitCell(60, 60, 40, 90, 90, 90), n_cells=(9, 9, 9),
    ...     structure_factors=nb.StructureFactors.constant(100.0)), detector=nb.Detector(n_fast=80, n_slow=60, pixel_size_mm=1.0))
    >>> with nb.explore(experiment) as explorer:  # explorer.url opens in a browser
    ...     explorer.experiment = experiment.replace("detector.distance_mm", 80.0)
    ...     explorer.image().shape
    (60, 80)
    """
    explorer = Explorer(experiment, readout, measured, host, port)
    if browser:
        explorer.open()
    return explorer


def _measured(given: Any) -> Measured | None:
    if given is None or isinstance(given, Measured):
        return given
    if isinstance(given, str | PathLike):
        return read_measured(fspath(given))
    return Measured("an array", _counts(getattr(given, "counts", given)))


def _counts(given: Any) -> Any:
    """An image, or one for each panel, as arrays of numbers."""
    try:
        images = [np.asarray(one) for one in given] if isinstance(given, list | tuple) else np.asarray(given)
    except ValueError:
        images = np.array(None)
    each = images if isinstance(images, list) else [images]
    if not each or any(one.dtype.kind not in "buif" or one.ndim not in (2, 3) for one in each):
        raise ConfigError("measured", type(given).__name__, "must be a path, an array (n_slow, n_fast) of counts, or one "
                          "for each panel")  # fmt: skip
    return images
