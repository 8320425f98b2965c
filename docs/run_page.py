"""Runs the code blocks of a page in order, as a reader would type them.

    python docs/run_page.py docs/tutorial/first_image.md [--pictures]

``sh`` blocks: the nanoBragg commands. ``python`` blocks share their names; those that begin with >>> are checked against
the output that is printed with them. Blocks in other languages are shown only. With --pictures, every picture that the page
shows and its blocks have made is copied to docs/pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import os
import re
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, code) of every fenced block that is run."""
    return [
        found for found in re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.S | re.M) if found[0] in ("sh", "python")
    ]


def commands(code: str) -> list[str]:
    """The commands of a ``sh`` block, one by one."""
    without_comments = re.sub(r"(^|\s)#(\s.*)?$", "", code.replace("\\\n", " "), flags=re.M)
    return [part.strip() for part in re.split(r"&&|\n", without_comments) if part.strip()]


def run(text: str, name: str, typed: Callable[[str], None] | None = None) -> dict[str, object]:
    """Run all blocks of a page in the current folder; returns the names that its Python blocks have made.

    Parameters
    ----------
    text, name : str
        Of the page.
    typed : callable, optional
        Runs one command; None: those of nanoBragg alone, in this process.

    Raises
    ------
    AssertionError
        For a command that fails, or output that differs from the page.
    """
    names: dict[str, object] = {"__name__": "__page__"}
    for number, (language, code) in enumerate(blocks(text), 1):
        if language == "sh":
            for command in commands(code):
                (typed or _command)(command)
        elif code.startswith(">>>"):
            _session(code, names, f"{name}, block {number}")
        else:
            from nanobragg.errors import NanoBraggWarning

            with warnings.catch_warnings():
                warnings.simplefilter("error", NanoBraggWarning)  # a page gives no cause for one
                exec(compile(code, f"{name}, block {number}", "exec"), names)
    return names


def _command(command: str) -> None:
    from nanobragg.cli.main import main

    words = shlex.split(command)
    if words[0] == "cd":
        os.chdir(words[1])
    if words[0] == "nanoBragg":
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            status = main(words[1:])
        assert status == 0, f"{command}: status {status}"


def _session(code: str, names: dict[str, object], where: str) -> None:
    test = doctest.DocTestParser().get_doctest(code, names, where, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    failed = runner.run(test, out=said.append, clear_globs=False).failed
    names.update(test.globs)
    assert not failed, "".join(said)


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> None:
    """Run the pages that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--pictures", action="store_true", help="renew the pictures of the pages")
    typed = parser.parse_args()
    for page in typed.pages:
        text = page.read_text()
        with tempfile.TemporaryDirectory() as folder:
            with _inside(folder):
                run(text, page.name)
            for picture in set(re.findall(r"\(\.\./pictures/([a-z_]+\.png)\)", text)):
                if typed.pictures and (Path(folder) / picture).is_file():
                    shutil.copy(Path(folder) / picture, FOLDER / "pictures" / picture)
        print(page)


if __name__ == "__main__":
    main()
