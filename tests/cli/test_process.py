"""The command as a process: exit status, imports, pipes, demo (docs/command.md); for Ctrl-C see test_interrupt.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_runs import SMALL, Result

from nanobragg.config import Detector
from nanobragg.io import read_float, read_hkl, read_matrix, read_smv

Run = Callable[..., Result]
COMMAND = [sys.executable, "-m", "nanobragg"]


def test_exit_statuses(spawn: Run) -> None:
    assert spawn(SMALL, "--kernel scalar").status == 0
    assert spawn("-N 5").status == 9
    refused = spawn("frobnicate -N 5")
    assert refused.status == 9 and refused.says("'frobnicate' is not a subcommand", "demo")
    assert all(not line.startswith("Traceback") for line in refused.messages)


def test_the_image_does_not_depend_on_the_number_of_threads(spawn: Run, tmp_path: Path) -> None:
    images = []
    for options in ("--threads 1", "--threads 2", "--threads 7"):
        assert spawn(SMALL, "-oversample 3", options).status == 0
        images.append((tmp_path / "floatimage.bin").read_bytes())
    assert images[0] == images[1] == images[2]


def test_help_and_version_import_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    """The C core, which states the constants, is loaded in a millisecond."""
    program = (
        "import sys; from nanobragg.cli.main import main; status = main([sys.argv[1]]); "
        "loaded = {'torch', 'matplotlib', 'gemmi', 'tqdm'} & set(sys.modules); "
        "print(sorted(loaded), status, file=sys.stderr)"
    )
    for option in ("--help", "--version", "-h"):
        done = subprocess.run(
            [sys.executable, "-c", program, option], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.stderr.strip() == "[] 0" and done.stdout


def test_help_lists_every_flag_with_its_unit_and_default(spawn: Run) -> None:
    from nanobragg.exchange.command_line.flags import FLAGS, GROUPS, OWN_OPTIONS

    text = spawn("--help").out
    entries = {line.split()[0]: line for line in text.splitlines() if line.startswith("  -")}
    assert [flag.name for flag in (*FLAGS, *OWN_OPTIONS) if flag.name not in entries] == []
    assert all(f"\n{group}:\n" in text for group in GROUPS)
    assert "[mm]" in entries["-pixel"] and "default 0.1" in entries["-pixel"]
    assert "[degrees]" in entries["-phi"] and "default 12345678" in entries["-mosaic_seed"]
    assert max(map(len, text.splitlines())) <= 120


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in err and "Exception" not in err


def shell(tmp_path: Path, flags: str, redirection: str) -> Result:
    """Run the command through a shell that closes or turns away a stream."""
    line = f"{sys.executable} -m nanobragg {flags} {redirection}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    return Result(done.returncode, done.stdout, done.stderr)


IMAGES = ("floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_costs_the_text_and_not_the_files(spawn: Run, tmp_path: Path, redirection: str) -> None:
    assert spawn(SMALL, "-seed 1").status == 0
    files = {name: (tmp_path / name).read_bytes() for name in IMAGES}
    for name in IMAGES:
        (tmp_path / name).unlink()
    done = shell(tmp_path, f"{SMALL} -seed 1", redirection)
    assert done.status == 0
    assert {name: (tmp_path / name).read_bytes() for name in IMAGES} == files  # nothing printed went into them
    assert {path.name for path in tmp_path.iterdir()} == set(IMAGES)
    if redirection == ">&-":
        assert done.says("warning: ", "standard output is closed")
    if redirection == "2>&-":  # and the warnings are not mixed into the report
        assert "nanobragg: " not in done.out and "max_I" in done.out


@pytest.mark.parametrize("flags", ["--help", "--version", f"explain -- {SMALL}", "demo --help"])
def test_what_only_prints_fails_when_nobody_can_read_it(tmp_path: Path, flags: str) -> None:
    done = shell(tmp_path, flags, ">&-")
    assert done.status == 9 and len(done.messages) == 1 and done.says("error: ", "standard output is closed")
    assert shell(tmp_path, flags, ">&- 2>&-").status == 9


@pytest.mark.parametrize("flags", ["--help", SMALL])
def test_a_full_device_is_an_error(tmp_path: Path, flags: str) -> None:
    done = shell(tmp_path, flags, ">/dev/full")
    assert done.status == 9 and done.says("error: ", "No space left")


def test_file_names_that_are_not_unicode(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.bin")
    done = subprocess.run([*COMMAND, *SMALL.split(), "-floatfile", name], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0 and b"writing \xff\xfe.bin as 256" in done.stdout
    assert (tmp_path / name).stat().st_size == 1024


def test_text_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """An encoding that lacks a letter costs that letter, neither the run nor a message."""
    flags = [*SMALL.split(), "-föö", "-floatfile", "größe.bin"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, *flags], cwd=tmp_path, capture_output=True, timeout=60, env=environment)
    assert done.returncode == 0 and (tmp_path / "größe.bin").stat().st_size == 1024
    assert rb"warning: -f\xf6\xf6 is ignored" in done.stderr and rb"writing gr\xf6\xdfe.bin as 256" in done.stdout
    strict = subprocess.run(
        [*COMMAND, "--strict", *flags], cwd=tmp_path, capture_output=True, timeout=60, env=environment
    )
    assert (
        strict.returncode == 9
        and rb"error: -f\xf6\xf6: unknown flag" in strict.stderr
        and b"defect" not in strict.stderr
    )
    both = [*SMALL.split(), "-floatfile", os.fsdecode(b"\xff") + "ö.bin"]  # bytes that are not text stay bytes
    mixed = subprocess.run([*COMMAND, *both], cwd=tmp_path, capture_output=True, timeout=60, env=environment)
    assert mixed.returncode == 0 and b"writing \xff\\xf6.bin as 256" in mixed.stdout


def test_an_unwritable_directory(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser can write everywhere")
    os.chmod(tmp_path, 0o500)
    done = subprocess.run([*COMMAND, *SMALL.split()], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    os.chmod(tmp_path, 0o700)
    assert done.returncode == 9 and "floatimage.bin: cannot be written" in done.stderr


def test_demo_and_the_command_that_it_suggests(spawn: Run, tmp_path: Path) -> None:
    done = spawn("demo")
    assert done.status == 0 and done.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["nanobragg_demo"] and "cd nanobragg_demo && " in done.out
    elsewhere, tmp_path = tmp_path, tmp_path / "nanobragg_demo"
    names = ("demo.bin", "demo.img", "demo.png", "demo.toml", "demo.hkl", "demo.mat")
    assert all(str(tmp_path / name) in done.out for name in names)
    image = read_float(tmp_path / "demo.bin", (1043, 981))
    counts, _ = read_smv(tmp_path / "demo.img")
    hkl, amplitude = read_hkl(tmp_path / "demo.hkl")
    mask = Detector.preset("pilatus_1m").mask
    assert (
        (image[mask] > 0).all() and not image[~mask].any() and not counts[~mask].any()
    )  # water everywhere but in gaps
    # counts are Poisson about the image: the mean of 1e6 pixels of some photons is good to sqrt(mean/n)
    weak = mask & (image < 1000)
    expected = image[weak].mean(dtype=float)
    assert abs(counts[weak].mean() - expected) < 5 * np.sqrt(expected / weak.sum()) + 1e-9
    # Friedel mates and Laue group 4/mmm
    table = {tuple(index): value for index, value in zip(hkl.tolist(), amplitude.tolist(), strict=True)}
    assert table[(3, 7, 2)] == table[(-3, -7, -2)] == table[(7, -3, 2)] == table[(-7, 3, -2)]
    assert (0, 0, 1) not in table and (0, 0, 4) in table
    # columns are a*, b*, c*: lengths 1/79.1, 1/79.1, 1/38.4 to the eight decimals of the file
    np.testing.assert_allclose(
        np.linalg.norm(read_matrix(tmp_path / "demo.mat"), axis=0), [1 / 79.1, 1 / 79.1, 1 / 38.4], atol=2e-8
    )
    suggestion = next(line for line in done.out.splitlines() if line.startswith("  nanoBragg -mat"))
    for name in ("demo.mat", "demo.hkl"):
        os.link(tmp_path / name, elsewhere / name)
    again = spawn(suggestion.replace("  nanoBragg", ""))
    assert again.status == 0
    spots = read_float(elsewhere / "floatimage.bin", (1043, 981))
    assert spots.max() > 100 * spots.mean()
    assert spawn("run nanobragg_demo/demo.toml").status == 0
    turned, header = read_smv(tmp_path / "turn_0001.img")
    assert float(header["OSC_RANGE"]) == 0.5 and turned.max() > 1000 and not turned[~mask].any()


def test_demo_takes_a_directory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run("demo file").status == 9 and run("demo file/below").status == 9
    (tmp_path / "file").unlink()
    assert run("demo --fast").status == 9 and run("demo . .").status == 9
    helped = run("demo --help")
    assert helped.status == 0 and helped.err == "" and "DIR" in helped.out and "demo.img" in helped.out
    assert list(tmp_path.iterdir()) == []
