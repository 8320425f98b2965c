"""Comparing images: metrics against closed forms, gates, peaks, files, engines, an executable, and the page."""

from __future__ import annotations

import json
import os
import re
import stat
import struct
import sys
import zlib
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

import nanobragg as nb
from nanobragg import io
from nanobragg.cli.main import main
from nanobragg.inspection.comparison import Gates, compare
from nanobragg.inspection.peaks import find_peaks, match_peaks
from nanobragg.inspection.report_html import report_page

SMALL = "-default_F 100 -cell 50 60 70 90 95 90 -misset 10 20 30 -N 5 -lambda 1 -distance 100 -pixel 0.4 -detpixels 24 -seed 1"


def spots(seed: int = 1, shape: tuple[int, int] = (60, 50), n: int = 12) -> np.ndarray:
    """Gaussian spots at random places, at least 6 pixels apart from each other."""
    rng = np.random.default_rng(seed)
    slow, fast = np.mgrid[: shape[0], : shape[1]]
    image, places = np.zeros(shape), []
    while len(places) < n:
        s, f = rng.uniform(4, shape[0] - 4), rng.uniform(4, shape[1] - 4)
        if all(np.hypot(s - a, f - b) > 6 for a, b in places):
            places.append((s, f))
            image += rng.uniform(10, 100) * np.exp(-((slow - s) ** 2 + (fast - f) ** 2) / 2)
    return image


def test_metrics_of_known_images() -> None:
    a = np.array([[0.0, 3.0], [4.0, 1.0]])
    b = a + np.array([[0.0, 0.0], [0.5, -0.25]])
    found = nb.compare(a, b)
    assert found.max_difference == 0.5 and found.max_difference_at == (1, 0)
    assert found.max_difference_of_maximum == 0.125
    assert found.rmse == pytest.approx(np.sqrt((0.25 + 0.0625) / 4), rel=1e-15)
    assert found.relative_l2 == pytest.approx(np.sqrt(0.3125 / 26), rel=1e-15)
    assert found.sums == (8.0, 8.25) and found.sum_ratio == 1.03125
    assert found.identical == 0.5
    assert found.correlation == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], rel=1e-14)
    assert [(p.slow, p.fast, p.difference) for p in found.worst[:2]] == [(1, 0, 0.5), (1, 1, -0.25)]
    assert not found and not found.passed


def test_equal_images_pass_in_every_type() -> None:
    image = spots()
    torch = pytest.importorskip("torch")
    for other in (image, image.astype(np.float32), torch.from_numpy(image)):
        found = nb.compare(image, other)
        assert found and found.identical == 1.0 and not found.failures
        assert len(found.peaks) == 12 and not found.lost_peaks


def test_wrong_scale_fails_loudly_at_any_correlation() -> None:
    """A factor of 126,456 in the sums at a correlation of 0.9966."""
    a = spots(n=20)
    noise = np.random.default_rng(2).standard_normal(a.shape)
    noise -= a * (noise * a).mean() / (a * a).mean()
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.corrcoef(a.ravel(), (a + middle * noise).ravel())[0, 1] > 0.9966 else (low, middle)
        )
    b = a + low * noise
    b *= 126456 * a.sum() / b.sum()
    found = nb.compare(a, b)
    assert found.correlation == pytest.approx(0.9966, abs=1e-6)
    assert found.sum_ratio == pytest.approx(126456, rel=1e-12)
    assert not found
    text = str(found)
    assert text.startswith("FAIL") and "NOT ON THE SAME SCALE" in text and "126,456" in text and "0.9966" in text
    page = report_page(found, a, b)
    assert "verdict fail" in page and "126,456" in page
    # correlation alone cannot pass, whatever the limits of the others are set to
    assert not compare(a, b, gates=Gates(max_diff=np.inf, corr=0.9))
    assert compare(a, b, gates=Gates(max_diff=np.inf, sum_ratio=np.inf, corr=0.9))


@pytest.mark.parametrize(
    ("change", "word"),
    [(lambda b: b * 1.0001, "sum ratio"), (lambda b: np.roll(b, 1, 1), "largest difference"), (lambda b: b[::-1], "correlation")],
)  # fmt: skip
def test_each_gate_fails_on_its_own(change, word: str) -> None:
    a = spots()
    wide = {"sum ratio": Gates(np.inf, 1e-5, -1), "largest difference": Gates(1e-5, np.inf, -1)}.get(
        word, Gates(np.inf, np.inf, 0.99999)
    )
    (failure,) = compare(a, change(a.copy()), gates=wide).failures
    assert failure.startswith(word)


def test_undefined_pixels_fail() -> None:
    a = spots()
    b = a.copy()
    b[3, 4] = np.nan
    assert "1 pixels are undefined" in nb.compare(a, b).failures[0]
    a[3, 4] = np.nan
    assert nb.compare(a, b)


def test_blank_images() -> None:
    zero = np.zeros((4, 5))
    blank = json.loads(nb.compare(zero, zero + 1).to_json(), parse_constant=lambda word: pytest.fail(word))
    assert blank["sum_ratio"] == "inf" and not blank["passed"]
    assert compare(zero, zero, top=0, worst=0).worst == []
    assert nb.compare(zero, zero)
    assert not nb.compare(zero, zero + 1) and not nb.compare(zero + 1, zero)


@pytest.mark.parametrize("other", [np.zeros((3, 4)), np.zeros(12), np.zeros((4, 3), complex), np.array([["a"]])])
def test_refused(other: np.ndarray) -> None:
    with pytest.raises(nb.ConfigError):
        nb.compare(np.zeros((4, 3)), other)


def test_peaks_are_found_where_they_are() -> None:
    """Centroids of a spot moved by known sub-pixel amounts; the 3 x 3 window shrinks them, so 0.1 pixel."""
    slow, fast = np.mgrid[:20, :20]
    for ds, df in ((0, 0), (0.3, -0.2), (-0.4, 0.1)):
        image = 50 * np.exp(-((slow - 9 - ds) ** 2 + (fast - 11 - df) ** 2) / 2)
        (peak,) = find_peaks(image, 5)
        assert abs(peak.slow - 9 - ds) < 0.1 and abs(peak.fast - 11 - df) < 0.1


def test_one_peak_of_a_plateau() -> None:
    image = np.zeros((8, 8))
    image[2:4, 2:4] = 5
    image[7, 7] = 3
    assert [p.height for p in find_peaks(image, 10)] == [5, 3]


def test_matching_is_one_to_one() -> None:
    """Two peaks of a near one peak of b: the nearer one gets it, the other is lost."""
    a, b = np.zeros((20, 20)), np.zeros((20, 20))
    a[10, 10], a[10, 12], b[10, 11], b[3, 3] = 100, 90, 80, 70
    a[10, 11] = 1
    b[10, 12] = 30  # drags the centroid of b towards the second peak of a
    pairs, lost = match_peaks(a, b, 5)
    assert len(pairs) == 1 and pairs[0].a.height == 90 and pairs[0].b.height == 80
    assert [p.height for p in lost] == [100]


def test_displacement_and_ratio() -> None:
    a = spots(n=8)
    found = nb.compare(a, 2.0 * np.roll(a, (1, -1), (0, 1)))
    assert len(found.peaks) == 8
    for pair in found.peaks:
        assert pair.displacement == pytest.approx(np.sqrt(2), abs=1e-9) and pair.ratio == pytest.approx(2, rel=1e-12)


# -- the page


def pictures(page: str) -> list[np.ndarray]:
    """The embedded PNGs, unpacked."""
    found = []
    for text in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page):
        data = b64decode(text)
        width, height, depth, color = struct.unpack(">IIBB", data[16:26])
        raw = zlib.decompress(data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8])
        channels = 3 if color == 2 else 1
        rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
        assert depth == 8 and not rows[:, 0].any()
        found.append(rows[:, 1:].reshape(height, width, channels))
    return found


def test_page_is_self_contained_and_shows_the_images() -> None:
    a = spots(shape=(1300, 1000), n=40)
    b = a.copy()
    b[100, 200] += 9.0
    page = report_page(nb.compare(a, b), a, b, sections=[("more <b>", "1 < 2")])
    assert len(page) < 1_000_000
    assert not re.search(r"(src|href)\s*=\s*['\"]?(https?:|//|file:)", page) and "<script" not in page
    assert "1 &lt; 2" in page and "more &lt;b&gt;" in page
    first, _, difference, _ = pictures(page)
    assert first.shape == (434, 334, 1)  # blocks of 3 x 3
    assert first.min() == 0 and first.max() == 255
    red = difference[..., 0] > difference[..., 2].astype(int) + 50
    assert np.argwhere(red).tolist() == [[33, 66]]  # the changed pixel, and nothing else
    assert (np.delete(difference.reshape(-1, 3), 33 * 334 + 66, axis=0) == 255).all()
    assert "scatter plot" in page


# -- files


def test_files_of_every_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.rint(spots(shape=(40, 30)))
    np.save(tmp_path / "a.npy", image)
    io.write_float(tmp_path / "a.bin", image)
    io.write_smv(tmp_path / "a.img", image.astype(np.uint16))
    for name in ("a.bin", "a.img"):
        assert main(["compare", str(tmp_path / "a.npy"), str(tmp_path / name)]) == 0, capsys.readouterr()
    square = np.rint(spots(shape=(40, 40)))
    for name in ("s.bin", "t.bin"):
        io.write_float(tmp_path / name, square)
    assert main(["compare", str(tmp_path / "s.bin"), str(tmp_path / "t.bin")]) == 0
    assert main(["compare", str(tmp_path / "a.bin"), str(tmp_path / "a.bin")]) == 2  # not square, no shape
    assert "--shape" in capsys.readouterr().err
    assert main(["compare", "--shape", "40", "30", str(tmp_path / "a.bin"), str(tmp_path / "a.bin")]) == 0


def test_an_image_is_told_by_all_of_its_first_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EDF begins with the same brace as SMV, whose header goes on with HEADER_BYTES."""
    fabio = pytest.importorskip("fabio")
    image = np.rint(spots(shape=(40, 30))).astype(np.uint16)
    fabio.edfimage.EdfImage(data=image).write(str(tmp_path / "a.edf"))
    io.write_smv(tmp_path / "a.img", image)
    assert (tmp_path / "a.edf").read_bytes()[:2] == (tmp_path / "a.img").read_bytes()[:2] == b"{\n"
    assert main(["compare", str(tmp_path / "a.edf"), str(tmp_path / "a.img")]) == 0, capsys.readouterr()
    image[3, 4] += 1
    fabio.edfimage.EdfImage(data=image).write(str(tmp_path / "b.edf"))
    assert main(["compare", "--max-diff", "0", str(tmp_path / "b.edf"), str(tmp_path / "a.img")]) == 1


def test_a_truncated_image_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.rint(spots(shape=(40, 30))).astype(np.uint16)
    io.write_smv(tmp_path / "a.img", image)
    (tmp_path / "cut.img").write_bytes((tmp_path / "a.img").read_bytes()[:-2])
    for pair in (("cut.img", "cut.img"), ("a.img", "cut.img")):
        assert main(["compare", *(str(tmp_path / name) for name in pair)]) == 3
        assert "cut.img: 1199 pixels, expected 30 x 40 = 1200; is it truncated?" in capsys.readouterr().err


def test_the_shape_of_a_raw_image_is_written_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = spots(shape=(40, 30))
    io.write_float(tmp_path / "a.bin", image)
    np.save(tmp_path / "a.npy", image.astype(np.float32))
    raw, npy = str(tmp_path / "a.bin"), str(tmp_path / "a.npy")
    for shape in (["--shape", "40", "30"], ["--size", "30", "40"]):
        assert main(["compare", "--max-diff", "0", *shape, raw, npy]) == 0, capsys.readouterr()
        assert main(["compare", "--max-diff", "0", *shape, raw, raw]) == 0
    assert main(["compare", "--shape", "40", "30", "--size", "30", "40", raw, raw]) == 2
    assert main(["compare", "--shape", "-40", "-30", raw, raw]) == 2
    assert main(["compare", "--shape", "0", "30", raw, raw]) == 2 and "whole number >= 1" in capsys.readouterr().err
    assert main(["view", raw]) == 9 and "write --shape SLOW FAST" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    pictures = []
    for shape in (["--shape", "40", "30"], ["--size", "30", "40"]):
        assert main(["view", raw, *shape, "-o", str(tmp_path / "a.png")]) == 0
        pictures.append((tmp_path / "a.png").read_bytes())
    assert pictures[0] == pictures[1]


def test_cbf_via_fabio(tmp_path: Path) -> None:
    fabio = pytest.importorskip("fabio")
    image = np.rint(spots(shape=(40, 30)))
    fabio.cbfimage.CbfImage(data=image.astype(np.int32)).write(str(tmp_path / "a.cbf"))
    np.save(tmp_path / "a.npy", image)
    assert main(["compare", str(tmp_path / "a.npy"), str(tmp_path / "a.cbf")]) == 0


def test_output_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = spots()
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", a * 1.1)
    out = tmp_path / "out"
    status = main(["compare", "--out", str(out), "--png", "--json", str(tmp_path / "a.npy"), str(tmp_path / "b.npy")])
    captured = capsys.readouterr()
    assert status == 1 and "FAIL" in captured.err
    summary = json.loads((out / "summary.json").read_text())
    assert summary["passed"] is False and summary["sum_ratio"] == pytest.approx(1.1, rel=1e-12)
    assert summary["peaks"][0]["ratio"] == pytest.approx(1.1, rel=1e-12)
    assert json.loads(captured.out)["failures"] == summary["failures"]
    assert {path.name for path in out.iterdir()} == {"summary.json", "report.html", "a.png", "b.png", "difference.png"}
    assert (out / "difference.png").read_bytes().startswith(b"\x89PNG")
    relaxed = ["--max-diff", "0.2", "--sum-ratio", "0.2", "--corr", "0.9"]
    assert main(["compare", *relaxed, str(tmp_path / "a.npy"), str(tmp_path / "b.npy")]) == 0


@pytest.mark.parametrize(
    ("args", "status"),
    [
        ([], 2), (["a.npy"], 2), (["a.npy", "b.npy"], 3), (["--backends", "c"], 2), (["--backends", "c", "torch"], 2),
        (["--backends", "c", "fortran", "--", "-N", "5"], 2), (["--backends", "c", "torch", "--", "-N", "5"], 2),
        (["a.npy", "b.npy", "--backends", "c", "torch", "--", "-N", "5"], 2), (["--png", "a.npy", "b.npy"], 2),
        (["--reference-exe", "/nonexistent/nanoBragg", "--", *SMALL.split()], 2),
        (["--reference-exe", "--", *SMALL.split()], 2), (["--corr", "high", "a.npy", "b.npy"], 2),
    ],
)  # fmt: skip
def test_exit_status(
    args: list[str], status: int, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NB_C_BIN", raising=False)
    assert main(["compare", *args]) == status
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("nanobragg: error: ")


# -- engines


def test_backends_agree_and_a_fault_is_located(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    command = ["compare", "--backends", "c", "torch", "--out", "out", "--", *SMALL.split(), "-polar", "0.9"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "scaling at the brightest pixel" in text and "1/steps" in text
    from nanobragg.torch_backend.kernels import inputs

    original = inputs.polarization_matrices
    monkeypatch.setattr(inputs, "polarization_matrices", lambda kahn, *args: original(-kahn, *args))
    assert main(command) == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [pixel["note"].split()[0] for pixel in summary["worst"][:3]] == ["polarization"] * 3


def script(path: Path, more: str = "", before: str = "") -> Path:
    """An executable that runs this program with more flags."""
    path.write_text(f'#!/bin/sh\n{before}\nexec {sys.executable} -m nanobragg "$@" {more}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_executable_in_a_temporary_folder(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "few.hkl").write_text(
        "".join(f"{h} 0 {k} {50 + h}\n" for h in range(-5, 6) for k in range(-5, 6))
    )
    flags = [*SMALL.split(), "-hkl", "sub/few.hkl", "-floatfile", str(tmp_path / "typed.bin"), "-dump", "typed.dump"]
    same = script(tmp_path / "same")
    assert main(["compare", "--reference-exe", str(same), "--", *flags]) == 0
    text = capsys.readouterr().out
    assert "identical pixels        100.0000 %" in text and "console: equal to the printed digits" in text
    assert "int image: largest difference 0" in text and "noise image: largest difference 0" in text
    assert sorted(os.listdir(tmp_path)) == ["same", "sub"]  # nothing was written where the user is

    other = script(tmp_path / "other", "-misset 10 20 30.001")
    monkeypatch.setenv("NB_C_BIN", str(other))
    assert main(["compare", "--", *flags]) == 1
    captured = capsys.readouterr()
    assert "a_m at" in captured.out and "real-space" not in captured.out

    broken = script(tmp_path / "broken", before="echo out of luck >&2; exit 5")
    assert main(["compare", "--reference-exe", str(broken), "--", *flags]) == 3
    assert "out of luck" in capsys.readouterr().err


@pytest.mark.parametrize("brightness", [1e-300, 1e-170, 1.0, 1e150])
def test_brightness_does_not_matter(brightness: float) -> None:
    image = np.random.default_rng(1).random((9, 7))
    assert nb.compare(brightness * image, brightness * image).passed
    assert nb.compare(brightness * image, brightness * image[::-1]).correlation < 0.9
