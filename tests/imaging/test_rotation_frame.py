"""The frame of examples/rotation_frame.toml: a model, background, gaps and counts, into files that others read."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.exchange.images.provenance import read_provenance
from nanobragg.exchange.toml import read_toml
from nanobragg.io import read_smv

EXAMPLE = Path(__file__).parents[2] / "examples" / "rotation_frame.toml"
GAP = -1
# quick: a small detector, few orientations, no atoms but one
CHANGES = {
    "detector.preset": "pilatus_300k", "readout.preset": "pilatus_300k", "goniometer.n_steps": 2,
    "crystal.mosaic.n_domains": 2, "crystal.structure_factors.d_min_angstrom": 4.0, "detector.distance_mm": 120.0,
}  # fmt: skip
MODEL = """CRYST1   34.770   39.170   48.310  90.00  90.00  90.00 P 21 21 21    4
ATOM      1  CA  ALA A   1       5.000   7.000  11.000  1.00 20.00           C
ATOM      2  SG  CYS A   2       9.000  17.000  21.000  1.00 20.00           S
END
"""

fabio = pytest.importorskip("fabio", reason="needs fabio: pip install 'nanobragg[io]'")
pytest.importorskip("h5py", reason="needs h5py: pip install 'nanobragg[io]'")
pytest.importorskip("gemmi", reason="needs gemmi: pip install 'nanobragg[io]'")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "1orc.pdb").write_text(MODEL)
    monkeypatch.chdir(tmp_path)

    def call(output: str, *changes: str) -> None:
        options = [word for path, value in CHANGES.items() for word in ("--set", f"{path}={value}")]
        more = [word for change in changes for word in ("--set", change)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(["run", EXAMPLE.name, *options, *more, "-o", output]) == 0

    return call


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 25


def test_cbf_and_nxmx(run) -> None:
    """The same counts in both, gaps, saturation, and a background within five standard errors (and 5 %) of what was put in."""
    run("frame_####.cbf")
    run("frame.nxs")
    with fabio.open("frame_0001.cbf") as file:
        counts, header = file.data, file.header["_array_data.header_contents"]
    with pytest.importorskip("h5py").File("frame.nxs") as file:
        assert np.array_equal(file["entry/data/data"][0], counts)
        detector = file["entry/instrument/detector"]
        assert detector["saturation_value"][()] == 2**20 - 2 and detector["underload_value"][()] == GAP
        assert np.array_equal(detector["pixel_mask"][()] != 0, counts == GAP)
    assert "Count_cutoff 1048574 counts" in header and counts.shape == (619, 487)
    plan = read_toml(EXAMPLE.name, [f"{path}={value}" for path, value in CHANGES.items()])
    assert np.array_equal(counts == GAP, ~plan.experiment.detector.mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = nb.simulate(plan.experiment, parts=True)
    quiet = plan.experiment.detector.mask & (parts["bragg"] < 1e-3 * parts["background"])
    expected = parts["background"][quiet].mean()
    assert quiet.mean() > 0.5 and abs(counts[quiet].mean() / expected - 1) < 0.05
    assert abs(counts[quiet].mean() - expected) < 5 * np.sqrt(expected / quiet.sum())


def test_offset_and_saturation_go_along(run) -> None:
    """Into SMV, and on through a conversion."""
    run("frame_####.img", "readout.preset=adsc_q315r", "readout.offset_adu=40", "detector.preset=pilatus_300k")
    assert main(["convert", "frame_0001.img", "again_####.img"]) == 0
    assert main(["convert", "again_0001.img", "again_####.cbf"]) == 0
    for name in ("frame_0001.img", "again_0001.img"):
        _, header = read_smv(name)
        assert float(header["ADC_OFFSET"]) == 40 and float(header["CCD_IMAGE_SATURATION"]) == 65534, name
    assert read_provenance("again_0001.cbf")["adc_offset"] == 40
    with fabio.open("again_0001.cbf") as file:
        assert "Count_cutoff 65534 counts" in file.header["_array_data.header_contents"]
