"""The trace of a pixel: what it ends in, what both backends call it, and what the original printed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tool_cases import GOLDEN, PRINTED_CASES, args_of, block_of, in_case_folder, pixels_of

import nanobragg as nb
from nanobragg.derivation.derive import derivation
from nanobragg.derivation.resolve import resolve
from nanobragg.engines.choice import engine
from nanobragg.inspection.tracing.printout import as_trace, read_printout, with_printed
from nanobragg.inspection.tracing.scaling import scaling_chain
from nanobragg.inspection.tracing.trace import Trace, trace_derived
from nanobragg.inspection.tracing.versus import compare_traces

VARIED = [
    "phi_zero_start", "thick_layers", "oversample_omega", "oversample_polar", "sourcefile_full", "interp_out_of_range",
    "shape_gauss", "shape_round", "water", "curved_det", "water_dmin", "triclinic_misset", "mat_hkl",
]  # fmt: skip
"""Cases that between them use every quantity and every factor mode."""


def experiment_of(name: str) -> nb.Experiment:
    return nb.Experiment.from_nanobragg_args(args_of(name))


def spot(name: str) -> tuple[int, int]:
    brightest = pixels_of(name)[0]
    return brightest["s"], brightest["f"]


def one_pixel(slow: int, fast: int) -> tuple[slice, slice]:
    return slice(slow, slow + 1), slice(fast, fast + 1)


@pytest.mark.parametrize("name", VARIED)
def test_last_value_is_the_rendered_pixel(name: str) -> None:
    """The C recorder is compiled from the source of the scalar kernel, so to the last bit."""
    with in_case_folder(name):
        experiment = experiment_of(name)
        for pixel in pixels_of(name)[:3]:
            at = pixel["s"], pixel["f"]
            image = nb.simulate(experiment, kernel="scalar")
            assert nb.trace(experiment, at).value == image[at]


@pytest.mark.parametrize("curved", [False, True])
def test_amorphous_bodies_end_the_trace(curved: bool) -> None:
    """Each adds its photons to the pixel, in both engines, in the chain of factors and in JSON."""
    air = nb.Amorphous(table="air", along_beam_mm=(-5.0, 10.0), beamstop=nb.Beamstop(radius_mm=0.5, distance_mm=15.0))
    crystal = nb.Crystal(unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), n_cells=(3, 3, 3),
                         structure_factors=nb.StructureFactors.constant(100.0))  # fmt: skip
    e = nb.Experiment(
        crystal=crystal, sampling=nb.Sampling(oversample=1),
        detector=nb.Detector(n_fast=20, n_slow=16, pixel_size_mm=1, distance_mm=50, curved=curved),
        background=nb.Background(water_um=3.0, components=(nb.Amorphous(thickness_mm=0.2), air)),
    )  # fmt: skip
    image, parts = nb.simulate(e, kernel="scalar"), nb.simulate(e, kernel="scalar", parts=True)
    traced = nb.trace(e, (5, 7))
    assert traced.value == pytest.approx(image[5, 7], rel=1e-14)
    own = nb.simulate(e.replace("background.water_um", 0.0), kernel="scalar", parts=True)["background"][5, 7]
    assert len(traced.last("components_photons")) == 2 and sum(traced.last("components_photons")) == pytest.approx(own)
    assert traced.last("sum_photons") == pytest.approx(parts["bragg"][5, 7] + parts["background"][5, 7] - own, rel=1e-3)
    assert scaling_chain(traced)[-1].product == traced.value
    other = nb.trace(e, (5, 7), backend="torch")
    assert compare_traces(traced, other) and Trace.from_json(traced.to_json()).value == traced.value
    thicker = e.replace("background.components", (nb.Amorphous(thickness_mm=0.3), air))
    found = compare_traces(traced, nb.trace(thicker, (5, 7)))
    assert not found and found.first.name == "components_photons"


@pytest.mark.parametrize("name", ["thick_layers", "phi_zero_start", "oversample_omega", "water", "mat_hkl"])
def test_last_value_is_the_pixel_that_torch_renders(name: str) -> None:
    """The same kernel; in a larger image its blocks add in another order, measured 1e-15 of the pixel."""
    with in_case_folder(name):
        experiment, at = experiment_of(name), spot(name)
        image = nb.simulate(experiment, backend="torch").numpy()
        traced = nb.trace(experiment, at, backend="torch").value
        assert traced == pytest.approx(image[at], rel=1e-13)


@pytest.mark.parametrize("name", VARIED)
def test_backends_record_the_same_quantities_and_agree(name: str) -> None:
    """Names, places, order and units are equal; values within 1e-9 of their scale (measured over all golden cases: 7.3e-12)."""
    with in_case_folder(name):
        experiment = experiment_of(name)
        for pixel in pixels_of(name)[:2]:
            at = pixel["s"], pixel["f"]
            c, torch = nb.trace(experiment, at), nb.trace(experiment, at, backend="torch")
            assert [(step.key, step.unit) for step in c.steps] == [(step.key, step.unit) for step in torch.steps]
            found = nb.compare_traces(c, torch)
            assert found, str(found)
            assert found.compared == len(c.steps)


@pytest.mark.parametrize("name", PRINTED_CASES)
def test_printed_values_are_in_the_trace(name: str) -> None:
    """Everything that the original printed is in our trace, to the printed digits."""
    with in_case_folder(name):
        decided = resolve(experiment_of(name))
        derived = derivation(decided)
        for pixel in pixels_of(name):
            (printed,) = read_printout(block_of(pixel))
            ours = with_printed(trace_derived(derived, printed.pixel, engine("c")))
            theirs = as_trace(printed, ours)
            found = nb.compare_traces(ours, theirs)
            assert found, f"{name}: {found}"
            assert found.compared == len(theirs.steps)
            missing = set(printed.values) - {step.name.removeprefix("final_") for step in theirs.steps}
            assert not missing & {"stol_per_m", "position_m", "sum", "sum_per_step", "pixel"}
            if "hkl" in printed.values and "hkl" in {step.name for step in ours.steps}:
                assert {"hkl", "F_latt", "a_m"} <= {step.name for step in theirs.steps}


def test_one_wrong_digit_in_a_printed_block_is_found() -> None:
    """Every printed quantity in turn, moved by two units of its last digit (by a hundred where there are ten)."""
    name = "mat_hkl"
    with in_case_folder(name):
        experiment = experiment_of(name)
        block = block_of(pixels_of(name)[1])
        ours = with_printed(nb.trace(experiment, (pixels_of(name)[1]["s"], pixels_of(name)[1]["f"])))
    changes = [
        ("F_cell=29.64", "F_cell=29.66", "F_cell"), ("F_latt=-1.1831", "F_latt=-1.18312", "F_latt"),
        ("2.211421", "2.211423", "hkl"), ("I = 2887.82", "I = 2887.84", "sum"),
        ("721.9557742", "721.9557842", "sum_per_step"), ("0.9994468002", "0.9994468102", "final_polarization"),
        ("9.983408598e-07", "9.983408698e-07", "final_solid_angle_sr"),
        ("1.66186e+08", "1.66188e+08", "stol_per_m"), ("0.0166186", "0.0166188", "stol_of_position_per_angstrom"),
        ("0.002425", "0.00242502", "position_m"), ("20.64223533", "20.64223633", "a_m"),
    ]  # fmt: skip
    for old, new, quantity in changes:
        assert old in block, old
        (printed,) = read_printout(block.replace(old, new))
        found = nb.compare_traces(ours, as_trace(printed, ours))
        assert found.first is not None and found.first.name == quantity, (quantity, str(found))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("quantity", ["close_distance_m", "hkl", "F_latt", "term", "pixel"])
def test_what_is_no_number_in_one_trace_is_a_difference(quantity: str, wrong: float) -> None:
    with in_case_folder("mat_hkl"):
        ours = nb.trace(experiment_of("mat_hkl"), spot("mat_hkl"))
    odd = {False: wrong, True: (wrong,) * 3}
    steps = [
        replace(step, value=odd[isinstance(step.value, tuple)]) if step.name == quantity else step
        for step in ours.steps
    ]
    theirs = Trace(ours.pixel, ours.source, steps)
    for found in (nb.compare_traces(ours, theirs), nb.compare_traces(theirs, ours)):
        assert found.first is not None and found.first.name == quantity
    assert nb.compare_traces(theirs, theirs).first is None


def test_block_in_a_whole_console_output() -> None:
    text = (GOLDEN / "printout" / "stdout.txt").read_text()
    blocks = read_printout(text)
    assert len(blocks) > 1
    assert all(len(block.values) >= 10 for block in blocks)


@pytest.fixture
def traced() -> Trace:
    with in_case_folder("mat_hkl"):
        return nb.trace(experiment_of("mat_hkl"), (49, 48))


def test_nested_form_holds_every_step(traced: Trace) -> None:
    data = json.loads(traced.to_json())

    def count(node: object) -> int:
        if isinstance(node, dict):
            return sum(count(value) for value in node.values() if isinstance(value, dict | list))
        return sum(count(item) for item in node) if isinstance(node, list) else 0

    points = data["points"]
    assert len(points) == 4 and all(len(p["sources"]) == 1 for p in points)
    evaluation = points[3]["sources"][0]["orientations"][0]
    assert evaluation["F_cell"] == 900.0 and evaluation["phi"] == 0 and evaluation["domain"] == 0
    assert np.prod(evaluation["F_latt_axes"]) == pytest.approx(evaluation["F_latt"], rel=1e-15)
    assert data["result"]["pixel"] == traced.value
    assert data["units"]["pixel"] == "photons" and data["units"]["position_m"] == "m"
    assert data["scene"]["n_cells"] == [5.0, 5.0, 5.0]
    assert list(data["result"])[-1] == "pixel"


def test_json_reads_back_as_the_same_trace() -> None:
    for name in ("thick_layers", "sourcefile_full", "interp_out_of_range", "phi_zero_start"):
        with in_case_folder(name):
            traced = nb.trace(experiment_of(name), spot(name))
            again = Trace.from_json(traced.to_json())
            assert again.pixel == traced.pixel and again.steps == traced.steps
    for text in ("", "{}", "[1]", '{"pixel": 3}'):
        with pytest.raises(ValueError):
            Trace.from_json(text)


def test_public_names_are_functions_whatever_is_imported_first() -> None:
    """A submodule called nanobragg.trace would take the place of the function."""
    code = (
        "import nanobragg, importlib, pkgutil\n"
        "from nanobragg import inspection\n"
        "for m in pkgutil.walk_packages(inspection.__path__, 'nanobragg.inspection.'):\n"
        "    importlib.import_module(m.name)\n"
        "names = {m.name for m in pkgutil.iter_modules(nanobragg.__path__)}\n"
        "for n in ('trace', 'compare', 'compare_traces', 'explain', 'simulate', 'prepare'):\n"
        "    assert callable(getattr(nanobragg, n)) and n not in names, n\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_experiments_that_hold_tensors() -> None:
    """Gradients do not get in the way, in either backend, and the experiment is left as it was."""
    torch = pytest.importorskip("torch")
    with in_case_folder("mat_hkl"):
        experiment = experiment_of("mat_hkl")
    plain = nb.trace(experiment, (49, 48))
    angle = torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    table = experiment.crystal.structure_factors
    amplitude = torch.tensor(np.asarray(table.amplitude), requires_grad=True)
    held = nb.StructureFactors(amplitude=amplitude, hkl_min=table.hkl_min, default_F=table.default_F)
    leaves = experiment.replace("crystal.misset_deg", angle).replace("crystal.structure_factors", held)
    for backend in ("c", "torch"):
        traced = nb.trace(leaves, (49, 48), backend=backend)
        assert nb.compare_traces(plain, traced) and all(not hasattr(step.value, "grad") for step in traced.steps)
    assert angle.grad is None and amplitude.requires_grad


def test_text_names_every_quantity_with_its_unit(traced: Trace) -> None:
    text = str(traced)
    for step in traced.steps:
        assert step.name in text
    assert "scattering_vector_per_m" in text and "1/m" in text and "photons" in text


def test_interpolation_nodes_reproduce_F_cell() -> None:
    """The 64 nodes and the index give the interpolated F_cell by an independent product of Lagrange polynomials."""
    listed = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), -1).reshape(-1, 3)
    amplitude = np.random.default_rng(1).uniform(1, 300, len(listed))
    experiment = nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(50, 60, 70, 90, 90, 90), n_cells=(2, 2, 2), misset_deg=(10, 20, 30),
            structure_factors=nb.StructureFactors.from_arrays(listed, amplitude),
        ),
        detector=nb.Detector(n_fast=20, n_slow=20, pixel_size_mm=0.4),
        sampling=nb.Sampling(oversample=1, interpolate="tricubic"),
    )  # fmt: skip
    for backend in ("c", "torch"):
        traced = nb.trace(experiment, (3, 12), backend=backend)
        nodes, hkl = np.array(traced.last("F_nodes")).reshape(4, 4, 4), traced.last("hkl")
        weights = []
        for x in hkl:
            at = np.floor(x) - 1 + np.arange(4)
            weights.append([np.prod([(x - b) / (a - b) for b in at if b != a]) for a in at])
        assert np.einsum("i,j,k,ijk", *weights, nodes) == pytest.approx(traced.last("F_cell"), rel=1e-12)


def test_pixels_that_are_not_rendered_are_refused(traced: Trace) -> None:
    with in_case_folder("mat_hkl"):
        experiment = experiment_of("mat_hkl")
        for at in ((96, 0), (-1, 3), (0, 96)):
            with pytest.raises(nb.ConfigError, match="not rendered"):
                nb.trace(experiment, at)
        small = experiment.replace("sampling.roi", (slice(10, 20), slice(0, 96)))
        with pytest.raises(nb.ConfigError, match="not rendered"):
            nb.trace(small, (9, 0))
        assert nb.trace(small, (10, 0)).pixel == (10, 0)
        with pytest.raises(nb.ConfigError, match="backend"):
            nb.trace(experiment, (1, 1), backend="fortran")
        with pytest.raises(nb.ConfigError, match="max_records"):
            nb.trace(experiment, (1, 1), max_records=10)


@pytest.fixture
def supervisor(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--golden")
    if not folder or not (Path(folder) / "supervisor_full" / "args.json").exists():
        pytest.skip("supervisor_full is not in the project; --golden PATH names the folder that has it")
    return Path(folder)


@pytest.mark.parametrize("at", [(1039, 685), (685, 1039)])
def test_supervisor_full_agrees_at_every_quantity(supervisor: Path, at: tuple[int, int]) -> None:
    with in_case_folder("supervisor_full", supervisor):
        experiment = nb.Experiment.from_nanobragg_args(args_of("supervisor_full", supervisor))
        c, torch = nb.trace(experiment, at), nb.trace(experiment, at, backend="torch")
        found = nb.compare_traces(c, torch, tolerance=1e-9)
        assert found and found.compared == len(c.steps) == len(torch.steps), str(found)
        table = experiment.crystal.structure_factors
        for hkl, f_cell in zip(c.values("hkl_nearest"), c.values("F_cell"), strict=True):
            listed = table.amplitude[tuple(int(h) - low for h, low in zip(hkl, table.hkl_min, strict=True))]
            assert f_cell == listed > 0
        if at == (1039, 685):
            assert c.value == pytest.approx(446.25412, rel=1e-6)
