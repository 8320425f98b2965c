"""noisify and nonBragg where there is no golden case: what the originals crash on, our own options, the odd numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import Result

from nanobragg.cli.main import main
from nanobragg.io import read_smv

FLAT = np.full((32, 40), 50.0, np.float32)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    FLAT.tofile("flat.bin")
    Path("table.stol").write_text("0.1 1\n0.2 2\n0.3 4\n0.35 5\n")

    def call(line: str) -> Result:
        capsys.readouterr()
        status = main(line.split())
        return Result(status, *capsys.readouterr())

    return call


CRASHES = {
    "noisify -floatfile flat.bin -psf": ("-psf", "value"),
    "noisify -floatfile empty.bin": ("empty.bin", "no pixels"),
    "noisify -floatfile missing.bin": ("missing.bin", "cannot be read"),
    "noisify -floatfile flat.bin -detpixels 4000": ("flat.bin", "bytes"),
    "noisify -floatfile flat.bin -header flat.bin": ("flat.bin", "not an SMV"),
    "noisify -floatfile flat.bin -pixel 0": ("pixel size",),
    "noisify -floatfile flat.bin -noisefile no/such/place.img": ("no/such/place.img", "cannot be written"),
    "noisify -floatfile flat.bin -psf gauss -psf_fwhm inf": ("-psf_fwhm",),
    "nonbragg -stol table.stol -img missing.img": ("missing.img", "cannot be read"),
    "nonbragg -stol table.stol -img flat.bin": ("flat.bin", "not an SMV"),
    "nonbragg -stol table.stol -divsteps 1": ("no source",),
    "nonbragg -stol missing.stol": ("missing.stol", "cannot be read"),
    "nonbragg -stol empty.bin": ("empty.bin", "no row"),
    "nonbragg -stol table.stol -detpixels 8 -floatfile no/such/place.bin": ("no/such/place.bin", "cannot be written"),
    "nonbragg -stol table.stol -energy 0": ("energy",),
    "nonbragg -stol table.stol -beam_vector 0 0 0": ("-beam_vector",),
    "nonbragg": ("-stol FILE",),
    "nonbragg -stol table.stol -divergence nan": ("divergence", "finite"),
    "noisify --fidelity exact -floatfile flat.bin": ("--fidelity exact",),
}


@pytest.mark.parametrize("line", CRASHES)
def test_where_the_originals_crash_there_is_a_message(run, line: str) -> None:
    Path("empty.bin").write_bytes(b"")
    result = run(line)
    assert result.status == 9
    assert result.says("error", *CRASHES[line]), result.err


@pytest.mark.parametrize("program", ["noisify", "nonbragg"])
def test_help_names_every_option(run, program: str) -> None:
    result = run(f"{program} --help")
    assert result.status == 0
    for option in ("-seed", "-nonoise", "-pgmfile"):
        assert f"  {option}" in result.out


def test_a_misspelt_option_is_told(run) -> None:
    result = run("noisify -floatfile flat.bin -detpixels_x 40 -calibrat 0 -seed 1")
    assert result.status == 0
    assert result.says("-calibrat is ignored", "-calibration")


def test_numpy_noise_has_the_same_statistics(run) -> None:
    assert run("noisify -floatfile flat.bin -detpixels_x 40 -seed 3 -calibration 0 --generator pcg64").status == 0
    counts = read_smv("noiseimage.img")[0].astype(float) - 40
    n = counts.size
    assert abs(counts.mean() - 50) < 5 * np.sqrt(50 / n)
    assert abs(counts.var() / 50 - 1) < 5 * np.sqrt((2 + 1 / 50) / n)


def test_faint_pixels_of_a_gaussian_spread_keep_their_photons(run) -> None:
    """The original takes the square root of a negative number there (NF_PSF_GAUSS_FAINT)."""
    image = np.zeros((21, 21), np.float32)
    image[10, 10], image[4, 4] = 1e6, 0.005
    image.tofile("faint.bin")
    result = run("noisify -floatfile faint.bin -psf gauss -psf_fwhm 100 -nonoise -gain 1e-1 -adc 0")
    assert result.status == 0
    assert abs(read_smv("intimage.img")[0].sum(dtype=float) - 1e5) < 60  # truncated below 1 in at most 60 pixels


@pytest.mark.parametrize("size", [52, 51])
def test_pixel_counts_are_rounded_up(run, size: int) -> None:
    """52 x 0.1 mm / 0.1 mm is a little above 52 (NB_PIXEL_CEIL)."""
    assert run(f"nonbragg -stol table.stol -detpixels {size} -nonoise").status == 0
    assert read_smv("intimage.img")[0].shape == ((53, 53) if size == 52 else (51, 51))


def test_table_is_cubic_inside_and_straight_outside(run) -> None:
    """NB_EXTRAPOLATE_LINEAR: the two end points carry on, though a constant was meant."""
    distance, pixel, n = 100.0, 2.0, 200
    line = (
        f"nonbragg -stol table.stol -Fmap -nonoise -detpixels {n} -pixel {pixel} -distance {distance} -ORGX 0 -ORGY 0"
    )
    assert run(line).status == 0
    f = np.fromfile("floatimage.bin", np.float32).reshape(n, n)[0]
    radius = np.hypot((np.arange(n) + 0.5) * pixel, 0.5 * pixel)
    stol = np.sin(0.5 * np.arctan2(radius, distance))
    # values of the table's cubic, parabola and straight lines at 0, 0.05, 0.15, 0.25, 0.32, 0.34, 0.36, 0.5
    for s, expected in ((0.05, 0.5), (0.15, 1.375), (0.25, 2.95), (0.32, 4.4), (0.34, 4.8), (0.36, 5.2), (0.5, 8.0)):
        # between neighboring pixels the table is straight to (spacing)^2 F''/8 = 1e-4 * 40 / 8
        assert abs(np.interp(s, stol, f) - expected) < 1e-3


def test_corrected_noisify(run) -> None:
    """One calibration for all seeds, one flicker for the frame, no half of an ADU lost, and the offset in the header."""
    line = "noisify --fidelity corrected -floatfile flat.bin -detpixels_x 40 -gain 1.5 -scale 1e4 -bits 32"
    for seed in (1, 2):
        assert (
            run(f"{line} -calibration 0.1 -flicker 0.2 -seed {seed} -noisefile {seed}.img -intfile clean.img").status
            == 0
        )
    header = Path("1.img").read_bytes()[:512]
    assert b"ADC_OFFSET=40;" in header and b"TYPE=long_integer;" in header
    first, second = (np.fromfile(f"{seed}.img", np.uint32, offset=512).astype(float) - 40 for seed in (1, 2))
    assert np.corrcoef(first, second)[0, 1] > 0.99 and abs(first.mean() / second.mean() - 1) > 0.01
    clean = np.fromfile("clean.img", np.uint32, offset=512)
    assert (clean == 750040).all()
    whole = first / first.mean()
    assert abs(whole.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * 1280)


SMOOTH = (
    "nonbragg -stol smooth.stol -detpixels 52 -distance 10 -polar 0.9 -seed 4 -twotheta 12 -oversample 2"
    " -divergence 3 -divsteps 3"
)


def _smooth_table() -> None:
    """A table so dense that both ways of interpolation agree, and so long that nothing lies beyond it."""
    s = np.arange(0.0, 0.8, 0.001)
    np.savetxt("smooth.stol", np.column_stack([s, 8.0 * np.exp(-6.0 * s * s) + 2.0]), fmt="%.8f", header="s F")


def test_corrected_nonbragg(run) -> None:
    """The same photons where the original is right; no pixel too many, comments in the table, the offset in the header."""
    _smooth_table()
    assert run(f"{SMOOTH} --fidelity corrected --threads 2 -flux 1e9").status == 0
    corrected = np.fromfile("floatimage.bin", np.float32).reshape(52, 52)  # not 53: NB_PIXEL_CEIL
    noise = read_smv("noiseimage.img")[0]
    assert b"ADC_OFFSET=40;" in Path("noiseimage.img").read_bytes()[:512]
    n = noise.size
    assert abs((noise - 40.0 - corrected).mean()) < 5 * np.sqrt(corrected.mean() / n)
    table = Path("smooth.stol").read_text().split("\n", 1)[1]
    Path("smooth.stol").write_text(table)  # NB_TABLE_COMMENTS: the original would take the comment for a row
    # a round divergence, two-theta and the fluence: without the extra row the default center is the same
    assert run(f"{SMOOTH} -flux 1e9").status == 0
    original = np.fromfile("floatimage.bin", np.float32).reshape(53, 53)[:52, :52]
    # measured: 1.0e-6, the two interpolations of a table with 8 decimals
    np.testing.assert_allclose(corrected, original, rtol=1e-5)


def test_corrected_nonbragg_beyond_its_table(run) -> None:
    """Constant, with a warning that says how much lies there; the original goes on along a straight line."""
    line = "nonbragg --fidelity corrected -stol table.stol -detpixels 100 -pixel 2 -nopolar -point_pixel -nonoise -fluence 1e20"
    result = run(line)
    assert result.status == 0 and result.says("% of the pixels lie beyond the table")
    image = np.fromfile("floatimage.bin", np.float32).reshape(100, 100)
    # far out F is 5, and with it the photons per solid angle: 1/distance^2 remains
    x = (np.arange(100) - 49.5) * 2.0
    square = 100.0**2 + (x[:, None] - 1.0) ** 2 + x[None, :] ** 2
    corner = (image * square)[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.ptp(corner) < 0.02 * corner.mean()


@pytest.mark.parametrize("option", ["-img flat.bin", "-Fmap", "-printout"])
def test_what_corrected_nonbragg_lacks(run, option: str) -> None:
    result = run(f"nonbragg --fidelity corrected -stol table.stol {option}")
    assert result.status == 9 and result.says(option.split()[0], "--fidelity reference")
