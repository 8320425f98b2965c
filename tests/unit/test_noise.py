"""Noise: the original's images bit for bit, and Poisson statistics for our own."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from nanobragg.derivation.rng import LegacyRandom
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging.noise import add_noise, noise_image
from nanobragg.io import read_smv

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "counting_cases.json").read_text())
IMAGES = np.load(DATA / "counting_cases.npz")
NOISY = [case for case in CASES if f"{case}.noise" in IMAGES]


def arguments(case):
    facts = CASES[case]
    s0, s1, f0, f1 = facts["roi"]
    adc = 40.0 if facts["adc"] is None else facts["adc"]
    mask = read_smv(DATA / "mask.img")[0] != 0 if facts["masked"] else None
    return dict(adc_offset=adc, roi=(slice(s0, s1), slice(f0, f1)), mask=mask, generator="nanobragg")


@pytest.mark.parametrize("case", NOISY)
def test_original_generator_gives_the_original_image(case):
    facts = CASES[case]
    image = IMAGES[f"{case}.float"]
    if facts["seed"] is None:
        pytest.skip("the run took its seed from the clock")
    noisy = noise_image(image, seed=int(facts["seed"]), **arguments(case))
    assert np.array_equal(noisy.counts, IMAGES[f"{case}.noise"])
    assert f"{noisy.photons:.0f}" == facts["photons"] and str(noisy.overloads) == facts["overloads"]


def test_existing_stream_goes_on():
    image = np.full((3, 4), 20.0)
    stream = LegacyRandom()
    stream.seed("noise", -5)
    first, second = (noise_image(image, generator="nanobragg", stream=stream).counts for _ in range(2))
    both = add_noise(np.full((6, 4), 20.0), seed=5, generator="nanobragg")
    assert np.array_equal(np.vstack([first, second]), both) and not np.array_equal(first, second)


@pytest.mark.parametrize("mean", [0.3, 5.0, 100.0, 2000.0])
def test_poisson_mean_and_variance(mean):
    n = 200_000
    counts = add_noise(np.full((400, 500), mean), seed=1).astype(float)
    # standard errors: mean sqrt(m/n); variance sqrt((2 m^2 + m)/n); five of each, the seed is fixed
    assert abs(counts.mean() - mean) < 5 * np.sqrt(mean / n)
    assert abs(counts.var() - mean) < 5 * np.sqrt((2 * mean**2 + mean) / n)


def test_reproducible_and_seeds_differ():
    image = np.full((50, 50), 30.0)
    assert np.array_equal(add_noise(image, seed=7), add_noise(image, seed=7))
    different = {add_noise(image, seed=seed).tobytes() for seed in (0, 1, 2, -1, -2, 2**40)}
    assert len(different) == 6
    assert not np.array_equal(add_noise(image), add_noise(image))
    drawn = noise_image(image)
    assert np.array_equal(add_noise(image, seed=drawn.seed), drawn.counts)


def test_noise_does_not_share_the_numbers_of_other_uses_of_a_seed():
    other = np.random.Generator(np.random.PCG64(3)).poisson(np.full((50, 50), 30.0))
    assert not np.array_equal(add_noise(np.full((50, 50), 30.0), seed=3), other)


@pytest.mark.parametrize("generator, below_zero", [("pcg64", 0), ("nanobragg", 65536 - 10)])
def test_offset_region_mask_and_limits(generator, below_zero):
    image = np.zeros((4, 5))
    image[2, 3] = 1e9
    mask = np.ones((4, 5), bool)
    noisy = noise_image(image, seed=1, adc_offset=40, roi=(slice(1, 4), slice(1, 5)), mask=mask, generator=generator)
    assert noisy.counts[0].tolist() == [0] * 5 and noisy.counts[:, 0].tolist() == [0] * 4
    assert noisy.counts[1, 1] == 40 and noisy.counts[2, 3] == 65535 and noisy.overloads == 1
    assert noisy.photons == pytest.approx(1e9, rel=5 / np.sqrt(1e9))
    mask[2, 3] = False
    hidden = noise_image(image, seed=1, adc_offset=-10, mask=mask, generator=generator)
    assert hidden.photons == 0 and (hidden.counts == below_zero).all()


def test_brightest_images_saturate():
    image = np.full((2, 2), 1e30)
    with pytest.warns(
        NanoBraggWarning, match="4 pixels are above 65535 and clipped; dtype='uint32' holds more"
    ) as told:
        assert add_noise(image, seed=1).tolist() == [[65535] * 2] * 2
    assert len(told) == 1 and told[0].filename == __file__
    with pytest.warns(NanoBraggWarning, match="4 pixels are above 1000 and clipped$"):
        assert add_noise(image, seed=1, saturation=1000).tolist() == [[1000] * 2] * 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", np.int32, None])
def test_types_of_counts(dtype):
    """The same seed draws the same counts in every type, up to what it holds."""
    image = np.array([[3.0, 200.0, 1000.0], [40_000.0, 70_000.0, 3e9]])
    wide = add_noise(image, seed=4, dtype="uint32")
    assert wide.dtype == np.uint32 and (abs(wide - image) < 6 * np.sqrt(image)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanoBraggWarning)
        counts = add_noise(image, seed=4, dtype=dtype)
    kind = np.dtype("uint16" if dtype is None else dtype)
    assert counts.dtype == kind and np.array_equal(counts, np.minimum(wide, np.iinfo(kind).max))


def test_fractional_offset_gives_whole_counts():
    counts = add_noise(np.zeros((2, 2)), seed=1, adc_offset=10.6)
    assert counts.dtype == np.uint16 and (counts == 11).all()


def test_tensors_are_taken():
    torch = pytest.importorskip("torch")
    image = torch.full((4, 5), 10.0, dtype=torch.float64, requires_grad=True)
    assert np.array_equal(add_noise(image, seed=2), add_noise(np.full((4, 5), 10.0), seed=2))


@pytest.mark.parametrize(
    "image, options, path",
    [
        (np.array([[1.0, np.nan]]), {}, "image[0, 1]"),
        (np.array([[1.0, -1.0]]), {}, "image[0, 1]"),
        (np.array([[np.inf, 1.0]]), {"generator": "nanobragg"}, "image[0, 0]"),
        (np.ones(3), {}, "image"),
        (np.ones((2, 2)), {"generator": "mt19937"}, "generator"),
        (np.ones((2, 2)), {"adc_offset": np.nan}, "adc_offset"),
        (np.ones((2, 2)), {"dtype": "float32"}, "dtype"),
        (np.ones((2, 2)), {"dtype": "counts"}, "dtype"),
        (np.ones((2, 2)), {"saturation": 65536}, "saturation"),
        (np.ones((2, 2)), {"saturation": 0, "dtype": "int32"}, "saturation"),
        (np.ones((2, 2)), {"generator": "nanobragg", "dtype": "uint32"}, "generator"),
        (np.ones((2, 2)), {"mask": np.ones((2, 3), bool)}, "mask"),
        (np.ones((2, 2)), {"roi": (slice(0, 3), slice(0, 2))}, "roi"),
    ],
)
def test_bad_input_names_the_field(image, options, path):
    with pytest.raises(ConfigError) as caught:
        add_noise(image, seed=1, **options)
    assert caught.value.path == path
