"""`explore`: an experiment on a page of the browser."""

from __future__ import annotations

import html
import webbrowser
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from nanobragg.config import Experiment
from nanobragg.config.experiment import check_experiment
from nanobragg.config.image_chain.readout import Readout
from nanobragg.errors import NanoBraggError
from nanobragg.exchange.notebook.page import images_html
from nanobragg.explorer.comparison.measured import Measured, read_measured
from nanobragg.explorer.serving.desk import Desk
from nanobragg.explorer.serving.server import Server
from nanobragg.explorer.session import Session

_NOTEBOOK_SECONDS = 5.0
"""That a cell waits for the exact image, for the picture below the page."""


class Explorer:
    """An experiment on a page of the browser: what is moved there is moved here.

    Made by `explore`. In a notebook the page stands below the cell.
    """

    def __init__(self, experiment: Experiment, readout: Readout | None, measured: Any, host: str, port: int) -> None:
        image = _measured(measured)
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

    @property
    def url(self) -> str:
        """Address of the page, with the token that opens it."""
        return self._server.url

    @property
    def port(self) -> int:
        """On which the server listens."""
        return self._server.port

    @property
    def experiment(self) -> Experiment:
        """As it stands on the page; it can be set."""
        return self._session.state.experiment

    @experiment.setter
    def experiment(self, value: Experiment) -> None:
        check_experiment(value)
        self._session.take(replace(self._session.state, experiment=value), "")
        self._desk.tell(self._desk.state())

    def image(self, timeout: float | None = None) -> Any:
        """The exact image of the present experiment, as `nanobragg.simulate` returns it; waits for it.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which it is a TimeoutError; None: none.

        Raises
        ------
        ConfigError
            Where the experiment cannot be simulated.
        TimeoutError
        """
        return self._session.wait(timeout).frame.photons

    def shown(self, timeout: float | None = None) -> Any:
        """What the page shows: the photons, or with point spread or noise switched on what the detector makes of them."""
        return self._session.wait(timeout).values

    def close(self) -> None:
        """End the server; the page stays with its last picture."""
        self._server.close()
        self._desk.close()

    def __enter__(self) -> Explorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Explorer at {self.url}>"

    def _repr_html_(self) -> str:
        """The page, and below it a picture, which stays when the server has ended."""
        frame = f"<iframe src='{html.escape(self.url)}' width='100%' height='720' style='border:1px solid #d0d7de'></iframe>"
        try:
            picture = self._session.wait(_NOTEBOOK_SECONDS)
        except (NanoBraggError, TimeoutError):
            return frame
        seen = images_html(picture.values, picture.unit)
        return f"{frame}<details><summary>as it was when the cell was run</summary>{seen}</details>"


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
    measured : path or array, optional
        An image in counts to compare with.
    host : str
        Address on which the server listens; any other than this machine's own is open to the network, to those who have the
        token.
    port : int
        0: a free one.
    browser : bool
        Open the page in the browser.

    Returns
    -------
    Explorer
        With the address of the page (``url``), the present ``experiment`` and its ``image()``; a notebook shows the page.

    Raises
    ------
    ConfigError
        For what is no experiment.
    BackendUnavailableError
        Without the packages of ``pip install 'nanobragg[explore]'``.
    OSError
        Where the port is taken.
    """
    explorer = Explorer(experiment, readout, measured, host, port)
    if browser:
        webbrowser.open(explorer.url)
    return explorer


def _measured(given: Any) -> Measured | None:
    if given is None:
        return None
    if isinstance(given, str | PathLike):
        return read_measured(fspath(given))
    return Measured("an array", getattr(given, "counts", given))
