"""Bad input, with and without --strict: a clear error and exit 9, or the original's pixels and a warning (docs/command.md)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_runs import SMALL, Result

Run = Callable[..., Result]
ERROR = 9


def smv(order: str | None = "little_endian", size1: bool = True, n: int = 16) -> bytes:
    """An SMV mask of n x n pixels, the last three of them 0."""
    entries = [
        "HEADER_BYTES=512",
        "DIM=2",
        *([f"BYTE_ORDER={order}"] if order else []),
        "TYPE=unsigned_short",
        *([f"SIZE1={n}"] if size1 else []),
        f"SIZE2={n}",
        "PIXEL_SIZE=0.4",
    ]
    text = "{\n" + "".join(f"{entry};\n" for entry in entries) + "}\f"
    return text.ljust(512).encode() + struct.pack(
        f"{'>' if order == 'big_endian' else '<'}{n * n}H", *[1] * (n * n - 3), 0, 0, 0
    )


FILES: dict[str, bytes] = {
    "ok.hkl": b"1 0 0 100\n-3 -3 -3 50\n3 3 3 60\n", "empty.hkl": b"", "binary.hkl": bytes(range(200)) * 3,
    "cut.hkl": b"1 2 3 100\n1 2 4 50\n1 2", "real.hkl": b"1 2 3 100\n1.5 2 4 50\n2 2 2 5\n",
    "huge.hkl": b"-2000 -2000 -2000 1\n2000 2000 2000 1\n",
    "short.mat": b"0.01 0 0\n0 0.01\n", "flat.mat": b"1 0 0\n1 0 0\n0 0 1\n",
    "mask.img": smv(), "small.img": smv(n=8), "big.img": smv("big_endian"),
    "no_order.img": smv(None), "no_size.img": smv(size1=False),
    "none.src": b"", "zero.src": b"0 0 0 1 1e-10\n", "dark.src": b"-10 0 0 1 0\n", "bad.dump": b"not a dump",
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)


def with_flags(flags: str) -> str:
    """The small run with these flags, less the ones that they stand for."""
    base = SMALL + " -nonoise -nopgm"
    if flags.startswith(("-hkl", "-dump")):
        base = base.replace("-default_F 100 ", "")
    if flags.startswith("-mat"):
        base = base.replace("-cell 50 60 70 90 95 90 ", "")
    return f"{base} {flags}"


@pytest.mark.parametrize(("flags", "says"), [
    ("-pixel 0", "detector.pixel_size_mm=0"), ("-pixel -1", "detector.pixel_size_mm=-1"),
    ("-lambda 0", "beam.wavelength_angstrom=0"), ("-lambda -1", "beam.wavelength_angstrom=-1"),
    ("-energy 0", "-energy: the energy is 0"),
    ("-cell 0 50 50", "no unit cell"), ("-cell 50 60 70 90 90 180", "crystal.unit_cell"),
    ("-mat missing.mat", "missing.mat: cannot be read"), ("-mat short.mat", "short.mat: "), ("-mat flat.mat", "singular"),
    ("-hkl missing.hkl", "missing.hkl: cannot be read"), ("-hkl empty.hkl", "empty.hkl: is empty"),
    ("-hkl binary.hkl", "binary.hkl:1: "),
    ("-hkl huge.hkl", "needs 477 GiB, more than the limit of 4 GiB"), ("-hkl ok.hkl --memory 1e-9", "--memory GIB"),
    ("-misset nan 0 0", "nan"), ("-phi nan", "nan"), ("-fluence inf", "inf"), ("-adc nan", "-adc"),
    ("-default_F nan", "nan"),
    ("-hdivsteps 1 -vdivsteps 1", "leaves no source"), ("-sourcefile none.src", "none.src: "),
    ("-sourcefile zero.src", "zero.src:1: "),
    ("-sourcefile dark.src", "dark.src:1: "), ("-sourcefile missing.src", "missing.src: cannot be read"),
    ("-oversample 100000", "2^31"), ("-phisteps 99999 -osc 1 -oversample 300", "2^31"),
    ("-mask small.img", "8 x 8 pixels"), ("-mask no_order.img", "no BYTE_ORDER"), ("-mask no_size.img", "no SIZE1"),
    ("-mask ok.hkl", "is not an SMV image"), ("-detpixels 1000000", "GiB of memory"), ("-detpixels -3", "has no pixels"),
    ("-floatfile no/dir/x.bin", "no/dir/x.bin: cannot be written"), ("-floatfile /dev/full", "No space left"),
    ("-detector_abs", "-detector_abs: "), ("-dump bad.dump", "bad.dump: is not a dump"),
    ("-stol missing.stol", "missing.stol: cannot be read"),
    ("-fdet_vector 0 0 0", "must not be the zero vector"), ("-beamsize 0 -flux 1e12", "fluence infinite"),
    ("--threads 0", "--threads 0"), ("--kernel nope", "--kernel nope"), ("--backend nope", "--backend nope"),
    ("--fidelity nope", "--fidelity nope"), ("--quirks NOPE", "no such quirk"), ("--dtype int8", "--dtype int8"),
])  # fmt: skip
@pytest.mark.parametrize("strict", ["", "--strict"])
def test_errors_with_and_without_strict(
    run: Run, files: None, tmp_path: Path, flags: str, says: str, strict: str
) -> None:
    flags = flags if flags != "-mask small.img" else "-mask small.img -detpixels 16"
    done = run(f"{strict} --kernel scalar", with_flags(flags))
    assert done.status == ERROR
    assert any(says in line and line.startswith("error: ") for line in done.messages), done.err
    assert len([line for line in done.messages if line.startswith("error: ")]) == 1
    written = {path.name for path in tmp_path.iterdir()} - set(FILES)
    assert written == set()  # not even a part of a file


@pytest.mark.parametrize(("flags", "same_as", "says"), [
    ("-distance -100", "", "rendered as 100"),
    ("-close_distance -100", None, "behind the sample"),
    ("-odet_vector -1 0 0", None, "behind the sample"),
    ("-cell 50 60 70 30 30 100", None, "close no cell"),
    ("-hkl cut.hkl", None, "cut.hkl:3: "),
    ("-hkl real.hkl", None, "real.hkl:2: "),
    ("-mat missing.mat -cell 50 60 70 90 95 90", "-cell 50 60 70 90 95 90", "goes on with -cell alone"),
    ("-mask missing.img", "", "goes on without -mask"),
    ("-img missing.img", "", "goes on without -img"),
    ("-roi 20 30 0 5", None, "holds no pixel"),
    ("-roi 0 17 0 17", "", "reaches beyond"),
    ("-foo", "", "-foo is ignored"),
    ("-dispstep 3", "", "the working name is -dispsteps"),
    ("stray", "", "'stray' is ignored"),
    ("-lambda", "", "-lambda is ignored: it takes 1 value"),
    ("-misset 1 2", "", "-misset is ignored: it takes 3 values"),
    ("-N 10.5", "-N 10", "'10.5' is not an integer and is read as 10"),
    ("-water abc", "", "'abc' is not a number and is read as 0"),
    ("-fudge 1x", "", "'1x' is not a number and is read as 1"),
    ("-fudge nan", "", "-fudge nan: has no effect on square crystals"),
    ("-fudge inf -square_xtal", "", "-fudge inf: has no effect on square crystals"),
])  # fmt: skip
def test_survivors_warn_without_strict_and_are_refused_with_it(
    run: Run, files: None, tmp_path: Path, flags: str, same_as: str | None, says: str
) -> None:
    def image(text: str) -> bytes:
        done = run("--kernel scalar", with_flags(text))
        assert done.status == 0
        assert text != flags or done.says("warning: ", says), done.err
        return (tmp_path / "floatimage.bin").read_bytes()

    pixels = image(flags)
    assert np.isfinite(np.frombuffer(pixels, np.float32)).all()
    if same_as is not None:
        assert pixels == image(same_as if same_as else "")
    refused = run("--strict", with_flags(flags))
    assert refused.status == ERROR and refused.messages[-1].startswith("error: ")


@pytest.mark.parametrize(("text", "lenient", "strict"), [("1e3", "1", "1000"), ("10.0", "10", "10")])
def test_integers_written_as_floats(run: Run, tmp_path: Path, text: str, lenient: str, strict: str) -> None:
    assert f"xtal: {lenient}x{lenient}x{lenient} cells" in run(SMALL, f"-nonoise -nointerpolate -N {text}").out
    assert f"xtal: {strict}x{strict}x{strict} cells" in run("--strict", SMALL, f"-nonoise -nointerpolate -N {text}").out


def test_big_endian_masks_are_swapped(run: Run, files: None, tmp_path: Path) -> None:
    base = SMALL.replace("-detpixels 16", "").replace("-pixel 0.4", "") + " -nonoise"
    images = []
    for name in ("mask.img", "big.img"):
        assert run(base, f"-mask {name}").status == 0
        images.append((tmp_path / "floatimage.bin").read_bytes())
    assert images[0] == images[1]
    assert (np.frombuffer(images[0], np.float32)[-3:] == 0).all()


def test_equals_sign(run: Run) -> None:
    assert "wave=2e-10" in run("--strict", SMALL, "-lambda=2").out
    lenient = run(SMALL, "-lambda=2 1.5")
    assert "wave=1.5e-10" in lenient.out and lenient.says("what follows '=' is ignored")


def test_collisions_warn_and_strict_means_what_is_meant(run: Run) -> None:
    lenient = run(SMALL, "-twotheta_axis 7 0 1")
    assert lenient.says("warning: TWOTHETA_AXIS_SETS_ANGLE", "7 degrees")
    assert not run("--strict", SMALL, "-twotheta_axis 7 0 1").says("TWOTHETA_AXIS_SETS_ANGLE")
    assert run(SMALL, "-misset_seed 3 -phi 1 -osc 0").says(
        "warning: MISSET_SEED_SETS_MISSET: -misset_seed is read as -misset 3 0 1"
    )


def test_every_warning_is_said_once(run: Run) -> None:
    messages = run(SMALL, "-coherent -coherent -foo -foo -density 3").messages
    assert len(messages) == len(set(messages))
    assert sum("-coherent has no effect because" in line for line in messages) == 1


def test_pivot_is_one_of_two_words(run):
    refused = run(SMALL, "-pivot detector --strict")
    assert refused.status == 9
    assert refused.says("-pivot", "write -pivot beam")
    assert run(SMALL, "-pivot detector -nopgm -nonoise").status == 0


def test_pix0_says_what_it_overrules(run):
    corner = "-pix0_vector_mm 100 3.2 -3.2 --fidelity corrected -nopgm -nonoise"
    assert not run(SMALL.replace("-distance 100", ""), corner).messages
    assert not run(SMALL, corner).messages
    assert run(SMALL.replace("-distance 100", "-distance 101"), corner).says("distance_mm has no effect", "pix0_mm")


def test_nearest_name_of_our_own_options(run):
    assert run(SMALL, "--thread 2 -nopgm -nonoise").says("--thread", "did you mean --threads?")


def test_plane_through_the_sample_is_an_image_of_0(run, tmp_path):
    """The custom normal (1, 0, 0) does not follow a beam along z: the original divides by DBL_MIN and goes on."""
    assert run(SMALL, "-beam_vector 0 0 1 -nopgm -nonoise").status == 0
    assert not any((tmp_path / "floatimage.bin").read_bytes())
    assert run(SMALL, "-beam_vector 0 0 1 --strict").status == 9


@pytest.mark.parametrize(
    ("flags", "same"),
    [
        ("-Xbeam nan -Ybeam nan", ""),
        ("-ORGX nan -xds", "-xds"),
        ("-close_distance nan -distance 80", "-distance 80"),
        ("-scale nan -dmin nan", ""),
        ("-flux 1e20 -exposure nan", ""),
        ("-flux 1e20 -beamsize nan -xtalsize 0.2", "-beamsize -1 -xtalsize 0.2"),
    ],
)
def test_nan_is_not_set_in_the_original(run, tmp_path, flags, same):
    """NaN is its mark for "not set" (docs/model.md), so these runs survive; strictly a NaN is no number."""
    images = []
    for text in (same, flags):
        done = run(SMALL, text, "-nonoise -nopgm")
        assert done.status == 0, done.err
        images.append([(tmp_path / name).read_bytes() for name in ("floatimage.bin", "intimage.img")])
    assert done.says("nan", "not given")
    assert images[0] == images[1]
    assert run(SMALL, flags, "--strict").status == ERROR
    assert run(SMALL, "-distance nan").status == ERROR


def test_distance_of_0_is_an_image_of_0(run, tmp_path):
    """close_distance = 0 makes every solid angle 0, and int(infinity) automatic sub-pixels are 1; R = 0 would be NaN."""
    for flags in ("-distance 0", "-distance abc", "-close_distance 0"):
        done = run(SMALL.replace("-oversample 1", ""), flags, "-nopgm -nonoise")
        assert done.status == 0 and done.says("close distance 0 mm", "as the original does")
        assert "auto-selected 1-fold oversampling" in done.out
        assert not any((tmp_path / "floatimage.bin").read_bytes())
        (tmp_path / "floatimage.bin").unlink()
        for strict in ("--strict", "--fidelity corrected"):
            assert run(SMALL, flags, strict).status == ERROR
    assert run(SMALL, "-xds -detpixels 15 -distance 0").says("not finite", "fast 7, slow 7")
    assert not (tmp_path / "floatimage.bin").exists()


def test_parallel_axes_are_a_line_of_pixels(run):
    """-fdet_vector alone may fall on the custom slow axis; the normal (1, 0, 0) is a unit vector and stays."""
    assert run(SMALL, "-fdet_vector 0 -1 0 -nopgm -nonoise").says(
        "fast and slow axes are parallel", "as the original does"
    )
    for refused in ("--strict", "--fidelity corrected", "-odet_vector 2 0 0"):
        done = run(SMALL, "-fdet_vector 0 -1 0", refused)
        assert done.status == ERROR and done.says("detector.slow_axis", "must not be parallel")


@pytest.mark.parametrize(("flags", "same"), [
    ("-beamsize inf -xtalsize 0.2", "-beamsize -1 -xtalsize 0.2"), ("-beamsize inf -flux 1e20", "-fluence 0"),
])  # fmt: skip
def test_infinite_beam_clips_nothing_and_has_no_fluence(run, tmp_path, flags, same):
    """docs/model.md, Pixels: size < inf clips no crystal, and flux exposure/inf/inf is 0."""
    images = []
    for text in (same, flags):
        assert run(SMALL, text, "-nonoise -nopgm").status == 0
        images.append((tmp_path / "floatimage.bin").read_bytes())
    assert images[0] == images[1]
    for strict in ("--strict", "--fidelity corrected"):
        assert run(SMALL, flags, strict).status == ERROR


@pytest.mark.parametrize("shape", ["round", "gauss"])
def test_fudge_that_is_no_number_is_an_error_where_it_acts(run, shape):
    """The original writes NaN."""
    assert run(SMALL, f"-fudge nan -{shape}_xtal").says("crystal.fudge=nan")


@pytest.mark.parametrize(("text", "says"), [
    ("1 2 3 100\n1 2 4 nan\n", "F.hkl:2: F is nan, must be finite"),
    ("1 2 3 100\n\n1 2 4 1e999\n1 1 1 5\n", "F.hkl:3: F is inf, must be finite"),
    ("1 2 3 100 1 2\n4\ninf 1 1 1 5\n", "F.hkl:3: F is inf, must be finite"),  # a stream of numbers: line of that number
    ("1 2 3 100\n1 2 inf 5\n", "F.hkl:2: an index is infinite"),
])  # fmt: skip
def test_bad_reflections_are_told_with_their_line(run: Run, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "F.hkl").write_text(text)
    done = run("--kernel scalar", with_flags("-hkl F.hkl"))
    assert done.status == ERROR and done.says("error: ", says), done.err


def test_a_seed_that_is_too_large_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    assert run(SMALL, "-seed 2147483648").says("must be an integer of at most 2147483647 in size")
    assert sorted(tmp_path.iterdir()) == before
