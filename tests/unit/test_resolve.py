"""What is decided automatically: the count tables in both fidelities, idempotence, prepare and explain."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS

DEGREES = 57.29577951308232


def phi(fidelity: str, **values: float) -> list[float]:
    experiment = small(goniometer=nb.Goniometer(phi_start_deg=3.0, **values)).with_fidelity(fidelity)
    return [round(p * DEGREES, 9) for p in derivation(resolve(experiment)).rotation.phi]


@pytest.mark.parametrize(
    ("values", "reference", "corrected"),
    [
        ({}, [3.0], [3.0]),
        ({"osc_deg": 1.0}, [3.0, 3.5], [3.25, 3.75]),
        ({"osc_deg": 1.0, "n_steps": 4}, [3.0, 3.25, 3.5, 3.75], [3.125, 3.375, 3.625, 3.875]),
        ({"osc_deg": 1.0, "n_steps": 1}, [3.0], [3.5]),
        ({"osc_deg": 1.1, "step_deg": 0.1}, [3 + 0.1 * i for i in range(12)], [3.05 + 0.1 * i for i in range(11)]),
        ({"osc_deg": 1.0, "step_deg": 0.2, "n_steps": 2}, [3.0, 3.2], [3.25, 3.75]),
        ({"osc_deg": 0.0}, [3.0, 3.0], [3.0]),
        ({"n_steps": 2}, [3.0, 3.5], None),
        ({"step_deg": 0.3}, [3.0, 3.3], None),
        ({"step_deg": 0.3, "n_steps": 5}, [3.0, 3.3], None),
        ({"n_steps": 1}, [3.0], [3.0]),
    ],
)
def test_phi_steps(values: dict[str, float], reference: list[float], corrected: list[float] | None) -> None:
    """docs/model.md, Counts."""
    np.testing.assert_allclose(phi("reference", **values), reference, atol=1e-8)
    if corrected is None:
        with pytest.raises(nb.ConfigError, match="give the range covered"):
            phi("corrected", **values)
    else:
        np.testing.assert_allclose(phi("corrected", **values), corrected, atol=1e-8)


def grid(fidelity: str, **values: object) -> list[tuple[float, float]]:
    beam = nb.Beam(divergence=nb.Divergence(**values))  # type: ignore[arg-type]
    sources = derivation(resolve(small(beam=beam).with_fidelity(fidelity))).sources
    assert sources.grid is not None
    return [(round(1000 * h, 9), round(1000 * v, 9)) for h, v in sources.grid]


def test_divergence_grids() -> None:
    """docs/model.md, Counts and Sources, against the counts of the original; symmetric when corrected."""
    assert grid("reference", h_mrad=5, h_step_mrad=2) == [(-2.5, 0), (-0.5, 0), (1.5, 0)]
    assert len(grid("reference", h_mrad=5, v_mrad=5)) == 4
    assert len(grid("reference", h_mrad=5, v_mrad=5, n_h=4, n_v=4)) == 12
    assert len(grid("reference", h_mrad=5, v_mrad=5, n_h=5, n_v=5)) == 13
    assert grid("reference", n_h=3) == [
        (-500, 0),
        (round(1000 * (1 / 3 - 0.5), 9), 0),
        (round(1000 * (2 / 3 - 0.5), 9), 0),
    ]
    assert grid("corrected", h_mrad=6, n_h=3) == [(-2, 0), (0, 0), (2, 0)]
    assert grid("corrected", h_mrad=5, h_step_mrad=2) == [(round(5 * ((i + 0.5) / 3 - 0.5), 9), 0) for i in range(3)]
    assert grid("corrected", h_mrad=5, n_h=1) == [(0, 0)]
    for n in (2, 3, 4, 5):
        points = np.array(grid("corrected", h_mrad=2, v_mrad=4, n_h=n, n_v=n))
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-12)
        assert (points[:, 0] ** 2 + (points[:, 1] / 2) ** 2 <= 1 + 1e-12).all()
        assert len(grid("corrected", h_mrad=2, v_mrad=4, n_h=n, n_v=n, round=False)) == n * n
    with pytest.raises(nb.ConfigError, match="round cut leaves no source"):
        grid("reference", n_h=1, n_v=1)


def test_wavelengths() -> None:
    beam = nb.Beam(wavelength_angstrom=2.0, dispersion_percent=1.0, n_wavelengths=4)
    for fidelity, expected in (("reference", 0.995 + np.arange(4) / 300), ("corrected", 0.99625 + np.arange(4) / 400)):
        scene = derivation(resolve(small(beam=beam).with_fidelity(fidelity))).scene
        np.testing.assert_allclose(scene.wavelength, 2e-10 * expected, rtol=1e-13)


def varied() -> list[nb.Experiment]:
    sensor = nb.Sensor(thickness_um=300, attenuation_um=200)
    return [
        small(),
        small(goniometer=nb.Goniometer(osc_deg=1.0, step_deg=0.3)),
        small(beam=nb.Beam(divergence=nb.Divergence(h_mrad=2, h_step_mrad=1), dispersion_percent=1)),
        small(detector=nb.Detector(n_fast=16, n_slow=12, sensor=sensor, convention="xds", twotheta_deg=5)),
        small().replace("crystal.size_mm", (2e-5, 3e-5, 0)).replace("crystal.mosaic.spread_deg", 0.3),
    ]


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
def test_decided_experiments_decide_nothing_more(fidelity: str) -> None:
    for experiment in varied():
        decided = resolve(experiment.with_fidelity(fidelity))
        again = resolve(decided.experiment)
        assert again.experiment.equals(decided.experiment)
        assert again.notes.ineffective == []
        np.testing.assert_array_equal(nb.simulate(decided.experiment), nb.simulate(experiment.with_fidelity(fidelity)))


def test_prepare_renders_again() -> None:
    experiment = small().replace("crystal.misset_deg", (1, 2, 3))
    render = nb.prepare(experiment)
    np.testing.assert_array_equal(render(), nb.simulate(experiment))
    np.testing.assert_array_equal(render(), nb.simulate(experiment))
    moved = experiment.replace("crystal.misset_deg", (4, 5, 6))
    np.testing.assert_array_equal(render({"crystal.misset_deg": (4, 5, 6)}), nb.simulate(moved))
    roi = (slice(2, 5), slice(3, 9))
    np.testing.assert_array_equal(render(roi=roi)[roi], nb.simulate(experiment)[roi])
    with pytest.raises(TypeError, match="speed"):
        nb.prepare(experiment, speed=3)


def test_explain_tells_decisions_quirks_and_cost() -> None:
    beam = nb.Beam(
        divergence=nb.Divergence(h_mrad=2), sources=nb.Sources(direction=[[-1, 0, 0]], wavelength_angstrom=[1])
    )
    told = nb.explain(small(beam=beam, goniometer=nb.Goniometer(osc_deg=1)).with_fidelity("reference"))
    assert {d.path for d in told.decisions} >= {"goniometer.n_steps", "sampling.oversample", "sampling.interpolate"}
    assert [str(note) for note in told.ineffective] == [
        "beam.divergence and beam.dispersion_percent have no effect: beam.sources is given"
    ]
    names = {t.quirk.name for t in told.quirks}
    assert {"PHI_LEFT_EDGE", "STALE_PHI_ZERO", "DEFAULT_CENTRE_SHIFT"} <= names
    oversample = told.experiment.sampling.oversample
    assert told.pixels == 16 * 12 and told.evaluations == 16 * 12 * oversample**2 * 2
    assert "STALE_PHI_ZERO" in str(told)


def test_quirks_warn_in_reference_fidelity_only() -> None:
    experiment = small(background=nb.Background(water_um=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nb.simulate(experiment)
    with pytest.warns(nb.QuirkWarning, match=r"WATER_SCALE: .* added once on the absolute scale"):
        nb.simulate(experiment.with_fidelity("reference"))


def test_progress_and_dtype() -> None:
    calls: list[tuple[int, int]] = []
    image = nb.simulate(small(), dtype=np.float32, progress=lambda done, total: calls.append((done, total)))
    assert image.dtype == np.float32 and calls[-1] == (192, 192)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_pix0_wins_and_says_so() -> None:
    """PIX0_IGNORED, corrected: a warning for what was given and differs by more than 0.1 pixel, else none."""
    plane = {"n_fast": 16, "n_slow": 12, "pixel_size_mm": 1.0, "pix0_mm": (50.0, 6.0, -8.0)}
    for given, told in (
        ({}, ""),
        ({"distance_mm": 50.05}, ""),
        ({"distance_mm": 60.0}, "distance_mm has no effect: pix0_mm decides, and puts it 10 pixels"),
        ({"close_distance_mm": 49.0}, "close_distance_mm"),
        ({"beam_center_mm": (8.0, 6.05)}, ""),
        ({"beam_center_mm": (8.0, 7.0)}, "beam_center_mm"),
        ({"org_px": (3.0, 6.5)}, "org_px"),
    ):
        experiment = small(detector=nb.Detector(**plane, **given))  # type: ignore[arg-type]
        notes = [str(note) for note in nb.explain(experiment).ineffective]
        assert len(notes) == bool(told) and all(told in note for note in notes), (given, notes)
        np.testing.assert_array_equal(derivation(resolve(experiment)).scene.pix0, (0.05, 0.006, -0.008))


def test_explicit_step_and_elliptical_cut() -> None:
    """DIV_GRID_ASYMMETRIC without ROUND_CUT_1D: the cut looks at the angles, which a typed step takes off the edges."""
    beam = nb.Beam(divergence=nb.Divergence(h_mrad=5, v_mrad=5, h_step_mrad=2, v_step_mrad=2))
    sources = derivation(resolve(small(beam=beam, quirks={"DIV_GRID_ASYMMETRIC"}))).sources
    assert sources.grid is not None
    kept = {(round(1000 * h, 9), round(1000 * v, 9)) for h, v in sources.grid}
    angles = (-2.5, -0.5, 1.5)
    assert kept == {(h, v) for h in angles for v in angles if (2 * h / 5) ** 2 + (2 * v / 5) ** 2 <= 1}


def test_only_degenerate_arithmetic_is_called_degenerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is infinite or no number on the way is told as such; a mistake in the code shows itself."""
    tiny = small().replace("detector.pixel_size_mm", 1e-322)  # 0 in meters
    vast = small().replace("crystal.misset_deg", (1.7e308, 0, 0)).replace("goniometer.phi_start_deg", 1.7e308)
    with pytest.raises(nb.ConfigError, match="degenerate or not finite"):
        resolve(tiny)
    assert np.isfinite(derivation(resolve(vast)).scene.orientations).all()
    with pytest.raises(ArithmeticError, match="sin of inf"):
        FLOAT_OPS.sin(float("inf"))

    def mistaken(*_: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr("nanobragg.derivation.derive.source_list", mistaken)
    with pytest.raises(ValueError, match="a mistake"):
        derivation(resolve(small()))
