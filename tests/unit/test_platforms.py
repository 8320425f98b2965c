"""What other systems lack or do in another way, as far as it can be tried here: docs/platforms.md lists the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small import small

import nanobragg as nb

DATA = Path(__file__).parents[1] / "data"
_WITHOUT_UNIX = """
import importlib, os, pkgutil, signal, sys
import numpy  # and what it needs
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog", "crypt", "torch"):
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "sched_getaffinity", "getuid", "getpgid", "killpg", "uname", "getloadavg", "fchmod"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGPIPE", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGKILL", "alarm", "setitimer", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)
import nanobragg as nb
names = [found.name for found in pkgutil.walk_packages(nb.__path__, "nanobragg.", onerror=lambda name: None)]
for name in names:
    if ".torch_backend" not in name and not name.endswith((".for_torch", ".__main__")):
        importlib.import_module(name)
assert len(names) > 150
from nanobragg.cli.main import main
status = main("-default_F 10 -cell 50 50 50 90 90 90 -N 3 -detpixels 16 -nopgm -noprogress".split())
assert status == 0 and os.path.getsize("floatimage.bin") == 4 * 256
"""


def test_nothing_that_unix_alone_has_is_needed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_UNIX], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932"])
def test_consoles_of_any_encoding_are_written_to(encoding: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for words in (["--help"], ["init", "-"], ["view", "no_such_\u00e9\u4e2d.cbf"]):
        command = [sys.executable, "-m", "nanobragg", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment, timeout=200)
        assert b"Traceback" not in done.stderr and b"UnicodeEncodeError" not in done.stderr
        assert done.returncode in (0, 9)


@pytest.mark.parametrize("name", ["p1_small.hkl", "p1_text.hkl", "ortho_l1.mat", "sources_full.txt", "version_0_1.toml",
                                  "version_0_1.json"])  # fmt: skip
def test_lines_may_end_as_on_windows(name: str, tmp_path: Path) -> None:
    readers = {
        ".hkl": lambda path: nb.io.read_hkl(path), ".mat": lambda path: nb.io.read_matrix(path),
        ".txt": lambda path: vars(nb.io.read_sourcefile(path)).values(),
        ".toml": lambda path: [nb.Experiment.from_toml(path).to_json()],
        ".json": lambda path: [nb.Experiment.from_json_file(path).to_json()],
    }  # fmt: skip
    text = (DATA / name).read_bytes()
    assert b"\r\n" not in text
    (tmp_path / name).write_bytes(text.replace(b"\n", b"\r\n"))
    read = readers[Path(name).suffix]
    for ours, theirs in zip(read(DATA / name), read(tmp_path / name), strict=True):
        assert np.array_equal(ours, theirs) or (ours is None and theirs is None)


def test_geometry_files_may_have_lines_as_on_windows(tmp_path: Path) -> None:
    experiment = small().replace("detector", nb.Detector(n_fast=30, n_slow=20, pixel_size_mm=0.2, distance_mm=80.0))
    for name in ("x.expt", "XDS.INP", "XPARM.XDS", "x.geom", "x.toml"):
        nb.write_geometry(experiment, tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"\n", b"\r\n"))
        again = nb.read_geometry(tmp_path / name, template=None if name == "x.toml" else experiment)
        assert again.detector.n_fast == 30 and (again.beam.wavelength_angstrom or 1.0) == pytest.approx(1.0)


def test_folders_with_blanks_and_other_letters_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "Tränen der Eos \u4e2d"
    folder.mkdir()
    experiment = small()
    counts = nb.add_noise(nb.simulate(experiment), seed=1)
    nb.io.write_smv(folder / "a b.img", counts, experiment)
    assert np.array_equal(nb.io.read_image(folder / "a b.img"), counts)
    experiment.to_json(folder / "e.json")
    experiment.to_toml(folder / "e.toml")
    assert nb.Experiment.from_json_file(folder / "e.json").equals(experiment)
    assert nb.Experiment.from_toml(folder / "e.toml").equals(experiment)
