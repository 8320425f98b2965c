"""Columns of MTZ files, lists of SHELX and XDS."""

import numpy as np
import pytest

import nanobragg as nb
from tests.field.field_inputs import FIELD, RELATIVE, refusal, warned

PHENIX = {(2, 1, 4): (110.97, 101.84), (4, 1, 1): (175.62, 178.95), (4, 3, 4): (157.69, 164.93), (5, 3, 4): (110.59, 140.07),
          (1, 0, 5): (169.24, 169.24)}  # fmt: skip
PAIRS = {(2, 1, 4): (54.57, 51.75), (4, 1, 1): (58.57, 53.15), (4, 3, 4): (56.26, 59.56), (5, 3, 4): (56.58, 53.54),
         (1, 0, 5): (51.705, 51.705)}  # fmt: skip
INTENSITIES = {(2, 1, 4): 29.8243, (4, 1, 1): 22.1903, (4, 3, 4): 21.0564, (5, 3, 4): 28.9382, (1, 0, 5): 27.4078}
AMPLITUDES = {(2, 1, 4): 475.95, (4, 1, 1): 187.38, (4, 3, 4): 257.26, (5, 3, 4): 373.15, (1, 0, 5): 162.6}
REFMAC = {(2, 1, 4): (336.43, 120.3, 53.66), (4, 1, 1): (332.04, 195.82, 55.47), (4, 3, 4): (374.43, 161.08, 52.45),
          (5, 3, 4): (301.72, 123.81, 56.75), (1, 0, 5): (396.94, 177.74, 52.87)}  # fmt: skip
"""FC_ALL, FC, FP"""


def amplitude(table, hkl):
    return float(table.amplitude[tuple(np.array(hkl) - table.hkl_min)])


def assert_amplitudes(table, right):
    """Values at h k l and -h -k -l, and at their mates of P 43 21 2."""
    for (h, k, el), value in right.items():
        plus, minus = value if isinstance(value, tuple) else (value, value)
        assert amplitude(table, (h, k, el)) == pytest.approx(plus, rel=RELATIVE)
        assert amplitude(table, (-h, -k, -el)) == pytest.approx(minus, rel=RELATIVE)
        assert amplitude(table, (-h, -k, el)) == pytest.approx(plus, rel=RELATIVE)
        assert amplitude(table, (k, h, -el)) == pytest.approx(plus, rel=RELATIVE)


def test_a_calculated_pair_comes_before_measured_ones():
    with warned() as texts:
        table = nb.StructureFactors.from_mtz(FIELD / "f08_mtz_anomalous" / "phenix.mtz")
    assert_amplitudes(table, PHENIX)
    assert any("F-model(+)/F-model(-)" in text and "F-obs-filtered(+)" in text for text in texts)


def test_a_pair_comes_before_differences():
    assert_amplitudes(nb.StructureFactors.from_mtz(FIELD / "f08_mtz_anomalous" / "pairs_and_anom.mtz"), PAIRS)


def test_differences_are_not_taken_unasked():
    path = FIELD / "f08_mtz_anomalous" / "only_differences.mtz"
    text = refusal(nb.StructureFactors.from_mtz, path)
    for label in ("ANOM", "FOFCWT", "DELFAN", "F_early-late", "DF"):
        assert label in text
        assert nb.StructureFactors.from_mtz(path, label=label).n_reflections > 0


@pytest.mark.parametrize(("name", "right"), [("i_first.mtz", INTENSITIES), ("l_k_h_last.mtz", AMPLITUDES)])
def test_indices_are_columns_by_name(name, right):
    assert_amplitudes(nb.StructureFactors.from_mtz(FIELD / "f09_mtz_column_order" / name), right)


def test_refmac():
    path = FIELD / "f10_refmac" / "refmac.mtz"
    with warned() as texts:
        table = nb.StructureFactors.from_mtz(path)
    assert_amplitudes(table, {hkl: values[0] for hkl, values in REFMAC.items()})
    assert any(
        "taken from FC_ALL" in text and all(f"{n}" in text for n in ("FC,", "FP", "FC_ALL_LS")) for text in texts
    )
    for i, label in ((1, "FC"), (2, "FP")):
        found = nb.StructureFactors.from_mtz(path, label=label)
        assert_amplitudes(found, {hkl: values[i] for hkl, values in REFMAC.items()})


def test_hklf4():
    with warned() as texts:
        table = nb.StructureFactors.from_hkl(FIELD / "f14_lists_and_headers" / "hklf4.hkl")
    assert len(texts) == 1 and "HKLF 4" in texts[0] and "1 negative ones count as 0" in texts[0]
    for hkl, right in (((1, 0, 0), 35.1363), ((-1, 0, 0), np.sqrt(1201.5)), ((0, 2, -1), 316.226), ((12, -13, 14), 9.38989),
                       ((0, 0, 3), 0.0), ((2, 1, 0), 20.0), ((0, 0, 0), 0.0)):  # fmt: skip
        assert amplitude(table, hkl) == pytest.approx(right, rel=RELATIVE)
    assert table.n_reflections == 6


def test_negative_amplitudes_are_told(tmp_path):
    (tmp_path / "x.hkl").write_text("1 0 0 5.5\n0 1 0 -3\n")
    with warned() as texts:
        nb.StructureFactors.from_hkl(tmp_path / "x.hkl")
    assert texts == [f"{tmp_path / 'x.hkl'}: 1 of 2 amplitudes are negative; are they intensities?"]


@pytest.mark.parametrize("name", ["INTEGRATE.HKL", "XDS_ASCII.HKL"])
def test_unmerged_lists_of_xds(name):
    text = refusal(nb.StructureFactors.from_hkl, FIELD / "f14_lists_and_headers" / name)
    assert "unmerged" in text and "XSCALE" in text and "from_mtz" in text


FCF = {(1, 1, 0): (20, 20.2485), (2, 1, 0): (10, 11), (0, 2, 0): (30, 29.6648), (1, 2, 3): (7.5, 0)}


@pytest.mark.parametrize("name", ["list4.fcf", "list6.fcf"])
def test_lists_of_shelxl(name):
    path = FIELD / "m07_fcf" / name
    with warned():
        calculated = nb.StructureFactors.from_cif(path)
        measured = nb.StructureFactors.from_cif(path, label="F_squared_meas")
    for table, i in ((calculated, 0), (measured, 1)):
        for (h, k, el), values in FCF.items():
            for sign in np.array(np.meshgrid((1, -1), (1, -1), (1, -1))).reshape(3, -1).T:  # P 21 21 21: every sign
                assert amplitude(table, sign * (h, k, el)) == pytest.approx(values[i], rel=RELATIVE)
    assert calculated.space_group == "P 21 21 21" and calculated.unit_cell == (5.2, 10.3, 21.0, 90, 90, 90)
    assert "F_squared_meas" in refusal(nb.StructureFactors.from_cif, path, label="FP")


def test_fcf_with_a_cell_or_a_value_that_cannot_be(tmp_path):
    path, text = tmp_path / "x.fcf", (FIELD / "m07_fcf" / "list6.fcf").read_text()
    path.write_text(text.replace("_cell_length_a 5.2", "_cell_length_a 1.7e308"))
    assert "1.7e+308" in refusal(nb.StructureFactors.from_cif, path)
    path.write_text(text.replace("_cell_angle_beta 90", "_cell_angle_beta 4.9406565e-324"))
    assert "gives reflections no spacing" in refusal(nb.StructureFactors.from_cif, path)
    assert "20.000" in text
    path.write_text(text.replace("20.000", "-2147483648"))  # alone: nothing that it could disagree with
    assert nb.StructureFactors.from_cif(path).has_table


def test_an_mtz_header_that_lies_far_away(tmp_path):
    """The machine stamp says in which order the bytes of its place stand; the other order would be 7 GB away."""
    data = bytearray((FIELD / "f10_refmac" / "refmac.mtz").read_bytes())
    assert data[9] & 0xF0 == 0x40
    data[9] = 0x11
    path = tmp_path / "x.mtz"
    path.write_bytes(data)
    assert "its header lies beyond its end" in refusal(nb.StructureFactors.from_mtz, path)
