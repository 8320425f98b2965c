"""Config objects: frozen, checked, replaceable, serializable."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.config import fields
from nanobragg.config.quirks import CORRECTED, REFERENCE


def leaves(kind: type, prefix: str = ""):
    """(path, field) of every value below a config class."""
    for field in dataclasses.fields(kind):
        path = f"{prefix}.{field.name}" if prefix else field.name
        part = field.metadata.get("part")
        if part is None:
            yield path, field
        elif part is not nb.StructureFactors:
            yield from leaves(part, path)


LEAVES = dict(leaves(nb.Experiment))


def test_objects_are_frozen_and_keyword_only() -> None:
    experiment = small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.beam.kahn_factor = 0.5  # type: ignore[misc]
    with pytest.raises(TypeError):
        nb.Beam(1.0)  # type: ignore[misc]
    assert small() != small()  # no generated equality: it breaks on tensors
    assert small().equals(small())


def test_every_field_declares_its_metadata() -> None:
    for path, field in LEAVES.items():
        if path != "quirks":
            assert field.metadata["kind"] in fields.__doc__ or field.metadata["kind"], path
    lengths = {path: field.metadata["unit"] for path, field in LEAVES.items()}
    for suffix, unit in (
        ("_mm", "mm"),
        ("_um", "um"),
        ("_deg", "degrees"),
        ("_mrad", "mrad"),
        ("_angstrom", "Angstrom"),
    ):
        for path, stated in lengths.items():
            if path.endswith(suffix):
                assert stated == unit, path


DIFFERENTIABLE = """
crystal.unit_cell.a crystal.unit_cell.b crystal.unit_cell.c crystal.unit_cell.alpha crystal.unit_cell.beta
crystal.unit_cell.gamma crystal.a_star_matrix crystal.misset_deg crystal.n_cells crystal.fudge crystal.mosaic.spread_deg
crystal.mosaic.covariance_deg2 crystal.mosaic.rotations crystal.mosaic.strain crystal.n_blocks crystal.volume_mm3
crystal.block_matrix crystal.sizes.width crystal.displacement.b_angstrom2 crystal.displacement.u_angstrom2
crystal.damage.dose_mgy crystal.damage.frame_dose_mgy crystal.damage.b_per_mgy crystal.damage.decay_per_mgy
crystal.damage.dose_1_mgy crystal.diffuse.sigma_angstrom crystal.diffuse.gamma_angstrom crystal.diffuse.map
beam.wavelength_angstrom beam.energy_ev beam.fluence_per_m2 beam.flux_per_s beam.exposure_s beam.size_mm beam.direction
beam.polarization_axis beam.kahn_factor beam.dispersion_percent beam.divergence.h_mrad beam.divergence.v_mrad
beam.spectrum.fwhm_percent beam.spectrum.fwhm_ev beam.spectrum.sigma_low_ev beam.spectrum.sigma_high_ev
beam.spectrum.separation_ev beam.spectrum.ratio beam.spectrum.energy_ev beam.spectrum.wavelength_angstrom
beam.spectrum.weight
beam.sources.direction beam.sources.wavelength_angstrom beam.sources.weight detector.pixel_size_mm detector.distance_mm
detector.close_distance_mm detector.beam_center_mm detector.beam_center_convention_mm detector.org_px
detector.close_point_mm detector.rotation_deg detector.twotheta_deg detector.twotheta_axis detector.fast_axis
detector.slow_axis detector.normal_axis detector.pix0_mm detector.sensor.thickness_um detector.sensor.attenuation_um
goniometer.phi_start_deg goniometer.osc_deg goniometer.step_deg goniometer.axis background.water_um
background.components.table background.components.thickness_mm background.components.along_beam_mm
background.components.density_g_cm3 background.components.molar_mass_g background.components.attenuation_mm
background.components.scale background.components.width_mm background.components.height_mm
detector_pose.shift_mm detector_pose.rotation_deg detector_pose.origin_mm
""".split()


def test_differentiable_fields_are_those_of_the_interface() -> None:
    assert {path for path, field in LEAVES.items() if field.metadata["differentiable"]} == set(DIFFERENTIABLE)


class FakeTensor:
    """Looks like a tensor: torch need not be installed to refuse one."""

    requires_grad = True
    ndim = 0
    shape = ()

    def detach(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    "path",
    [p for p in LEAVES if p not in DIFFERENTIABLE and p not in ("quirks", "sampling.roi", "detector.mask")],
)
def test_tensor_in_a_field_that_is_not_differentiable(path: str) -> None:
    experiment = small(
        beam=nb.Beam(divergence=nb.Divergence()),
        detector=nb.Detector(n_fast=16, n_slow=12, sensor=nb.Sensor()),
        background=nb.Background(
            components=nb.Amorphous(thickness_mm=1.0, beamstop=nb.Beamstop(radius_mm=1, distance_mm=9))
        ),
    )
    with pytest.raises(nb.ConfigError, match=r"takes no tensor") as error:
        experiment.replace(path.replace("components.", "components[0]."), FakeTensor())
    assert str(error.value).startswith(path)


def test_replace_reaches_every_level() -> None:
    experiment = small()
    wet = experiment.replace("background.components", (nb.Amorphous(thickness_mm=1.0), nb.Amorphous(thickness_mm=2.0)))
    assert wet.replace("background.components[1].scale", 3).get("background.components[1].scale") == 3.0
    with pytest.raises(nb.ConfigError, match="index below 2"):
        wet.replace("background.components[2].scale", 3)
    assert experiment.replace("crystal.misset_deg", (1, 2, 3)).crystal.misset_deg == (1.0, 2.0, 3.0)
    assert experiment.replace("crystal.misset_deg[2]", 5).crystal.misset_deg == (0.0, 0.0, 5.0)
    assert experiment.replace("crystal.unit_cell.a", 44).crystal.unit_cell.a == 44.0
    assert experiment.replace("detector.sensor.n_layers", 3).detector.sensor.n_layers == 3
    assert experiment.replace(beam=nb.Beam(kahn_factor=1)).beam.kahn_factor == 1.0
    assert experiment.crystal.misset_deg == (0.0, 0.0, 0.0)
    assert experiment.get("crystal.unit_cell.b") == 50.0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("crystal.missset_deg", "did you mean misset_deg?"),
        ("cristal.misset_deg", "did you mean crystal?"),
        ("crystal.misset_deg[3]", "must be an index below 3"),
        ("beam.sources.weight", "set beam.sources as a whole first"),
        ("crystal misset", "must look like"),
    ],
)
def test_replace_refuses_what_does_not_exist(path: str, text: str) -> None:
    with pytest.raises(nb.ConfigError) as error:
        small().replace(path, 1.0)
    assert text in str(error.value)


def test_fidelity_and_quirks() -> None:
    experiment = small()
    assert experiment.fidelity == "corrected" and experiment.quirks == CORRECTED
    reference = experiment.with_fidelity("reference")
    assert reference.fidelity == "reference" and reference.quirks == REFERENCE == frozenset(nb.Quirk)
    custom = experiment.replace("quirks", {"WATER_SCALE", nb.Quirk.STALE_PHI_ZERO})
    assert custom.fidelity == "custom" and custom.quirks == {nb.Quirk.WATER_SCALE, nb.Quirk.STALE_PHI_ZERO}
    assert experiment.replace("quirks", nb.Quirk.WATER_SCALE | nb.Quirk.STALE_PHI_ZERO).quirks == custom.quirks
    with pytest.raises(nb.ConfigError, match="did you mean WATER_SCALE"):
        experiment.replace("quirks", {"WATERSCALE"})
    with pytest.raises(nb.ConfigError, match="fidelity='exact'"):
        experiment.with_fidelity("exact")


def full_experiment() -> nb.Experiment:
    rng = np.random.default_rng(3)
    mask = rng.random((12, 16)) > 0.5
    return nb.Experiment(
        crystal=nb.Crystal(
            a_star_matrix=np.diag([0.02, 0.03, 0.01]), misset_deg="random", misset_seed=4, n_cells=(2.5, 3, 4),
            shape="gauss", mosaic=nb.Mosaic(spread_deg=0.2, n_domains=3, seed=9),
            structure_factors=nb.StructureFactors.from_arrays(
                rng.integers(-4, 5, (50, 3)), rng.random(50), default_F=2.0),
        ),
        beam=nb.Beam(energy_ev=12000, flux_per_s=1e12, size_mm=0.1, divergence=nb.Divergence(h_mrad=1, n_h=3),
                     sources=nb.Sources(direction=[[-1, 0, 0], [-1, 0.1, 0]], wavelength_angstrom=[1.0, 1.1])),
        detector=nb.Detector(n_fast=16, n_slow=12, mask=mask, org_px=(8, None), pix0_mm=(1, 2, 3),
                             sensor=nb.Sensor(thickness_um=300, attenuation_um=float("inf"), n_layers=2)),
        goniometer=nb.Goniometer(osc_deg=1, n_steps=2, axis=(0, 0, -1)),
        sampling=nb.Sampling(roi=(slice(1, 4), slice(None, 5)), d_min_angstrom=2.0),
        background=nb.Background(water_um=3), quirks={"WATER_SCALE"},
    )  # fmt: skip


def test_round_trip_through_plain_data_and_json() -> None:
    experiment = full_experiment()
    data = experiment.to_dict()
    assert data["quirks"] == ["WATER_SCALE"] and data["fidelity"] == "custom" and data["model_version"] >= 1
    again = nb.Experiment.from_json(json.dumps(json.loads(experiment.to_json())))
    assert again.equals(experiment)
    np.testing.assert_array_equal(
        again.crystal.structure_factors.amplitude, experiment.crystal.structure_factors.amplitude
    )
    np.testing.assert_array_equal(again.detector.mask, experiment.detector.mask)
    assert not again.replace("crystal.fudge", 1.5).equals(experiment)


def test_unknown_keys_in_plain_data_are_refused_by_name() -> None:
    data = small().to_dict()
    data["beam"]["wavelenght_angstrom"] = 1.0
    with pytest.raises(nb.ConfigError, match="did you mean wavelength_angstrom"):
        nb.Experiment.from_dict(data)
    with pytest.raises(nb.ConfigError, match="is not JSON"):
        nb.Experiment.from_json("{")
    with pytest.raises(nb.ConfigError, match="model_version"):
        nb.Experiment.from_dict({**small().to_dict(), "model_version": 99})
