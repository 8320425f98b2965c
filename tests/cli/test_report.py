"""Console report, progress lines and files of the command (docs/command.md, The report; docs/file_formats.md)."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_runs import SMALL, Result

from nanobragg.cli.progress import ProgressReport, thresholds
from nanobragg.io import read_float, read_pgm, read_smv

Run = Callable[..., Result]
MATRIX = """\
  0.06818305 -0.03694610  0.06518995
  0.03936550  0.07394456  0.00310488
 -0.02865574  0.01367150  0.15937730
"""
SAMPLE = (
    "-mat A.mat -hkl P1.hkl -lambda 6.2 -detpixels 32 -pixel 2 -distance 100 -N 5 -oversample 2 -phi 1 -osc 0.2 "
    "-phisteps 2 -mosaic 0.5 -mosaic_domains 3 -dispersion 0.5 -dispsteps 2 -divergence 1 -divsteps 3 -flux 1e12 -exposure 0.1 "
    "-beamsize 0.05 -water 2 -seed 7"
)


def test_the_report_of_the_original_word_for_word(run: Run, tmp_path: Path) -> None:
    (tmp_path / "A.mat").write_text(MATRIX)
    box = [(h, k, l) for h in range(-12, 13) for k in range(-12, 13) for l in range(-8, 9)]  # noqa: E741
    (tmp_path / "P1.hkl").write_text("".join(f"{h} {k} {l} 100\n" for h, k, l in box))  # noqa: E741
    done = run(SAMPLE)
    assert done.status == 0
    report, _, rest = done.out.partition("0% done\n")
    assert report == (Path(__file__).parent / "sample_report.txt").read_text()
    assert "solid angle subtended by detector = 0.00619267 steradian ( 0.0492797% sphere)" in rest
    announced = [line for line in rest.splitlines() if line.startswith("writing")]
    assert announced == [
        "writing floatimage.bin as 1024 4-byte floats",
        "writing intimage.img as 2-byte integers",
        "writing image.pgm as 1-byte integers",
        "writing noiseimage.img as 2-byte integers",
    ]


def test_progress_thresholds_of_the_original() -> None:
    # 48 x 48 pixels, default region: P = 49 * 49; the lines of a real run, "0% done" twice, 1 % steps at both ends
    lines = [100 * c // 2401 for c in thresholds(48 * 48, 2401)]
    assert lines == [0, *range(10), *range(14, 90, 5), *range(90, 95)]
    assert thresholds(99, 99) == []
    # P = 100: one line for every pixel of the first and last tenth, one in five between
    assert thresholds(100, 100) == [*range(10), *range(10, 91, 5), *range(91, 100)]


def test_progress_lines_come_out_in_order_however_the_blocks_finish() -> None:
    whole, pieces = io.StringIO(), io.StringIO()
    for out, steps in ((whole, [500]), (pieces, [3, 3, 50, 51, 499, 500])):
        with ProgressReport(500, 520, message="stop here: ", message_at=50, out=out, terminal=io.StringIO()) as report:
            for done in steps:
                report(done, 500)
    assert whole.getvalue() == pieces.getvalue()
    assert "stop here: 10% done" not in pieces.getvalue()  # 50 of 520 is 9 %, the next line is that of pixel 50
    before, _, after = pieces.getvalue().partition("stop here: ")
    assert all(int(line.split("%")[0]) <= 9 for line in before.splitlines()) and after.startswith("9% done\n")


def test_progress_lines_on_stdout_and_their_switch(run: Run) -> None:
    out = run(SMALL).out
    expected = "".join(f"{100 * c // 289}% done\n" for c in thresholds(256, 17 * 17))
    assert expected in out
    assert "% done" not in run(SMALL, "-noprogress").out
    assert "% done" in run(SMALL, "-noprogress -progress").out
    assert "% done" not in run(SMALL, "-printout_pixel 3 4").out


def test_a_bar_on_stderr_takes_the_place_of_the_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, terminal = io.StringIO(), Terminal()
    with ProgressReport(500, 500, out=out, terminal=terminal) as report:
        report(500, 500)
    assert out.getvalue() == "" and "500" in terminal.getvalue()


def test_printout_of_one_pixel(run: Run, tmp_path: Path) -> None:
    lines = run(SMALL, "-printout_pixel 3 4").out.splitlines()
    first = next(i for i, line in enumerate(lines) if ": stol =" in line)
    assert lines[first].startswith("   3    4 : stol = ")
    assert sum(": stol =" in line for line in lines) == 1
    pixel = float(lines[first + 8].removeprefix("pixel"))
    assert pixel == pytest.approx(
        read_float(tmp_path / "floatimage.bin", (16, 16))[4, 3], rel=1e-9
    )  # ten digits printed
    assert sum(": stol =" in line for line in run(SMALL, "-printout").out.splitlines()) == 256


def test_files_and_their_switches(run: Run, tmp_path: Path) -> None:
    run(SMALL, "-noisefile n.img -nonoise -nopgm -pgmscale 2 -floatfile f.bin -intimage i.img")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.bin", "i.img", "image.pgm"]
    run(SMALL, "-nonoise -noiseimage n.img -pgmfile p.pgm -nopgm -floatfile f.bin -intimage i.img")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.bin", "i.img", "image.pgm", "n.img"]


def test_scale_offset_and_region(run: Run, tmp_path: Path) -> None:
    run(SMALL, "-roi 2 5 7 9 -scale 20 -adc 10 -pgmscale 3 -seed 5")
    image = read_float(tmp_path / "floatimage.bin", (16, 16))
    inside = np.zeros((16, 16), bool)
    inside[7:10, 2:6] = True  # bounds inclusive
    assert (image[inside] > 0).all() and (image[~inside] == 0).all()
    counts, header = read_smv(tmp_path / "intimage.img")
    rounded = np.floor(
        (image.astype(float) * 20 + 10 + 0.5).astype(np.float32)
    )  # rounded to float32 first, docs/file_formats.md, Integer image
    np.testing.assert_array_equal(counts, np.where(inside, rounded, 0))
    assert header["SIZE1"] == "16"
    np.testing.assert_array_equal(
        read_pgm(tmp_path / "image.pgm"), np.where(inside, np.trunc(np.minimum(image * 3.0, 255)), 0)
    )
    noise, _ = read_smv(tmp_path / "noiseimage.img")
    assert (noise[inside] >= 10).all() and (noise[~inside] == 0).all()


def test_equal_seeds_give_equal_noise_and_seeds_0_and_1_coincide(run: Run, tmp_path: Path) -> None:
    def noise(seed: str, *more: str) -> bytes:
        run(SMALL, f"-fluence 1e31 -seed {seed}", *more)
        return (tmp_path / "noiseimage.img").read_bytes()

    assert noise("0") == noise("1") != noise("2")
    assert noise("4", "--fidelity corrected") == noise("4", "--fidelity corrected") != noise("4")


def test_the_dump_is_written_read_and_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "F.hkl").write_text("0 0 1 10\n-2 -2 -2 5\n2 2 2 20\n")
    without = SMALL.replace("-default_F 100", "")
    out = run(without, "-hkl F.hkl").out
    assert "writing dump file for next time: Fdump.bin" in out
    first = (tmp_path / "floatimage.bin").read_bytes()
    again = run(without)
    assert "reading Fs from Fdump.bin" in again.out and again.says("./Fdump.bin", "there is no -hkl")
    assert (tmp_path / "floatimage.bin").read_bytes() == first
    refused = run(without, "--strict")
    assert refused.status == 9 and refused.says("no structure factors")
    assert run(without, "--strict -dump Fdump.bin").status == 0
    blocked = run(without, "-hkl F.hkl -dump no/such/dir.bin")
    assert blocked.status == 0 and "WARNING: unable to open dump file: no/such/dir.bin" in blocked.out


def test_regular_files_are_replaced_and_links_and_devices_written_through(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "target.bin"
    target.write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to(target)
    assert run(SMALL, "-floatfile link.bin").status == 0
    assert (tmp_path / "link.bin").is_symlink() and target.stat().st_size == 1024
    os.chmod(target, 0o600)
    before = target.stat().st_ino
    run(SMALL, "-floatfile target.bin")
    assert target.stat().st_ino != before and stat.S_IMODE(target.stat().st_mode) == 0o600
    assert run(SMALL, "-floatfile /dev/null -intfile /dev/null -nopgm -nonoise").status == 0
    full = run(SMALL, "-floatfile /dev/full")
    assert full.status == 9 and full.says("/dev/full", "No space left")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_missing_inputs_print_the_originals_first_lines(run: Run) -> None:
    none = run("-N 5")
    lines = none.out.splitlines()
    assert none.status == 9
    assert lines[0] == "nanoBragg nanocrystal diffraction simulator - James Holton and Ken Frankel 5-17-17"
    assert lines[1] == "ERROR: no hkl file and no dump file to read.usage: nanoBragg -mat auto.mat -hkl Fs.hkl"
    lines = run("-default_F 3 -misset 1 2 3").out.splitlines()
    assert lines[1] == "usage: nanoBragg -mat auto.mat -hkl Fs.hkl"
    unread = run("-hkl none.hkl -cell 50 -detpixels 8")
    assert unread.status == 9 and unread.out.splitlines()[-1] == "ERROR: unable to open none.hkl."
    assert unread.out.splitlines()[-2].startswith("approximate MW = ")


def test_a_header_supplies_defaults_that_flags_override(run: Run, tmp_path: Path) -> None:
    from nanobragg.io import write_smv

    pixels = np.ones((20, 30), np.uint16)
    pixels[3, 4] = 0
    entries = [
        ("PIXEL_SIZE", 0.2),
        ("DISTANCE", 150),
        ("WAVELENGTH", 1.2),
        ("BEAM_CENTER_X", 2.0),
        ("BEAM_CENTER_Y", 1.5),
        ("PHI", 5),
        ("TWOTHETA", 3),
    ]
    write_smv(tmp_path / "h.img", pixels, entries)
    needed = "-default_F 100 -cell 50 -N 5 -oversample 1 -nonoise"
    out = run(needed, "-img h.img").out
    assert out.startswith("reading h.img\nmmap(h.img) = 0x")
    assert "distance=0.15 detsize=0.006x0.004  pixel=0.0002 meters (30x20 pixels)" in out
    assert "wave=1.2e-10 meters" in out and "Xbeam=0.002 Ybeam=0.0015" in out and "phi0 = 5" in out
    assert "distance=0.08 " in run(needed, "-img h.img -distance 80").out
    # as a mask the original turns the second coordinate round: 4 mm - 1.5 mm
    out = run(needed, "-mask h.img").out
    assert "Xbeam=0.002 Ybeam=0.0025" in out and "  skipping zero-flagged pixels in h.img" in out
    image = read_float(tmp_path / "floatimage.bin", (20, 30))
    assert image[3, 4] == 0 and (np.delete(image.ravel(), 3 * 30 + 4) > 0).all()
    strictly = run(needed, "-mask h.img --strict").out
    assert "Xbeam=0.002 Ybeam=0.0015" in strictly
    assert "distance=0.149" in strictly  # two-theta is honored, and the original reports 150 mm times its cosine
    wrong = run(needed, "-mask h.img -detpixels 16")
    assert wrong.status == 9 and wrong.says("detector.mask", "30 x 20 pixels", "16 x 16")


@pytest.mark.parametrize("flag", ["-oversample_thick", "-oversample_polar", "-oversample_omega"])
def test_a_flag_without_effect_is_told_once(run: Run, flag: str) -> None:
    done = run("--fidelity corrected --kernel scalar", SMALL, flag, "-nonoise -nopgm")
    assert [line for line in done.messages if "no effect" in line] == [
        f"warning: {flag} has no effect because every term has its own factor in the corrected model"
    ]


def test_a_field_without_effect_that_no_flag_told_is_told(run: Run) -> None:
    done = run(
        "--fidelity corrected --kernel scalar", SMALL, "-osc 1 -phisteps 2 -phistep 0.5 -oversample_omega -nonoise"
    )
    assert sum("no effect" in line for line in done.messages) == 2
    assert done.says("goniometer.step_deg has no effect: osc_deg and n_steps are given")
