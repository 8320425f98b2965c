"""Whatever bytes a reader meets, it reads them or raises FileFormatError."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobragg import io
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import FileFormatError
from nanobragg.io.images.smv import header_values, load_smv
from nanobragg.io.matrix import read_matrix_legacy
from nanobragg.io.reflections.hkl import read_hkl_legacy
from nanobragg.io.sourcefile import read_sourcefile_legacy

DATA = Path(__file__).parents[1] / "data"
SMALL_TABLE = 2**20
KEYS = ("SIZE1", "DISTANCE", "ORGX", "PHI")


def import_header(path, strict):
    image = load_smv(path, strict=strict)
    header_values(path, image.text, KEYS, strict)


READERS = {
    "hkl": ("p1_small.hkl", lambda p: StructureFactors.from_hkl(p, max_bytes=SMALL_TABLE)),
    "hkl lenient": ("p1_small.hkl", read_hkl_legacy),
    "fdump": ("Fdump_asym.bin", lambda p: io.read_fdump(p, max_bytes=SMALL_TABLE)),
    "matrix": ("ortho_l1.mat", io.read_matrix),
    "matrix lenient": ("ortho_l1.mat", read_matrix_legacy),
    "sources": ("sources_partial.txt", io.read_sourcefile),
    "sources lenient": ("sources_partial.txt", read_sourcefile_legacy),
    "smv": ("mask.img", lambda p: import_header(p, True)),
    "smv lenient": ("mask.img", lambda p: import_header(p, False)),
    "pgm": (b"P5\n4 3\n# pixels scaled by 1\n255\n" + bytes(range(12)), io.read_pgm),
    "float": (bytes(48), lambda p: io.read_float(p, (3, 4))),
}
TROUBLE = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b"#",
    b"nan",
    b"inf",
    b"1e999",
    b"-",
    b"99999999999999999999",
    b"0x1p5",
    b"1_0",
    b"=",
    b";",
    b"}",
    b"{",
    b"\xff\xfe",
    b"\f",
    b" ",
    b".",
    b"1.5",
    b"SIZE1",
    "\N{SUPERSCRIPT TWO}".encode(),
    b"+",
    b"e",
]
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.sampled_from(TROUBLE), st.binary(max_size=6))),
    max_size=5,
)


@pytest.mark.parametrize("name", READERS)
@given(edits=edits, head=st.booleans(), cut=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_only_file_format_errors_escape(tmp_path_factory, name, edits, head, cut):
    source, reader = READERS[name]
    data = bytearray(source if isinstance(source, bytes) else (DATA / source).read_bytes())
    for place, length, replacement in edits:
        start = int(place * (200 if head else len(data)))  # half of the examples spoil the head, where headers are
        data[start : start + length] = replacement
    if cut < 0.2:
        del data[int(5 * cut * len(data)) :]
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(data)
    try:
        with np.errstate(all="raise"):
            reader(path)
    except FileFormatError as error:
        assert str(path) in str(error)
