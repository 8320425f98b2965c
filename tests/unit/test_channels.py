"""Channels: sums over the sources with weights of their own, and the mean wavelength that they give."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from handmade_scene import busy, worked_example
from small import small

import nanobragg as nb
from nanobragg import _core
from nanobragg.derivation.derive import derive
from nanobragg.derivation.panels import split
from nanobragg.derivation.resolve import resolve
from nanobragg.derivation.scene import FactorMode, Scene
from nanobragg.engines.choice import engine
from nanobragg.engines.engine import RenderOptions

CUMULATIVE = {f"{name}_mode": FactorMode.CUMULATIVE for name in ("capture", "polar", "omega")}
INSIDE = {f"{name}_mode": FactorMode.PER_TERM for name in ("capture", "polar", "omega")}
SCENES = {
    "cached factors": busy(),
    "factors in every term": busy(**INSIDE),
    "running factors": busy(**CUMULATIVE),
    "d_min": busy(d_min=2.5e-10, **INSIDE),
    "few pixels": busy(pixels=np.arange(3, 300, 7)),
    "interpolation ends within": busy(tricubic=True, interpolation_off=(40, 13)),
}
KERNELS = [name for name in _core.available_kernels if name != "fast"]


def polychromatic(**parts: Any) -> nb.Experiment:
    beam = nb.Beam(wavelength_angstrom=1.0, dispersion_percent=4.0, n_wavelengths=5, fluence_per_m2=1e20)
    return small(**{"beam": beam, **parts})


def alone(scene: Scene, source: int) -> Scene:
    """The scene with one of its sources, without background."""
    some = slice(source, source + 1)
    return dataclasses.replace(
        scene,
        incident=scene.incident[some],
        wavelength=scene.wavelength[some],
        weight=scene.weight[some],
        background=0.0,
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", SCENES)
def test_the_image_keeps_its_bits_and_channels_are_weighted_sums(name: str, kernel: str) -> None:
    scene = SCENES[name]
    chosen = engine("c", RenderOptions(kernel=kernel, n_threads=2))
    rows = np.random.default_rng(3).uniform(0.1, 2.0, (3, scene.n_sources))
    rows[0] = 1.0
    image, channels = chosen.photons(scene, weights=rows)
    assert np.array_equal(image, chosen.photons(scene))
    assert np.array_equal(chosen.photons(scene, weights=rows[:1])[1], channels[:1])
    spots = chosen.photons(dataclasses.replace(scene, background=0.0))
    assert np.abs(channels[0] - spots).max() <= 1e-13 * spots.max()
    if name == "factors in every term":
        parts = [chosen.photons(alone(scene, s)) for s in range(scene.n_sources)]
        assert np.abs(channels - rows @ parts).max() <= 1e-12 * channels.max()
    scalar = engine("c", RenderOptions(kernel="scalar")).photons(scene, weights=rows)[1]
    assert np.abs(channels - scalar).max() <= 1e-11 * scalar.max()


def test_kernels_agree_in_mixed_precision() -> None:
    scene = worked_example(n_cells=np.array([12.0, 12.0, 12.0]), quirks=frozenset())
    rows = np.ones((1, scene.n_sources))
    for options in (RenderOptions(), RenderOptions(precision="mixed")):
        image, channels = engine("c", options).photons(dataclasses.replace(scene, background=0.0), weights=rows)
        assert np.abs(channels[0] - image).max() <= 1e-13 * image.max()


def test_mean_wavelength_of_known_sources() -> None:
    """From images of one source each."""
    experiment = polychromatic(background=nb.Background(water_um=10.0))
    image, mean = nb.simulate(experiment, channels="mean_wavelength")
    assert np.array_equal(image, nb.simulate(experiment))
    wavelengths = derive(resolve(experiment)).wavelength * 1e10
    parts = np.array(
        [nb.simulate(small(beam=nb.Beam(wavelength_angstrom=w, fluence_per_m2=1e20))) for w in wavelengths]
    )
    expected = np.tensordot(wavelengths, parts, 1) / parts.sum(0)
    assert np.abs(mean - expected).max() < 1e-12
    assert np.ptp(wavelengths) > 0.03 and np.ptp(mean) > 0.005
    one = small()
    assert np.abs(nb.simulate(one, channels="mean_wavelength")[1] - 1.0).max() < 1e-15


@pytest.mark.parametrize("backend", ["c", "torch"])
def test_no_photons_no_wavelength(backend: str) -> None:
    crystal = dataclasses.replace(small().crystal, shape="tophat", n_cells=(30, 30, 30))
    experiment = polychromatic(crystal=crystal, background=nb.Background(water_um=10.0))
    roi = (slice(0, 6), slice(None))
    image, mean = (
        np.asarray(part) for part in nb.simulate(experiment, backend=backend, channels="mean_wavelength", roi=roi)
    )
    spots = np.asarray(nb.simulate(polychromatic(crystal=crystal), backend=backend, roi=roi))
    assert 0 < np.count_nonzero(spots) < spots.size / 2 and (image[roi] > 0).all()
    assert np.array_equal(np.isnan(mean), spots == 0)


def test_panels_prepared_and_torch() -> None:
    experiment = polychromatic()
    image, mean = nb.simulate(experiment, channels="mean_wavelength")
    panels = split(experiment, 2, 1)
    parts, means = nb.prepare(panels)(channels="mean_wavelength")
    assert np.allclose(parts.reshape(image.shape), image, rtol=1e-12) and np.allclose(
        means.reshape(mean.shape), mean, rtol=1e-12
    )
    out = np.empty((2, 6, 16))
    assert nb.simulate(panels, channels="mean_wavelength", out=out)[0] is out and np.array_equal(out, parts)
    theirs = nb.simulate(experiment, backend="torch", channels="mean_wavelength")
    assert np.abs(theirs[1].numpy() - mean).max() < 1e-10
    with pytest.raises(nb.ConfigError, match="channels='color'"):
        nb.simulate(experiment, channels="color")


def test_derivative_of_the_mean_wavelength() -> None:
    torch = pytest.importorskip("torch", reason="the torch engine needs torch")
    crystal = dataclasses.replace(small().crystal, shape="tophat", n_cells=(4, 4, 4))
    square = polychromatic()
    for experiment, kernel in ((square, "eager"), (square, "core"), (polychromatic(crystal=crystal), "auto")):
        render = nb.prepare(experiment, "torch", kernel=kernel)

        def mean(angle: Any, render: Any = render) -> Any:
            return render({"crystal.misset_deg": angle}, channels="mean_wavelength")[1]

        angle = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
        value = mean(angle)
        lit = ~value.isnan()
        (slope,) = torch.autograd.grad(torch.where(lit, value, torch.zeros_like(value)).sum(), angle)
        assert torch.isfinite(slope).all()
        if experiment.crystal.shape == "square":
            step = torch.tensor([1e-5, 0.0, 0.0], dtype=torch.float64)
            difference = (mean(angle.detach() + step) - mean(angle.detach() - step)).sum() / 2e-5
            assert abs(float(slope[0]) - float(difference)) < 1e-5 * abs(float(difference))
        else:
            assert not lit.all() and slope.abs().max() == 0


def test_channels_of_another_shape_are_refused() -> None:
    scene = busy()
    core, flag = _core.CoreScene(scene), _core.CancelFlag()
    out = np.empty(scene.n_pixels)
    for weights, sums in (
        (np.ones((1, scene.n_sources + 1)), np.empty((1, scene.n_pixels))),
        (np.ones((1, scene.n_sources)), np.empty((2, scene.n_pixels))),
        (np.ones((1, scene.n_sources)), np.empty((1, scene.n_pixels - 1))),
        (None, np.empty((1, scene.n_pixels))),
    ):
        with pytest.raises(nb.CoreError):
            core.render(0, 1, out, flag, "scalar", weights, sums)
