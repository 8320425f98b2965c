"""Point spread: published values of the kernels, and what every spread must do."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import chain_twin
import numpy as np
import pytest

from nanobragg import Psf
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging.namespace import namespace_of
from nanobragg.imaging.psf import FIBER_HEIGHT, direct, enclosed, kernel_of, radius_of, spread

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "imaging_vectors.json").read_text())["psf"]
PIXEL = (100.0, 100.0)


def psf(kind: str, w: float, radius: int | None = None) -> Psf:
    return Psf(kind=kind, fwhm_um=100.0 * w, radius_px=radius)


@pytest.mark.parametrize("name", VECTORS)
def test_kernel_values(name: str) -> None:
    kind, w = name.split("_w")
    vector, middle = VECTORS[name], 30
    kernel = kernel_of(psf(kind, float(w), middle), PIXEL)
    for x, y in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (5, 0), (10, 0)):
        np.testing.assert_allclose(kernel[middle + y, middle + x], vector[f"K_{x}_{y}"], rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(kernel.sum(), vector["sum_square_R30"], rtol=1e-12)
    np.testing.assert_allclose(enclosed(psf(kind, float(w)), PIXEL, 30), vector["sum_square_R30_closed"], rtol=1e-12)
    np.testing.assert_allclose((kernel**2).sum(), vector["sum_K2_R30"], rtol=1e-10)
    if "second_moment_x" in vector:
        moment = (kernel * (np.arange(61) - 30.0) ** 2).sum()
        np.testing.assert_allclose(moment, vector["second_moment_x"], rtol=1e-9)


@pytest.mark.parametrize("kind", ["gauss", "fiber"])
def test_kernel_of_oblong_pixels(kind: str) -> None:
    """Against a fine grid: 7 x 7 points of a grid of square pixels make one oblong pixel's fraction."""
    fine = kernel_of(Psf(kind=kind, fwhm_um=90.0, radius_px=34), (20.0, 20.0))
    coarse = kernel_of(Psf(kind=kind, fwhm_um=90.0, radius_px=2), (100.0, 60.0))
    assert coarse.shape == (5, 5)
    for slow in range(-2, 3):
        for fast in range(-2, 3):
            block = fine[34 + 5 * slow - 2 : 34 + 5 * slow + 3, 34 + 3 * fast - 1 : 34 + 3 * fast + 2]
            np.testing.assert_allclose(coarse[slow + 2, fast + 2], block.sum(), rtol=1e-11, atol=1e-17)


@pytest.mark.parametrize(("kind", "w"), [("gauss", 0.46), ("gauss", 1.8), ("fiber", 0.8), ("fiber", 2.0)])
def test_point_source_shows_the_kernel(kind: str, w: float) -> None:
    image = np.zeros((61, 81))
    image[30, 40] = 7.0
    p = psf(kind, w, 12)
    out = spread(image, p, PIXEL)
    kernel = 7.0 * kernel_of(p, PIXEL)
    np.testing.assert_allclose(out[18:43, 28:53], kernel, rtol=0, atol=1e-12)
    assert abs(out.sum() - kernel.sum()) < 1e-12 * kernel.sum() * 10
    corner = np.zeros((61, 81))
    corner[0, 0] = 7.0
    np.testing.assert_allclose(spread(corner, p, PIXEL)[:13, :13], kernel[12:, 12:], atol=1e-12)


@pytest.mark.parametrize(
    "p", [psf("gauss", 1.3, 3), psf("fiber", 0.7, 3), Psf(kind="array", kernel=[[1, 2, 0], [0, 5, 1], [3, 0, 0]])]
)
def test_linear_operator_and_its_adjoint(p: Psf) -> None:
    random = np.random.default_rng(1)
    a, b = random.random((40, 33)), random.random((40, 33))
    sharp = lambda image: spread(image, p, PIXEL)  # noqa: E731
    np.testing.assert_allclose(sharp(2 * a + b), 2 * sharp(a) + sharp(b), rtol=1e-12)
    before, after = np.zeros((40, 33)), np.zeros((40, 33))  # what is moved before is moved after
    before[10:24, 9:19] = after[14:28, 13:23] = a[10:24, 9:19]
    np.testing.assert_allclose(np.roll(sharp(before), (4, 4), (0, 1)), sharp(after), atol=1e-13)
    kernel = kernel_of(p, PIXEL)
    flipped = Psf(kind="array", kernel=kernel[::-1, ::-1])
    np.testing.assert_allclose((sharp(a) * b).sum(), (a * spread(b, flipped, PIXEL)).sum() * kernel.sum(), rtol=1e-12)
    np.testing.assert_allclose(direct(a, kernel), namespace_of().convolved(a, kernel, 1), atol=1e-13)
    np.testing.assert_allclose(sharp(a), direct(a, kernel), atol=1e-13)


@pytest.mark.parametrize("kind", ["gauss", "fiber"])
def test_twin(kind: str) -> None:
    image = np.random.default_rng(2).random((9, 11))
    fraction = (
        (lambda x, y: chain_twin.gauss(x, y, 0.9))
        if kind == "gauss"
        else (lambda x, y: chain_twin.fiber(x, y, FIBER_HEIGHT * 0.9))
    )
    np.testing.assert_allclose(
        spread(image, psf(kind, 0.9, 4), PIXEL), chain_twin.spread(image, fraction, 4), atol=1e-13
    )


def test_a_narrow_spread_is_none() -> None:
    image = np.random.default_rng(3).random((20, 20))
    np.testing.assert_allclose(spread(image, psf("gauss", 0.05), PIXEL), image, rtol=1e-15)


def test_radius() -> None:
    """The smallest that leaves less than the tail; at most 256, which is told; cut to the image."""
    p = psf("fiber", 0.46)
    radius = radius_of(p, PIXEL)[0]
    assert 1 - enclosed(p, PIXEL, radius) < 5e-3 <= 1 - enclosed(p, PIXEL, radius - 1)
    wide = psf("fiber", 4.0)
    with pytest.warns(NanoBraggWarning, match=r"0\.92 % of the photons"):
        assert radius_of(wide, PIXEL) == (256, 256)
    with warnings.catch_warnings(), pytest.raises(ConfigError, match="must not exceed the image"):
        warnings.simplefilter("ignore")
        spread(np.ones((3, 3)), wide, PIXEL)
    np.testing.assert_allclose(spread(np.ones((5, 5)), psf("fiber", 2.0), PIXEL).sum(), chain_twin.spread(
        np.ones((5, 5)), lambda x, y: chain_twin.fiber(x, y, FIBER_HEIGHT * 2.0), 4).sum(), rtol=1e-12)  # fmt: skip


@pytest.mark.parametrize(("kind", "w"), [("gauss", 0.8), ("gauss", 1.8), ("fiber", 0.46), ("fiber", 1.0)])
def test_gradient_in_the_width(kind: str, w: float) -> None:
    torch = pytest.importorskip("torch", reason="gradients need torch: pip install '.[torch]'")
    width = torch.tensor(100.0 * w, dtype=torch.float64, requires_grad=True)
    kernel = kernel_of(Psf(kind=kind, fwhm_um=width, radius_px=5), PIXEL)
    for place, name in (((5, 5), "dK_0_0_dw"), ((5, 6), "dK_1_0_dw")):
        (slope,) = torch.autograd.grad(kernel[place], width, retain_graph=True)
        np.testing.assert_allclose(100.0 * slope.item(), VECTORS[f"{kind}_w{w:g}"][name], rtol=1e-7)
    image = np.random.default_rng(4).random((12, 14))
    out = spread(torch.tensor(image), Psf(kind=kind, fwhm_um=width, radius_px=5), PIXEL)
    np.testing.assert_allclose(out.detach().numpy(), spread(image, psf(kind, w, 5), PIXEL), atol=1e-13)
    (slope,) = torch.autograd.grad(out[3, 4], width)
    step = 1e-3
    ends = [spread(image, Psf(kind=kind, fwhm_um=100.0 * w + d, radius_px=5), PIXEL)[3, 4] for d in (-step, step)]
    np.testing.assert_allclose(slope.item(), (ends[1] - ends[0]) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("kind", ["gauss", "fiber"])
@pytest.mark.parametrize("shape", [(61, 81), (9, 81)], ids=["wide", "cut"])
def test_what_lies_outside_is_given_back_if_asked(kind: str, shape: tuple[int, int]) -> None:
    """The normalized kernel is the other over its sum, also where the image is smaller than it, and for tensors."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'nanobragg[torch]'")
    image = np.random.default_rng(1).random(shape)
    plain = Psf(kind=kind, fwhm_um=200.0, radius_px=12)
    full = Psf(kind=kind, fwhm_um=200.0, radius_px=12, normalize=True)
    total = kernel_of(plain, PIXEL).sum()
    np.testing.assert_allclose(kernel_of(full, PIXEL).sum(), 1.0, rtol=1e-14)
    wanted = spread(image, plain, PIXEL) / total
    np.testing.assert_allclose(spread(image, full, PIXEL), wanted, rtol=0, atol=1e-13)
    found = spread(torch.tensor(image, requires_grad=True), full, PIXEL)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=1e-13)


BAD = {
    "readout.psf.fwhm_um": {"kind": "gauss"},
    "readout.psf.kernel": {"kind": "array"},
    "readout.psf.kernel=": {"kind": "gauss", "fwhm_um": 50.0, "kernel": [[1.0]]},
    "must hold finite numbers": {"kind": "array", "kernel": [[float("nan")]]},
    "above 0": {"kind": "array", "kernel": [[0.0]]},
    "numbers >= 0": {"kind": "array", "kernel": [[2.0, -1.0, 0.5]]},
    "odd length": {"kind": "array", "kernel": [[1.0, 2.0]]},
    "readout.psf.kind": {"kind": "lorentz"},
    "readout.psf.tail": {"kind": "none", "tail": 0.0},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Psf(**BAD[message])
