"""Follows the README and every page of the documentation as a new user types them, in a shell and in Python.

    python docs/follow_pages.py [--python PYTHON] [PAGE ...]

PYTHON is that of an environment in which nanobragg and what its pages need ('.[test,torch]') are installed. The README and the
first page of the tutorial are followed in a clone of the project, which has no compiled core, and all pages in an empty folder.
Left out are the commands that install, test and build the project, which .ci/run types itself, and the measurements of
benchmarks/, of which only the options are asked for. Ends with a status other than 0 when anything does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IN_THE_CLONE = ("README.md", "docs/tutorial/first_image.md")
TYPED_BY_CI = ("pip", "pytest", "sphinx-build")
MODEL = """\
CRYST1   37.430   37.430   61.250  90.00  90.00  90.00 P 41 21 2
ATOM      1  CA  ALA A   1       5.000   7.000  11.000  1.00 15.00           C
ATOM      2  N   ALA A   1       6.200   7.900  11.400  1.00 15.00           N
END
"""
"""Stands for the protein of the Protein Data Bank that a page names."""


def typed(command: str) -> None:
    """Run one command of a page in a shell, where the page is now.

    Raises
    ------
    AssertionError
        When its exit status is not 0.
    """
    words = command.split()
    if words[0] in TYPED_BY_CI:
        return
    if words[0] == "cd":
        os.chdir(words[1])
        return
    if words[0] == "python":  # a script of the project, which the page names from its folder
        options = ["--help"] if words[1].startswith("benchmarks/") else words[2:]
        command = " ".join(["python", str(ROOT / words[1]), *options])
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def follow(page: str) -> None:
    """Follow one page in the current folder, as a Python session that was started there."""
    import run_page

    sys.path[0] = ""  # the folder that a session is started in, in place of that of this file
    run_page.run((ROOT / page).read_text(encoding="utf-8"), page, typed)


def main() -> int:
    """Follow the pages, each in a process and a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="default: the one that runs this")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("pages", nargs="*", help="default: all")
    options = parser.parse_args()
    if options.here:
        follow(*options.pages)
        return 0
    every = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("**/*.md"))]
    pages = options.pages or every
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(options.python).parent), os.environ["PATH"]])}
    failed = []
    for page, where in [(page, "clone") for page in pages if page in IN_THE_CLONE] + [
        (page, "empty") for page in pages
    ]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            if where == "clone":
                subprocess.run(["git", "clone", "-q", str(ROOT), f"{folder}/{where}"], check=True)
            else:
                (Path(folder) / where).mkdir()
            (Path(folder) / where / "1orc.pdb").write_text(MODEL)
            command = [options.python, __file__, "--here", page]
            done = subprocess.run(command, cwd=f"{folder}/{where}", env=environment, capture_output=True, text=True)
            result = "ok" if done.returncode == 0 else "FAILED"
            print(f"{page} in {where} folder: {result}, {time.monotonic() - start:.0f} s", flush=True)
            if done.returncode:
                failed.append(page)
                print(done.stdout[-3000:] + done.stderr[-3000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
