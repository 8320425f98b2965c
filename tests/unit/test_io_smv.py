"""SMV images: reading, header import, and the header that the original writes (docs/file_formats.md, SMV images)."""

from pathlib import Path

import numpy as np
import pytest

from nanobragg.errors import ConfigError, FileFormatError
from nanobragg.io import read_smv, write_smv
from nanobragg.io.images.smv import header_values, load_smv, parse_header
from nanobragg.io.images.smv_header import SmvGeometry, nanobragg_header

DATA = Path(__file__).parents[1] / "data"
PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
PIXEL_BYTES = PIXELS.tobytes()


@pytest.fixture
def written(tmp_path):
    def write(entries, data=PIXEL_BYTES):
        path = tmp_path / "test.img"
        path.write_bytes(("{\n" + "\n".join(["HEADER_BYTES=512;", *entries]) + "\n}\f").encode().ljust(512) + data)
        return path

    return write


BASE = ("DIM=2;", "BYTE_ORDER=little_endian;", "TYPE=unsigned_short;", "SIZE1=4;", "SIZE2=3;")


def without(key):
    return [entry for entry in BASE if not entry.startswith(key)]


def test_read_and_write(tmp_path):
    write_smv(tmp_path / "a.img", PIXELS, [("DISTANCE", 100.5), ("NOTE", "two words")])
    pixels, header = read_smv(tmp_path / "a.img")
    assert np.array_equal(pixels, PIXELS) and pixels.dtype == np.uint16
    assert header["DISTANCE"] == "100.5" and header["NOTE"] == "two words" and header["SIZE1"] == "4"
    assert (tmp_path / "a.img").stat().st_size == 512 + 24


def test_golden_inputs():
    mask, _ = read_smv(DATA / "mask.img")
    assert mask.shape == (64, 80) and set(mask.ravel().tolist()) == {0, 1, 65535}
    pixels, header = read_smv(DATA / "header_full.img")
    assert pixels.shape == (60, 72) and header["CLOSE_DISTANCE"] == "88" and header["DISTANCE"] == "90.5"


def test_header_grows_and_says_so(tmp_path):
    entries = [(f"KEY{i}", "x" * 40) for i in range(40)]  # 40 lines of 47 or 48 bytes
    write_smv(tmp_path / "a.img", PIXELS, entries)
    data = (tmp_path / "a.img").read_bytes()
    pixels, header = read_smv(tmp_path / "a.img")
    length = int(header["HEADER_BYTES"])
    assert length == 2048 and len(data) == 2048 + 24 and np.array_equal(pixels, PIXELS)


@pytest.mark.parametrize("strict", [True, False])
def test_big_endian_is_swapped(written, strict):
    entries = [*without("BYTE_ORDER"), "BYTE_ORDER=big_endian;"]
    image = load_smv(written(entries, PIXELS.astype(">u2").tobytes()), strict=strict)
    assert np.array_equal(image.pixels, PIXELS) and image.pixels.dtype == np.uint16


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "entries, words",
    [
        (without("BYTE_ORDER"), "no BYTE_ORDER"),
        (without("SIZE1"), "no SIZE1"),
        (without("SIZE2"), "no SIZE2"),
        ([*without("SIZE1"), "SIZE1=-4;"], "SIZE1 is -4"),
        ([*without("SIZE1"), "SIZE1=0;"], "no DETECTOR_DIMENSIONS"),
        ([*without("BYTE_ORDER"), "BYTE_ORDER=middle;"], "BYTE_ORDER is 'middle'"),
    ],
)
def test_incomplete_header(written, strict, entries, words):
    with pytest.raises(FileFormatError, match=words):
        load_smv(written(entries), strict=strict)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not an SMV"),
        (b"{\nHEADER_BYTES=512;\n}", "512"),
        (b"P5\n" + bytes(600), "not an SMV"),
        (b"{\nHEADER_BYTES=9999999;\n}".ljust(600), "HEADER_BYTES is"),
        (b"{\nHEADER_BYTS=5;\n}".ljust(600), "HEADER_BYTES|not an SMV"),
    ],
)
def test_no_smv_at_all(tmp_path, strict, content, words):
    (tmp_path / "a.img").write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        load_smv(tmp_path / "a.img", strict=strict)


def test_detector_dimensions_stand_in_for_a_size_of_0(written):
    path = written([*without("SIZE"), "SIZE1=0;", "SIZE2=7;", "DETECTOR_DIMENSIONS=3;"], bytes(18))
    assert read_smv(path)[0].shape == (3, 3)


def test_short_data_and_other_types(written):
    path = written(BASE, PIXELS.tobytes()[:-2])
    with pytest.raises(FileFormatError, match="11 pixels, expected 4 x 3 = 12"):
        read_smv(path)
    lenient = load_smv(path, strict=False).pixels
    assert lenient[-1, -1] == 0 and np.array_equal(lenient.ravel()[:-1], PIXELS.ravel()[:-1])
    with pytest.raises(FileFormatError, match="only unsigned_short"):
        read_smv(written([*without("TYPE"), "TYPE=float;"]))


def test_header_alone_is_enough_for_the_lenient_reader(written):
    assert not load_smv(written(BASE, b""), strict=False).pixels.any()


@pytest.mark.parametrize("strict", [True, False])
def test_absurd_size_is_refused_without_allocating(written, strict):
    with pytest.raises(FileFormatError):
        load_smv(written([*without("SIZE"), "SIZE1=2000000000;", "SIZE2=2000000000;"]), strict=strict)


HEADER = (
    "{\nHEADER_BYTES=512;\nDISTANCE=90;\nXDS_ORGX=31.25;\nCLOSE_DISTANCE=88;\nPHI=3deg;\nOSC_RANGE=abc;\n"
    "DIALS_ORIGIN=1,2,3\nWAVELENGTH=1.5;\nWAVELENGTH=1.6;\n}"
)
KEYS = ("DISTANCE", "CLOSE_DISTANCE", "ORGX", "PHI", "OSC_RANGE", "WAVELENGTH", "PIXEL_SIZE")


def test_lenient_import_searches_for_pieces_of_text():
    # docs/file_formats.md, Header defaults: the last occurrence, even inside another key; atof of what follows the next '='
    values = header_values("a.img", HEADER, KEYS, strict=False)
    assert values == {"DISTANCE": 88, "CLOSE_DISTANCE": 88, "ORGX": 31.25, "PHI": 3, "OSC_RANGE": 0, "WAVELENGTH": 1.6}
    assert header_values("a.img", "{\nPHI\n}", ["PHI"], strict=False) == {"PHI": 0}


def test_strict_import_matches_whole_keys():
    values = header_values("a.img", HEADER, ("DISTANCE", "CLOSE_DISTANCE", "ORGX", "WAVELENGTH"), strict=True)
    assert values == {"DISTANCE": 90, "CLOSE_DISTANCE": 88, "WAVELENGTH": 1.6}
    with pytest.raises(FileFormatError, match="PHI is '3deg'"):
        header_values("a.img", HEADER, ["PHI"], strict=True)
    assert parse_header(HEADER)["DIALS_ORIGIN"] == "1,2,3"  # no semicolon: the line ends it


MOSFLM = SmvGeometry(
    n_fast=72,
    n_slow=88,
    pixel_size=1e-4,
    slow_size=0.0088,
    distance=0.1,
    close_distance=0.1,
    wavelength_angstrom=1.0,
    beam_center=(0.0041, 0.0027),
    beam_fast_slow=(0.00275, 0.00415),
    dials_origin_mm=(-2.75, 4.15, -100.0),
    org_px=(28.0, 42.0),
    phi_deg=0.0,
    osc_deg=0.0,
    twotheta_deg=0.0,
)
TILTED = SmvGeometry(  # digits beyond the printed six chosen so that every line rounds as it did in the original's run
    n_fast=72,
    n_slow=88,
    pixel_size=1.0351e-4,
    slow_size=0.00910888,
    distance=0.0999914,
    close_distance=0.0998616,
    wavelength_angstrom=1.03571,
    beam_center=(0.00331572, 0.00491347),
    beam_fast_slow=(0.0033086847, 0.004911504),
    dials_origin_mm=(99.7292, -7.00776, 2.15317),
    org_px=(-26.3824, 28.6544),
    phi_deg=12.3457,
    osc_deg=0.34567,
    twotheta_deg=0.0,
)


@pytest.mark.parametrize("geometry, name, length", [(MOSFLM, "mosflm", 512), (TILTED, "overflow", 533)])
def test_original_header_byte_for_byte(geometry, name, length):
    text = (DATA / f"smv_header_{name}.txt").read_bytes()
    header = nanobragg_header(geometry, as_original=True)
    assert len(header) == length
    assert header == (text[:-1] + b"\f").ljust(512)


def test_corrected_header_is_terminated_and_holds_what_it_promises(tmp_path):
    header = nanobragg_header(TILTED)
    assert (
        len(header) == 1024 and b"HEADER_BYTES=1024;" in header and b"DIALS_ORIGIN=99.7292,-7.00776,2.15317;" in header
    )
    counts = np.arange(72 * 88, dtype=np.uint16).reshape(88, 72)
    write_smv(tmp_path / "a.img", counts, header)
    assert np.array_equal(read_smv(tmp_path / "a.img")[0], counts)


def test_overflowing_header_of_the_original_is_read_where_the_pixels_are(tmp_path):
    counts = np.arange(72 * 88, dtype=np.uint16).reshape(88, 72)
    write_smv(tmp_path / "a.img", counts, nanobragg_header(TILTED, as_original=True))
    pixels, header = read_smv(tmp_path / "a.img")
    assert np.array_equal(pixels, counts) and header["BEAMLINE"] == "fake"
    # the original believes HEADER_BYTES: 21 bytes early here
    lenient = load_smv(tmp_path / "a.img", strict=False).pixels
    assert lenient.tobytes() == (tmp_path / "a.img").read_bytes()[512 : 512 + 2 * 72 * 88]


def test_only_counts_are_written(tmp_path):
    for wrong in (PIXELS.astype(float), PIXELS.ravel()):
        with pytest.raises(ConfigError, match="uint16"):
            write_smv(tmp_path / "a.img", wrong)
