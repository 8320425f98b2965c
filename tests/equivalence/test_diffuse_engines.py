"""Diffuse scattering by the C core and by torch: both engines, gradients, the whole laboratory turned."""

from __future__ import annotations

import numpy as np
import pytest
from pairwise import pairwise
from scipy.spatial.transform import Rotation

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.crystals.diffuse.scene import diffuse_scene
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")
MAP = np.random.default_rng(1).random((40, 42, 44))
UNLIKE = {"sigma_angstrom": (0.2, 0.4, 0.3), "gamma_angstrom": (30, 20, 50)}


def table(default):
    h, k, m = (x.ravel() for x in np.mgrid[-5:6, -4:6, -5:6])
    return nb.StructureFactors.from_arrays(
        np.stack([h, k, m], 1), 10 + (7 * h + 11 * k + 13 * m) % 97.0, default_F=default
    )


OPTIONS = {
    "diffuse": [
        {"sigma_angstrom": 0.3, "gamma_angstrom": 30.0}, {**UNLIKE, "laue_group": "2/m"}, {**UNLIKE, "stencil": 0},
        {**UNLIKE, "laue_group": "6/mmm", "n_orders": 2}, {"sigma_angstrom": 0.3, "laue_group": "-3m1", "stencil": 2},
        {"sigma_angstrom": (0.3, 0.2, 0.3), "gamma_angstrom": (4, 5, 4.5), "method": "fft"},
        {"map": MAP, "map_hkl_min": (-4, -4, -4)},
    ],
    "orders": [None, 1, 3],
    "kind": ["with_B", "static"],
    "factors": [0.0, 20.0],
    "mosaic": [{}, {"model": "gaussian", "spread_deg": 0.7, "n_domains": 30}, {"spread_deg": 0.5, "n_domains": 5},
               {"model": "given", "rotations": Rotation.from_rotvec([[0, 0, 0], [0.3, 0, 0.1]], degrees=True).as_matrix(),
                "weights": [1.0, 2.0]}],
    "strain": [0.0, 0.01],
    "blocks": [{}, {"n_blocks": 12.5}, {"volume_mm3": 1e-9}],
    "sizes": [None, nb.BlockSizes(width=0.2)],
    "damage": [{}, {"dose_mgy": 2.0, "b_per_mgy": 1.1, "decay_per_mgy": 0.05}],
    "phi": [{}, {"osc_deg": 1.5, "n_steps": 3}, {"osc_deg": 1.5, "n_steps": 20}],
    "beam": [{}, {"dispersion_percent": 4.0, "n_wavelengths": 3}, {"polarized": False}],
    "detector": [{}, {"curved": True}, {"sensor": nb.Sensor(thickness_um=450.0, attenuation_um=234.0, n_layers=2)},
                 {"point_pixel": True}],
    "d_min": [None, 4.0],
}  # fmt: skip


def build(v):
    cell = (
        (50, 50, 60, 90, 90, 120) if v["diffuse"].get("laue_group") in ("6/mmm", "-3m1") else (40, 50, 60, 90, 100, 90)
    )
    diffuse = {"n_orders": v["orders"], "table": v["kind"], **v["diffuse"]}
    factors = 0.0 if v["diffuse"].get("method") == "fft" else v["factors"]  # a map of a finite table
    return nb.Experiment(
        crystal=nb.Crystal(
            unit_cell=nb.UnitCell(*cell), misset_deg=(10, 20, 30), shape="gauss", n_cells=(5, 4, 6),
            mosaic=nb.Mosaic(**v["mosaic"], strain=v["strain"]), damage=nb.Damage(**v["damage"]), diffuse=nb.Diffuse(**diffuse),
            structure_factors=table(factors), sizes=v["sizes"] or nb.BlockSizes(), **v["blocks"],
        ),
        beam=nb.Beam(wavelength_angstrom=1.3, kahn_factor=0.3, **v["beam"]),
        detector=nb.Detector(n_fast=9, n_slow=7, pixel_size_mm=2.3, distance_mm=50.0, **v["detector"]),
        goniometer=nb.Goniometer(**v["phi"]),
        sampling=nb.Sampling(oversample=1, interpolate="nearest", d_min_angstrom=v["d_min"]),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def small_maps(monkeypatch):
    """Narrow margins: both sides of a comparison have them."""
    monkeypatch.setattr("nanobragg.derivation.crystals.diffuse.maps._SMALL", 1 << 20)


ROWS = [build({name: OPTIONS[name][i] for name, i in row.items()}) for row in pairwise(OPTIONS, seed=1)]


def diffuse_of(experiment, **options):
    return nb.simulate(experiment, parts=True, **options)["diffuse"]


@pytest.mark.parametrize("experiment", ROWS, ids=range(len(ROWS)))
def test_engines_and_kernels_agree(experiment):
    """To 1e-10 of the maximum; measured worst: 1e-13 (torch, a curved detector), 6e-16 (vectors)."""
    scalar = diffuse_of(experiment, kernel="scalar")
    eager = diffuse_of(experiment, backend="torch", kernel="eager", n_threads=1).numpy()
    assert np.abs(eager - scalar).max() <= 1e-10 * scalar.max() and scalar.max() > 0
    fast = [diffuse_of(experiment, kernel=name) for name in _core.available_kernels if name.startswith("simd-")]
    for image in fast:
        assert np.abs(image - scalar).max() <= 1e-10 * scalar.max()
    if len(fast) == 3:
        assert np.array_equal(fast[1], fast[2])


def case(**v):
    return build({name: values[0] for name, values in OPTIONS.items()} | v)


CASES = [
    (case(diffuse={**UNLIKE, "laue_group": "2/m"}, orders=3, factors=20.0, blocks={"n_blocks": 12.5}), [
        "crystal.diffuse.sigma_angstrom", "crystal.diffuse.gamma_angstrom", "crystal.misset_deg", "crystal.unit_cell.a",
        "crystal.unit_cell.beta", "crystal.structure_factors.default_F", "crystal.structure_factors.amplitude",
        "crystal.n_cells", "crystal.n_blocks", "detector.distance_mm", "beam.kahn_factor"]),
    (case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0}, kind="static", blocks={"volume_mm3": 1e-9},
          damage={"dose_mgy": 2.0, "b_per_mgy": 1.1, "decay_per_mgy": 0.05}), [
        "crystal.diffuse.sigma_angstrom", "crystal.diffuse.gamma_angstrom", "crystal.unit_cell.b", "crystal.volume_mm3",
        "crystal.damage.dose_mgy", "beam.wavelength_angstrom"]),
    (case(diffuse={**UNLIKE, "laue_group": "6/mmm", "n_orders": 2}), [
        "crystal.diffuse.sigma_angstrom", "crystal.diffuse.gamma_angstrom", "crystal.unit_cell.a", "crystal.misset_deg"]),
    (case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0}, strain=0.01, phi={"osc_deg": 1.5, "n_steps": 20},
          mosaic={"model": "gaussian", "spread_deg": 0.7, "n_domains": 30}), [
        "crystal.mosaic.spread_deg", "crystal.mosaic.strain", "goniometer.osc_deg", "crystal.misset_deg"]),
    (case(diffuse={"sigma_angstrom": (0.3, 0.2, 0.3), "gamma_angstrom": (4, 5, 4.5), "method": "fft", "laue_group": "2/m"}), [
        "crystal.diffuse.sigma_angstrom", "crystal.diffuse.gamma_angstrom", "crystal.unit_cell.a", "crystal.misset_deg",
        "crystal.structure_factors.amplitude"]),
    (case(diffuse={"map": MAP, "map_hkl_min": (-4, -4, -4)}), ["crystal.diffuse.map", "crystal.misset_deg"]),
]  # fmt: skip


@pytest.mark.parametrize(("number", "path"), [(i, path) for i, (_, paths) in enumerate(CASES) for path in paths])
def test_gradients_against_differences_through_c(number, path):
    """Of diffuse scattering alone, 1e-6; measured: 3e-9. The step is small enough that no pixel has another nearest index."""
    experiment, rng = CASES[number][0], np.random.default_rng(4)
    value = np.array(experiment.get(path), np.float64)
    weight = rng.standard_normal((7, 9))
    leaf = torch.tensor(value, requires_grad=True)
    image = diffuse_of(experiment.replace(path, leaf), backend="torch", n_threads=1)
    (image * torch.from_numpy(weight)).sum().backward()
    direction = rng.standard_normal(value.shape)
    found = float((leaf.grad.numpy() * direction).sum())
    step = 3e-6 * np.abs(value).max() / np.abs(direction).max()

    def at(shift):
        moved = value + shift * direction
        plain = float(moved) if moved.ndim == 0 else tuple(moved) if moved.ndim == 1 else moved
        return (diffuse_of(experiment.replace(path, plain), kernel="scalar") * weight).sum()

    difference = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    assert abs(found) > 0 and found == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_gradients_by_the_core_and_by_eager(number):
    """The same derivatives, of every tensor at once; to 1e-10 of the largest."""
    experiment, paths = CASES[number]
    found = []
    for kernel in ("core", "eager"):
        leaves = {path: torch.tensor(np.array(experiment.get(path), np.float64), requires_grad=True) for path in paths}
        moved = experiment
        for path, leaf in leaves.items():
            moved = moved.replace(path, leaf)
        image = diffuse_of(moved, backend="torch", kernel=kernel, n_threads=2)
        weight = torch.from_numpy(np.random.default_rng(3).standard_normal(image.shape))
        found.append(torch.autograd.grad((image * weight).sum(), list(leaves.values())))
    for path, by_core, by_eager in zip(paths, *found, strict=True):
        assert (by_core - by_eager).abs().max() < 1e-10 * by_eager.abs().max(), path


def test_gradients_of_the_whole_image_whatever_renders_the_spots():
    """kernel="core" and "eager" differ in the spots alone; a parameter at 0 has its gradient."""
    experiment = case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0})
    slopes = []
    for kernel in ("core", "eager"):
        leaf = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64, requires_grad=True)
        image = nb.simulate(experiment.replace("crystal.misset_deg", leaf), backend="torch", kernel=kernel, n_threads=1)
        image.sum().backward()
        slopes.append(leaf.grad.numpy())
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-9)
    zero = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    diffuse_of(
        experiment.replace("crystal.diffuse.sigma_angstrom", zero), backend="torch", n_threads=1
    ).sum().backward()
    assert float(zero.grad) == 0.0  # it begins with sigma^2


def test_transforms_of_torch():
    """Forward mode and vmap pass through."""
    experiment = case(diffuse={**UNLIKE, "laue_group": "2/m", "n_orders": 1})
    render = nb.prepare(experiment, backend="torch", n_threads=1)

    def pixels(misset):
        return render({"crystal.misset_deg": misset})

    start = torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)
    forward, backward = torch.func.jacfwd(pixels)(start), torch.autograd.functional.jacobian(pixels, start)
    np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-9 * float(backward.abs().max()))


def test_the_module_renders_it():
    experiment = case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0})
    module = nb.ExperimentModule(experiment, refine=["crystal.diffuse.gamma_angstrom"], n_threads=1)
    np.testing.assert_allclose(module().detach(), nb.simulate(experiment), rtol=1e-9)
    module().sum().backward()
    assert module.crystal__diffuse__gamma_angstrom.grad != 0


def test_the_whole_laboratory_turned():
    """Every vector of the laboratory turned alike leaves the image, with all that turns motions: phi, domains, symmetry."""
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    star = np.linalg.inv(np.array([[40.0, 0, 0], [0, 50, 0], [-10, 0, 60]])).T

    def image(r):
        return diffuse_of(nb.Experiment(
            crystal=nb.Crystal(
                a_star_matrix=star @ r.T, shape="gauss", n_cells=(5, 4, 6), structure_factors=table(20.0),
                mosaic=nb.Mosaic(model="gaussian", spread_deg=(0.2, 0.5, 0.3), strain=0.01, n_domains=30),
                diffuse=nb.Diffuse(**UNLIKE, laue_group="2/m", n_orders=2),
            ),
            beam=nb.Beam(
                wavelength_angstrom=1.3, kahn_factor=0.3, direction=tuple(r @ [1, 0, 0]),
                polarization_axis=tuple(r @ [0, 0, 1]),
            ),
            detector=nb.Detector(
                n_fast=9, n_slow=7, pixel_size_mm=3.0, convention="custom", fast_axis=tuple(r @ [0, 0, 1]),
                slow_axis=tuple(r @ [0, -1, 0]), pix0_mm=tuple(r @ [50.0, 10.0, -14.0]),
            ),
            goniometer=nb.Goniometer(osc_deg=1.5, n_steps=5, axis=tuple(r @ [0, 0.6, 0.8])),
            sampling=nb.Sampling(oversample=1, interpolate="nearest"),
        ))  # fmt: skip

    plain = image(np.eye(3))
    assert np.abs(image(turn) - plain).max() < 1e-10 * plain.max()


@pytest.mark.parametrize("kernel", ["core", "eager"])
def test_torch_takes_blocks(kernel, monkeypatch):
    """Many pixels, several blocks, each computed again for the gradient."""
    monkeypatch.setattr("nanobragg.torch_backend.diffuse._CORE_BLOCK", 1 << 15)
    experiment = case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0, "stencil": 0}).replace(
        "detector", nb.Detector(n_fast=300, n_slow=240, pixel_size_mm=0.07, distance_mm=50.0)
    )
    decided = resolve(experiment)
    assert diffuse_scene(decided, derive(decided), FLOAT_OPS).scene.n_pixels > 1 << 16
    leaf = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    image = diffuse_of(
        experiment.replace("crystal.diffuse.gamma_angstrom", leaf), backend="torch", kernel=kernel, n_threads=1
    )
    plain = diffuse_of(experiment)
    assert np.abs(image.detach().numpy() - plain).max() < 1e-10 * plain.max()
    image.sum().backward()
    step = 1e-3
    moved = [diffuse_of(experiment.replace("crystal.diffuse.gamma_angstrom", 30.0 + s)).sum() for s in (step, -step)]
    assert float(leaf.grad) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_traces_end_in_it(backend):
    experiment = case(diffuse={**UNLIKE, "laue_group": "2/m"}, sizes=nb.BlockSizes(width=0.2)).replace(
        "background.components", (nb.Amorphous(thickness_mm=0.1),)
    )
    traced = nb.trace(experiment, (3, 4), backend)
    assert traced.value == pytest.approx(nb.simulate(experiment)[3, 4], rel=1e-12)
    assert traced.last("diffuse_photons") == pytest.approx((diffuse_of(experiment)[3, 4],), rel=1e-12)
    twin = experiment.crystal.with_value("misset_deg", (0, 3, 1))
    two = experiment.replace(crystal=(twin, twin.with_value("diffuse", nb.Diffuse())))
    traced = nb.trace(two, (3, 4), backend)
    assert traced.value == pytest.approx(nb.simulate(two)[3, 4], rel=1e-12)
    assert traced.last("diffuse_photons")[0] > 0 and traced.last("diffuse_photons")[1] == 0


def test_structure_factors_by_energy():
    """The squares of the tables are averaged over the sources."""
    h, k, m = (x.ravel() for x in np.mgrid[-3:4, -3:4, -3:4])
    hkl, tables = np.stack([h, k, m], 1), [10.0 + (h + 2 * k + m) % 5, 30.0 + (h + k) % 3]
    parts = [nb.StructureFactors.from_arrays(hkl, f) for f in tables]
    both = nb.StructureFactors.by_energy({9300.0: parts[0], 9800.0: parts[1]})
    mean = nb.StructureFactors.from_arrays(hkl, np.sqrt((3 * tables[0] ** 2 + tables[1] ** 2) / 4))
    waves = 12398.41984 / np.array([9300.0, 9800.0])
    plain = case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0, "n_orders": 1})
    plain = plain.replace(
        "beam.sources", nb.Sources(direction=[[-1.0, 0, 0]] * 2, wavelength_angstrom=waves, weight=[3.0, 1.0])
    )
    images = [diffuse_of(plain.replace("crystal.structure_factors", table_of)) for table_of in (both, mean)]
    np.testing.assert_allclose(images[0], images[1], rtol=1e-12)
    eager = diffuse_of(plain.replace("crystal.structure_factors", both), backend="torch", n_threads=1)
    np.testing.assert_allclose(eager, images[0], rtol=1e-10, atol=1e-12 * images[0].max())


def test_tensors_take_the_image():
    experiment = case(diffuse={"sigma_angstrom": 0.3, "gamma_angstrom": 30.0})
    image = torch.zeros((7, 9), dtype=torch.float64)
    assert nb.simulate(experiment, backend="torch", out=image, n_threads=1) is image
    np.testing.assert_allclose(image, nb.simulate(experiment), rtol=1e-9)
