"""XPARM.XDS and XDS.INP with segments, and XPARM.XDS from before 2012."""

import numpy as np
import pytest

import nanobragg as nb
from tests.field.field_inputs import FIELD, TEMPLATE, TO_DIALS, TO_XDS, assert_panel, panels


@pytest.mark.parametrize("name", ["XPARM.XDS", "XDS.INP"])
def test_segments(name):
    first, second = panels(nb.Experiment.from_xds(FIELD / "m04_xds_segments" / name, TEMPLATE))
    assert (first.n_fast, first.n_slow) == (second.n_fast, second.n_slow) == (60, 24)
    assert_panel(first, (-6, -5, 60), (1, 0, 0), (0, 1, 0), TO_XDS)
    assert_panel(second, (-6.2730907, 0.6, 60.31629), (0.9961943, 0, -0.08716038), (0, 1, 0), TO_XDS)


def test_a_segment_whose_lines_are_missing(tmp_path):
    lines = (FIELD / "m04_xds_segments" / "XPARM.XDS").read_text().splitlines()
    (tmp_path / "x").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(nb.FileFormatError, match="2 detector segments, of which 1 are there"):
        nb.Experiment.from_xds(tmp_path / "x", TEMPLATE)


def test_a_count_of_segments_that_is_no_number(tmp_path):
    lines = (FIELD / "m04_xds_segments" / "XPARM.XDS").read_text().splitlines()
    lines[7] = " nan " + lines[7].split(maxsplit=1)[1]
    (tmp_path / "x").write_text("\n".join(lines) + "\n")
    with pytest.raises(nb.FileFormatError, match="nan detector segments"):
        nb.Experiment.from_xds(tmp_path / "x", TEMPLATE)


def test_xparm_before_2012():
    old = nb.Experiment.from_xds(FIELD / "m06_old_xparm" / "XPARM.XDS", TEMPLATE)
    new = nb.Experiment.from_xds(FIELD / "f02_space_groups" / "XPARM.XDS", TEMPLATE)
    assert (
        old.to_dict()
        == new.to_dict()
        == nb.read_geometry(FIELD / "m06_old_xparm" / "XPARM.XDS", template=TEMPLATE).to_dict()
    )
    assert_panel(old.detector, (-6, -5, 60), (1, 0, 0), (0, 1, 0), TO_XDS)
    assert (old.detector.n_fast, old.detector.n_slow, old.crystal.space_group) == (60, 50, "P 41 21 2")
    assert (old.beam.wavelength_angstrom, old.goniometer.phi_start_deg, old.goniometer.osc_deg) == (1.0, 10.0, 1.0)
    axes = np.linalg.inv(np.asarray(old.crystal.a_star_matrix) @ TO_DIALS.T).T
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), (50, 50, 80), atol=1e-4)
