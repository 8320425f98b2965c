"""What the photons come from, apart: spots and background add up to the image."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.derivation.panels import split
from nanobragg.errors import ConfigError

WATER = nb.Amorphous(thickness_mm=0.2)
BOTH = nb.Background(water_um=3.0, components=(WATER,))


def experiment(background=BOTH, **parts):
    beam = nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e28, divergence=nb.Divergence(h_mrad=2.0, n_h=3))
    return small(beam=beam, background=background, **parts)


def simulate(e, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nb.simulate(e, **options)


def harder(e):
    """More orientations, a d_min, a sensor, sub-pixels."""
    e = e.replace("crystal.mosaic", nb.Mosaic(spread_deg=1.0, n_domains=3))
    return e.replace("detector.sensor", nb.Sensor(thickness_um=300, attenuation_um=250)).replace(
        "sampling.oversample", 2
    )


@pytest.mark.parametrize("kernel", ["auto", "scalar"])
@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
@pytest.mark.parametrize("mode", ["", "oversample_omega", "oversample_polar"])
def test_parts_add_up(kernel: str, fidelity: str, mode: str) -> None:
    """To rounding; also where factors are multiplied into the running sum, and water counts by the number of steps."""
    e = harder(experiment()).with_fidelity(fidelity)
    if mode:
        e = e.replace(f"sampling.{mode}", True)
    parts = simulate(e, kernel=kernel, parts=True)
    assert list(parts) == ["bragg", "background"]
    whole = simulate(e, kernel=kernel)
    np.testing.assert_allclose(parts["bragg"] + parts["background"], whole, rtol=1e-12)
    np.testing.assert_allclose(
        parts["bragg"], simulate(e.replace("background", nb.Background()), kernel=kernel), rtol=1e-13
    )


def test_each_background_alone() -> None:
    """The cube of water and the components add up, each on its own absolute scale."""
    found = {name: simulate(experiment(background), parts=True)["background"] for name, background in {
        "both": BOTH, "cube": nb.Background(water_um=3.0), "slab": nb.Background(components=(WATER,)), "none": nb.Background(),
    }.items()}  # fmt: skip
    np.testing.assert_allclose(found["both"], found["cube"] + found["slab"], rtol=1e-13)
    assert found["cube"].min() > 0 and found["slab"].min() > 0 and not found["none"].any()


def test_panels_channels_and_scans() -> None:
    e = experiment()
    tiles = split(e, 2, 1)
    parts, wavelength = simulate(tiles, parts=True, channels="mean_wavelength")
    whole, same = simulate(tiles, channels="mean_wavelength")
    np.testing.assert_allclose(parts["bragg"] + parts["background"], whole, rtol=1e-13)
    np.testing.assert_array_equal(wavelength, same)
    turned = e.replace("goniometer.osc_deg", 0.5)
    for image, apart in zip(nb.simulate_scan(turned, 2), nb.simulate_scan(turned, 2, parts=True), strict=True):
        np.testing.assert_allclose(apart["bragg"] + apart["background"], image, rtol=1e-13)


def test_gradients_of_a_part() -> None:
    torch = pytest.importorskip("torch", reason="gradients need torch: pip install '.[torch]'")
    misset = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    thickness = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    e = experiment(nb.Background(components=(nb.Amorphous(thickness_mm=thickness),))).replace(
        "crystal.misset_deg", misset
    )
    parts = simulate(e, backend="torch", parts=True)
    np.testing.assert_allclose((parts["bragg"] + parts["background"]).detach(), simulate(e, backend="torch").detach(),
                               rtol=1e-12)  # fmt: skip
    total = parts["background"].sum()
    (slope,) = torch.autograd.grad(total, thickness, retain_graph=True)
    np.testing.assert_allclose(slope.item(), total.item() / 0.2, rtol=1e-12)
    (turn,) = torch.autograd.grad(parts["bragg"].sum(), misset)
    assert turn.abs().max() > 0


def test_exposures_keep_them() -> None:
    e = experiment()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, apart = nb.expose(e, seed=1), nb.expose(e, seed=1, parts=True)
        again = nb.expose(e, seed=1, photons=simulate(e, parts=True))
    assert plain.parts is None and set(apart.parts) == {"bragg", "background"}
    np.testing.assert_allclose(sum(apart.parts.values()), plain.photons, rtol=1e-13)
    assert np.array_equal(apart.counts, again.counts)


def test_bad_requests() -> None:
    e = experiment()
    shape = (e.detector.n_slow, e.detector.n_fast)
    for options, message in (
        ({"parts": 1}, "parts"), ({"parts": True, "out": np.zeros(shape)}, "several images"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            simulate(e, **options)
    with pytest.raises(ConfigError, match="must be a mapping"):
        nb.expose(e, photons=np.zeros(shape), parts=True)
    for wrong in ({"a": "x"}, {"a": np.zeros(shape), "b": np.zeros(3)}):
        with pytest.raises(ConfigError, match=r"photons\['[ab]'\]"):
            nb.expose(e, photons=wrong)
    with pytest.raises(ConfigError, match="at least one"):
        nb.expose(e, photons={})
