"""Amorphous background: published values, both engines, what it is proportional to, gradients."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import table_maker
from scipy.interpolate import PchipInterpolator

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.background import MOST_WAVELENGTHS, background_scene
from nanobragg.derivation.derive import derive
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.vectors import FLOAT_OPS
from nanobragg.errors import ConfigError, NanoBraggWarning

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "imaging_vectors.json").read_text())
FLAT = [[0.0, 2.57], [5.0, 2.57]]
CRYSTAL = nb.Crystal(
    unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90),
    n_cells=(3, 3, 3),
    structure_factors=nb.StructureFactors.constant(1e-9),
)


def experiment(*components, **detector):
    size = {"n_fast": 32, "n_slow": 24, "pixel_size_mm": 5.0, "distance_mm": 100.0} | detector
    return nb.Experiment(
        crystal=CRYSTAL, beam=nb.Beam(wavelength_angstrom=1.0, flux_per_s=1e12, size_mm=0.1, kahn_factor=0.9),
        detector=nb.Detector(**size), background=nb.Background(components=components), sampling=nb.Sampling(oversample=1),
    )  # fmt: skip


def photons(e, **options):
    return nb.simulate(e, **options)


def slab(**fields):
    return nb.Amorphous(**{"table": FLAT, "thickness_mm": 1.0, "density_g_cm3": 1.0, "molar_mass_g": 18.0, **fields})


def pixel_at(fast_m: float, slow_m: float, *components, kahn: float = 0.9) -> float:
    """The pixel whose center lies there from the beam; electric vector along fast. One pixel of 0.1 mm at 100 mm."""
    detector = nb.Detector(n_fast=1, n_slow=1, pixel_size_mm=0.1, distance_mm=100.0, pivot="sample",
                           beam_center_mm=(0.05 - 1000 * fast_m, 0.05 - 1000 * slow_m))  # fmt: skip
    e = nb.Experiment(
        crystal=CRYSTAL, detector=detector, background=nb.Background(components=components), sampling=nb.Sampling(oversample=1),
        beam=nb.Beam(flux_per_s=1e12, size_mm=0.1, kahn_factor=kahn, polarization_axis=(0, 0, 1)),
    )  # fmt: skip
    return float(photons(e)[0, 0])


@pytest.mark.parametrize("vector", VECTORS["background"]["pixels"], ids=lambda v: f"{v['fast_m']}-{v['slow_m']}")
def test_published_pixels(vector: dict[str, float]) -> None:
    np.testing.assert_allclose(pixel_at(vector["fast_m"], vector["slow_m"], slab()), vector["photons"], rtol=1e-8)


@pytest.mark.parametrize("vector", VECTORS["extended_path"]["pixels"], ids=lambda v: f"{v['radius_m']}")
def test_published_path(vector: dict[str, float]) -> None:
    """Air from -30 to 20 mm with a stop at its end; unpolarized. The table is that of the formula, on 0.0005 1/Angstrom."""
    s = np.arange(0.0, 1.0, 0.0005)
    air = nb.Amorphous(
        table=np.column_stack([s, 14.1 * np.exp(-6 * s * s)]), along_beam_mm=(-30.0, 20.0), density_g_cm3=1.2e-3,
        molar_mass_g=28.0, beamstop=nb.Beamstop(radius_mm=0.3, distance_mm=20.0),
    )  # fmt: skip
    # cubic pieces of 0.0005 1/Angstrom follow the formula to 1e-8, where PCHIP is of second order at the flat start
    np.testing.assert_allclose(pixel_at(vector["radius_m"], 0.0, air, kahn=0.0), vector["photons"], rtol=2e-7)


@pytest.mark.parametrize("vector", VECTORS["slab_absorption"], ids=lambda v: f"{v['t_over_L']:.2g}-{v['two_theta']}")
def test_published_absorption(vector: dict[str, float]) -> None:
    fast = 0.1 * np.tan(vector["two_theta"])
    thick = pixel_at(fast, 0.0, slab(attenuation_mm=1.0 / vector["t_over_L"]))
    np.testing.assert_allclose(thick / pixel_at(fast, 0.0, slab()), vector["A"], rtol=1e-9)


@pytest.mark.parametrize("kind", ["pchip", "linear"])
def test_interpolation_and_its_ends(kind: str) -> None:
    table = np.column_stack([VECTORS["table"]["stol"], VECTORS["table"]["F"]]).astype(float)
    one = slab(table=table, interpolation=kind)
    for s, expected in zip(VECTORS["table"]["at"], VECTORS["table"][f"{kind}_clamped"], strict=True):
        fast = 0.1 * np.tan(2 * np.arcsin(s))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NanoBraggWarning)
            ratio = pixel_at(fast, 0.0, one) / pixel_at(fast, 0.0, slab())
        np.testing.assert_allclose(np.sqrt(ratio) * 2.57, expected, rtol=1e-9)
    with pytest.warns(NanoBraggWarning, match="100 % of the pixels lie beyond the table"):
        pixel_at(0.2, 0.0, slab(table=[[0.0, 1.0], [0.1, 2.0]]))


def test_pchip_is_scipys() -> None:
    random = np.random.default_rng(1)
    x = np.sort(random.random(30))
    y = random.normal(size=30)
    e = experiment(slab(table=np.column_stack([x, y])))
    decided = resolve(e)
    (component,) = background_scene(decided.experiment, derive(decided), FLOAT_OPS).components
    at = np.linspace(x[0], x[-1], 1001)[1:-1]
    i = np.searchsorted(x, at, side="right") - 1
    t = (at - x[i]) * 1e10
    c = component.polynomial[i]
    np.testing.assert_allclose(
        c[:, 0] + t * (c[:, 1] + t * (c[:, 2] + t * c[:, 3])), PchipInterpolator(x, y)(at), atol=1e-12
    )


VARIETY = {
    "water": nb.Amorphous(thickness_mm=0.3),
    "absorbing ice": nb.Amorphous(table="ice", thickness_mm=0.3, attenuation_mm=0.7, oversample=2),
    "air path": nb.Amorphous(table="air", along_beam_mm=(-30, 20), beamstop=nb.Beamstop(radius_mm=0.5, distance_mm=25)),
    "shaded slab": nb.Amorphous(table="nanoice", thickness_mm=0.1, beamstop=nb.Beamstop(radius_mm=8, distance_mm=30)),
    "narrow": nb.Amorphous(thickness_mm=0.3, width_mm=0.02, height_mm=0.05, scale=1.5, interpolation="linear"),
}


@pytest.mark.parametrize("name", VARIETY)
@pytest.mark.parametrize("tilted", [False, True])
def test_engines_agree(name: str, tilted: bool) -> None:
    """C core and torch: 1e-10 of the largest pixel, with sources, a sensor, polarization and a tilted detector."""
    pytest.importorskip("torch", reason="compares with the torch engine: pip install '.[torch]'")
    turned = {"rotation_deg": (3, 12, -20), "twotheta_deg": 7.0} if tilted else {}
    e = experiment(VARIETY[name], sensor=nb.Sensor(thickness_um=320, attenuation_um=250), **turned)
    e = e.replace("beam.divergence", nb.Divergence(h_mrad=3.0, v_mrad=2.0, n_h=2, n_v=2, round=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        a, b = photons(e), photons(e, backend="torch").detach().numpy()
    assert a.max() > 0
    assert np.abs(a - b).max() < 1e-10 * a.max()


@pytest.mark.parametrize("name", VARIETY)
@pytest.mark.parametrize("kernel", [name for name in _core.available_kernels if name != "scalar"])
def test_kernels_agree(name: str, kernel: str) -> None:
    """1e-10 of the largest pixel; measured: 1.1e-14."""
    e = experiment(VARIETY[name], sensor=nb.Sensor(thickness_um=320, attenuation_um=250), twotheta_deg=7.0)
    e = e.replace("beam.divergence", nb.Divergence(h_mrad=3.0, v_mrad=2.0, n_h=6, n_v=4, round=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        a, b = photons(e, kernel="scalar"), photons(e, kernel=kernel)
    assert a.max() > 0 and np.abs(a - b).max() < 1e-10 * a.max()


def test_irregular_tables_are_looked_up() -> None:
    """Rows that are multiples of a step apart are cut into steps; the others are searched: the same function of s."""
    rows = np.array([[0.0, 3.0], [0.1, 4.0], [0.2, 6.5], [0.4, 5.0], [0.5, 3.0], [1.0, 1.0]])
    moved = rows.copy()
    moved[3, 0] += 1e-9  # no multiple any more; F moves by 1e-8
    images = []
    for table, equidistant in ((rows, True), (moved, False)):
        e = experiment(slab(table=table))
        decided = resolve(e)
        (one,) = background_scene(decided.experiment, derive(decided), FLOAT_OPS).components
        assert (one.lookup.begins is None) == equidistant
        images += [photons(e), photons(e, kernel="scalar")]
    assert np.abs(images[0] / images[1] - 1).max() < 1e-12 and np.abs(images[2] / images[3] - 1).max() < 1e-12
    assert np.abs(images[0] / images[2] - 1).max() < 1e-7


@pytest.mark.parametrize("name", ["water", "absorbing ice", "air path", "shaded slab"])
@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_curved_detector(name: str, fidelity: str) -> None:
    """Both engines, the rule of either fidelity; a small pixel is where the spots' geometry has it."""
    pytest.importorskip("torch", reason="compares with the torch engine: pip install '.[torch]'")
    e = experiment(VARIETY[name], curved=True, sensor=nb.Sensor(thickness_um=320, attenuation_um=250)).with_fidelity(
        fidelity
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        a, b = photons(e), photons(e, backend="torch").detach().numpy()
    assert a.max() > 0 and np.abs(a - b).max() < 1e-10 * a.max()


def test_a_ring_is_flat_on_a_sphere() -> None:
    """F = 1, no polarization: every pixel of a sphere about the sample has the solid angle (pixel/distance)^2."""
    e = experiment(slab(table=[[0, 1.0], [5, 1.0]]), curved=True, n_fast=40, n_slow=40).replace("beam.polarized", False)
    image = photons(e)
    molecules = 1e-3 * 1e6 * 6.02214179e23 / 18.0
    np.testing.assert_allclose(image, 1e12 * molecules * 7.94079248018965e-30 * (5.0 / 100.0) ** 2, rtol=1e-12)


def test_threads_and_order_of_pixels() -> None:
    e = experiment(VARIETY["water"], VARIETY["air path"], n_fast=700, n_slow=300, pixel_size_mm=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        whole = photons(e, n_threads=1)
        assert np.array_equal(whole, photons(e, n_threads=3))
        part = photons(e, roi=(slice(100, 110), slice(50, 90)))
    assert np.array_equal(part[100:110, 50:90], whole[100:110, 50:90]) and np.count_nonzero(part) <= 400


def test_proportions() -> None:
    base = photons(experiment(slab()))
    for other, factor in (
        (experiment(slab(thickness_mm=2.0)), 2.0), (experiment(slab(density_g_cm3=2.0)), 2.0), (experiment(slab(scale=3.0)), 3.0),
        (experiment(slab(molar_mass_g=36.0)), 0.5), (experiment(slab(table=[[0, 5.14], [5, 5.14]])), 4.0),
        (experiment(slab()).replace("beam.flux_per_s", 2e12), 2.0),
        (experiment(slab(thickness_mm=0.5), slab(thickness_mm=0.5)), 1.0),
        (experiment(slab()).replace("beam.size_mm", 0.3), 1.0), (experiment(slab(width_mm=0.5)), 1.0),
        (experiment(slab(width_mm=0.05, height_mm=0.02)), 0.1),
    ):  # fmt: skip
        np.testing.assert_allclose(photons(other), factor * base, rtol=1e-12)


def test_the_laboratory_may_be_turned() -> None:
    """The same experiment in the frames of two conventions."""
    a = experiment(VARIETY["water"], VARIETY["air path"], convention="mosflm", beam_center_mm=(70.0, 50.0))
    b = experiment(VARIETY["water"], VARIETY["air path"], convention="xds", beam_center_mm=(70.0, 50.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        np.testing.assert_allclose(photons(a), photons(b), rtol=1e-12)


def test_sum_over_the_detector() -> None:
    """F = 1 and no polarization: photons, molecules, r_e^2 and the solid angle of a square, 4 asin(1/(1 + (2 D/a)^2))."""
    one = slab(table=[[0, 1.0], [5, 1.0]], oversample=2)
    e = experiment(one, n_fast=400, n_slow=400, pixel_size_mm=0.5).replace("beam.polarized", False)
    half, distance = 100.0, 100.0
    omega = 4 * np.arcsin(half * half / (half * half + distance * distance))
    molecules = 1e-3 * 1e6 * 6.02214179e23 / 18.0
    # the middle of a sub-pixel stands for it: (sub-pixel/distance)^2/12 of the curvature, 5e-7
    np.testing.assert_allclose(photons(e).sum(), 1e12 * molecules * 7.94079248018965e-30 * omega, rtol=1e-6)


def test_oversampling_changes_little() -> None:
    once, four = (photons(experiment(nb.Amorphous(thickness_mm=1.0, oversample=n), pixel_size_mm=0.2)) for n in (1, 4))
    assert np.abs(four / once - 1).max() < 1e-3


def test_a_spectrum_is_reduced_to_few_wavelengths() -> None:
    e = experiment(nb.Amorphous(thickness_mm=1.0))
    wavelengths = np.linspace(0.95, 1.05, 101)
    sources = nb.Sources(
        direction=np.tile([-1.0, 0, 0], (101, 1)), wavelength_angstrom=wavelengths, weight=np.ones(101)
    )
    many = e.replace("beam.sources", sources)
    decided = resolve(many)
    background = background_scene(decided.experiment, derive(decided), FLOAT_OPS)
    assert len(background.weight) == MOST_WAVELENGTHS and abs(background.weight.sum() - 1) < 1e-12
    one_by_one = np.mean([photons(e.replace("beam.wavelength_angstrom", w)) for w in wavelengths[::5]], axis=0)
    # the water peak is 0.06 1/Angstrom wide; eight parts of 10 % of s miss the mean by less than
    assert np.abs(photons(many) / one_by_one - 1).max() < 2e-3


def test_gradients() -> None:
    """Every field that takes a tensor, geometry and wavelength too, against central differences."""
    torch = pytest.importorskip("torch", reason="gradients need torch: pip install '.[torch]'")
    table = np.array([[0.0, 3.0], [0.1, 4.0], [0.2, 6.5], [0.3, 5.0], [0.5, 3.0], [2.0, 1.0]])
    start = {"thickness_mm": 0.7, "density_g_cm3": 1.1, "molar_mass_g": 18.0, "scale": 1.2, "attenuation_mm": 2.0, "F": 6.5,
             "width": 0.07, "height": 0.09, "weight": 0.4,
             "from": -20.0, "to": 15.0, "distance": 100.0, "wavelength": 1.0, "flux": 1e12, "kahn": 0.7}  # fmt: skip
    weights = np.random.default_rng(2).random((24, 32))

    def value(v, backend):
        rows = table if backend == "c" else torch.tensor(table)
        if backend == "c":
            rows = rows.copy()
            rows[2, 1] = v["F"]
        else:
            rows = torch.cat([rows[:2], torch.stack([torch.tensor(0.2, dtype=torch.float64), v["F"]])[None], rows[3:]])
        common = {name: v[name] for name in ("density_g_cm3", "molar_mass_g", "scale")}
        bodies = (nb.Amorphous(table=rows, thickness_mm=v["thickness_mm"], attenuation_mm=v["attenuation_mm"],
                               width_mm=v["width"], height_mm=v["height"], **common),
                  nb.Amorphous(table=rows, along_beam_mm=(v["from"], v["to"]), density_g_cm3=1.0, molar_mass_g=18.0,
                               beamstop=nb.Beamstop(radius_mm=1.0, distance_mm=30.0)))  # fmt: skip
        e = experiment(*bodies, distance_mm=v["distance"])
        e = e.replace("beam.flux_per_s", v["flux"]).replace("beam.kahn_factor", v["kahn"])
        second = [0.6, v["weight"]] if backend == "c" else torch.stack([0.6 + 0.0 * v["weight"], v["weight"]])
        waves = (
            [v["wavelength"], 1.01] if backend == "c" else torch.stack([v["wavelength"], 1.01 + 0.0 * v["wavelength"]])
        )
        directions = np.array([[-1.0, 0.0, 0.0], [-1.0, 0.001, 0.0]])
        e = e.replace("beam.sources", nb.Sources(direction=directions, wavelength_angstrom=waves, weight=second))
        image = nb.simulate(e, backend=backend, **({"kernel": "eager"} if backend == "torch" else {}))
        return (image * (weights if backend == "c" else torch.tensor(weights))).sum()

    tensors = {name: torch.tensor(v, dtype=torch.float64, requires_grad=True) for name, v in start.items()}
    total = value(tensors, "torch")
    np.testing.assert_allclose(total.item(), value(start, "c"), rtol=1e-12)
    total.backward()
    for name, at in start.items():
        step = 1e-5 * abs(at)
        slope = (value({**start, name: at + step}, "c") - value({**start, name: at - step}, "c")) / (2 * step)
        # central differences of 1e-5: curvature 1e-10, rounding 1e-16/1e-5
        np.testing.assert_allclose(tensors[name].grad.item(), slope, rtol=3e-6, err_msg=name)


def test_module_refines_the_thickness() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
    e = experiment(nb.Amorphous(thickness_mm=torch.tensor(0.5, dtype=torch.float64, requires_grad=True)))
    from nanobragg.torch_backend.simulate import simulate

    image = simulate(resolve(e), kernel="eager")
    np.testing.assert_allclose(image.detach().numpy(), nb.simulate(e), rtol=1e-10)


def test_tensors_are_checked() -> None:
    torch = pytest.importorskip("torch", reason="needs torch: pip install '.[torch]'")
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"background\.components\.thickness_mm"):
            nb.simulate(experiment(nb.Amorphous(thickness_mm=torch.tensor(wrong))))


@pytest.mark.parametrize("name", table_maker.TABLES)
def test_packaged_tables_are_what_the_maker_makes(name: str) -> None:
    folder = Path(importlib.util.find_spec("nanobragg.config.image_chain").origin).parent / "tables"
    packaged = np.loadtxt(folder / f"{name}.stol")
    stol, factor, _ = table_maker.TABLES[name]
    np.testing.assert_allclose(packaged[:, 0], stol, atol=1e-9)
    np.testing.assert_allclose(packaged[:, 1], factor(), atol=1.1e-5)  # five decimals


def test_packaged_tables_look_like_what_they_are() -> None:
    """The ring of water near 3.2 Angstrom, those of hexagonal ice, and air without one."""
    rows = {name: nb.Amorphous(table=name, thickness_mm=1.0).rows for name in ("water", "ice", "nanoice", "air")}
    s, f = rows["water"].T
    assert abs(f[0] - 2.57) < 1e-3 and 3.1 < 1 / (2 * s[f.argmax()]) < 3.4
    s, f = rows["ice"].T
    peaks = 1 / (2 * s[1:-1][(f[1:-1] > f[:-2]) & (f[1:-1] > f[2:]) & (f[1:-1] > 15)])
    # a = 4.497, c = 7.322: 100 002 101 102 110 103 112; rows of 0.0005 1/Angstrom
    np.testing.assert_allclose(peaks[:7], [3.894, 3.661, 3.439, 2.667, 2.249, 2.068, 1.916], rtol=3e-3)
    assert (nb.Amorphous(table="unity", thickness_mm=1.0).rows[:, 1] == 1).all()
    assert abs(rows["air"][0, 1] - 14.1) < 0.01 and (np.diff(rows["air"][:, 1]) < 0).all()


BAD = [
    ({"table": "watr", "thickness_mm": 1.0}, "did you mean water"),
    ({"table": "missing.stol", "thickness_mm": 1.0}, "missing.stol"),
    (
        {"table": [[0.2, 1.0], [0.1, 1.0]], "thickness_mm": 1.0, "density_g_cm3": 1.0, "molar_mass_g": 1.0},
        "must ascend",
    ),
    ({"table": [[0.0, 1.0]], "thickness_mm": 1.0}, "density_g_cm3"),
    ({"table": [["a", 1.0]], "thickness_mm": 1.0}, "must be rows of two finite numbers"),
    ({}, "thickness_mm"),
    ({"thickness_mm": 1.0, "along_beam_mm": (0, 1)}, "thickness_mm"),
    ({"along_beam_mm": (2, 1)}, "along_beam_mm"),
    ({"along_beam_mm": (0, 30), "beamstop": nb.Beamstop(radius_mm=1, distance_mm=20)}, "beam stop"),
    ({"thickness_mm": -1.0}, "thickness_mm"),
    ({"thickness_mm": 1.0, "oversample": 2**32}, "oversample"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_bad_components(fields, message: str) -> None:
    with pytest.raises((ConfigError, nb.FileFormatError), match=message):
        nb.Amorphous(**fields)


def test_tables_of_text(tmp_path: Path) -> None:
    good = tmp_path / "good.stol"
    good.write_text("# s F\n0 1 extra\n\n0.1 2 ! more\n")
    one = nb.Amorphous(table=good, thickness_mm=1.0, density_g_cm3=1.0, molar_mass_g=18.0)
    assert np.array_equal(one.rows, [[0, 1], [0.1, 2]])
    for text, message in (
        ("0 1\n0 2\n", ":2:.*ascend"),
        ("0 x\n", ":1:.*not a number"),
        ("0\n", ":1:.*one column"),
        ("# no\n", "no row"),
    ):
        bad = tmp_path / "bad.stol"
        bad.write_text(text)
        with pytest.raises(nb.FileFormatError, match=message):
            nb.Amorphous(table=str(bad), thickness_mm=1.0)


def test_components_are_plain_data() -> None:
    e = experiment(VARIETY["air path"], slab())
    again = nb.Experiment.from_json(e.to_json())
    assert again.equals(e) and again.background.components[0].beamstop.radius_mm == 0.5
    assert nb.Experiment.from_json(experiment().to_json()).background.components == ()
