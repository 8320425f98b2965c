"""Open the page in a browser, without the token in the list of processes that everybody on the machine can see."""

from __future__ import annotations

import html
import os
import tempfile
import webbrowser
from pathlib import Path


class Opening:
    """A file that only its owner can read and that sends a browser on to the page; `close` removes it."""

    def __init__(self, url: str) -> None:
        handle, self._path = tempfile.mkstemp(prefix="nanobragg-explorer-", suffix=".html")  # for the owner alone
        place = html.escape(url, quote=True)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write('<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">')
            file.write(f'<meta http-equiv="refresh" content="0; url={place}"><a href="{place}">open the explorer</a>\n')

    def show(self) -> None:
        """Show the page."""
        webbrowser.open(Path(self._path).as_uri())

    def close(self) -> None:
        """Remove the file."""
        Path(self._path).unlink(missing_ok=True)
