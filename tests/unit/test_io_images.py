"""Float, PGM and PNG images, and the rules that turn expected photons into counts and greys (docs/file_formats.md)."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from nanobragg import _core
from nanobragg.errors import ConfigError, CoreError, FileFormatError
from nanobragg.io import read_float, read_pgm, read_png, read_smv, write_float, write_pgm, write_png
from nanobragg.io.images.counts import (
    automatic_pgm_scale,
    automatic_scale,
    checked_region,
    grey_image,
    image_statistics,
    integer_image,
)
from nanobragg.io.images.png import preview

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "counting_cases.json").read_text())
IMAGES = np.load(DATA / "counting_cases.npz")
"""Images of the original program, and what it printed about them."""


def region(case):
    s0, s1, f0, f1 = CASES[case]["roi"]
    return slice(s0, s1), slice(f0, f1)


def mask(case):
    return read_smv(DATA / "mask.img")[0] != 0 if CASES[case]["masked"] else None


def scales(case):
    """Statistics and the scales of the integer and grey images, as the command would choose them."""
    facts = CASES[case]
    statistics = image_statistics(IMAGES[f"{case}.float"], roi=region(case), mask=mask(case))
    scale = facts["scale"] or automatic_scale(statistics.maximum)
    return statistics, scale, facts["pgmscale"] or automatic_pgm_scale(statistics.rmsd, scale)


@pytest.mark.parametrize("case", CASES)
def test_statistics_are_those_that_the_original_printed(case):
    statistics, scale, pgm_scale = scales(case)
    printed = tuple(f"{x:g}" for x in (statistics.maximum, statistics.mean, statistics.rms, statistics.rmsd))
    assert printed == tuple(CASES[case]["statistics"])
    assert f"{scale:g}" == CASES[case]["intfile_scale"]
    assert CASES[case]["pgm_scale"] in (None, f"{pgm_scale:g}")
    assert IMAGES[f"{case}.float"][statistics.position] == np.float32(statistics.maximum)


@pytest.mark.parametrize("case", [case for case in CASES if f"{case}.int" in IMAGES])
def test_integer_image_is_the_original_s(case):
    adc = 40.0 if CASES[case]["adc"] is None else CASES[case]["adc"]
    counts = integer_image(
        IMAGES[f"{case}.float"], scale=scales(case)[1], adc_offset=adc, roi=region(case), as_original=True
    )
    assert np.array_equal(counts, IMAGES[f"{case}.int"])


@pytest.mark.parametrize("case", [case for case in CASES if f"{case}.pgm" in IMAGES])
def test_grey_image_is_the_original_s(case):
    assert np.array_equal(
        grey_image(IMAGES[f"{case}.float"], scale=scales(case)[2], roi=region(case)), IMAGES[f"{case}.pgm"]
    )


def test_two_ways_of_rounding():
    # 16384.4999999 + 1/2 lies below 16385, but float32 has a spacing of 0.002 there and rounds it up (INT_F32_ROUND)
    image, offset = np.array([[16384.0, 1e6, -5.0]]), 0.4999999
    assert integer_image(image, scale=1.0, adc_offset=offset).tolist() == [[16384, 65535, 0]]
    assert integer_image(image, scale=1.0, adc_offset=offset, as_original=True).tolist() == [[16385, 65535, 0]]


def test_empty_image_and_outside_of_region():
    statistics = image_statistics(np.zeros((3, 4)))
    assert statistics.maximum == 0 and statistics.position is None and statistics.rmsd == 0
    assert automatic_scale(0.0) == 1 and automatic_pgm_scale(0.0, 7.0) == 7
    counts = integer_image(np.ones((3, 4)), scale=2.0, adc_offset=10, roi=(slice(1, 2), slice(0, 2)))
    assert counts.tolist() == [[0, 0, 0, 0], [12, 12, 0, 0], [0, 0, 0, 0]]


def test_statistics_by_hand():
    image = np.array([[1.0, 2.0], [3.0, 0.0]])
    rendered = np.array([[True, True], [True, False]])
    statistics = image_statistics(image, mask=rendered)
    assert statistics.mean == 2 and statistics.rms == np.sqrt(14 / 2)
    assert statistics.rmsd == np.sqrt((1 + 0 + 1 + 4) / 3)  # the masked pixel counts here
    assert statistics.maximum == 3 and statistics.position == (1, 0)


def test_numbers_that_are_none_and_images_that_do_not_fit():
    image = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    for as_original in (False, True):
        assert integer_image(image, scale=1.0, as_original=as_original).tolist() == [[0, 65535, 0]]
    assert grey_image(image, scale=1.0).tolist() == [[0, 255, 0]]
    assert not np.isfinite(image_statistics(image).mean)
    assert image_statistics(np.empty((0, 3))).rms == 0 and integer_image(np.empty((0, 3)), scale=1.0).shape == (0, 3)
    everything = (slice(0, 1), slice(0, 3))
    for region in ((slice(0, 2), slice(0, 3)), (slice(0, 1), slice(-1, 3)), (slice(1, 0), slice(0, 3))):
        with pytest.raises(CoreError):
            _core.image_statistics(image, region)
        with pytest.raises(CoreError):
            _core.integer_image(image, region, 1.0, 0.0, False, np.empty((1, 3), np.uint16))
        with pytest.raises(CoreError):
            _core.grey_image(image, region, 1.0, np.empty((1, 3), np.uint8))
    with pytest.raises(CoreError, match="mask"):
        _core.image_statistics(image, everything, np.ones((3, 1), np.uint8))
    with pytest.raises(CoreError, match="shape"):
        _core.integer_image(image, everything, 1.0, 0.0, False, np.empty((1, 2), np.uint16))
    with pytest.raises(CoreError, match="shape"):
        _core.grey_image(image, everything, 1.0, np.empty((2, 3), np.uint8))


@pytest.mark.parametrize(
    "roi",
    [
        (slice(0, 5), slice(0, 2)),
        (slice(2, 2), slice(0, 2)),
        (slice(-2, 2), slice(0, 2)),
        (slice(0, 4, 2), slice(0, 2)),
        slice(0, 2),
        (0, 1),
    ],
)
def test_bad_region(roi):
    with pytest.raises(ConfigError, match="roi"):
        checked_region(roi, (4, 4))


def test_float_round_trip(tmp_path):
    image = np.random.default_rng(1).random((5, 7)) * 1e9
    write_float(tmp_path / "f.bin", image)
    assert (tmp_path / "f.bin").read_bytes() == image.astype("<f4").tobytes()
    assert np.array_equal(read_float(tmp_path / "f.bin", (5, 7)), image.astype(np.float32))
    with pytest.raises(FileFormatError, match="140 bytes, expected 168 for 6 x 7"):
        read_float(tmp_path / "f.bin", (6, 7))
    with pytest.raises(FileFormatError, match="No such file"):
        read_float(tmp_path / "g.bin", (6, 7))


def test_float_takes_tensors(tmp_path):
    torch = pytest.importorskip("torch")
    write_float(tmp_path / "f.bin", torch.ones((2, 3), dtype=torch.float64, requires_grad=True))
    assert np.array_equal(read_float(tmp_path / "f.bin", (2, 3)), np.ones((2, 3)))


def test_pgm_bytes_and_round_trip(tmp_path):
    grey = np.arange(128 * 128, dtype=np.uint32).reshape(128, 128).astype(np.uint8)
    write_pgm(tmp_path / "a.pgm", grey, scale=0.0158929)
    # an image of the original (docs/file_formats.md, PGM)
    assert (tmp_path / "a.pgm").read_bytes().startswith(b"P5\n128 128\n# pixels scaled by 0.0158929\n255\n\x00\x01")
    assert np.array_equal(read_pgm(tmp_path / "a.pgm"), grey)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not a binary PGM"),
        (b"P2\n1 1\n255\n0", "not a binary PGM"),
        (b"P5\n2 2\n255\nabc", "3 bytes of pixels, expected 4"),
        (b"P5\n2 2\n65535\nabcdefgh", "largest grey"),
    ],
)
def test_bad_pgm(tmp_path, content, words):
    (tmp_path / "a.pgm").write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read_pgm(tmp_path / "a.pgm")


def test_pgm_refuses_other_types(tmp_path):
    with pytest.raises(ConfigError, match="uint8"):
        write_pgm(tmp_path / "a.pgm", np.ones((2, 2)))


def decoded_png(data):
    """Pixels of an unfiltered 8-bit grey PNG, every checksum verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, offset = {}, 8
    while offset < len(data):
        length, kind = struct.unpack(">I4s", data[offset : offset + 8])
        body = data[offset + 8 : offset + 8 + length]
        assert struct.unpack(">I", data[offset + 8 + length : offset + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        offset += 12 + length
    width, height, depth, color, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, color, rest) == (8, 0, [0, 0, 0]) and chunks[b"IEND"] == b""
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


def test_png_decodes_to_what_was_written(tmp_path):
    grey = np.random.default_rng(1).integers(0, 256, (5, 7), dtype=np.uint8)
    write_png(tmp_path / "a.png", grey)
    assert np.array_equal(decoded_png((tmp_path / "a.png").read_bytes()), grey)
    write_png(tmp_path / "b.png", grey.astype(float))
    assert np.array_equal(decoded_png((tmp_path / "b.png").read_bytes()), preview(grey.astype(float)))


def test_preview_shows_weak_and_strong_spots_whatever_the_fluence():
    # a spot pattern over six decades of intensity
    image = np.zeros((100, 100))
    image[::10, ::10] = np.logspace(0, 6, 100).reshape(10, 10)
    grey = preview(image)
    spots = grey[::10, ::10].ravel().astype(int)
    assert grey[1, 1] == 255 and spots[-1] == 0 and (np.diff(spots) <= 0).all()
    assert len(set(spots.tolist())) > 15  # many greys: neither washed out nor a few black dots
    assert np.array_equal(preview(image * 1e-9), grey)
    with_offset = preview(image + np.random.default_rng(1).poisson(40, image.shape))
    assert np.median(with_offset) > 200 and with_offset[90, 90] == 0  # noise on an offset stays nearly white
    assert (preview(np.zeros((4, 4))) == 255).all() and (preview(np.full((4, 4), 7.0)) == 255).all()
    assert preview(np.array([[np.nan, -1.0, np.inf, 1.0]])).tolist()[0][:3] == [255, 255, 0]


def filtered_png(grey):
    """A PNG whose rows take the five filter types in turn (PNG section 9)."""

    def paeth(a, b, c):
        return min((a, b, c), key=lambda x: (abs(a + b - c - x), (a, b, c).index(x)))

    raw = b""
    for y, row in enumerate(grey.astype(int)):
        above = grey[y - 1].astype(int) if y else 0 * row
        raw += bytes([y % 5])
        for x, value in enumerate(row):
            a, b, c = (row[x - 1] if x else 0), above[x], (above[x - 1] if x else 0)
            raw += bytes([(value - (0, a, b, (a + b) // 2, paeth(a, b, c))[y % 5]) & 255])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", *grey.shape[::-1], 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    )
    body = b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_png_reads_back(tmp_path):
    grey = np.random.default_rng(5).integers(0, 256, (13, 17), dtype=np.uint8)
    write_png(tmp_path / "a.png", grey)
    assert np.array_equal(read_png(tmp_path / "a.png"), grey)
    (tmp_path / "b.png").write_bytes(filtered_png(grey))
    assert np.array_equal(read_png(tmp_path / "b.png"), grey)


@pytest.mark.parametrize(
    "damage", [lambda d: b"", lambda d: d[:45], lambda d: d[:45] + b"x" + d[46:], lambda d: d[:33]]
)
def test_damaged_png(tmp_path, damage):
    write_png(tmp_path / "a.png", np.zeros((13, 17), np.uint8))
    (tmp_path / "a.png").write_bytes(damage((tmp_path / "a.png").read_bytes()))
    with pytest.raises(FileFormatError, match=r"a\.png"):
        read_png(tmp_path / "a.png")
