"""The package's random streams: their distribution, and what they do not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nanobragg.errors import ConfigError
from nanobragg.streams import Purpose, Stream, checked_seed

N = 1 << 16


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 written down from its paper."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x0, 0xCD9E8D57 * x2
        x0, x1, x2, x3 = (p1 >> 32) ^ x1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ x3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x0, x1, x2, x3


def test_key_and_counter_are_what_they_are_said_to_be() -> None:
    got = Stream(seed=11, purpose=Purpose.HIT, panel=5, frame=9).uniform(300, draw=2)
    for pixel in (0, 1, 255, 256, 299):
        high, low, _, _ = philox((pixel, 5, 9, 2), (11, 20))
        assert got[pixel] == (((high << 20) | (low >> 12)) + 0.5) / 2**52


@pytest.mark.parametrize("mean", [0.01, 0.5, 2, 5, 11.99, 17.99, 18, 50, 1e4, 1e6, 2e6])
def test_poisson_moments(mean: float) -> None:
    """Five standard errors of mean, variance, skewness and of the number of empty pixels."""
    counts = Stream(seed=1, purpose=Purpose.PHOTONS).poisson(np.full(N, mean))
    assert np.array_equal(counts, np.floor(counts)) and counts.min() >= 0
    assert abs(counts.mean() - mean) < 5 * np.sqrt(mean / N)
    assert abs(counts.var() / mean - 1) < 5 * np.sqrt((2 + 1 / mean) / N)
    if mean <= 10:
        assert abs(stats.skew(counts) * np.sqrt(mean) - 1) < 5 * np.sqrt(6 * mean / N) + 0.02
    if mean <= 2:
        empty = np.exp(-mean)
        assert abs((counts == 0).mean() - empty) < 5 * np.sqrt(empty * (1 - empty) / N)


def test_nothing_comes_of_nothing() -> None:
    assert not Stream(seed=1, purpose=Purpose.PHOTONS).poisson([0.0, -0.0, -1.0, np.nan]).any()


@pytest.mark.parametrize("mean", [0.7, 6.3, 17.5, 18.5, 60.0, 700.0])
def test_poisson_distribution(mean: float) -> None:
    """Chi-square of the whole distribution over two million pixels; fails by chance once in a million."""
    n = 2_000_000
    counts = Stream(seed=4, purpose=Purpose.PHOTONS).poisson(np.full(n, mean))
    edges = np.unique(stats.poisson.ppf(np.linspace(0.0005, 0.9995, 200), mean))
    expected = n * np.diff(np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]]))
    found = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    chi2 = ((found - expected) ** 2 / expected)[expected > 0].sum()
    assert stats.chi2.sf(chi2, (expected > 0).sum() - 1) > 1e-6


def test_normal_distribution() -> None:
    deviates = Stream(seed=2, purpose=Purpose.READ_NOISE).normal((1000, 1000))
    assert stats.kstest(deviates.ravel(), "norm").pvalue > 1e-6
    assert abs(stats.kurtosis(deviates.ravel())) < 5 * np.sqrt(24 / 1e6)
    grid = np.concatenate([np.logspace(-300, -1, 400), np.linspace(0.1, 0.999999, 400)])
    from nanobragg._imaging import normal_quantile

    np.testing.assert_allclose([normal_quantile(p) for p in grid], stats.norm.ppf(grid), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_threads_do_not_matter(n_threads: int) -> None:
    mean = np.random.default_rng(0).gamma(0.3, 50, (700, 501))
    stream = Stream(seed=3, purpose=Purpose.PHOTONS, panel=1, frame=77)
    assert np.array_equal(stream.poisson(mean), stream.poisson(mean, n_threads=n_threads))
    assert np.array_equal(stream.normal(mean.shape), stream.normal(mean.shape, n_threads=n_threads))


def test_streams_are_independent() -> None:
    """Neighbours in every part of key and counter, and in the pixel: no correlation beyond five standard errors."""
    base = Stream(1, Purpose.PHOTONS).normal(N)
    others = [
        Stream(2, Purpose.PHOTONS),
        Stream(1, Purpose.READ_NOISE),
        Stream(1, Purpose.PHOTONS, 1),
        Stream(1, Purpose.PHOTONS, 0, 1),
    ]
    for other in [stream.normal(N) for stream in others] + [
        Stream(1, Purpose.PHOTONS).normal(N, draw=1),
        np.roll(base, 1),
    ]:
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / np.sqrt(N)


def test_purposes_keep_their_numbers() -> None:
    """They are in every result."""
    assert [p.value for p in Purpose] == [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_seeds_out_of_range(seed: object) -> None:
    with pytest.raises(ConfigError, match="within 0 and 4294967295"):
        checked_seed("seed", seed)
