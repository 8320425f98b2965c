"""From arguments to the Experiment: units, precedence and side effects (docs/command.md; docs/model.md)."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.config.quirks import REFERENCE
from nanobragg.derivation.placement import place
from nanobragg.derivation.vectors import FLOAT_OPS

NEEDED = "-default_F 1 -cell 50 60 70 80 85 95 -detpixels 100"


def experiment(text: str, fidelity: str = "reference", needed: str = NEEDED) -> nb.Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nb.Experiment.from_nanobragg_args([*needed.split(), *text.split()], fidelity)


@pytest.mark.parametrize(("flags", "path", "value"), [
    ("-cell 50 60 70 80 85 95", "crystal.unit_cell.beta", 85.0),
    ("-misset 1 -2 3", "crystal.misset_deg", (1.0, -2.0, 3.0)),
    ("-misset random", "crystal.misset_deg", "random"),
    ("-misset_seed 9", "crystal.misset_seed", 9),
    ("-N 4 -Nb 5", "crystal.n_cells", (4.0, 5.0, 4.0)),
    ("-xtalsize 0.01 -height 0.02", "crystal.size_mm", (0.01, 0.01, 0.02)),
    ("-sample_x 0.01 -sample_size -1", "crystal.size_mm", None),
    ("-binary_spots", "crystal.shape", "tophat"),
    ("-fudge 0.5", "crystal.fudge", 0.5),
    ("-mosaicity 0.5", "crystal.mosaic.spread_deg", 0.5),
    ("-mosaic_domains 0", "crystal.mosaic.n_domains", None),
    ("-mosaic_seed 7", "crystal.mosaic.seed", 7),
    ("-lambda 2 -energy 12398.42", "beam.wavelength_angstrom", 1.0),
    ("-energy 6199.21 -wave 1.5", "beam.wavelength_angstrom", 1.5),
    ("", "beam.wavelength_angstrom", 1.0),
    ("-fluence 1e20", "beam.fluence_per_m2", 1e20),
    ("-flux 1e12", "beam.flux_per_s", 1e12),
    ("-flux 1e12 -exposure 0", "beam.flux_per_s", None),
    ("-flux 1e12 -beamsize -1", "beam.flux_per_s", None),
    ("-flux 0", "beam.flux_per_s", None),
    ("-polar 0.9", "beam.kahn_factor", 0.9),
    ("-polar 0.9 -nopolar", "beam.polarized", False),
    ("-nopolar -polar 0.9", "beam.polarized", True),
    ("-dispersion 0.5", "beam.dispersion_percent", 0.5),
    ("-dispsteps -1", "beam.n_wavelengths", None),
    ("-divergence 2", "beam.divergence.v_mrad", 2.0),
    ("-divsteps 3 -square_div", "beam.divergence.round", False),
    ("-hdivstep 0.3", "beam.divergence.h_step_mrad", 0.3),
    ("-square_div", "beam.divergence", None),
    ("", "detector.distance_mm", 100.0),
    ("-distance -80", "detector.distance_mm", 80.0),
    ("-close_distance 80", "detector.close_distance_mm", 80.0),
    ("-close_distance 80", "detector.distance_mm", None),
    ("-Xbeam 3", "detector.beam_center_convention_mm", (3.0, None)),
    ("-ORGX 3 -ORGY 4", "detector.org_px", (3.0, 4.0)),
    ("-Yclose 4", "detector.close_point_mm", (None, 4.0)),
    ("-detector_rotz 4", "detector.rotation_deg", (0.0, 0.0, 4.0)),
    ("-twotheta 4", "detector.twotheta_deg", 4.0),
    ("-pix0_vector 0.1 0.2 0.3", "detector.pix0_mm", (100.0, 200.0, 300.0)),
    ("-pix0_vector_mm 0.1 0.2 0.3", "detector.pix0_mm", (0.1, 0.2, 0.3)),
    ("-point_pixel", "detector.point_pixel", True),
    ("-phi 3 -osc 1 -phisteps 5", "goniometer.n_steps", 5),
    ("-osc -1", "goniometer.osc_deg", None),
    ("-phistep 0", "goniometer.step_deg", None),
    ("-phisteps 0", "goniometer.n_steps", 1),
    ("-oversample 0", "sampling.oversample", None),
    ("-nointerpolate -interpolate", "sampling.interpolate", "tricubic"),
    ("-dmin 0", "sampling.d_min_angstrom", None),
    ("-roi 5 10 20 20", "sampling.roi", (slice(20, 21), slice(5, 11))),
    ("-roi -1 -1 20 100", "sampling.roi", (slice(20, 100), slice(0, 100))),
    ("-water 20", "background.water_um", 20.0),
])  # fmt: skip
def test_flag_to_field(flags: str, path: str, value: object) -> None:
    assert experiment(flags).get(path) == value


@pytest.mark.parametrize(("flags", "counts", "size"), [
    ("", (1024, 1024), (102.4, 102.4)),
    ("-detpixels_x 72 -detpixels_y 88", (72, 88), None),
    ("-detpixels_x 72", (72, 1024), (None, 102.4)),
    ("-detsize 9 -pixel 0.15", (60, 60), (9.0, 9.0)),
    ("-detsize 25.5 -pixel 0.4", (64, 64), (25.5, 25.5)),  # 63.75 pixels, half rounds down
    ("-detsize 8.05", (80, 80), (8.05, 8.05)),
    ("-detsize 9 -detpixels 50", (50, 50), None),
])  # fmt: skip
def test_pixel_counts_and_sizes(flags: str, counts: tuple[int, int], size: object) -> None:
    detector = experiment(flags, needed="-default_F 1 -cell 50").detector
    assert ((detector.n_fast, detector.n_slow), detector.size_mm) == (counts, size)


@pytest.mark.parametrize(("flags", "convention", "pivot", "fast"), [
    ("", "mosflm", "beam", (0, 0, 1)),
    ("-xds", "xds", "sample", (1, 0, 0)),
    ("-pivot sample", "mosflm", "beam", (0, 0, 1)),
    ("-fdet_vector 0 1 0 -sdet_vector 0 0 1 -xds", "xds", "sample", (1, 0, 0)),
    ("-xds -sdet_vector 0 -1 0", "custom", "sample", (0, 0, 1)),
    ("-fdet_vector 0 1 0 -xds -sdet_vector 0 0 1", "custom", "sample", (0, 1, 0)),
    ("-spindle_axis 1 0 0 -distance 100", "custom", "beam", (0, 0, 1)),
    ("-spindle_axis 1 0 0 -twotheta 0", "custom", "sample", (0, 0, 1)),
    ("-spindle_axis 1 0 0 -twotheta 0 -pivot beam", "custom", "beam", (0, 0, 1)),
    ("-spindle_axis 1 0 0 -ORGX 4 -Xbeam 4", "custom", "beam", (0, 0, 1)),
    ("-dials -pix0_vector 0 0 0", "custom", "beam", (0, 0, 1)),
    ("-xds -twotheta_axis 0 1 0 -distance 100", "custom", "beam", (0, 0, 1)),
])  # fmt: skip
def test_conventions_vectors_and_pivots_in_reference_fidelity(
    flags: str, convention: str, pivot: str, fast: object
) -> None:
    placement = place(experiment(flags), FLOAT_OPS)
    assert (placement.convention, placement.pivot, placement.fast) == (convention, pivot, fast)


def test_in_corrected_fidelity_vectors_leave_the_convention_alone() -> None:
    placement = place(experiment("-spindle_axis 0 1 0 -xds -twotheta 0", "corrected"), FLOAT_OPS)
    assert (placement.convention, placement.pivot, placement.spindle) == ("xds", "sample", (0, 1, 0))
    assert experiment("-ORGX 3", "corrected").detector.pivot is None
    assert experiment("-pivot sample", "corrected").detector.pivot == "sample"


@pytest.mark.parametrize(("flags", "reference", "corrected"), [
    ("-detector_thick 100 -detector_abs inf", (0.0, math.inf), (100.0, math.inf)),
    ("-detector_abs 0 -detector_thick 100", (100.0, math.inf), (100.0, math.inf)),
    ("-detector_abs 300 -detector_thick 100", (100.0, 300.0), (100.0, 300.0)),
    ("-detector_thick 100", (100.0, None), (100.0, None)),
    ("-detector_abs 300", (0.0, 300.0), (0.0, 300.0)),
])  # fmt: skip
def test_sensor_flags_act_from_left_to_right(flags: str, reference: object, corrected: object) -> None:
    for fidelity, expected in (("reference", reference), ("corrected", corrected)):
        sensor = experiment(flags, fidelity).detector.sensor
        assert sensor is not None and (sensor.thickness_um, sensor.attenuation_um) == expected
    assert experiment("").detector.sensor is None


def test_a_negative_beam_size_disables_clipping() -> None:
    # the default beam of 0.1 mm clips b and c; a negative one clips nothing
    from nanobragg.derivation.resolve import resolve

    clipped = resolve(experiment("-xtalsize 0.3")).size.clipped
    assert [(axis, beam) for axis, _, beam in clipped] == [("high", 1e-4), ("wide", 1e-4)]
    assert resolve(experiment("-xtalsize 0.3 -beamsize -1")).size.clipped == []


@pytest.mark.parametrize(("typed", "cell"), [
    ("80", (80, 80, 80, 90, 90, 90)), ("70 80 95", (70, 80, 95, 90, 90, 90)), ("70 0 95 0 100", (70, 70, 95, 90, 100, 90)),
])  # fmt: skip
def test_missing_cell_values(typed: str, cell: tuple[float, ...]) -> None:
    built = experiment(f"-cell {typed}", needed="-default_F 1 -detpixels 10").crystal.unit_cell
    assert built is not None and (built.a, built.b, built.c, built.alpha, built.beta, built.gamma) == cell


def test_matrix_rows_and_wavelength(tmp_path: Path) -> None:
    values = 1.3 * np.array([[0.01, 0.002, 0.0], [0.0, 0.02, 0.001], [0.0, 0.0, 0.03]])
    (tmp_path / "m.mat").write_text("\n".join(" ".join(map(repr, row)) for row in values.tolist()) + "\nrest")
    matrix = experiment(f"-mat {tmp_path}/m.mat -lambda 1.3", needed="-default_F 1").crystal.a_star_matrix
    # the file holds columns a*, b*, c* times the wavelength; one rounding each way
    np.testing.assert_allclose(matrix, values.T / 1.3, rtol=3e-16)


def test_a_short_matrix_keeps_the_vectors_of_the_cell(tmp_path: Path) -> None:
    (tmp_path / "s.mat").write_text("0.05 0.001 0.002\n0 oops")
    built = experiment(f"-mat {tmp_path}/s.mat -cell 20 25 30 90 90 90", needed="-default_F 1").crystal
    expected = [[0.05, 0, 0], [0.001, 1 / 25, 0], [0.002, 0, 1 / 30]]  # cos(90 degrees) is 6e-17, not 0
    np.testing.assert_allclose(built.a_star_matrix, expected, atol=1e-17, rtol=1e-15)


def test_source_columns_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("-10.0 0.02 -0.01\n\n-9.5, -0.03, 0.015, 2.5\n-10 0 0.04 0.7 1.01e-10\n-10 0.01\n")
    sources = experiment(f"-sourcefile {tmp_path}/s.txt -lambda 1.2 -beam_vector 2 0 0").beam.sources
    assert sources is not None
    np.testing.assert_array_equal(sources.direction[3], [-10, 0.01, 0])
    np.testing.assert_array_equal(sources.weight, [1, 2.5, 0.7, 1])
    # exact where derive divides by 1e10 again
    np.testing.assert_array_equal(sources.wavelength_angstrom / 1e10, [1.2 / 1e10, 1.2 / 1e10, 1.01e-10, 1.2 / 1e10])


def test_fidelity_and_quirks_tokens_win() -> None:
    assert experiment("").quirks == REFERENCE
    assert experiment("--fidelity corrected").quirks == frozenset()
    assert experiment("--fidelity reference", "corrected").quirks == REFERENCE
    assert experiment("--quirks STALE_PHI_ZERO,WATER_SCALE").quirks == {nb.Quirk.STALE_PHI_ZERO, nb.Quirk.WATER_SCALE}
    assert experiment("--quirks none").quirks == frozenset()
    assert experiment("--quirks all", "corrected").quirks == REFERENCE


def test_corrected_implies_strict_and_reference_does_not() -> None:
    with pytest.raises(nb.UsageError, match="unknown flag"):
        experiment("-foo", "corrected")
    with pytest.raises(nb.UsageError, match="unknown flag"):
        experiment("-foo --strict")
    with pytest.warns(nb.NanoBraggWarning, match="-foo is ignored"):
        nb.Experiment.from_nanobragg_args([*NEEDED.split(), "-foo"])


def test_nothing_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "F.hkl").write_text("0 0 1 10\n1 2 3 20\n")
    built = experiment("-hkl F.hkl -floatfile x.bin --threads 1 --kernel scalar -noprogress -seed 3")
    assert built.crystal.structure_factors is not None and built.crystal.structure_factors.n_reflections == 2
    assert [path.name for path in tmp_path.iterdir()] == ["F.hkl"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("flags", "says"), [
    ("-pivot sample", "-pivot has no effect because the mosflm convention"),
    ("-xds -Xbeam 3 -Yclose 3", "-Xbeam -Yclose have no effect because under xds"),
    ("-ORGX 3", "-ORGX has no effect because under mosflm"),
    ("-beam_vector 1 0 0 -adxv", "-beam_vector has no effect because -adxv comes after"),
    ("-pix0_vector 0 0 0", "-pix0_vector has no effect"),
    ("-distance 90 -close_distance 80", "-distance has no effect because the close distance decides"),
    ("-flux 1e9 -fluence 1e20", "-fluence has no effect because -flux decides"),
    ("-dispsteps 3", "-dispsteps has no effect because there is no -dispersion"),
    ("-density 2 -MW 3 -coherent -stolout x", "-density has no effect"),
    ("-detsize 5", "-detsize has no effect because the pixel counts decide"),
    ("-distance -100", "rendered as 100"),
])  # fmt: skip
def test_settings_without_effect_are_named(flags: str, says: str) -> None:
    with pytest.warns(nb.NanoBraggWarning) as caught:
        nb.Experiment.from_nanobragg_args([*NEEDED.split(), *flags.split()])
    assert any(says in str(warning.message) for warning in caught), [str(w.message) for w in caught]


def wavelengths(text: str) -> list[float]:
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve

    found = derivation(resolve(experiment(text))).sources.wavelengths
    assert found is not None
    return [float(x) for x in found]


def test_negative_dispersion_with_a_count() -> None:
    """docs/model.md, Counts, n > 0, R < 0: R = 100 %, h = R/n, so the upper edge is not reached; without a count, none."""
    assert wavelengths("-dispersion -1 -dispsteps 3") == [1e-10 * (1 + (1.0 / 3) * m - 0.5) for m in range(3)]
    assert wavelengths("-dispersion -1 -dispsteps 1") == [1e-10 * 0.5]
    assert wavelengths("-dispersion -1") == [1e-10]


def test_divergence_count_without_a_range_steps_exactly() -> None:
    """docs/model.md, Counts: h = 1.0/n radian to the last bit; 9 and 13 are counts for which (1000/n)/1000 is not 1/n."""
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve

    for n in (3, 9, 13):
        assert derivation(resolve(experiment(f"-hdivsteps {n} -square_div"))).sources.horizontal.step == 1.0 / n


def test_phi_step_of_0_keeps_the_range() -> None:
    """docs/model.md, Counts, last row: count, range and step stay as typed."""
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve

    d = derivation(resolve(experiment("-phisteps 3 -osc 1 -phistep 0 -phi 2")))
    assert d.rotation.phi == [2 / 57.29577951308232] * 3
    assert d.rotation.osc == 1 / 57.29577951308232


def test_negative_thickness_with_a_count_is_half_a_micrometer() -> None:
    """docs/model.md, Sensor, n > 0, T < 0."""
    from nanobragg.derivation.derive import derivation
    from nanobragg.derivation.resolve import resolve

    layers = derivation(resolve(experiment("-detector_thick -5 -thicksteps 4"))).layers
    assert (layers.thickness, layers.step, layers.n) == (0.5e-6, 0.5e-6 / 4, 4)
    assert layers.attenuation == 1 / 0.5e-6


HEADER = """{
HEADER_BYTES=512;
BYTE_ORDER=little_endian;
SIZE1=8;
SIZE2=6;
PIXEL_SIZE=1;
DISTANCE=100;
CLOSE_DISTANCE=90;
BEAM_CENTER_X=3;
BEAM_CENTER_Y=4;
}\f"""


def test_a_flag_overrides_a_header_of_another_kind(tmp_path: Path) -> None:
    """docs/command.md: flags override anything that came from headers; reference fidelity keeps the original's precedence."""
    path = tmp_path / "a.img"
    path.write_bytes(HEADER.encode().ljust(512) + bytes(96))
    needed = f"-default_F 1 -cell 50 60 70 80 85 95 -img {path}"
    for fidelity, given in (("reference", (150.0, 90.0)), ("corrected", (150.0, None))):
        det = experiment("-distance 150", fidelity, needed).detector
        assert (det.distance_mm, det.close_distance_mm) == given
    corrected = experiment("-ORGX 2 -ORGY 3", "corrected", needed).detector
    assert (corrected.org_px, corrected.beam_center_convention_mm) == ((2.0, 3.0), None)
    both = experiment("-ORGX 2 -Xbeam 1", "corrected", needed).detector
    assert both.beam_center_convention_mm == (1.0, 4.0)


def test_pix0_stands_alone_in_corrected_fidelity() -> None:
    """No distance is invented next to a corner that decides everything, so nothing differs from it."""
    text = "-pix0_vector_mm 150 5 -5"
    assert experiment(text, "corrected").detector.distance_mm is None
    assert experiment(text, "reference").detector.distance_mm == 100.0


def test_one_string_is_no_list_of_arguments() -> None:
    with pytest.raises(nb.ConfigError, match=r"shlex\.split"):
        nb.Experiment.from_nanobragg_args(NEEDED)


@pytest.mark.parametrize("text", [
    "-dials -twotheta 5", "-xds -distance 80 -detector_rotx 5", "-mosflm -twotheta 5 -ORGX 40 -ORGY 60",
    "-adxv -close_distance 80", "-mosaic 1 -osc 1", "-detector_thick 100 -detector_abs 50 -thicksteps 3",
    "-xtalsize 0.00003", "-water 3 -dmin 3",
])  # fmt: skip
def test_corrected_afterwards_is_corrected_at_once(text: str) -> None:
    """Nothing of the original's side effects stays behind in an experiment that is switched to the corrected model."""
    needed = "-default_F 1 -cell 50 60 70 80 85 95 -N 3 -detpixels 8 -pixel 10 -oversample 1"
    switched = experiment(text, "reference", needed).with_fidelity("corrected")
    np.testing.assert_array_equal(nb.simulate(switched), nb.simulate(experiment(text, "corrected", needed)))


@pytest.mark.parametrize(
    "text", ["-divergence 5", "-dispersion -1 -dispsteps 2", "-fdet_vector 0 -1 0", "-close_distance -80"]
)
def test_asking_what_a_quirk_changes_never_stops_a_run(text: str) -> None:
    """The corrected model refuses each of these, the original renders it."""
    needed = "-default_F 1 -cell 50 60 70 80 85 95 -N 3 -detpixels 8 -pixel 10 -oversample 1"
    assert np.isfinite(nb.simulate(experiment(text, "reference", needed))).all()
