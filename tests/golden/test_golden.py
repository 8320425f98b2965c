"""Every golden case through the command, in-process: images, files and console text of the original."""

from __future__ import annotations

import hashlib
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from golden_cases import GoldenCase, golden_cases

from nanobragg import io
from nanobragg.cli.main import main

ROOT = Path(__file__).parent.parent.parent
NOISE_DIFFERS = {"noise_bright", "noise_roi_mosaic"}
"""Brighter than 10^6 photons, or a random orientation: one ulp of the mean shifts the whole stream."""
DEFAULT_FILES = {
    "float": "floatimage.bin",
    "int": "intimage.img",
    "pgm": "image.pgm",
    "noise": "noiseimage.img",
    "dump": "Fdump.bin",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folder = Path(metafunc.config.getoption("--golden") or ROOT / "golden")
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", golden_cases(folder), ids=lambda case: case.name)


@pytest.fixture
def written(case: GoldenCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the case in an empty folder; the folder, exit status and console text."""
    case.copy_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for args in case.pre_args:
            main([*args, "--kernel", "scalar"])
        capsys.readouterr()
        status = main([*case.args, "--kernel", "scalar"])
    return tmp_path, status, capsys.readouterr().out


def test_golden(case: GoldenCase, written: tuple[Path, int, str]) -> None:
    folder, status, stdout = written
    assert status == case.record.get("exit_status", 0)
    names = DEFAULT_FILES | case.record.get("files", {})
    if case.expected:  # before the text: a wrong image says where it went wrong
        check_float(case, np.fromfile(folder / names["float"], "<f4").reshape(case.shape))
    check_console(case, stdout)
    if not case.expected:
        return
    if "int" in case.expected:
        check_smv(case, folder / names["int"], "int")
    if "pgm" in case.expected:
        pgm = case.crop(io.read_pgm(folder / names["pgm"])).astype(int)
        assert np.abs(pgm - case.expected["pgm"]).max() <= 1
    if "noise" in case.expected and case.name not in NOISE_DIFFERS:
        check_smv(case, folder / names["noise"], "noise")
    if "dump_sha256" in case.record:
        dump = (folder / names["dump"]).read_bytes()
        assert hashlib.sha256(dump).hexdigest() == case.record["dump_sha256"]


def check_float(case: GoldenCase, image: np.ndarray) -> None:
    """Pixel for pixel; outside a stored crop everything is 0.

    Other builds of the original differ from it by up to 4e-7 relative; ours was measured bit-identical in every pixel of
    every case but the sensitive ones, so 99.9 % identical and 1e-6 leave room for another libm.
    """
    got, want = case.crop(image), case.expected["float"]
    if "crop" in case.expected:
        assert np.count_nonzero(image) == np.count_nonzero(got)
    if "sample_idx" in case.expected:
        got, want = image.ravel()[case.expected["sample_idx"]], case.expected["sample_val"]
    scale = np.abs(want).max()
    if case.sensitive:
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.999, case.worst_pixel(image)
        return
    significant = np.abs(want) > 1e-6 * scale
    difference = np.abs(got.astype(float) - want)[significant] / np.abs(want)[significant]
    identical = np.mean(got.view(np.uint32) == want.view(np.uint32))
    assert difference.max(initial=0.0) <= 1e-6 and identical >= 0.999, case.worst_pixel(image)


def check_smv(case: GoldenCase, path: Path, name: str) -> None:
    data = path.read_bytes()
    header = case.folder / case.name / "smv_header.txt"
    if header.exists():
        assert data.startswith(header.read_bytes().rstrip(b"\n"))
    counts = case.crop(np.frombuffer(data[case.record.get("int_data_offset", 512) :], "<u2").reshape(case.shape))
    difference = np.abs(counts.astype(int) - case.expected[name])
    assert difference.max() <= (1 if name == "int" and not case.sensitive else 0 if name == "noise" else 60000)


NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)")
DROPPED = re.compile(r"^\s*$|^mmap\(")


def check_console(case: GoldenCase, stdout: str) -> None:
    """The original's lines in its order; numbers equal to one unit of the last printed digit."""
    want, got = (
        [line.rstrip() for line in text.splitlines() if not DROPPED.match(line)] for text in (case.stdout, stdout)
    )
    if case.record.get("exit_status", 0) == 9:  # what follows the first two lines is our own usage text
        want, got = want[:2], got[:2]
    assert [NUMBER.sub("#", line) for line in got] == [NUMBER.sub("#", line) for line in want]
    for a, b in zip(want, got, strict=True):
        for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            assert x == y or abs(float(x) - float(y)) <= last_place(x) + 2e-6 * abs(float(x)), (a, b)


def last_place(token: str) -> float:
    mantissa, _, exponent = token.lower().partition("e")
    return 1.01 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])) + 1e-15
