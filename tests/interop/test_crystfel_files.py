"""CrystFEL geometry files: what cannot be read is refused by name, bad regions and globals are taken over."""

import dataclasses

import numpy as np
import pytest
from test_geometry_files import assert_same_image, experiment

import nanobragg as nb
from nanobragg.errors import FileFormatError
from nanobragg.exchange.geometry import of_experiment


def test_crystfel_files_that_cannot_be_read(tmp_path):
    base = experiment().replace(goniometer=nb.Goniometer())
    base.to_crystfel(tmp_path / "x.geom", tmp_path / "x.stream")
    text, stream = (tmp_path / "x.geom").read_text(), (tmp_path / "x.stream").read_text()

    def read(geom, options=None, chunks=stream):
        (tmp_path / "g").write_text(geom)
        (tmp_path / "s").write_text(chunks)
        return nb.Experiment.from_crystfel(tmp_path / "g", tmp_path / "s", base, **(options or {}))

    for changed, message in (
        (text.replace("panel/fs =", "panel/fz ="), "panel/fs is missing"),
        (text.replace("panel/ss = ", "panel/ss = north "), "panel/ss = .*must look like"),
        (text.replace("clen = ", "clen = /LCLS/detector "), "give camera_length_m="),
        (text.replace("panel/corner_x", "panel/corner"), "panel/corner_x is missing"),
        ("; nothing\n", "describes no panel"),
    ):
        with pytest.raises(FileFormatError, match=message):
            read(changed)
    with pytest.raises(FileFormatError, match=r"holds 2 crystals; choose one with index="):
        read(text, chunks=stream + stream)
    assert_same_image(base, read(text, {"index": 1, "wavelength_angstrom": 1.1}, stream + stream))
    with pytest.raises(FileFormatError, match=r"holds no indexed crystal"):
        read(text, chunks="CrystFEL stream format 2.3\n")
    with pytest.raises(FileFormatError, match=r"a place in the image files; give wavelength_angstrom="):
        nb.Experiment.from_crystfel(
            _with(tmp_path, text.replace("wavelength = 1.1", "wavelength = /LCLS/w")), None, base
        )


def _with(tmp_path, text):
    (tmp_path / "h").write_text(text)
    return tmp_path / "h"


def test_crystfel_bad_regions_and_globals(tmp_path):
    (tmp_path / "x.geom").write_text("""photon_energy = 9500 eV
clen = 0.1
coffset = 0.002
res = 10000   ; pixels per meter
rigid_group_all = a,b
bada/panel = a
bada/min_fs = 2
bada/max_fs = 3
bada/min_ss = 0
bada/max_ss = 4
badx/min_x = -1.5
badx/max_x = 1.5
badx/min_y = 5.0
badx/max_y = 7.0
a/min_fs = 0
a/max_fs = 9
a/min_ss = 0
a/max_ss = 7
a/corner_x = -5
a/corner_y = 1
a/fs = x
a/ss = +y
b/min_fs = 0
b/max_fs = 9
b/min_ss = 8
b/max_ss = 15
b/corner_x = -5
b/corner_y = -9
b/fs = +1.0x +0.0y
b/ss = y
b/no_index = 1
""")
    found = nb.Experiment.from_crystfel(tmp_path / "x.geom", None, experiment())
    assert found.beam.wavelength_angstrom == pytest.approx(12398.42 / 9500)
    first, second = found.detector
    assert not second.mask.any()
    expected = np.ones((8, 10), bool)
    expected[0:5, 2:4] = False
    expected[4:6, 3:7] = False  # centers x = -1.5 to 1.5; y = 5.5, 6.5
    np.testing.assert_array_equal(first.mask, expected)
    assert of_experiment(dataclasses.replace(found, detector=first)).panels[0].origin[2] == pytest.approx(-102.0)
