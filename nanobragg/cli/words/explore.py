"""`nanoBragg explore`: an experiment on a page of the browser."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from nanobragg.cli.words.common.experiment_file import add_experiment, experiment_of
from nanobragg.cli.words.common.word import Words, carried_out
from nanobragg.errors import UsageError
from nanobragg.exchange.toml import read_toml
from nanobragg.explorer.comparison.measured import read_measured
from nanobragg.explorer.explore import explore
from nanobragg.explorer.presets import example
from nanobragg.io.images.image_file import image_format


def run_explore(args: Sequence[str]) -> int:
    """Run the subcommand."""
    options = Words(
        "explore",
        "An interactive page in the browser: values move, and the image follows. On this machine only, with a token.",
    )
    add_experiment(options, optional="default: an example")
    options.add_argument(
        "--measured", metavar="IMAGE", help="an image to compare with (default: FILE, where it is an image)"
    )
    options.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s); any other is open to the network"
    )
    options.add_argument("--port", type=int, default=0, help="0: a free one (default)")
    options.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    return carried_out(_explore, options, args)


def _explore(typed: Any) -> int:
    if not 0 <= typed.port < 65536:
        raise UsageError(f"explore: --port {typed.port}: must be within 0 and 65535")
    experiment = example() if typed.file is None else experiment_of(typed)
    readout = read_toml(typed.file, typed.changes).readout if (typed.file or "").endswith(".toml") else None
    path = typed.measured or _image(typed.file)
    # the number of an image of a scan is that of the geometry and of the pixels
    measured = None if path is None else read_measured(path, (typed.image if not typed.measured else None) or 1)
    opened = explore(experiment, readout=readout, measured=measured, host=typed.host, port=typed.port)
    with contextlib.suppress(KeyboardInterrupt), opened as explorer:  # which is how it is meant to end
        sys.stdout.write(
            "".join(f"{line}\n" for line in _greeting(explorer.url, explorer.port, typed.host, explorer.is_local))
        )
        sys.stdout.flush()
        if not typed.no_browser and _has_screen():
            explorer.open()
        threading.Event().wait()
    return 0


def _image(path: str | None) -> str | None:
    """The file, where it holds pixels and not only a geometry."""
    if path is None or path.endswith(".toml"):
        return None
    return path if image_format(path) in ("nxmx", "cbf", "smv") else None


def _greeting(url: str, port: int, host: str, is_local: bool) -> list[str]:
    lines = [f"open {url}"]
    if is_local:
        here = f"[{host}]" if ":" in host else host
        lines.append(f"from another machine, type there: ssh -N -L {port}:{here}:{port} {_login()}")
        lines.append("then open the same address there; Ctrl-C ends")
    else:
        lines.append(f"warning: open to the network, unencrypted, on {host or 'every address'}: whoever has this address can "
                     "use the page and reads image files with your rights; Ctrl-C ends")  # fmt: skip
    return lines


def _has_screen() -> bool:
    """Whether a browser has where to open: over ssh, or without a display, one in text would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and not os.environ.get("SSH_CONNECTION")


def _login() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = os.environ.get("USER", "USER")
    return f"{user}@{socket.gethostname()}"
