"""What is drawn: moments of the distributions, and that a frame depends on its number alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_recipe import experiment, recipe

import nanobragg as nb
from nanobragg.datasets.draws.numbers import Key, Place, distribution
from nanobragg.datasets.draws.turning import misset, of_misset, uniform_turn

N = 4000
SIGMAS = 5.0
"""Standard errors that a sample moment may be off."""


def place(k, name="x", index=0):
    return Place(Key(7, name, k), index, k, Key(7, name, k - index))


def sample(spec, n=N):
    found = distribution("x", spec)
    return np.array([found.draw(place(k))[0] for k in range(n)])


@pytest.mark.parametrize(
    ("spec", "mean", "variance"),
    [
        ({"uniform": [2, 5]}, 3.5, 9 / 12),
        ({"normal": [3, 0.5]}, 3.0, 0.25),
        ({"lognormal": [2, 0.4]}, 2 * math.exp(0.08), 4 * math.exp(0.16) * (math.exp(0.16) - 1)),
        ({"loguniform": [1, 10]}, 9 / math.log(10), 99 / 2 / math.log(10) - (9 / math.log(10)) ** 2),
        ({"gamma": [5, 0.3]}, 5.0, (5 * 0.3) ** 2),
        ({"choice": [1, 4], "weights": [3, 1]}, 1.75, 9 * 3 / 16),
    ],
)  # fmt: skip
def test_moments(spec, mean, variance):
    """Mean and variance within five standard errors; that of a variance from the sample's own fourth moment."""
    values = sample(spec)
    assert abs(values.mean() - mean) < SIGMAS * math.sqrt(variance / N)
    fourth = np.mean((values - mean) ** 4) - variance**2
    assert abs(values.var() - variance) < SIGMAS * math.sqrt(fourth / N)


def test_limits_and_whole_numbers():
    values = sample({"normal": [0, 1], "min": 0.5, "max": 2})
    assert values.min() >= 0.5 and values.max() <= 2 and len(set(values)) == N
    whole = sample({"uniform": [1, 4], "integer": True})
    assert set(whole) == {1, 2, 3, 4}


def test_streams_of_names_frames_and_lattices_are_independent():
    """Correlations of 4000 pairs within five standard errors of 0."""
    keys = {
        "frame": [Key(1, "a", k) for k in range(N)], "name": [Key(1, "b", k) for k in range(N)],
        "lattice": [Key(1, "a", k, 1) for k in range(N)], "seed": [Key(2, "a", k) for k in range(N)],
    }  # fmt: skip
    values = {name: np.array([key.normal(1)[0] for key in own]) for name, own in keys.items()}
    values["next"] = np.roll(values["frame"], 1)
    matrix = np.corrcoef(list(values.values()))
    assert np.abs(matrix - np.eye(len(values))).max() < SIGMAS / math.sqrt(N)


def test_along_a_series():
    drift, walk, sine = (distribution("x", spec) for spec in ({"drift": 0.1}, {"walk": 2.0}, {"sine": [3.0, 10]}))
    assert drift.draw(place(12, index=12))[0] == pytest.approx(1.2)
    ends = np.array([walk.draw(Place(Key(s, "x", 0), 50, 0, Key(s, "x", 0)))[0] for s in range(2000)])
    assert abs(ends.var() / (50 * 4) - 1) < SIGMAS * math.sqrt(2 / 2000)
    wave = np.array([sine.draw(Place(Key(1, "x", k), k, k, Key(1, "x", 0)))[0] for k in range(10)])
    assert wave.sum() == pytest.approx(0, abs=1e-12) and np.sum(wave**2) == pytest.approx(9 * 5)
    assert drift.mode == "offset"


def test_stills_drift_as_one_series():
    """From still to still; a walk has the steps of the one before."""
    vary = {"detector.distance_mm": {"drift": 0.5}, "orientation": {"drift_deg": [0.0, 0.0, 1.0]}}
    drawn = [nb.data.drawn(recipe(40, vary=vary), k) for k in range(40)]
    assert [d.experiment.crystal.misset_deg[2] for d in drawn] == pytest.approx(list(range(40)))
    assert [d.experiment.detector.distance_mm for d in drawn] == pytest.approx([100 + 0.5 * k for k in range(40)])
    walk = recipe(40, vary={"pointing_urad": {"walk": 2.0}})
    steps = np.diff([nb.data.drawn(walk, k).values["pointing_urad"] for k in range(40)], axis=0)
    assert abs(np.mean(steps**2) / 4.0 - 1) < SIGMAS * math.sqrt(2 / steps.size)
    assert abs(np.corrcoef(steps[:-1].ravel(), steps[1:].ravel())[0, 1]) < SIGMAS / math.sqrt(steps.size)


def test_orientations_are_uniform():
    """The mean matrix is 0, and each element squared 1/3, within five standard errors; missets give the matrix back."""
    turns = np.array([uniform_turn(Key(1, "o", k).uniform(3)) for k in range(N)])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (N, 3, 3)), atol=1e-14)
    assert np.abs(turns.mean(axis=0)).max() < SIGMAS * math.sqrt(1 / 3 / N)
    assert np.abs((turns**2).mean(axis=0) - 1 / 3).max() < SIGMAS * math.sqrt(4 / 45 / N)
    for matrix in turns[:50]:
        np.testing.assert_allclose(of_misset(misset(matrix)), matrix, atol=1e-14)


def test_misset_means_what_the_simulation_does():
    """Axes of the crystal, turned by the angles: as the derivation has them, to rounding."""
    turned = uniform_turn(np.array([0.3, 0.6, 0.1]))
    plain, moved = experiment(), experiment().replace("crystal.misset_deg", misset(turned))
    from nanobragg.derivation.resolve import resolve

    axes = [
        np.array([[float(x) for x in axis] for axis in (c.a, c.b, c.c)])
        for c in (resolve(e).cell for e in (plain, moved))
    ]
    np.testing.assert_allclose(axes[1], axes[0] @ turned.T, rtol=1e-12, atol=1e-20)


def test_cells_keep_their_symmetry():
    """Widths of 400 cells within five standard errors of the recipe's; a = b in a tetragonal cell."""
    made = recipe(400, vary={"cell": {"a": 0.004, "b": 0.004, "c": 0.002}})
    cells = [nb.data.drawn(made, k).experiment.crystal.unit_cell for k in range(400)]
    a, b, c = (np.array([getattr(cell, name) for cell in cells]) for name in "abc")
    assert (a == b).all() and all(cell.alpha == cell.beta == cell.gamma == 90 for cell in cells)
    assert abs(a.std() / 79.1 / 0.004 - 1) < SIGMAS / math.sqrt(800) and abs(
        c.std() / 37.9 / 0.002 - 1
    ) < SIGMAS / math.sqrt(800)


def test_shares_of_hits():
    made = recipe(1000, vary={"frames": {"hit": 0.6, "background": 0.3, "empty": 0.1}})
    kinds = [nb.data.drawn(made, k).kind for k in range(1000)]
    for kind, share in (("hit", 0.6), ("background", 0.3), ("empty", 0.1)):
        assert abs(kinds.count(kind) / 1000 - share) < SIGMAS * math.sqrt(share * (1 - share) / 1000)


def test_pulses_differ_and_their_energy_fluctuates():
    """Of 300 pulses of one mode or so: a relative variance of 1/M (docs/spectra.md), within five standard errors."""
    spectrum = nb.Spectrum(kind="sase", fwhm_percent=0.05, duration_fs=1.0, n_wavelengths=10)
    made = recipe(300, vary={}, base=experiment(beam=nb.Beam(energy_ev=9000.0, spectrum=spectrum)))
    from nanobragg.datasets.output.columns import spectrum as spectrum_of

    weights = [spectrum_of(nb.data.drawn(made, k).experiment)[1] for k in range(300)]
    energies = np.array([weight.sum() for weight in weights])
    sigma_e, sigma_t = 9000 * 0.0005 / 2.3548, 1.0 / 2.3548
    modes = math.sqrt(1 + 4 * sigma_e**2 * sigma_t**2 / 0.6582**2)
    spread = math.sqrt((np.mean((energies - 1) ** 4) - energies.var() ** 2) / 300)
    assert len({weight.tobytes() for weight in weights}) == 300
    assert abs(energies.var() - 1 / modes) < SIGMAS * spread


def test_a_frame_depends_on_seed_and_number_alone():
    """Drawn alone, with other things varying beside it, in a longer data set: the same values."""
    few = recipe(5, vary={"crystal.n_cells": {"uniform": [5, 20], "integer": True}, "orientation": "random"})
    more = recipe(500, vary={"frames": 0.5, "crystal.n_cells": {"uniform": [5, 20], "integer": True}, "orientation": "random",
                             "detector.distance_mm": {"normal": [100, 1]}})  # fmt: skip
    for k in (0, 3):
        first, second = (nb.data.drawn(made, k).experiment.crystal for made in (few, more))
        assert first.misset_deg == second.misset_deg and first.n_cells == second.n_cells
    assert nb.data.drawn(few, 1).experiment.crystal.misset_deg != nb.data.drawn(few, 2).experiment.crystal.misset_deg
    other = recipe(5, vary=few.vary, seed=4)
    assert nb.data.drawn(few, 1).experiment.crystal.misset_deg != nb.data.drawn(other, 1).experiment.crystal.misset_deg


def rotation(vary, n=20, length=10, **crystal):
    base = experiment(goniometer=nb.Goniometer(osc_deg=0.5, phi_start_deg=10.0, n_steps=2))
    for name, value in crystal.items():
        base = base.replace(f"crystal.{name}", value)
    return recipe(n, vary=vary, base=base, kind="rotation", series_length=length, shard_size=4)


def test_a_rotation_series_turns_ages_and_jitters():
    damage = nb.Damage(dose_mgy=1.0, frame_dose_mgy=0.2, b_per_mgy=1.0)
    made = rotation({"goniometer.phi_start_deg": {"normal": [0, 0.01], "as": "offset", "per": "frame"}, "orientation": "random",
                     "wobble_urad": 50.0}, damage=damage)  # fmt: skip
    draws = [nb.data.drawn(made, k) for k in range(20)]
    starts = np.array([d.experiment.goniometer.phi_start_deg for d in draws])
    nominal = np.array([d.nominal.goniometer.phi_start_deg for d in draws])
    np.testing.assert_allclose(nominal, 10 + 0.5 * (np.arange(20) % 10))
    assert 0 < np.abs(starts - nominal).max() < 0.06 and len(set(starts - nominal)) == 20
    assert [d.experiment.crystal.damage.dose_mgy for d in draws] == pytest.approx(
        [1 + 0.2 * (k % 10) for k in range(20)]
    )
    missets = [d.experiment.crystal.misset_deg for d in draws]
    assert len(set(missets[:10])) == 1 and missets[0] != missets[10]
    axes = np.array([d.experiment.goniometer.axis for d in draws])
    off = np.arccos(np.clip(axes @ [0, 0, 1], -1, 1))
    assert 0 < off.max() < 5e-4


def test_a_split_crystal_has_two_parts_over_a_range():
    spec = {"probability": 1.0, "angle_deg": {"value": 2.0}, "fraction": {"value": 0.25}, "extent": {"value": 0.5}}
    made = rotation({"split": spec}, n=10)
    draws = [nb.data.drawn(made, k) for k in range(10)]
    two = [len(d.crystals) == 2 for d in draws]
    assert (sum(two) == 5 and two == sorted(two, key=lambda x: x != two[0])) or two[0] == two[-1]
    first, second = next(d for d in draws if len(d.crystals) == 2).crystals
    assert first.volume_mm3 == pytest.approx(0.75e-9) and second.volume_mm3 == pytest.approx(0.25e-9)
    relative = of_misset(second.misset_deg) @ of_misset(first.misset_deg).T
    assert math.degrees(math.acos((np.trace(relative) - 1) / 2)) == pytest.approx(2.0)
    photons = [nb.data.frame(made, k).numbers["photons"] for k in (two.index(True), two.index(False))]
    assert photons[0] > 0 and photons[1] > 0


def test_the_detector_stays_where_it_is_when_the_beam_does_not():
    """A beam tilted by t moves its center on the detector by t times the distance: 100 mm, 1 mrad, 0.1 mm."""
    made = recipe(1, vary={"pointing_urad": {"value": 1000.0}})
    draw = nb.data.drawn(made, 0)
    from nanobragg.derivation.placement import place as placed
    from nanobragg.derivation.resolve import resolve
    from nanobragg.derivation.vectors import FLOAT_OPS

    before, after = (placed(resolve(e).experiment, FLOAT_OPS) for e in (draw.nominal, draw.experiment))
    np.testing.assert_allclose(after.pix0, before.pix0, atol=1e-15)
    shift = np.hypot(after.fbeam - before.fbeam, after.sbeam - before.sbeam)
    assert shift == pytest.approx(math.sqrt(2) * 1e-4, rel=1e-5)


def test_misses_hold_no_spots():
    made = recipe(1, vary={"frames": {"background": 1.0}})
    empty = recipe(1, vary={"frames": {"empty": 1.0}})
    hit = recipe(1, vary={})
    background = nb.simulate(hit.experiment, parts=True)["background"]
    miss = nb.data.frame(made, 0)
    assert len(miss.spots) == 0 and miss.numbers["photons"] == pytest.approx(background.sum(), rel=1e-12)
    assert nb.data.frame(empty, 0).counts.max() == 0
