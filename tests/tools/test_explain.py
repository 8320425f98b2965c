"""What explain says: quirks named from the flags, what they cost, what flags did, and how long a run takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small import small
from tool_cases import args_of, in_case_folder

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.cli.words.explain import explain_flags
from nanobragg.config.quirks import REFERENCE, Quirk
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.inspection import coarse
from nanobragg.inspection.foresight.long_run import duration
from nanobragg.inspection.quirk_cost import quirk_costs

TRAPS = {
    "phi_zero_start": ["STALE_PHI_ZERO"],
    "triclinic_misset": ["TRICLINIC_CELL"],
    "thick_layers": ["CAPTURE_LAST_LAYER", "THICK_STEP_OVERSHOOT"],
    "oversample_omega": ["OVERSAMPLE_CUMULATIVE"],
    "water": ["WATER_SCALE"],
    "sourcefile_full": ["SOURCE_WEIGHTS_IGNORED"],
    "shape_gauss": ["GAUSS_TOPHAT_WIDTH"],
    "interp_out_of_range": ["INTERP_SWITCHED_OFF"],
    "xtalsize_auto_interp": ["INTERP_BEFORE_SIZE"],
    "custom_odet_auto": ["ODET_REPLACED"],
    "pix0_vector_ignored": ["PIX0_IGNORED"],
    "twotheta_axis_trap": ["TWOTHETA_AXIS_SETS_ANGLE"],
    "misset_seed_trap": ["MISSET_SEED_SETS_MISSET"],
    "curved_det": ["CURVED_DET_AXES"],
    "point_pixel": ["POINT_PIXEL_AREA"],
    "xds_xbeam_ignored": ["XDS_BEAM_IGNORED"],
    "xds_xclose_ignored": ["XDS_BEAM_IGNORED"],
    "shape_tophat": ["GAUSS_TOPHAT_WIDTH"],
    "phi_through_zero": ["STALE_PHI_ZERO"],
    "custom_odet_missing": ["ODET_REPLACED", "NEGATIVE_SOLID_ANGLE"],
    "conv_custom_defaults": ["CUSTOM_CHANGES_CENTRE"],
    "pivot_overridden": ["PIVOT_FORCED"],
    "pivot_mosflm_ignored": ["PIVOT_FORCED"],
    "div_round": ["DIV_GRID_ASYMMETRIC"],
    "div_steps_without_range": ["DIV_STEPS_ALONE"],
    "dispersion_only": ["DISPERSION_EDGES"],
    "oversample_polar": ["OVERSAMPLE_CUMULATIVE"],
    "interp_asym_table": ["INTERP_SWITCHED_OFF", "INTERP_LOW_EDGE"],
    "sample_thick_width_height": ["XTALSIZE_CEIL"],
    "water_dmin": ["WATER_SCALE", "DMIN_ZEROES_WATER"],
    "img_header_full": ["CLOSE_DISTANCE_WINS"],
    "misset_random_seeded": ["MISSET_RANDOM_90_RAD"],
    "mosaic_20": ["MOSAIC_F32"],
    "detsize_f_s": ["DETSIZE_NOT_ROUNDED"],
    "oversample_2": ["POLAR_CACHED", "OMEGA_CACHED"],
}
"""Golden case and the quirks that it is there for."""
EXACT = {
    "WATER_SCALE", "SOURCE_WEIGHTS_IGNORED", "GAUSS_TOPHAT_WIDTH", "INTERP_SWITCHED_OFF", "INTERP_BEFORE_SIZE",
    "PIX0_IGNORED", "TWOTHETA_AXIS_SETS_ANGLE", "MISSET_SEED_SETS_MISSET", "CURVED_DET_AXES", "POINT_PIXEL_AREA",
    "STALE_PHI_ZERO", "OVERSAMPLE_CUMULATIVE", "NEGATIVE_SOLID_ANGLE", "DMIN_ZEROES_WATER", "MISSET_RANDOM_90_RAD",
}  # fmt: skip
"""Quirks that none of the other cases may be said to trigger."""
SMALL = "-default_F 100 -cell 50 60 70 90 90 90 -N 5 -lambda 1 -distance 100 -pixel 0.4 -detpixels 16 -oversample 1"


def names(flags: list[str]) -> list[str]:
    return [trigger.quirk.name for trigger in explain_flags(flags)[1].quirks]


@pytest.mark.parametrize("name", TRAPS)
def test_quirks_are_named_from_the_flags(name: str) -> None:
    with in_case_folder(name):
        found = names(args_of(name))
        assert set(TRAPS[name]) <= set(found)
        assert not EXACT & set(found) - set(TRAPS[name])


def test_a_plain_run_triggers_none() -> None:
    with in_case_folder("mat_hkl"):
        flags = [*args_of("mat_hkl"), "-oversample", "1", "-Xbeam", "4.8", "-Ybeam", "4.8"]
        assert names(flags) == []
        assert "quirks: none" in str(explain_flags(flags)[1])


@pytest.mark.parametrize("name", TRAPS)
def test_every_trap_costs_something(name: str) -> None:
    """Switched off alone, on a coarse grid, each of them moves pixels by more than rounding, or is refused."""
    with in_case_folder(name):
        costs = {cost.quirk.name: cost for cost in explain_flags(args_of(name), measure=True)[1].costs}
        for quirk in TRAPS[name]:
            least = 1e-10 if quirk == "MOSAIC_F32" else 1e-7  # float32 rounding of angles: measured 3e-9
            assert costs[quirk].refused or costs[quirk].rms > least, (quirk, costs[quirk])


def test_costs_on_a_small_detector_are_those_of_the_whole_images() -> None:
    """16 x 16 pixels are all on the grid: the figures must be those of two full images."""
    experiment = nb.Experiment.from_nanobragg_args(f"{SMALL} -phi 0 -osc 2 -phisteps 2 -water 5 -fluence 1e24".split())
    quirks = [Quirk.STALE_PHI_ZERO, Quirk.PHI_LEFT_EDGE, Quirk.WATER_SCALE]
    whole = nb.simulate(experiment, kernel="scalar")
    for cost in quirk_costs(experiment, quirks):
        without = nb.simulate(experiment.replace(quirks=REFERENCE - {cost.quirk}), kernel="scalar")
        assert cost.pixels == 256
        assert cost.rms == pytest.approx(np.linalg.norm(whole - without) / np.linalg.norm(without), rel=1e-12)
        assert cost.sum_ratio == pytest.approx(whole.sum() / without.sum(), rel=1e-12)
        assert cost.largest == pytest.approx(np.abs(whole - without).max() / without.max(), rel=1e-12)
        assert cost.rms > 1e-3


def test_water_costs_what_the_formula_says() -> None:
    """WATER_SCALE: the background is multiplied by r_e^2 fluence once too often and divided by the steps (docs/quirks.md)."""
    flags = f"{SMALL} -default_F 1e-9 -N 1 -water 10 -fluence 1e24 -oversample 2".split()
    _, explanation, _ = explain_flags(flags, measure=True)
    cost = next(cost for cost in explanation.costs if cost.quirk is Quirk.WATER_SCALE)
    assert cost.sum_ratio == pytest.approx(7.94079248018965e-6 / 4, rel=2e-3)  # the cached factors differ by 1e-3


@pytest.mark.parametrize("name", ["phi_zero_start", "interp_out_of_range", "water_dmin", "thick_layers"])
def test_a_coarse_grid_has_the_pixels_of_the_whole(name: str) -> None:
    """Also where a pixel depends on what was rendered before it (STALE_PHI_ZERO, INTERP_SWITCHED_OFF)."""
    with in_case_folder(name):
        scene = derive(resolve(nb.Experiment.from_nanobragg_args(args_of(name))))
        whole = coarse.values(scene)
        for most in (1, 7, 100, scene.n_pixels):
            positions = coarse.grid(scene, most)
            assert 0 < len(positions) <= most
            assert np.array_equal(coarse.values(coarse.subset(scene, positions)), whole[positions])
        odd = np.arange(1, scene.n_pixels, 2)  # without the first pixel
        assert np.array_equal(coarse.values(coarse.subset(scene, odd)), whole[odd])


def test_quirks_that_the_parser_looks_at_are_switched_off_by_reading_again() -> None:
    """-misset_seed read as -misset, and the vectors that a named convention drops, are decided while reading."""
    for flags, quirk, meant in (
        (f"{SMALL} -misset_seed 7 -phi 3 -osc 1", Quirk.MISSET_SEED_SETS_MISSET, f"{SMALL} -phi 3 -osc 1"),
        (f"{SMALL} -twotheta_axis 0 0 1 -twotheta_axis 1 0 0", Quirk.TWOTHETA_AXIS_SETS_ANGLE,
         f"{SMALL} -twotheta_axis 1 0 0 -twotheta 0"),
    ):  # fmt: skip
        _, explanation, _ = explain_flags(flags.split(), measure=True)
        cost = next(cost for cost in explanation.costs if cost.quirk is quirk)
        ours = nb.simulate(nb.Experiment.from_nanobragg_args(flags.split()), kernel="scalar")
        theirs = nb.simulate(nb.Experiment.from_nanobragg_args(meant.split()), kernel="scalar")
        assert cost.rms == pytest.approx(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs), rel=1e-9)


def test_refused_when_corrected() -> None:
    _, explanation, _ = explain_flags(f"{SMALL} -detector_thick 100".split(), measure=True)
    cost = next(cost for cost in explanation.costs if cost.quirk is Quirk.THICK_ABS_INTERPLAY)
    assert "attenuation" in cost.refused
    assert "refused when corrected" in str(explanation)


def test_unseeded_random_orientation_is_the_same_in_both_runs() -> None:
    """Another orientation would cost everything; the mosaic rounding costs next to nothing."""
    flags = f"{SMALL} -misset random -mosaic 0.3 -mosaic_domains 3".split()
    _, explanation, _ = explain_flags(flags, measure=True)
    cost = next(cost for cost in explanation.costs if cost.quirk is Quirk.MOSAIC_F32)
    assert cost.rms < 1e-2


def test_flags_say_what_they_did() -> None:
    effects, _, notes = explain_flags(f"{SMALL} -N 6 -exposure 3 -pivot sample -misset_seed 3 -phi 0".split())
    by_token = {}
    for effect in effects:
        by_token.setdefault(effect.typed, effect)
    assert not by_token["-N 5"].effective and "overridden by -N" in by_token["-N 5"].text
    assert by_token["-N 6"].effective and "crystal.n_cells" in by_token["-N 6"].text
    assert by_token["-exposure 3"].text == "no effect: there is no -flux"
    assert "PIVOT_FORCED" in by_token["-pivot sample"].text and not by_token["-pivot sample"].effective
    assert "beam.wavelength_angstrom" in by_token["-lambda 1"].text
    assert any(text.startswith("-exposure has no effect") for text in notes)


def test_command(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--measure", "--json", "--", *SMALL.split(), "-osc", "1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["evaluations"] == 512 and record["loops"]["phi steps"] == 2 and record["pixels"] == 256
    assert "STALE_PHI_ZERO" in {quirk["name"] for quirk in record["quirks"]}
    assert all(quirk["cost"]["pixels"] == 256 for quirk in record["quirks"] if not quirk["refused"])
    assert main(["explain", "--", *SMALL.split(), "--fidelity", "corrected"]) == 0
    text = capsys.readouterr().out
    assert "fidelity: corrected" in text and "quirks: none" in text and "kernel:" in text
    assert list(tmp_path.iterdir()) == []  # nothing is written
    assert main(["explain"]) == 2 and main(["explain", "--", "-N", "5"]) == 2
    assert main(["explain", "--", *SMALL.split(), "-detpixels", "-3"]) == 3


FILE = """
[[crystal]]
unit_cell = { a = 60, b = 70, c = 80, alpha = 90, beta = 90, gamma = 90 }
block_matrix = [[5, 1, 0], [1, 5, 0], [0, 0, 5]]
shape = "gauss"
volume_mm3 = 1e-9
mosaic = { model = "gaussian", spread_deg = 0.2, n_domains = 2 }
structure_factors = { default_F = 100 }
[[crystal]]
unit_cell = { a = 60, b = 70, c = 80, alpha = 90, beta = 90, gamma = 90 }
n_cells = [5, 5, 5]
structure_factors = { default_F = 100 }
[beam]
spectrum = { kind = "sase", n_wavelengths = 3 }
[detector]
n_fast = 16
n_slow = 16
pixel_size_mm = 1.0
[sampling]
oversample = 1
"""


def test_an_experiment_file_in_place_of_flags(capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch) -> None:
    """What no flag can say is explained and traced on the command line too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(FILE)
    assert main(["explain", "run.toml"]) == 0
    text = capsys.readouterr().out
    assert "flags:" not in text and "2 lattices" in text and "crystal[0].n_blocks = " in text
    assert main(["explain", "--json", "run.toml", "--set", "crystal[1].n_blocks=3", "--set", "detector.n_fast=8"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["flags"] == [] and record["pixels"] == 128
    assert any("2 mosaic domains" in line for line in record["sampling"])
    assert main(["trace", "run.toml", "--at", "3", "4"]) == 0
    text = capsys.readouterr().out
    traced = nb.trace(nb.Experiment.from_toml("run.toml"), (3, 4))
    assert all(line in text for line in traced.lines()) and text.count("lattice sum, F_latt^2") == 2
    for wrong, words in (
        (["run.toml", "--", "-N", "3"], "an experiment file or flags behind --, not both"),
        (["--set", "beam.energy_ev=9000", "--", "-N", "3"], "--set belongs to an experiment file"),
    ):
        assert main(["explain", *wrong]) == 2 and words in capsys.readouterr().err
    (tmp_path / "recipe.toml").write_text("format = 1\n" + FILE + "[dataset]\nn_images = 3\n")
    assert main(["explain", "recipe.toml"]) == 3 and "nanoBragg dataset reads it" in capsys.readouterr().err
    assert main(["explain", "none.toml"]) == 3 and "none.toml: cannot be read" in capsys.readouterr().err
    assert main(["explain", "run.toml", "--set", "crystal[0].n_blocks=3"]) == 3
    assert "crystal.volume_mm3=1e-09: says the same as n_blocks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12 ms"), (7.0, "7 s"), (150.0, "2.5 min"), (8000.0, "2.2 h"), (1e6, "11.6 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_panels_are_explained_together() -> None:
    """Counts of all panels; what is decided alike stands there once, what is not names its panels."""
    near, far = (
        nb.Detector(n_fast=30, n_slow=20, pixel_size_mm=0.1, distance_mm=distance) for distance in (50.0, 400.0)
    )
    one = small().replace("sampling.oversample", None)
    panels = one.replace(detector=(near, near, far)).with_fidelity("reference")
    alone = [nb.explain(panels.replace(detector=panel)) for panel in (near, near, far)]
    found = nb.explain(panels)
    assert found.pixels == 3 * 600 and found.evaluations == sum(part.evaluations for part in alone)
    assert len(found.experiment.detector) == 3
    oversample = {d.value: d.rule for d in found.decisions if d.path == "sampling.oversample"}
    assert oversample.keys() == {alone[0].experiment.sampling.oversample, alone[2].experiment.sampling.oversample}
    if len(oversample) > 1:
        assert "panels 0, 1" in oversample[alone[0].experiment.sampling.oversample]
    texts = [f"{d.path} {d.value} {d.rule}" for d in found.decisions]
    assert len(texts) == len(set(texts)) < sum(len(part.decisions) for part in alone)
    assert {t.quirk for t in found.quirks} == {t.quirk for part in alone for t in part.quirks}
    assert len({t.quirk for t in found.quirks}) == len(found.quirks)
    assert "rendered pixels: 1800" in str(found)
