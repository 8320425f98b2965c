"""Ctrl-C during a run: status 130, no image, nothing left behind. How soon: benchmarks/responses.py."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nanobragg.io import read_pgm, read_smv

COMMAND = [sys.executable, "-m", "nanobragg"]
CRYSTAL = "-cell 50 60 70 90 95 90 -N 5 -lambda 1 -distance 100 -pixel 0.05 -default_F 100"
DOMAINS = "-oversample 4 -mosaic 1 -mosaic_domains 1000"
LONG_RUNS = {
    "cheap pixels": "-detpixels 5000 -oversample 20 -water 1 --kernel scalar --threads 1",
    "seven seconds for a row": f"-detpixels 3000 {DOMAINS}",
    "one thread": f"-detpixels 3000 {DOMAINS} --threads 1",
    "simd": f"-detpixels 3000 {DOMAINS} --kernel simd",
    "corrected": f"-detpixels 3000 {DOMAINS} --fidelity corrected",
    "four minutes for a pixel": "-detpixels 100 -oversample 400 -mosaic 1 -mosaic_domains 10000",
}


def _hear_interrupts() -> None:
    """A shell's background job, which the tests may be a part of, is deaf to them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(flags: str, folder: Path) -> subprocess.Popen[str]:
    """Start the command and wait until its report ends, where rendering begins."""
    words = [*COMMAND, *CRYSTAL.split(), *flags.split()]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, cwd=folder, preexec_fn=_hear_interrupts, **pipes)
    assert process.stdout is not None
    for line in process.stdout:
        if "water droplet size" in line:
            return process
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("name", LONG_RUNS)
def test_a_long_run_ends(name: str, tmp_path: Path) -> None:
    """It would take from six minutes to days."""
    process = start(LONG_RUNS[name], tmp_path)
    time.sleep(0.5)
    assert process.poll() is None, "the run is too short to be interrupted"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "nanobragg: interrupted" and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


ALL_FILES = {"floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img"}


def interrupted_while_writing(n: int, folder: Path) -> bool:
    """Whether the run was interrupted; on a busy machine it may have ended before it hears of that."""
    process = start(f"-detpixels {n} -oversample 1 -roi 0 20 0 20", folder)
    end = time.monotonic() + 60
    while not list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGINT) and "Traceback" not in err  # the last: when Python has ended
    written = {path.name for path in folder.iterdir()}
    assert written <= ALL_FILES, "a temporary file is left"
    assert process.returncode == 130 or written == ALL_FILES
    return written < ALL_FILES


def test_an_interrupt_while_files_are_written_leaves_whole_files_only(tmp_path: Path) -> None:
    n = 4000  # the int image alone is 32 MB
    folders = (tmp_path / str(i) for i in range(10))
    found = next(folder for folder in folders if folder.mkdir() or interrupted_while_writing(n, folder))
    for name in sorted(path.name for path in found.iterdir()):  # the noise image comes last
        path = found / name
        if name == "floatimage.bin":
            assert path.stat().st_size == 4 * n * n
        elif name == "image.pgm":
            assert read_pgm(path).shape == (n, n)
        else:
            assert read_smv(path)[0].shape == (n, n)
