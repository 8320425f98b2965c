"""Spectra: their wavelengths and weights, what they do to an image, and the statistics of pulses."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small import small

import nanobragg as nb
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.crystals.displacement import largest_indices
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.spectra import sase
from nanobragg.derivation.spectra.lines import REACH
from nanobragg.inspection.foresight.plausible import decided_doubts

pytestmark = pytest.mark.filterwarnings("ignore:beam.spectrum.*a row of spots")  # few lines are quick
SIGMA_EV, N_SHOTS = 8.0, 2000
MEASURED = nb.Spectrum(kind="given", wavelength_angstrom=[0.99, 1.0, 1.02], weight=[1.0, 3.0, 2.0])
KINDS = {
    "tophat": nb.Spectrum(kind="tophat", fwhm_percent=2.0),
    "gaussian": nb.Spectrum(kind="gaussian", fwhm_percent=0.5),
    "pink": nb.Spectrum(kind="pink", sigma_low_ev=300.0, sigma_high_ev=100.0),
    "two_color": nb.Spectrum(kind="two_color", separation_ev=100.0, fwhm_ev=10.0, ratio=3.0),
    "given": MEASURED,
}


def beam(spectrum: nb.Spectrum | None, **fields: Any) -> nb.Beam:
    return nb.Beam(**{"wavelength_angstrom": 1.0, "fluence_per_m2": 1e24, "spectrum": spectrum, **fields})


def image(spectrum: nb.Spectrum | None, **fields: Any) -> NDArray[np.float64]:
    return np.asarray(nb.simulate(small(beam=beam(spectrum, **fields))))


def moments(spectrum: nb.Spectrum) -> tuple[float, float]:
    """Mean and standard deviation of the energy [eV]."""
    found = nb.sampled_spectrum(beam(spectrum))
    mean = float((found.weight * found.energy_ev).sum())
    return mean, math.sqrt(float((found.weight * (found.energy_ev - mean) ** 2).sum()))


# --- kinds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_weights_sum_to_one(name: str) -> None:
    assert nb.sampled_spectrum(beam(KINDS[name])).weight.sum() == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    "spectrum",
    [
        nb.Spectrum(),
        nb.Spectrum(kind="tophat", fwhm_percent=0.0),
        nb.Spectrum(kind="gaussian", fwhm_ev=0.0),
        nb.Spectrum(kind="pink", sigma_low_ev=0.0, sigma_high_ev=0.0),
        nb.Spectrum(kind="two_color", separation_ev=0.0),
        nb.Spectrum(kind="given", wavelength_angstrom=[1.0], weight=[0.3]),
    ],
)
def test_a_spectrum_of_one_line_is_the_plain_beam_bit_for_bit(spectrum: nb.Spectrum) -> None:
    assert np.array_equal(image(spectrum), image(None))


def test_a_top_hat_is_the_dispersion_bit_for_bit() -> None:
    spectrum = nb.Spectrum(kind="tophat", fwhm_percent=3.0, n_wavelengths=7)
    assert np.array_equal(image(spectrum), image(None, dispersion_percent=3.0, n_wavelengths=7))


def test_widths_are_those_asked_for() -> None:
    energy = EV_ANGSTROM
    mean, rms = moments(nb.Spectrum(kind="gaussian", fwhm_percent=0.5))
    assert mean == pytest.approx(energy, rel=1e-14)
    assert rms * sase.FWHM == pytest.approx(0.005 * energy, rel=1e-12)
    _, rms = moments(nb.Spectrum(kind="gaussian", fwhm_percent=0.5, n_wavelengths=100))  # equal steps, cut at 3.5 sigma
    assert rms * sase.FWHM == pytest.approx(0.005 * energy, rel=5e-3)
    mean, rms = moments(nb.Spectrum(kind="two_color", separation_ev=100.0, fwhm_ev=10.0))
    assert mean == pytest.approx(energy, rel=1e-14)
    assert rms**2 == pytest.approx(50.0**2 + (10.0 / sase.FWHM) ** 2, rel=1e-9)
    # mean of |x| for a normal distribution cut at 3.5 standard deviations
    ends = math.sqrt(2 / math.pi) * (1 - math.exp(-0.5 * REACH**2)) / math.erf(REACH / math.sqrt(2))
    mean, _ = moments(nb.Spectrum(kind="pink", sigma_low_ev=30.0, sigma_high_ev=10.0, n_wavelengths=200))
    assert mean - energy == pytest.approx(ends * (10.0**2 - 30.0**2) / 40.0, rel=1e-4)  # measured: 5e-5


def test_the_ratio_is_that_of_the_higher_energy() -> None:
    found = nb.sampled_spectrum(beam(nb.Spectrum(kind="two_color", separation_ev=100.0, ratio=3.0)))
    assert found.energy_ev == pytest.approx([EV_ANGSTROM - 50.0, EV_ANGSTROM + 50.0])
    assert found.weight == pytest.approx([0.25, 0.75])
    assert nb.Spectrum(kind="two_colour", separation_ev=1.0).kind == "two_color"


def test_the_image_is_linear_in_the_weights_and_the_fluence_is_the_total() -> None:
    lines = [image(nb.Spectrum(kind="given", wavelength_angstrom=[x])) for x in (0.99, 1.0, 1.02)]
    expected = (lines[0] + 3 * lines[1] + 2 * lines[2]) / 6
    assert np.abs(image(MEASURED) - expected).max() < 1e-14 * expected.max()  # measured: 9e-16


def test_a_source_split_in_two_halves_changes_nothing() -> None:
    halves = nb.Sources(wavelength_angstrom=[0.99, 1.0, 1.0, 1.02], weight=[1.0, 1.5, 1.5, 2.0])
    split = np.asarray(nb.simulate(small(beam=beam(None, sources=halves))))
    assert np.abs(split - image(MEASURED)).max() < 1e-14 * split.max()


def test_a_spectrum_crosses_the_directions() -> None:
    divergence = nb.Divergence(h_mrad=2.0, n_h=3)
    scene = derive(resolve(small(beam=beam(MEASURED, divergence=divergence))))
    assert scene.n_sources == 9
    assert np.array_equal(scene.weight, np.tile(scene.weight[:3], 3))
    expected = sum(
        weight / 6 * image(nb.Spectrum(kind="given", wavelength_angstrom=[x]), divergence=divergence)
        for x, weight in ((0.99, 1), (1.0, 3), (1.02, 2))
    )
    assert np.abs(image(MEASURED, divergence=divergence) - expected).max() < 1e-14 * expected.max()


def test_the_mean_of_a_given_spectrum_is_the_wavelength_of_the_beam() -> None:
    energies = nb.Spectrum(kind="given", energy_ev=[9000.0, 9100.0], weight=[1.0, 3.0])
    found = nb.sampled_spectrum(nb.Beam(spectrum=energies))
    assert found.wavelength_angstrom == pytest.approx(EV_ANGSTROM / np.array([9000.0, 9100.0]))
    _, mean = nb.simulate(small(beam=nb.Beam(spectrum=energies, fluence_per_m2=1e24)), channels="mean_wavelength")
    assert EV_ANGSTROM / 9100 <= mean[mean > 0].min() <= mean.max() <= EV_ANGSTROM / 9000


def test_images_of_reference_fidelity_keep_their_weights() -> None:
    def original(spectrum: nb.Spectrum) -> NDArray[np.float64]:
        return np.asarray(nb.simulate(small(beam=beam(spectrum)).with_fidelity("reference")))

    expected = [original(nb.Spectrum(kind="given", wavelength_angstrom=[x])) for x in (0.99, 1.02)]
    both = nb.Spectrum(kind="given", wavelength_angstrom=[0.99, 1.02], weight=[1.0, 3.0])
    found = original(both)
    # the polarization is that of the first source: POLAR_CACHED
    assert np.abs(found - (expected[0] + 3 * expected[1]) / 4).max() < 2e-2 * found.max()


# --- files ---------------------------------------------------------------------------------------------------------------


def test_files_of_two_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# energy flux\n9000 1\n9010, 2 7\n9020 3\n")
    (tmp_path / "b.lam").write_text("1.0 1\n1.1 2\n")
    (tmp_path / "c.txt").write_text("12.3984198 1\n12.5 2\n")
    found = nb.Spectrum.from_file(tmp_path / "a.txt")
    assert found.wavelength_angstrom == pytest.approx(EV_ANGSTROM / np.array([9020.0, 9010.0, 9000.0]))
    assert found.weight.tolist() == [3, 2, 1]
    assert nb.Spectrum.from_file(tmp_path / "b.lam").wavelength_angstrom.tolist() == [1.0, 1.1]
    assert nb.Spectrum.from_file(tmp_path / "a.txt", stride=2).weight.tolist() == [3, 1]
    assert nb.Spectrum.from_file(tmp_path / "c.txt", unit="kev").wavelength_angstrom[-1] == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9000 1\n8990 2\n", "bad.txt:2: 8990 after 9000: must be > 0 and ascend"),
        ("9000\n", "one column"),
        ("9000 -1\n", "flux is -1, must be >= 0"),
        ("9000 0\n", "every flux is 0"),
        ("# nothing\n", "holds no row"),
        ("9000 x\n", "flux"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    with pytest.raises(nb.FileFormatError) as error:
        nb.io.read_spectrum(tmp_path / "bad.txt")
    assert said in str(error.value)


# --- bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"kind": "given", "wavelength_angstrom": [1.0, 0.9]}, "beam.spectrum.wavelength_angstrom[1]"),
        ({"kind": "given", "energy_ev": [9000.0, 9000.0]}, "beam.spectrum.energy_ev[1]"),
        ({"kind": "given", "energy_ev": [-1.0]}, "beam.spectrum.energy_ev"),
        ({"kind": "given", "energy_ev": []}, "beam.spectrum.energy_ev"),
        ({"kind": "given", "energy_ev": [1.0], "wavelength_angstrom": [1.0]}, "beam.spectrum.energy_ev"),
        ({"kind": "given"}, "beam.spectrum.wavelength_angstrom"),
        ({"kind": "given", "energy_ev": [1.0, 2.0], "weight": [0.0, 0.0]}, "beam.spectrum.weight"),
        ({"kind": "given", "energy_ev": [1.0, 2.0], "weight": [1.0, -1.0]}, "beam.spectrum.weight"),
        ({"kind": "given", "energy_ev": [1.0, 2.0], "weight": [1.0]}, "beam.spectrum.weight"),
        ({"kind": "gaussian"}, "beam.spectrum.fwhm_percent"),
        ({"kind": "gaussian", "fwhm_ev": 1.0, "fwhm_percent": 1.0}, "beam.spectrum.fwhm_ev"),
        ({"kind": "gaussian", "fwhm_ev": -1.0}, "beam.spectrum.fwhm_ev"),
        ({"kind": "mono", "fwhm_ev": 1.0}, "beam.spectrum.fwhm_ev"),
        ({"kind": "pink", "sigma_low_ev": 1.0}, "beam.spectrum.sigma_high_ev"),
        ({"kind": "two_color"}, "beam.spectrum.separation_ev"),
        ({"kind": "two_color", "separation_ev": 1.0, "n_wavelengths": 3}, "beam.spectrum.n_wavelengths"),
        ({"kind": "sase", "fwhm_ev": 0.0}, "beam.spectrum.fwhm_ev"),
        ({"kind": "sase", "duration_fs": 0.0}, "beam.spectrum.duration_fs"),
        ({"kind": "tophat", "fwhm_ev": 1.0, "shot": 3}, "beam.spectrum.shot"),
        ({"kind": "rainbow"}, "beam.spectrum.kind"),
    ],
)  # fmt: skip
def test_bad_input_names_the_field(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(nb.ConfigError) as error:
        nb.Spectrum(**fields)
    assert str(error.value).startswith(f"{path}=")


def test_a_spectrum_replaces_other_descriptions() -> None:
    with pytest.raises(nb.ConfigError, match="dispersion_percent"):
        beam(MEASURED, dispersion_percent=1.0)
    with pytest.raises(nb.ConfigError, match="sources"):
        beam(MEASURED, sources=nb.Sources(wavelength_angstrom=[1.0]))
    with pytest.raises(nb.ConfigError, match="energies of 0 and below"):
        image(nb.Spectrum(kind="gaussian", fwhm_percent=100.0))
    with pytest.raises(nb.ConfigError, match="too fine"):
        image(nb.Spectrum(kind="sase", duration_fs=1e5))


# --- pulses --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[0.3, 1.0, 4.25])
def shots(request: pytest.FixtureRequest) -> tuple[float, sase.Envelopes, NDArray[np.float64]]:
    """Duration [fs], envelopes, and the spectra of many shots on the points of the simulation."""
    found = sase.envelopes(SIGMA_EV, request.param)
    return request.param, found, np.array([sase.pulse(found, 5, shot) for shot in range(N_SHOTS)])


def test_pulses_have_the_number_of_modes_that_theory_gives(shots: Any) -> None:
    duration, _, spectra = shots
    modes = math.sqrt(1 + 4 * SIGMA_EV**2 * duration**2 / sase.HBAR**2)
    energy = spectra.sum(axis=1)
    squares = (energy / energy.mean() - 1) ** 2
    assert abs(squares.mean() - 1 / modes) < 5 * squares.std() / math.sqrt(N_SHOTS)
    assert abs(energy.mean() - 1) < 5 * energy.std() / math.sqrt(N_SHOTS)
    # gamma with shape M: the third moment of energy over mean is 2/M^2
    cubes = (energy / energy.mean() - 1) ** 3
    assert abs(cubes.mean() - 2 / modes**2) < 5 * cubes.std() / math.sqrt(N_SHOTS)


@pytest.mark.parametrize(
    ("duration", "modes"), [(0.3, 7.36072817386819), (1.0, 24.328839596380472), (4.25, 103.3150261441773)]
)
def test_the_points_of_the_simulation_have_the_modes_of_theory(duration: float, modes: float) -> None:
    """Without drawing: the variance of the energy of a Gaussian process is SUM |covariance|^2, in the time domain."""
    found = sase.envelopes(SIGMA_EV, duration)
    covariance = np.abs(np.fft.fft(found.amplitude**2)) ** 2  # of the field between times, by their distance
    weight = found.shape**2
    pairs = np.fft.ifft(np.fft.fft(covariance) * np.fft.fft(weight)).real  # T is even
    variance = (weight * pairs).sum() / (found.amplitude**2).sum() ** 2 / weight.sum() ** 2
    assert 1 / variance == pytest.approx(modes, rel=1e-6)
    assert modes == pytest.approx(math.sqrt(1 + 4 * SIGMA_EV**2 * duration**2 / sase.HBAR**2), rel=1e-12)


def test_the_mean_spectrum_is_broadened_by_the_duration(shots: Any) -> None:
    duration, found, spectra = shots
    broadened = math.hypot(SIGMA_EV, sase.HBAR / (2 * duration))
    assert found.rms == pytest.approx(broadened, rel=1e-6)
    second = (spectra * found.offset**2).sum(axis=1)
    assert abs(second.mean() - broadened**2) < 5 * second.std() / math.sqrt(N_SHOTS)


def test_one_energy_fluctuates_as_a_negative_exponential(shots: Any) -> None:
    _, found, spectra = shots
    at = spectra[:, len(found.offset) // 2]
    squares = (at / at.mean() - 1) ** 2
    assert abs(squares.mean() - 1) < 5 * squares.std() / math.sqrt(N_SHOTS)


def test_spikes_are_as_wide_as_the_pulse_is_short(shots: Any) -> None:
    """<I I'>/<I><I'> - 1 at energies d apart: exp(-d^2 sigma_t^2/hbar^2) far within S, sqrt 2 times as wide as a spike."""
    duration, found, spectra = shots
    middle = len(found.offset) // 2
    apart = max(1, round(sase.FWHM * sase.HBAR / (2 * duration) * math.sqrt(2) / 2 / found.step))
    first, second = spectra[:, middle - apart // 2], spectra[:, middle - apart // 2 + apart]
    product = (first - first.mean()) * (second - second.mean()) / (first.mean() * second.mean())
    spike = sase.HBAR / (2 * duration)  # the finite width of S makes the exponent smaller by 1 + (spike/sigma_E)^2
    expected = math.exp(-((apart * found.step / 2 / spike) ** 2) / (1 + (spike / SIGMA_EV) ** 2))
    assert abs(product.mean() - expected) < 5 * product.std() / math.sqrt(N_SHOTS)
    assert 0.4 < expected < 0.65


def test_samples_are_on_the_average_the_broadened_spectrum() -> None:
    n, duration = 50, 4.25
    weight = np.array([sase.samples(SIGMA_EV, duration, n, REACH, 7, shot)[1] for shot in range(N_SHOTS)])
    offset, _ = sase.samples(SIGMA_EV, duration, n, REACH, 7, 0)
    broadened, half = math.hypot(SIGMA_EV, sase.HBAR / (2 * duration)), (offset[1] - offset[0]) / 2
    edges = np.append(offset - half, offset[-1] + half) / broadened / math.sqrt(2)
    share = np.diff([math.erf(x) for x in edges]) / math.erf(REACH / math.sqrt(2)) / 2
    error = weight.std(axis=0) / math.sqrt(N_SHOTS)
    assert (np.abs(weight.mean(axis=0) - share) < 5 * error).all()
    assert sase.mean_samples(SIGMA_EV, duration, n, REACH) == pytest.approx(share, rel=1e-3)
    assert weight.sum(axis=1).mean() == pytest.approx(1.0, abs=0.01)


def test_a_shot_is_a_function_of_seed_and_number() -> None:
    pulses = nb.Spectrum(kind="sase", fwhm_ev=20.0, seed=3)
    found = nb.sampled_spectrum(beam(pulses), shot=11)
    again = nb.sampled_spectrum(beam(nb.Spectrum(kind="sase", fwhm_ev=20.0, seed=3, shot=11)))
    assert np.array_equal(found.weight, again.weight) and np.array_equal(
        found.wavelength_angstrom, again.wavelength_angstrom
    )
    other = nb.sampled_spectrum(beam(pulses), shot=12)
    assert not np.array_equal(found.weight, other.weight)
    # whatever the number of samples
    fine = nb.sampled_spectrum(beam(nb.Spectrum(kind="sase", fwhm_ev=20.0, seed=3, shot=11, n_wavelengths=100)))
    assert fine.weight.reshape(50, 2).sum(axis=1) == pytest.approx(found.weight, rel=1e-9)


def test_the_fluence_follows_the_energy_of_the_pulse() -> None:
    def scene(**fields: Any) -> Any:
        return derive(resolve(small(beam=beam(nb.Spectrum(kind="sase", duration_fs=1.0, shot=2, **fields)))))

    energy = nb.sampled_spectrum(beam(nb.Spectrum(kind="sase", duration_fs=1.0)), shot=2).weight.sum()
    assert scene().fluence == pytest.approx(1e24 * energy, rel=1e-14) and abs(energy - 1) > 0.01
    assert scene(fixed_energy=True).fluence == 1e24


def test_the_center_jitters_from_shot_to_shot() -> None:
    jittered = beam(nb.Spectrum(kind="sase", jitter_ev=5.0, fwhm_ev=1.0, duration_fs=50.0))
    centers = np.array([nb.sampled_spectrum(jittered, shot=shot).energy_ev.mean() for shot in range(100)])
    assert abs(centers.mean() - EV_ANGSTROM) < 5 * 5.0 / 10
    assert abs(centers.std() - 5.0) < 5 * 5.0 / math.sqrt(200)


def test_every_image_of_a_series_has_a_pulse_of_its_own() -> None:
    pulses = beam(nb.Spectrum(kind="sase", fwhm_percent=1.0, duration_fs=1.0, n_wavelengths=5, shot=4))
    series = small(beam=pulses, goniometer=nb.Goniometer(osc_deg=0.5, n_steps=1))
    images = list(nb.simulate_scan(series, 3))
    alone = series.replace("beam.spectrum.shot", 6).replace("goniometer.phi_start_deg", 1.0)
    assert np.array_equal(images[2], nb.simulate(alone))


# --- sampling ------------------------------------------------------------------------------------------------------------


def coarse(spectrum: nb.Spectrum, n_cells: int) -> list[str]:
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), n_cells=(n_cells,) * 3,
        structure_factors=nb.StructureFactors.constant(10.0),
    )  # fmt: skip
    experiment = small(beam=beam(spectrum), crystal=crystal)
    return [text for text in decided_doubts([resolve(experiment)]) if text.startswith("beam.spectrum")]


@pytest.mark.parametrize(
    "spectrum",
    [
        nb.Spectrum(kind="tophat", fwhm_percent=1.0),
        nb.Spectrum(kind="gaussian", fwhm_percent=0.5),
        nb.Spectrum(kind="pink", sigma_low_ev=60.0, sigma_high_ev=20.0),
        nb.Spectrum(kind="two_color", separation_ev=100.0, fwhm_ev=30.0),
        nb.Spectrum(kind="sase", fwhm_percent=0.3),
    ],
    ids=lambda spectrum: str(spectrum.kind),
)
def test_a_spectrum_too_coarse_for_the_spots_is_told_with_what_is_enough(spectrum: nb.Spectrum) -> None:
    (said,) = coarse(spectrum, 300)
    enough = re.search(r"n_wavelengths=(\d+)", said)
    assert enough and "300 cells" in said
    assert not coarse(dataclasses.replace(spectrum, n_wavelengths=int(enough[1])), 300)
    assert coarse(dataclasses.replace(spectrum, n_wavelengths=int(int(enough[1]) * 0.9) // 2 * 2), 300)
    assert not coarse(spectrum, 2)
    with pytest.warns(nb.PlausibilityWarning, match="beam.spectrum"):
        nb.simulate(small(beam=beam(spectrum), crystal=dataclasses.replace(small().crystal, n_cells=(300,) * 3),
                          sampling=nb.Sampling(oversample=1)))  # fmt: skip


def test_the_rule_of_sampling() -> None:
    """A step of 1/(2 n h) keeps a spot of n cells at index h together: told from there on."""
    n_cells = 50
    decided = resolve(small(crystal=dataclasses.replace(small().crystal, n_cells=(n_cells,) * 3)))
    limit = 1 / (2 * n_cells * max(largest_indices(decided)))
    for factor, told in ((0.99, False), (1.02, True)):
        lines = nb.Spectrum(kind="given", wavelength_angstrom=1.0 + factor * limit * np.arange(-2, 3))
        assert bool(coarse(lines, n_cells)) is told


def test_few_lines_that_are_meant_are_not_told() -> None:
    assert not coarse(nb.Spectrum(kind="two_color", separation_ev=100.0), 300)
    assert not coarse(nb.Spectrum(kind="given", energy_ev=[12000.0, 12500.0]), 300)


# --- experiment files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_files_of_experiments_hold_the_spectrum(tmp_path: Path, name: str) -> None:
    experiment = small(beam=beam(KINDS[name]))
    assert nb.Experiment.from_json(experiment.to_json()).equals(experiment)
    experiment.to_toml(tmp_path / "e.toml")
    assert nb.Experiment.from_toml(tmp_path / "e.toml").equals(experiment)


def test_toml_names_a_file_of_two_columns(tmp_path: Path) -> None:
    (tmp_path / "measured.txt").write_text("0.99 1\n1.0 3\n1.02 2\n")
    text = (
        "[crystal.unit_cell]\na=40\nb=50\nc=60\nalpha=90\nbeta=90\ngamma=90\n[crystal.structure_factors]\ndefault_F=1\n"
    )
    (tmp_path / "e.toml").write_text(text + '[beam.spectrum]\nfile = "measured.txt"\n')
    found = nb.Experiment.from_toml(tmp_path / "e.toml").beam.spectrum
    assert found is not None and found.weight.tolist() == [1, 3, 2]
    (tmp_path / "e.toml").write_text(text + '[beam.spectrum]\nfile = "measured.txt"\nkind = "sase"\n')
    with pytest.raises(nb.FileFormatError, match=r"beam\.spectrum\.kind.*from a file"):
        nb.Experiment.from_toml(tmp_path / "e.toml")
    (tmp_path / "e.toml").write_text(text + "[beam.spectrum]\nknd = 'sase'\n")
    with pytest.raises(nb.FileFormatError, match="did you mean kind"):
        nb.Experiment.from_toml(tmp_path / "e.toml")
