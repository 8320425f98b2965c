"""Structure factors that depend on the photon energy: Friedel mates, colors, their derivatives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import nanobragg as nb
from nanobragg.constants import EV_ANGSTROM
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve

gemmi = pytest.importorskip("gemmi")
pytestmark = [
    pytest.mark.filterwarnings("ignore:the detector reaches"),  # further than the small model's reflections
    pytest.mark.filterwarnings("ignore:beam.spectrum.*a row of spots"),  # few lines are quick
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),  # of torch's own forward mode
]

CELL = (20.0, 24.0, 30.0, 90.0, 90.0, 90.0)
ATOMS = [  # element, fraction of the cell, occupancy, B
    ("C", (0.11, 0.23, 0.31), 1.0, 12.0), ("N", (0.42, 0.13, 0.17), 1.0, 15.0), ("O", (0.27, 0.38, 0.08), 1.0, 9.0),
    ("SE", (0.19, 0.07, 0.41), 0.8, 20.0), ("SE", (0.33, 0.29, 0.22), 1.0, 14.0),
]  # fmt: skip
EDGE = (12640.0, 12680.0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ["CRYST1   20.000   24.000   30.000  90.00  90.00  90.00 P 21 21 21    4"]
    for i, (element, place, occupancy, b) in enumerate(ATOMS, 1):
        x, y, z = (fraction * edge for fraction, edge in zip(place, CELL, strict=False))
        lines.append(
            f"HETATM{i:5d} {element:<4s} UNK A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b:6.2f}          {element:>2s}"
        )
    found = tmp_path_factory.mktemp("model") / "small.pdb"
    found.write_text("\n".join([*lines, "END"]) + "\n")
    return found


@pytest.fixture(scope="module")
def model(path: Path) -> nb.AnomalousModel:
    return nb.AnomalousModel.from_model(path, 2.0, k_sol=0.0)


def value(table: nb.StructureFactors, energy: int, hkl: Any) -> float:
    return float(table.amplitude[(energy, *(np.asarray(hkl) - table.hkl_min))])


def summed(hkl: Any, factors: dict[str, complex]) -> complex:
    """F of the atoms, added up one by one: those of neutral atoms, and f' + i f'' of some elements."""
    q_sqr = sum((index / edge) ** 2 for index, edge in zip(hkl, CELL, strict=False))
    total = 0j
    for element, place, occupancy, b in ATOMS:
        name = element.capitalize()
        f = gemmi.Element(name).it92.calculate_sf(q_sqr / 4) + factors.get(name, 0.0)
        for operation in gemmi.SpaceGroup("P 21 21 21").operations():
            x = np.array(operation.apply_to_xyz(list(place)))
            total += occupancy * np.exp(-b * q_sqr / 4) * f * np.exp(2j * np.pi * (np.asarray(hkl) @ x))
    return complex(total)


SOME = [(1, 2, 3), (3, -1, 2), (-2, -3, 5), (4, 4, 1), (0, 3, 4), (-4, 1, -7)]


def test_tables_are_the_sum_over_the_atoms(model: nb.AnomalousModel) -> None:
    table = model.at(EDGE)
    assert model.elements == ("Se",) and table.energy_ev == EDGE
    for channel, energy in enumerate(EDGE):
        factor = complex(*gemmi.cromer_liberman(z=34, energy=energy))
        for hkl in SOME:
            for sign in (1, -1):
                mate = tuple(sign * index for index in hkl)
                expected = abs(summed(mate, {"Se": factor}))
                # the transform of the density: measured 1e-6
                assert value(table, channel, mate) == pytest.approx(expected, rel=1e-5), (energy, mate)


def test_friedel_mates_differ_exactly_as_f_double_prime_says(model: nb.AnomalousModel) -> None:
    """|F(h)|^2 - |F(-h)|^2 = 4 f'' Im(conj(G) F_0), with G the sum over the anomalous atoms."""
    f2 = np.array([0.5, 3.9])
    table = model.at(EDGE, f_prime={"Se": [-4.0, -7.0]}, f_double_prime={"Se": f2})
    rows = {tuple(index): row for row, index in enumerate(model.parts.hkl.tolist())}
    compared = 0
    for hkl, row in list(rows.items())[::5]:
        if 0 in hkl:  # a mate by symmetry is its Friedel mate
            assert value(table, 0, hkl) == value(table, 0, [-index for index in hkl])
            continue
        inner = np.conj(model.parts.sums["Se"][row]) * model.parts.ordinary[row]
        for channel in range(2):
            plus, minus = value(table, channel, hkl), value(table, channel, [-index for index in hkl])
            # rounding of squares, measured 5e-16 of their sum
            assert plus**2 - minus**2 == pytest.approx(4 * f2[channel] * inner.imag, abs=1e-12 * (plus**2 + minus**2))
            compared += abs(plus - minus) > 0.01 * plus
    assert compared > 50


def test_without_f_double_prime_friedels_law_holds(model: nb.AnomalousModel, path: Path) -> None:
    real = model.at(EDGE, f_double_prime={"Se": [0.0, 0.0]})
    plain = model.at(EDGE, f_prime={"Se": [0.0, 0.0]}, f_double_prime={"Se": [0.0, 0.0]})
    alone = nb.StructureFactors.from_model(path, 2.0, k_sol=0.0)
    for hkl in SOME:
        mate = tuple(-index for index in hkl)
        assert value(real, 0, hkl) == pytest.approx(value(real, 0, mate), rel=1e-13)
        assert value(real, 0, hkl) != pytest.approx(value(real, 1, hkl), rel=1e-6)  # f' alone differs
        for channel in range(2):
            assert value(plain, channel, hkl) == float(alone.amplitude[tuple(np.asarray(hkl) - alone.hkl_min)])


def test_mates_by_symmetry_are_equal(model: nb.AnomalousModel) -> None:
    table = model.at(EDGE)
    for h, k, m in SOME:
        for mate in ((h, -k, -m), (-h, k, -m), (-h, -k, m)):
            assert value(table, 0, mate) == value(table, 0, (h, k, m))
    assert value(table, 0, (3, 0, 0)) == 0.0  # absent


def test_scans_are_taken_linearly(model: nb.AnomalousModel) -> None:
    scan = ([12600.0, 12660.0, 12700.0], [-5.0, -8.0, -6.0], [0.5, 2.0, 4.0])
    found = model.at([12640.0], measured={"Se": scan})
    stated = model.at([12640.0], f_prime={"Se": [-7.0]}, f_double_prime={"Se": [1.5]})
    assert found.amplitude == pytest.approx(stated.amplitude, rel=1e-13)


# --- images --------------------------------------------------------------------------------------------------------------


def experiment(table: nb.StructureFactors, spectrum: nb.Spectrum, **crystal: Any) -> nb.Experiment:
    return nb.Experiment(
        crystal=nb.Crystal(
            **{"unit_cell": nb.UnitCell(*CELL), "n_cells": (6, 6, 6), "misset_deg": (10, 20, 30), "shape": "gauss",
               "structure_factors": table} | crystal
        ),
        beam=nb.Beam(energy_ev=sum(EDGE) / 2, fluence_per_m2=1e24, spectrum=spectrum),
        detector=nb.Detector(n_fast=30, n_slow=24, pixel_size_mm=1.5, distance_mm=40.0),
        sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


COLORS = nb.Spectrum(kind="two_color", separation_ev=EDGE[1] - EDGE[0], ratio=2.0)


def line(energy: float) -> nb.Spectrum:
    return nb.Spectrum(kind="given", energy_ev=[energy])


def image(table: nb.StructureFactors, spectrum: nb.Spectrum, **crystal: Any) -> NDArray[np.float64]:
    return np.asarray(nb.simulate(experiment(table, spectrum, **crystal)))


def test_every_color_sees_its_table(model: nb.AnomalousModel) -> None:
    table = model.at(EDGE)
    scene = derive(resolve(experiment(table, COLORS)))
    assert scene.n_tables == 2 and scene.source_table is not None and scene.source_table.tolist() == [0, 1]
    expected = (image(table.at(EDGE[0]), line(EDGE[0])) + 2 * image(table.at(EDGE[1]), line(EDGE[1]))) / 3
    assert np.abs(image(table, COLORS) - expected).max() < 1e-13 * expected.max()  # measured: 2e-16


def test_one_energy_is_the_plain_table_bit_for_bit(model: nb.AnomalousModel) -> None:
    table = model.at([12660.0])
    assert np.array_equal(image(table, COLORS), image(table.at(12660.0), COLORS))
    assert table.energy_ev == (12660.0,) and table.at(0.0).energy_ev is None


def test_the_photons_of_friedel_mates_differ_as_f_double_prime_says(model: nb.AnomalousModel) -> None:
    """Photons over those of |F| = 1 are |F(h)|^2; with the table inverted, |F(-h)|^2; in both colors."""
    f2 = np.array([0.5, 3.9])
    table, ones = model.at(EDGE, f_double_prime={"Se": f2}), nb.StructureFactors.constant(1.0)
    rows = {tuple(index): row for row, index in enumerate(model.parts.hkl.tolist())}
    inverted = dataclasses.replace(
        table, amplitude=table.amplitude[:, ::-1, ::-1, ::-1].copy(), hkl_min=tuple(-high for high in table.hkl_max)
    )
    seen = 0
    for channel, energy in enumerate(EDGE):
        plain = image(ones, line(energy))
        ratio = (image(table, line(energy)) - image(inverted, line(energy))) / plain
        for pixel in np.argsort(-plain.ravel())[:60].tolist():
            at = divmod(pixel, plain.shape[1])
            traced = nb.trace(experiment(ones, line(energy)), at)
            hkl = next(tuple(int(x) for x in step.value) for step in traced.steps if step.name == "hkl_nearest")
            sign = 1 if hkl in rows else -1
            row = rows.get(tuple(sign * index for index in hkl))
            if row is None or 0 in hkl:  # a mate of the unique ones, or one that is its own Friedel mate
                continue
            imaginary = (np.conj(model.parts.sums["Se"][row]) * model.parts.ordinary[row]).imag
            size = value(table, channel, hkl) ** 2
            assert ratio[at] == pytest.approx(sign * 4 * f2[channel] * imaginary, abs=1e-11 * size)  # measured: 8e-16
            seen += 1
    assert seen > 5


def test_tables_of_several_energies_from_mtz(model: nb.AnomalousModel, tmp_path: Path) -> None:
    for i, energy in enumerate(EDGE):
        model.at(EDGE).at(energy).to_mtz(tmp_path / f"{i}.mtz")
    read = {energy: nb.StructureFactors.from_mtz(tmp_path / f"{i}.mtz") for i, energy in enumerate(EDGE)}
    table = nb.StructureFactors.by_energy(read)
    for hkl in SOME:
        for channel in range(2):
            assert value(table, channel, hkl) == pytest.approx(value(model.at(EDGE), channel, hkl), rel=1e-6)  # float32
    assert table.unit_cell == CELL


def test_boxes_are_filled_with_default_f() -> None:
    small = nb.StructureFactors.from_arrays([(0, 0, 0), (1, 1, 1)], [3.0, 4.0], default_F=2.0)
    large = nb.StructureFactors.from_arrays([(-1, 0, 2), (0, 0, 0)], [5.0, 6.0], default_F=2.0)
    table = nb.StructureFactors.by_energy({9100.0: large, 9000.0: small})
    assert table.energy_ev == (9000.0, 9100.0) and table.hkl_min == (-1, 0, 0) and table.hkl_max == (1, 1, 2)
    assert [value(table, 0, hkl) for hkl in ((0, 0, 0), (1, 1, 1), (-1, 0, 2))] == [3.0, 4.0, 2.0]
    assert [value(table, 1, hkl) for hkl in ((0, 0, 0), (1, 1, 1), (-1, 0, 2))] == [6.0, 2.0, 5.0]


def test_displacements_act_on_every_table(model: nb.AnomalousModel) -> None:
    table, b = model.at(EDGE), nb.Displacement(b_angstrom2=20.0)
    expected = sum(
        weight / 3 * image(table.at(energy), line(energy), displacement=b)
        for weight, energy in zip((1, 2), EDGE, strict=True)
    )
    assert np.abs(image(table, COLORS, displacement=b) - expected).max() < 1e-13 * np.max(expected)


def test_costs_and_parts_of_many_wavelengths(model: nb.AnomalousModel) -> None:
    many = nb.Spectrum(kind="tophat", fwhm_percent=1.0, n_wavelengths=400)
    whole = experiment(model.at(EDGE), many).replace("background.water_um", 1.0)
    large = (
        whole.replace("detector.n_fast", 3000).replace("detector.n_slow", 3000).replace("detector.pixel_size_mm", 0.1)
    )
    assert nb.explain(large).seconds is not None  # a probe with fewer wavelengths
    for backend in ("c", "torch"):
        parts = nb.simulate(whole, parts=True, roi=(slice(10, 12), slice(9, 13)), backend=backend)
        total = np.asarray(nb.simulate(whole, roi=(slice(10, 12), slice(9, 13)), backend=backend))
        assert np.abs(np.asarray(sum(parts.values())) - total).max() < 1e-12 * total.max()


def test_predictions_take_the_mean_square(model: nb.AnomalousModel) -> None:
    table = model.at(EDGE)
    found = nb.predict(experiment(table, COLORS), d_min=3.0).to_pandas()
    for _, row in found.iloc[:20].iterrows():
        f = [value(table, channel, (int(row.h), int(row.k), int(row.l))) for channel in range(2)]
        assert row.F == pytest.approx(np.sqrt((f[0] ** 2 + 2 * f[1] ** 2) / 3), rel=1e-12)


def test_files_of_experiments_hold_the_tables(model: nb.AnomalousModel, tmp_path: Path) -> None:
    whole = experiment(model.at(EDGE), COLORS)
    assert nb.Experiment.from_json(whole.to_json()).equals(whole)
    whole.to_toml(tmp_path / "e.toml")
    again = nb.Experiment.from_toml(tmp_path / "e.toml")
    assert again.equals(whole) and np.array_equal(nb.simulate(again), nb.simulate(whole))


def test_experiment_files_name_a_model_and_energies(model: nb.AnomalousModel, path: Path) -> None:
    text = f'''
[crystal]
n_cells = [3, 3, 3]
[crystal.structure_factors]
model = "{path.name}"
d_min_angstrom = 2.0
k_sol = 0.0
energies_ev = [12640, 12680]
elements = ["Se"]
'''
    file = path.with_name("e.toml")
    file.write_text(text)
    table = nb.Experiment.from_toml(file).crystal.structure_factors
    assert table.energy_ev == EDGE and np.array_equal(table.amplitude, model.at(EDGE).amplitude)
    for wrong, said in (('"Se"', "elements.*must be symbols"), ('["Xx"]', "elements='Xx'.*is not in")):
        file.write_text(text.replace('["Se"]', wrong))
        with pytest.raises((nb.FileFormatError, nb.ConfigError), match=said):
            nb.Experiment.from_toml(file)
    file.write_text(text.replace("k_sol = 0.0", "anomalous_energy_ev = 12640"))
    with pytest.raises(nb.FileFormatError, match=r"energies_ev.*belongs to model"):
        nb.Experiment.from_toml(file)


# --- derivatives ---------------------------------------------------------------------------------------------------------


def test_gradients_of_anomalous_factors_are_the_differences_through_c(model: nb.AnomalousModel) -> None:
    torch = pytest.importorskip("torch")
    weights = np.random.default_rng(2).uniform(0.5, 1.5, (24, 30))
    f = {"f_prime": np.array([-4.0, -7.0]), "f_double_prime": np.array([0.5, 3.9])}

    def loss(values: dict[str, Any], backend: str) -> Any:
        table = model.at(EDGE, **{name: {"Se": value} for name, value in values.items()})
        found = nb.simulate(experiment(table, COLORS), backend=backend)
        return (found * (torch.as_tensor(weights) if backend == "torch" else weights)).sum()

    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in f.items()}
    loss(tensors, "torch").backward()
    for name, tensor in tensors.items():
        for channel in range(2):
            step = np.zeros(2)
            step[channel] = 1e-3
            up, down = (loss({**f, name: f[name] + sign * step}, "c") for sign in (1, -1))
            # quadratic in both: rounding alone, measured 1e-11
            assert float(tensor.grad[channel]) == pytest.approx((up - down) / 2e-3, rel=1e-6), (name, channel)


def test_gradients_of_the_widths_of_spectra(model: nb.AnomalousModel) -> None:
    torch = pytest.importorskip("torch")
    table = nb.StructureFactors.constant(30.0)
    cases: list[tuple[dict[str, Any], str, float]] = [
        ({"kind": "gaussian"}, "fwhm_ev", 60.0), ({"kind": "gaussian"}, "fwhm_percent", 0.5),
        ({"kind": "tophat"}, "fwhm_percent", 0.7), ({"kind": "two_color"}, "separation_ev", 80.0),
        ({"kind": "tophat"}, "fwhm_ev", 90.0), ({"kind": "two_color", "separation_ev": 80.0}, "fwhm_ev", 20.0),
        ({"kind": "two_color", "separation_ev": 80.0}, "fwhm_percent", 0.15),
        ({"kind": "two_color", "separation_ev": 80.0, "fwhm_ev": 20.0}, "ratio", 1.7),
        ({"kind": "pink", "sigma_high_ev": 20.0}, "sigma_low_ev", 50.0),
        ({"kind": "pink", "sigma_low_ev": 50.0}, "sigma_high_ev", 20.0),
    ]  # fmt: skip
    for fields, name, number in cases:

        def loss(width: Any, fields: dict[str, Any] = fields, name: str = name) -> Any:
            found = nb.simulate(
                experiment(table, nb.Spectrum(**{**fields, name: width})),
                backend="torch" if torch.is_tensor(width) else "c",
            )
            return (found**2).sum() / 1e6

        tensor = torch.tensor(number, dtype=torch.float64, requires_grad=True)
        loss(tensor).backward()
        step = 1e-4 * number
        expected = (loss(number + step) - loss(number - step)) / (2 * step)
        assert float(tensor.grad) == pytest.approx(expected, rel=1e-5), (fields, name)  # measured worst: 7e-9


def test_transforms_of_torch_take_widths_and_weights(model: nb.AnomalousModel) -> None:
    torch = pytest.importorskip("torch")
    base = experiment(nb.StructureFactors.constant(30.0), nb.Spectrum(kind="gaussian", fwhm_ev=60.0))
    render = nb.prepare(base, backend="torch")

    def total(width: Any) -> Any:
        return (render({"beam.spectrum.fwhm_ev": width}) ** 2).sum()

    widths = torch.tensor([50.0, 60.0], dtype=torch.float64)
    several = torch.func.vmap(total)(widths)
    assert several.tolist() == pytest.approx([float(total(width)) for width in widths], rel=1e-12)
    forward, backward = torch.func.jacfwd(total)(widths[1]), torch.func.grad(total)(widths[1])
    assert float(forward) == pytest.approx(float(backward), rel=1e-9)
    render = nb.prepare(experiment(model.at(EDGE), nb.Spectrum(kind="gaussian", fwhm_ev=60.0)), backend="torch")
    with pytest.raises(nb.ConfigError, match="leave the beam out of the transform"):
        torch.func.vmap(total)(widths)


@pytest.mark.parametrize("name", ["energy_ev", "wavelength_angstrom"])
def test_gradients_of_given_lines(name: str) -> None:
    torch = pytest.importorskip("torch")
    table = nb.StructureFactors.constant(30.0)
    energy, weight = np.array([12600.0, 12660.0, 12700.0]), np.array([1.0, 3.0, 2.0])
    if name == "wavelength_angstrom":
        energy = EV_ANGSTROM / energy[::-1].copy()

    def loss(energies: Any, weights: Any) -> Any:
        spectrum = nb.Spectrum(kind="given", weight=weights, **{name: energies})
        found = nb.simulate(experiment(table, spectrum), backend="torch" if torch.is_tensor(energies) else "c")
        return (found**2).sum() / 1e6

    tensors = [torch.tensor(value, requires_grad=True) for value in (energy, weight)]
    loss(*tensors).backward()
    for which, size in ((0, 1e-5 * energy[0]), (1, 1e-4)):
        for i in range(3):
            step = np.zeros(3)
            step[i] = size
            moved = [[energy, weight], [energy, weight]]
            moved[0][which], moved[1][which] = moved[0][which] + step, moved[1][which] - step
            expected = (loss(*moved[0]) - loss(*moved[1])) / (2 * size)
            assert float(tensors[which].grad[i]) == pytest.approx(expected, rel=1e-5), (which, i)


# --- bad input -----------------------------------------------------------------------------------------------------------


def test_bad_input_names_the_field(model: nb.AnomalousModel, path: Path) -> None:
    plain = nb.StructureFactors.constant(3.0)
    cube = np.ones((2, 3, 3, 3))
    several = nb.StructureFactors(amplitude=cube, hkl_min=(0, 0, 0), energy_ev=(9000.0, 9100.0))
    for call, said in (
        (lambda: nb.StructureFactors(amplitude=cube, hkl_min=(0, 0, 0)), r"amplitude.*\(n_h, n_k, n_l\)"),
        (
            lambda: nb.StructureFactors(amplitude=cube[0], hkl_min=(0, 0, 0), energy_ev=(1.0,)),
            r"amplitude.*a table for each",
        ),
        (
            lambda: nb.StructureFactors(amplitude=cube, hkl_min=(0, 0, 0), energy_ev=(1.0,)),
            r"amplitude.*a table for each",
        ),
        (
            lambda: nb.StructureFactors(amplitude=cube, hkl_min=(0, 0, 0), energy_ev=(2.0, 1.0)),
            r"energy_ev\[1\].*ascend",
        ),
        (
            lambda: nb.StructureFactors(amplitude=cube, hkl_min=(0, 0, 0), energy_ev=(2.0, 2.0)),
            r"energy_ev\[1\].*ascend",
        ),
        (lambda: nb.StructureFactors.by_energy({9000.0: plain}), "a table for each"),
        (lambda: nb.StructureFactors.by_energy({}), "a table for each"),
        (lambda: nb.StructureFactors.by_energy({9000.0: several}), "several energies"),
        (lambda: several.to_hkl("x.hkl"), r"take one: at\(energy_ev\)"),
        (lambda: nb.AnomalousModel.from_model(path, 2.0, elements=["Fe"]), "elements='Fe'.*is not in"),
        (lambda: model.at(EDGE, f_prime={"C": [1.0, 2.0]}), "elements='C'"),
        (lambda: model.at(EDGE, f_prime={"Se": [1.0]}), r"f_prime\['Se'\].*\(2,\)"),
        (
            lambda: model.at([9000.0], measured={"Se": ([1e4, 2e4], [0, 0], [1, 1])}),
            r"measured\['Se'\].*does not reach",
        ),
        (lambda: model.at([12700.0, 12600.0]), r"energy_ev\[1\].*ascend"),
    ):
        with pytest.raises(nb.ConfigError, match=said):
            call()


def test_a_beam_takes_the_table_of_the_nearest_energy(model: nb.AnomalousModel) -> None:
    spectrum = nb.Spectrum(kind="given", energy_ev=[12000.0, 12655.0, 12665.0, 13000.0])
    scene = derive(resolve(experiment(model.at(EDGE), spectrum)))
    assert scene.source_table is not None and scene.source_table.tolist() == [0, 0, 1, 1]
    assert scene.wavelength * 1e10 == pytest.approx(EV_ANGSTROM / np.array([12000.0, 12655.0, 12665.0, 13000.0]))


def test_an_experiment_file_names_a_file_for_each_energy(tmp_path):
    """The same image as of the tables joined in Python; what does not fit is told."""
    hkl = np.argwhere(np.ones((7, 7, 7))) - 3
    low, high = (nb.StructureFactors.from_arrays(hkl, 100.0 + sign * hkl[:, 0]) for sign in (1, -1))
    low.to_hkl(tmp_path / "low.hkl")
    high.to_hkl(tmp_path / "high.hkl")

    def read(source):
        (tmp_path / "run.toml").write_text(
            f"""
[crystal]
unit_cell = {{ a = 40, b = 50, c = 60, alpha = 90, beta = 90, gamma = 90 }}
structure_factors = {{ {source} }}
[beam]
energy_ev = 9500
spectrum = {{ kind = "two_color", separation_ev = 100 }}
[detector]
n_fast = 20
n_slow = 20
"""
        )
        return nb.Experiment.from_toml(tmp_path / "run.toml")

    files = 'hkl = ["low.hkl", "high.hkl"]'
    found = read(f"{files}, energies_ev = [9450, 9550]")
    joined = found.replace("crystal.structure_factors", nb.StructureFactors.by_energy({9450.0: low, 9550.0: high}))
    assert found.crystal.structure_factors.energy_ev == (9450.0, 9550.0)
    assert np.array_equal(nb.simulate(found), nb.simulate(joined))
    for source, words in (
        (files, r"energies_ev=\[\]: must be 2 numbers, one for each file of hkl"),
        (f"{files}, energies_ev = [9550, 9450]", r"energies_ev=\[9550.0, 9450.0\]: must ascend; sort them"),
        (f'{files}, energies_ev = [9450, 9550], sha256 = "00"', "sha256='00': belongs to one file"),
        ('hkl = "low.hkl", energies_ev = [9450, 9550]', "belongs to model, .*or to as many files"),
        ("default_F = 100, energies_ev = [9450, 9550]", "belongs to model, .*or to as many files"),
        ('fdump = ["a", "b"], energies_ev = [9450, 9550]', "fdump=.*must be the name of a file"),
    ):
        with pytest.raises(nb.FileFormatError, match=words):
            read(source)
