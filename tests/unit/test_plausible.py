"""Values in other units and images with nothing in them are told once, with field, unit and what was probably meant."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_cases import golden_cases
from small import small

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.cli.words.demo import EXPERIMENT, demo_experiment, write_inputs
from nanobragg.derivation.panels import split
from nanobragg.derivation.resolve import resolve
from nanobragg.exchange.toml import read_toml
from nanobragg.inspection.foresight.plausible import decided_doubts, typed_doubts

ROOT = Path(__file__).parents[2]
FLAGS = "-default_F 100 -cell 50 60 70 90 95 90 -N 5 -detpixels 8 -oversample 1 -nopgm -nonoise"
TYPED = {
    "-lambda 12400": ("beam.wavelength_angstrom", "Angstrom", "an energy in eV?", "-energy 12400"),
    "-lambda 1e-10": ("beam.wavelength_angstrom", "Angstrom", "meters?", "-lambda 1"),
    "-energy 12.4": ("beam.energy_ev", "eV", "keV?", "-energy 12400"),
    "-distance 0.2": ("detector.distance_mm", "mm", "meters?", "-distance 200"),
    "-pixel 172": ("detector.pixel_size_mm", "mm", "micrometers?", "-pixel 0.172"),
    "-xtalsize 30": ("crystal.size_mm", "mm", "micrometers?", "-xtalsize 0.03"),
    "-detpixels 1000 -roi 0 3 0 3 -Xbeam 500 -Ybeam 500": ("detector.beam_center", "mm", "pixels?", "-Xbeam 50"),
}
SET: dict[str, tuple[Any, str, str]] = {
    "detector.distance_mm": (0.1, "mm: meters?", "detector.distance_mm=100"),
    "detector.pixel_size_mm": (172, "mm: micrometers?", "detector.pixel_size_mm=0.172"),
    "detector.beam_center_mm": ((500, 480), "mm: pixels?", "detector.beam_center_mm=50"),
    "beam.wavelength_angstrom": (12400, "Angstrom: an energy in eV?", "beam.energy_ev=12400"),
    "beam.fluence_per_m2": (1e12, "photons/m^2: a flux in photons/s", "beam.fluence_per_m2=1e+24"),
    "crystal.size_mm": ((30, 30, 30), "mm: micrometers?", "crystal.size_mm=0.03"),
}


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
@pytest.mark.parametrize("flags", TYPED)
def test_typed(flags: str, fidelity: str, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*FLAGS.split(), *flags.split(), "--fidelity", fidelity]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line and "? -" in line]
    assert len(said) == 1 and all(part in said[0] for part in TYPED[flags])


@pytest.mark.parametrize("fidelity", ["reference", "corrected"])
@pytest.mark.parametrize("path", SET)
def test_set(path: str, fidelity: str) -> None:
    value, meaning, instead = SET[path]
    large = nb.Detector(n_fast=1000, n_slow=1000, pixel_size_mm=0.1, distance_mm=100)
    experiment = small(detector=large, sampling=nb.Sampling(oversample=1, roi=(slice(0, 2), slice(0, 2))))
    experiment = experiment.with_fidelity(fidelity).replace(path, value)
    with pytest.warns(nb.PlausibilityWarning) as caught:
        nb.simulate(experiment)
    (said,) = (w for w in caught if isinstance(w.message, nb.PlausibilityWarning))
    assert path in str(said.message) and meaning in str(said.message) and instead in str(said.message)
    assert said.message.path == path and said.filename == __file__
    with warnings.catch_warnings(record=True) as silenced:
        warnings.simplefilter("ignore", nb.NanoBraggWarning)
        nb.simulate(experiment)
    assert not silenced


def test_told_although_refused(tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The crystal of 30 mm asks for more sub-pixels than there can be; that is said after what it comes from."""
    monkeypatch.chdir(tmp_path)
    flags = "-default_F 100 -cell 50 60 70 90 95 90 -xtalsize 30"
    assert main(flags.split()) == 9
    said = capsys.readouterr().err.splitlines()
    assert "-xtalsize is in mm" in said[0] and "crystal.size_mm" in said[-1]
    with (
        pytest.warns(nb.PlausibilityWarning, match="size_mm"),
        pytest.raises(nb.ConfigError, match=r"crystal\.size_mm"),
    ):
        nb.simulate(small().replace("crystal.size_mm", (30, 30, 30)))


def test_no_golden_case_is_doubtful(tmp_path: Path, monkeypatch: Any) -> None:
    looked_at = 0
    for case in golden_cases(ROOT / "golden"):
        folder = tmp_path / case.name
        folder.mkdir()
        case.copy_inputs(folder)
        monkeypatch.chdir(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                typed = nb.Experiment.from_nanobragg_args(case.args)
                both = [(typed, resolve(typed))]
                both.append((typed.with_fidelity("corrected"), resolve(typed.with_fidelity("corrected"))))
            except nb.NanoBraggError:  # an error is what the case is about, or what the corrected model refuses
                continue
        for experiment, decided in both:
            assert not typed_doubts(experiment) and not decided_doubts([decided]), case.name
            looked_at += 1
    assert looked_at > 300


def test_demo_is_not_doubtful(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    (tmp_path / "demo.toml").write_text(EXPERIMENT)
    for experiment in (demo_experiment(), read_toml(tmp_path / "demo.toml").experiment):
        assert not typed_doubts(experiment) and not decided_doubts([resolve(experiment)])


def listed(n: int) -> nb.StructureFactors:
    """Reflections -n ... n along every axis."""
    hkl = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3), axis=-1).reshape(-1, 3)
    return nb.StructureFactors.from_arrays(hkl, np.full(len(hkl), 10.0))


def test_list_ends_before_the_pixels() -> None:
    """2 theta is 23 to 44 degrees in the corner that is rendered: 1.3 Angstrom and less, |h| >= 25 somewhere."""
    cell = nb.UnitCell(100, 100, 100, 90, 90, 90)
    detector = nb.Detector(n_fast=100, n_slow=100, pixel_size_mm=1, distance_mm=50, beam_center_mm=(50, 50))

    def experiment(n: int) -> nb.Experiment:
        crystal = nb.Crystal(unit_cell=cell, n_cells=(5, 5, 5), structure_factors=listed(n))
        return nb.Experiment(
            crystal=crystal, detector=detector, sampling=nb.Sampling(oversample=1, roi=(slice(0, 20), slice(0, 20)))
        )

    with pytest.warns(nb.PlausibilityWarning, match="0 % of the rendered pixels.*default_F") as caught:
        nb.simulate(experiment(8))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", nb.NanoBraggWarning)
        nb.simulate(experiment(90))


def test_beam_beside_every_panel() -> None:
    detector = nb.Detector(n_fast=16, n_slow=12, pixel_size_mm=1.0, distance_mm=50.0, beam_center_mm=(-60.0, 6.0))
    experiment = small(detector=detector)
    with pytest.warns(nb.PlausibilityWarning, match="direct beam passes .* mm beside the detector"):
        nb.simulate(experiment)
    whole = split(small(), 3, 4)
    with warnings.catch_warnings():  # most of the twelve panels are beside the beam
        warnings.simplefilter("error", nb.NanoBraggWarning)
        nb.simulate(whole)


def test_fluence_of_a_flux() -> None:
    """1e12 photons/s in a beam of 30 m: micrometres were meant; a fluence that the flux overrides is not told."""
    flux = nb.Beam(flux_per_s=1e12, size_mm=30e3, fluence_per_m2=1e12)
    with pytest.warns(nb.PlausibilityWarning, match="fluence_per_m2=1.11111e\\+09 is not above 1e\\+15 photons/m"):
        nb.simulate(small(beam=flux))
    assert not typed_doubts(small(beam=nb.Beam(flux_per_s=1e12, size_mm=0.03, fluence_per_m2=1e12)))


def test_one_warning_for_all_panels() -> None:
    experiment = split(small(), 3, 4).replace("beam.wavelength_angstrom", 12400.0)
    with pytest.warns(nb.PlausibilityWarning) as caught:
        nb.simulate(experiment)
    assert len(caught) == 1


def test_nothing_in_the_image() -> None:
    dark = small().replace("beam.fluence_per_m2", 0.0)
    with pytest.warns(nb.PlausibilityWarning, match="0 everywhere: the fluence is 0"):
        nb.simulate(dark)
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), n_cells=(100, 100, 100), shape="tophat", misset_deg=(3, 4, 5),
        structure_factors=nb.StructureFactors.constant(10.0),
    )  # fmt: skip
    far = nb.Detector(n_fast=40, n_slow=40, pixel_size_mm=2.0, distance_mm=5e4, beam_center_mm=(-200, -150))
    experiment = small(crystal=crystal, detector=far, sampling=nb.Sampling(oversample=1))
    with pytest.warns(nb.PlausibilityWarning, match="0 everywhere: no reflection"):
        assert not nb.simulate(experiment).any()
    with pytest.warns(nb.PlausibilityWarning, match="no spot"):
        nb.simulate(experiment.replace("crystal.shape", "square"))


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    wavelength = torch.tensor(12400.0, dtype=torch.float64, requires_grad=True)
    with pytest.warns(nb.PlausibilityWarning, match="an energy in eV"):
        nb.simulate(small().replace("beam.wavelength_angstrom", wavelength), backend="torch")


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324])
def test_sizes_whose_square_is_no_number(size: float) -> None:
    """Such a beam is nobody's, but looking at it fails nowhere."""
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)
    )
    beam = nb.Beam(flux_per_s=1e12, size_mm=size)
    typed_doubts(nb.Experiment(crystal=crystal, beam=beam, detector=nb.Detector(n_fast=4, n_slow=4)))
