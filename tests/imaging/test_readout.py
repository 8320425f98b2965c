"""The readout: moments and correlations within five standard errors, the literal twin, what is static and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import chain_twin
import numpy as np
import pytest

from nanobragg import Flags, Maps, Psf, Rate, Readout, Stage
from nanobragg.errors import ConfigError, NanoBraggWarning
from nanobragg.imaging import rate
from nanobragg.imaging.psf import FIBER_HEIGHT, kernel_of
from nanobragg.imaging.readout import Conditions, counts, expected, variance

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "imaging_vectors.json").read_text())
N = 256
FLAT = np.ones((N, N))
HERE = Conditions()


def check_moments(
    sample: np.ndarray, mean: float, var: float, mean_inflation: float = 1.0, var_inflation: float = 1.0
) -> None:
    """Five standard errors; neighbors that are correlated count less, by the factors."""
    n, kurtosis = sample.size, 2.0 + 1.0 / max(mean, 1e-9)
    assert abs(sample.mean() - mean) < 5 * np.sqrt(var / n) * mean_inflation
    assert abs(sample.var() / var - 1) < 5 * np.sqrt(kurtosis / n) * var_inflation


def test_nothing_is_on_by_default() -> None:
    """The expectation is the photons, the variance theirs plus that of rounding."""
    mu = np.random.default_rng(0).random((5, 6)) * 100
    assert np.array_equal(expected(mu, Readout()), mu)
    np.testing.assert_allclose(variance(mu, Readout()), mu + 1 / 12, rtol=1e-15)
    result = counts(mu, Readout(), 1)
    assert result.counts.dtype == np.uint16 and not result.flags.any() and result.overloads == 0
    assert np.array_equal(counts(mu, Readout(counting="none"), 1).counts, np.floor(mu + 0.5))


def test_twin() -> None:
    """Every step in its place, one pixel after the other, with the random numbers of the same keys and counters."""
    mu = np.random.default_rng(1).random((11, 9)) * 12
    steps = {"flicker": 0.1, "noise": 1.7, "gain": 2.3, "offset": 12.0}
    psf = Psf(kind="fiber", fwhm_um=60.0, radius_px=3)
    readout = Readout(
        flicker=0.1, noise_adu=1.7, gain_adu_per_photon=2.3, offset_adu=12.0, dark_adu_per_s=4.0, psf=psf,
        maps=Maps(efficiency=0.2, gain_error=0.05, offset_adu=0.8, seed=9),
    )  # fmt: skip
    for frame, panel in ((0, 0), (5, 0), (0, 3)):
        got = counts(mu, readout, 77, Conditions(exposure_s=0.5, frame=frame, panel=panel))
        wanted = chain_twin.integrating(
            mu, seed=77, frame=frame, panel=panel, maps_seed=9, efficiency=0.2, gain_error=0.05, offset_map=0.8, dark=2.0,
            kernel=lambda x, y: chain_twin.fiber(x, y, FIBER_HEIGHT * 0.6), radius=3, **steps,
        )  # fmt: skip
        # an ulp may decide a rounding or a deviate once in very many pixels; not in these
        assert np.array_equal(got.counts, wanted)


@pytest.mark.parametrize("mean", [0.0, 0.5, 5.0, 50.0, 1e4])
def test_gain_offset_and_read_noise(mean: float) -> None:
    readout = Readout(gain_adu_per_photon=1.6, offset_adu=40.0, noise_adu=3.0, dark_adu_per_s=10.0)
    conditions = Conditions(exposure_s=0.2)
    sample = counts(mean * FLAT, readout, 3, conditions).counts.astype(float)
    np.testing.assert_allclose(expected(mean * FLAT, readout, conditions)[0, 0], 1.6 * mean + 42.0, rtol=1e-14)
    var = variance(mean * FLAT, readout, conditions)[0, 0]
    np.testing.assert_allclose(var, 1.6**2 * mean + 9.0 + 1 / 12, rtol=1e-14)
    check_moments(sample, 1.6 * mean + 42.0, var)


def test_gain_by_energy() -> None:
    """Two numbers a keV are those of a photon over its energy, noise drawn too."""
    by_energy, by_photon = (
        Readout(gain_adu_per_kev=2.0, noise_adu=1.0),
        Readout(gain_adu_per_photon=16.0, noise_adu=1.0),
    )
    conditions = Conditions(photon_energy_kev=8.0)
    for what in (expected, variance):
        np.testing.assert_allclose(what(FLAT, by_energy, conditions), what(FLAT, by_photon, conditions), rtol=1e-15)
    pair = [counts(5.0 * FLAT, readout, 3, conditions).counts for readout in (by_energy, by_photon)]
    assert np.array_equal(*pair)
    assert expected(FLAT, by_energy, Conditions(photon_energy_kev=16.0))[0, 0] == 32.0


def test_gain_spread_adds_to_the_variance() -> None:
    readout = Readout(gain_adu_per_photon=10.0, gain_spread=0.4, offset_adu=100.0)
    sample = counts(20.0 * FLAT, readout, 4).counts.astype(float)
    check_moments(sample, 300.0, 100.0 * 20.0 * 1.16 + 1 / 12)


# kernel, ΣK², correlations (1,0) (1,1) (2,0), inflation of the errors of variance and mean
SPREADS = [
    ("fiber", 80.0, 30, 0.123546, (0.433895, 0.250098, 0.127994), 1.48, 2.80),
    ("gauss", 180.0, 6, 0.119472, (0.685418, 0.469798, 0.224514), 2.04, 2.89),
]


@pytest.mark.parametrize(("kind", "fwhm", "radius", "sum_k2", "correlations", "in_var", "in_mean"), SPREADS)
def test_spread_after_counting_correlates(kind, fwhm, radius, sum_k2, correlations, in_var, in_mean) -> None:
    """Flat field of 200 photons, borders removed; 12 frames of 512 x 512 settle the variance to 0.2 %, correlations to 0.002."""
    psf = Psf(kind=kind, fwhm_um=fwhm, radius_px=radius)
    readout = Readout(psf=psf, gain_adu_per_photon=20.0)  # so that rounding does not count
    frames = (
        np.stack([counts(200.0 * np.ones((512, 512)), readout, 5, Conditions(frame=i)).counts for i in range(12)])
        / 20.0
    )
    inner = frames[:, radius:-radius, radius:-radius]
    kept = kernel_of(psf, HERE.pixel_um).sum()
    check_moments(inner, 200.0 * kept, 200.0 * sum_k2, in_mean, in_var)
    assert abs(inner.var() / (200.0 * sum_k2) - 1) < 0.01
    centerd = inner - inner.mean()
    for (ds, df), expected_correlation in zip(((0, 1), (1, 1), (0, 2)), correlations, strict=True):
        product = centerd[:, : centerd.shape[1] - ds, : centerd.shape[2] - df] * centerd[:, ds:, df:]
        assert abs(product.mean() / inner.var() - expected_correlation) < 0.005
    np.testing.assert_allclose(
        variance(200.0 * np.ones((99, 99)), readout)[49, 49] / 400, 200.0 * sum_k2 + 1 / 4800, rtol=1e-5
    )


def test_spread_before_counting_does_not() -> None:
    readout = Readout(psf=Psf(kind="fiber", fwhm_um=80.0, radius_px=30, stage="before_counting"))
    n = 512
    inner = counts(200.0 * np.ones((n, n)), readout, 6).counts[30:-30, 30:-30].astype(float)
    assert abs(inner.var() / inner.mean() - 1) < 5 * np.sqrt(2 / inner.size)
    centerd = inner - inner.mean()
    assert abs((centerd[:, 1:] * centerd[:, :-1]).mean() / inner.var()) < 5 / np.sqrt(inner.size)


def test_maps_are_static_and_flicker_is_not() -> None:
    """Two bright frames of other seeds show one gain map; 400 frames show the flicker of the whole frame."""
    c, n = 0.03, N * N
    readout = Readout(bits=32, maps=Maps(gain_error=c, seed=5), gain_adu_per_photon=1.0)
    first, second = (counts(1e8 * FLAT, readout, seed).counts / 1e8 - 1 for seed in (1, 2))
    other = counts(1e8 * FLAT, Readout(bits=32, maps=Maps(gain_error=c, seed=6)), 1).counts / 1e8 - 1
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9999  # photon noise is 1e-4 against 0.03
    assert abs(first.std() - c) < 5 * c / np.sqrt(2 * n)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(n)

    flicker = Readout(flicker=0.05)
    frames = [
        counts(100.0 * np.ones((64, 64)), flicker, 3, Conditions(frame=i)).counts.astype(float) for i in range(400)
    ]
    totals = np.array([frame.sum() for frame in frames])
    spread = np.sqrt(0.05**2 + 1 / totals.mean())
    assert abs(totals.std() / totals.mean() / spread - 1) < 5 / np.sqrt(800)
    excess = np.mean([frame.var() / frame.mean() for frame in frames])
    assert abs(excess - 1) < 5 * np.sqrt(2 / (400 * 64 * 64))
    assert np.array_equal(frames[7], counts(100.0 * np.ones((64, 64)), flicker, 3, Conditions(frame=7)).counts)


def test_panels_share_the_flicker_and_nothing_else() -> None:
    readout = Readout(flicker=0.2, bits=32)
    one, two = (counts(1e7 * FLAT, readout, 3, Conditions(panel=i)).counts for i in (0, 1))
    assert abs(one.mean() / two.mean() - 1) < 5 * np.sqrt(2 / (1e7 * one.size)) and abs(one.mean() / 1e7 - 1) > 1e-3
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_threads_do_not_matter(n_threads: int) -> None:
    mu = np.random.default_rng(2).gamma(0.3, 60, (400, 500))
    readout = Readout(noise_adu=2.0, gain_spread=0.1, psf=Psf(kind="fiber", fwhm_um=90.0), maps=Maps(gain_error=0.02))
    assert np.array_equal(counts(mu, readout, 1).counts, counts(mu, readout, 1, Conditions(n_threads=n_threads)).counts)


@pytest.mark.parametrize("vector", VECTORS["dead_time"], ids=lambda v: f"{v['rho_tau']:g}")
@pytest.mark.parametrize("model", ["nonparalyzable", "paralyzable"])
def test_dead_time(model: str, vector: dict[str, float]) -> None:
    x = vector["rho_tau"]
    limits = Rate(dead_time_s=1e-7, model=model, corrected=False)
    mu, seconds = 4000.0, 4000.0 * 1e-7 / x
    mean, var = rate.counted(np.array(mu), limits, seconds)
    np.testing.assert_allclose(mean / mu, vector[f"{model}_mean"], rtol=1e-12)
    np.testing.assert_allclose(var / mean, vector[f"{model}_var_over_mean"], rtol=1e-12)
    readout, here = Readout(kind="counting", bits=20, rate=limits), Conditions(exposure_s=seconds)
    sample = counts(mu * FLAT, readout, 2, here).counts.astype(float)
    check_moments(sample, float(mean), float(var) + 1 / 12)
    np.testing.assert_allclose(variance(mu * FLAT, readout, here)[0, 0], var, rtol=1e-12)
    if model == "nonparalyzable" or x < 0.9:  # up to the maximum of the paralyzable rate
        np.testing.assert_allclose(rate.corrected(mean, limits, seconds), mu, rtol=1e-9)


def test_corrected_counts_are_those_of_the_photons() -> None:
    """Dead time 0.3 of the mean interval: the correction brings the mean back, to the curvature 1/mu of the formula."""
    readout = Readout(kind="counting", bits=20, rate=Rate(dead_time_s=3e-4))
    mu = 1000.0 * FLAT
    sample = counts(mu, readout, 2).counts.astype(float)
    var = variance(mu, readout)[0, 0]
    assert abs(sample.mean() - 1000) < 5 * np.sqrt(var / sample.size) + 0.5
    assert abs(sample.var() / var - 1) < 5 * np.sqrt(2 / sample.size) + 1e-2
    beyond = counts(4000.0 * FLAT, Readout(kind="counting", bits=20, rate=Rate(dead_time_s=3e-4, max_per_s=3900.0)), 2)
    assert beyond.counts.max() == 2**20 - 1 and beyond.overloads > 0


@pytest.mark.parametrize("mean", [0.05, 1.0, 7.0, 19.0])
def test_small_counts_with_dead_time(mean: float) -> None:
    limits = Rate(dead_time_s=0.3 / mean, corrected=False)
    m, v = rate.counted(np.array(mean), limits, 1.0)
    sample = counts(mean * FLAT, Readout(kind="counting", bits=20, rate=limits), 2).counts.astype(float)
    assert abs(sample.mean() - m) < 5 * np.sqrt(v / sample.size)
    trials = max(round(float(m * m / (m - v))), int(np.ceil(m)), 1)
    np.testing.assert_allclose(sample.var(), m * (1 - m / trials), rtol=5 * np.sqrt((2 + 1 / mean) / sample.size))


@pytest.mark.parametrize("vector", VECTORS["pulsed_counting"], ids=lambda v: f"{v['mu_per_bunch']:g}")
def test_bunches(vector: dict[str, float]) -> None:
    n, seconds = 1000, 1e-3
    mu = vector["mu_per_bunch"] * n
    readout = Readout(kind="counting", bits=20, rate=Rate(pulse_rate_hz=1e6, corrected=False))
    here = Conditions(exposure_s=seconds)
    sample = counts(mu * FLAT, readout, 1, here).counts.astype(float)
    mean = vector["mean_over_mu"] * mu
    var = vector["var_over_mean"] * mean
    assert abs(sample.mean() - mean) < 5 * np.sqrt(var / sample.size)
    rounding = 1 / 12 if mean > 20 else 0.0
    assert abs(sample.var() / (var + rounding) - 1) < 5 * np.sqrt((2 + 1 / mean) / sample.size)


def test_one_bunch_is_told() -> None:
    readout = Readout(kind="counting", bits=20, rate=Rate(pulse_rate_hz=100.0))
    with pytest.warns(NanoBraggWarning, match="one photon a pixel"):
        result = counts(5.0 * FLAT, readout, 1, Conditions(exposure_s=1e-3))
    assert set(np.unique(result.flags)) == {0, 4}  # one photon or infinitely many


STAGES = (
    Stage(up_to_kev=34 * 12.0, gain_adu_per_kev=36.0, pedestal_adu=100.0, noise_adu=0.2 * 12 * 36.0 / 4),
    Stage(up_to_kev=342 * 12.0, gain_adu_per_kev=-1.4, pedestal_adu=15000.0, noise_adu=1.5 * 12 * 1.4 / 4),
    Stage(up_to_kev=np.inf, gain_adu_per_kev=-0.1, pedestal_adu=15000.0, noise_adu=15 * 12 * 0.1 / 4),
)


@pytest.mark.parametrize("mean", [2.0, 20.0, 34.0, 200.0, 342.0, 3000.0])
def test_gain_switching(mean: float) -> None:
    """Calibrated pixels have the photons' mean across both thresholds; without photon noise they show that of the stage."""
    here = Conditions(photon_energy_kev=12.0)
    readout = Readout(stages=STAGES, gain_adu_per_photon=100.0, bits=32)
    sample = counts(mean * FLAT, readout, 5, here).counts / 100.0
    pure = Readout(stages=STAGES, gain_adu_per_photon=100.0, bits=32, counting="none")
    noise = counts(mean * FLAT, pure, 5, here).counts / 100.0
    stage = STAGES[int(np.searchsorted([34.0, 342.0], mean))]
    step = 1 / (abs(stage.gain_adu_per_kev) * 12)
    sigma = np.sqrt((stage.noise_adu * step) ** 2 + step**2 / 12)
    assert abs(noise.std() / sigma - 1) < 0.03
    assert abs(noise.mean() - mean) < 5 * sigma / N + 0.01
    assert abs(sample.mean() - mean) < 5 * np.sqrt(mean + sigma**2) / N + 0.01
    np.testing.assert_allclose(variance(mean * FLAT, pure, here)[0, 0] / 1e4, sigma**2 + 1e-4 / 12, rtol=1e-9)
    np.testing.assert_allclose(expected(mean * FLAT, pure, here)[0, 0] / 100.0, mean, rtol=1e-12)


def test_raw_stages() -> None:
    mu = np.array([[1.0, 100.0, 1000.0]])
    readout = Readout(stages=STAGES, stage_output="raw", counting="none")
    got = counts(mu, readout, 5, Conditions(photon_energy_kev=12.0)).counts
    assert (got >> 14).tolist() == [[0, 1, 3]]
    wanted = [s.pedestal_adu + s.gain_adu_per_kev * 12 * m for s, m in zip(STAGES, mu[0], strict=True)]
    assert np.all(np.abs((got & 0x3FFF)[0] - wanted) < 6 * np.array([s.noise_adu for s in STAGES]) + 1)


def test_saturation() -> None:
    """The fraction of pixels at the largest value is the probability of that many counts and more."""
    from scipy.stats import poisson

    result = counts(100.0 * FLAT, Readout(max_adu=105), 6)
    p = poisson.sf(104, 100.0)
    assert abs((result.counts == 105).mean() - p) < 5 * np.sqrt(p * (1 - p) / FLAT.size)
    assert result.overloads == (result.counts == 105).sum() == (result.flags == 4).sum()


def test_flags() -> None:
    rendered = np.ones((N, N), bool)
    rendered[:, 10:14] = False
    maps = Maps(dead_fraction=0.01, hot_fraction=0.02)
    signed = counts(5.0 * FLAT, Readout(kind="counting", bits=20, maps=maps), 1, rendered=rendered)
    assert signed.counts.dtype == np.int32
    assert (signed.counts[:, 10:14] == -1).all() and (signed.flags == 1).sum() == 4 * N
    assert (signed.counts[signed.flags == 2] == -2).all() and (signed.counts[signed.flags == 3] == 2**20 - 1).all()
    for flag, p in ((2, 0.01), (3, 0.02)):
        n = rendered.sum()
        assert abs((signed.flags == flag).sum() / n - p) < 5 * np.sqrt(p / n)
    unsigned = counts(5.0 * FLAT, Readout(maps=maps), 1, rendered=rendered)
    assert unsigned.counts.dtype == np.uint16 and np.array_equal(unsigned.flags, signed.flags)
    assert (unsigned.counts[unsigned.flags == 2] == 0).all()
    own = counts(5.0 * FLAT, Readout(maps=maps, flags=Flags(gap=-7)), 1, rendered=rendered)
    assert own.counts.dtype == np.int32 and (own.counts[:, 10:14] == -7).all()


def test_rounding_has_no_bias() -> None:
    sample = counts(123.4 * FLAT, Readout(counting="none", noise_adu=3.0, offset_adu=10.0), 1).counts.astype(float)
    assert abs(sample.mean() - 133.4) < 5 * np.sqrt(9.1 / FLAT.size)


def test_gradients_of_expectation_and_variance() -> None:
    """Every field that takes a tensor, against central differences; torch and numpy agree."""
    torch = pytest.importorskip("torch", reason="gradients need torch: pip install '.[torch]'")
    mu = np.random.default_rng(3).random((12, 10)) * 50
    weights = np.random.default_rng(4).random((12, 10))
    start = {"gain_adu_per_photon": 1.7, "gain_spread": 0.3, "noise_adu": 2.0, "offset_adu": 11.0, "dark_adu_per_s": 3.0,
             "flicker": 0.04, "fwhm_um": 70.0, "efficiency": 0.1, "gain_error": 0.05, "map_offset": 1.5}  # fmt: skip

    def value(function, values, photons=mu):
        names = ("fwhm_um", "efficiency", "gain_error", "map_offset")
        plain = {k: v for k, v in values.items() if k not in names}
        readout = Readout(**plain, psf=Psf(kind="fiber", fwhm_um=values["fwhm_um"], radius_px=4), maps=Maps(
            efficiency=values["efficiency"], gain_error=values["gain_error"], offset_adu=values["map_offset"]))  # fmt: skip
        image = function(photons, readout, Conditions(exposure_s=0.7))
        return (image * (torch.tensor(weights) if hasattr(image, "detach") else weights)).sum()

    for function in (expected, variance):
        tensors = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in start.items()}
        photons = torch.tensor(mu, requires_grad=True)
        total = value(function, tensors, photons)
        np.testing.assert_allclose(total.item(), value(function, start), rtol=1e-12)
        total.backward()
        for name, at in start.items():
            step = 1e-4 * at
            slope = (value(function, {**start, name: at + step}) - value(function, {**start, name: at - step})) / (
                2 * step
            )
            got = tensors[name].grad
            # differences of sums of some 1e4 with steps of 1e-4: 1e-8 of the sum over the step
            np.testing.assert_allclose(0.0 if got is None else got.item(), slope, rtol=2e-6, atol=1e-6, err_msg=name)
        ds = photons.grad[3, 4].item()
        bumped = mu.copy()
        bumped[3, 4] += 1e-3
        np.testing.assert_allclose(ds, (value(function, start, bumped) - value(function, start)) / 1e-3, rtol=1e-4)


def test_gradients_of_counters_stages_and_arrays() -> None:
    """Dead time; gain, pedestal and noise of the stages in raw images; a measured spread and measured maps."""
    torch = pytest.importorskip("torch", reason="gradients need torch: pip install '.[torch]'")
    random = np.random.default_rng(5)
    mu, weights = random.random((12, 10)) * 60, random.random((12, 10))
    kernel, efficiency = random.random((3, 5)), random.random((12, 10))

    def counting(v):
        limits = Rate(dead_time_s=v["dead_time"], model=v["model"], corrected=False)
        return Readout(kind="counting", bits=20, rate=limits, maps=Maps(efficiency=v["efficiency"]))

    def staged(v):
        first = Stage(up_to_kev=300.0, gain_adu_per_kev=v["gain"], pedestal_adu=v["pedestal"], noise_adu=v["noise"])
        second = Stage(up_to_kev=np.inf, gain_adu_per_kev=-2.0, pedestal_adu=16000.0, noise_adu=4.0)
        psf = Psf(kind="array", kernel=v["kernel"])
        return Readout(stages=(first, second), stage_output="raw", psf=psf, maps=Maps(efficiency=v["efficiency"]))

    start = {
        "dead_time": 2e-3,
        "gain": 30.0,
        "pedestal": 100.0,
        "noise": 5.0,
        "kernel": kernel,
        "efficiency": efficiency,
    }

    def value(make, function, v):
        image = function(mu, make(v), Conditions(photon_energy_kev=10.0))
        return (image * (torch.tensor(weights) if hasattr(image, "detach") else weights)).sum()

    for make, model in ((counting, "nonparalyzable"), (counting, "paralyzable"), (staged, "")):
        for function in (expected, variance):
            tensors = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in start.items()}
            total = value(make, function, {**tensors, "model": model})
            plain = value(make, function, {**start, "model": model})
            np.testing.assert_allclose(total.item(), plain, rtol=1e-12)
            total.backward()
            for name, at in start.items():
                place = (1, 2) if np.ndim(at) else ()
                step, ends = 1e-4 * float(np.asarray(at)[place]), []
                for sign in (1, -1):
                    moved = np.array(at, float)
                    moved[place] += sign * step
                    moved = moved if np.ndim(at) else float(moved)
                    ends.append(value(make, function, {**start, "model": model, name: moved}))
                got = tensors[name].grad
                found = 0.0 if got is None else got[place].item()
                # rounding of the sums, 1e-16 of them, over the step
                limit = 1e-14 * abs(plain) / step
                slope = (ends[0] - ends[1]) / (2 * step)
                np.testing.assert_allclose(found, slope, rtol=1e-6, atol=limit, err_msg=f"{name} {function}")


def test_photons_of_either_library_give_the_same_bytes() -> None:
    torch = pytest.importorskip("torch", reason="compares with tensors: pip install '.[torch]'")
    mu = np.random.default_rng(6).gamma(0.5, 40, (50, 60))
    maps, psf = Maps(gain_error=0.02), Psf(kind="fiber", fwhm_um=90.0)
    readout = Readout(noise_adu=2.0, psf=psf, flicker=0.02, maps=maps)
    tensors = Readout(noise_adu=torch.tensor(2.0), psf=psf, flicker=torch.tensor(0.02, dtype=torch.float64), maps=maps)
    wanted = counts(mu, readout, 1).counts
    four = Conditions(n_threads=4)
    assert np.array_equal(counts(torch.tensor(mu, requires_grad=True), tensors, 1, four).counts, wanted)


BAD = {
    "readout.psf.stage": {"kind": "counting", "psf": Psf(kind="gauss", fwhm_um=80.0)},
    "readout.gain_adu_per_photon": {"kind": "counting", "gain_adu_per_photon": 2.0},
    "readout.gain_adu_per_kev=2.0: must be None": {"kind": "counting", "gain_adu_per_kev": 2.0},
    "readout.gain_adu_per_kev=2.0: given together": {"gain_adu_per_kev": 2.0, "gain_adu_per_photon": 2.0},
    "readout.max_adu": {"offset_adu": 70000.0},
    "readout.stages": {"stages": (STAGES[1], STAGES[0])},
    "readout.rate": {"rate": Rate(dead_time_s=1e-7)},
    "readout.bits": {"bits": 12},
    "readout.flags.gap": {"flags": Flags(gap=70000)},
    "readout.noise_adu": {"noise_adu": -1.0},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_readouts(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Readout(**BAD[message])


def test_bad_photons_and_maps() -> None:
    wrong = FLAT.copy()
    wrong[3, 5:8] = -1.0
    with pytest.raises(ConfigError, match=r"photons\[3, 5\]=-1.0.*3 pixels"):
        counts(wrong, Readout(), 1)
    with pytest.raises(ConfigError, match="real numbers"):
        counts(1j * FLAT, Readout(), 1)
    with pytest.raises(ConfigError, match=r"beam\.exposure_s"):
        counts(FLAT, Readout(kind="counting", bits=20, rate=Rate(dead_time_s=1e-7)), 1, Conditions(exposure_s=0.0))
    with pytest.raises(ConfigError, match="shape"):
        counts(FLAT, Readout(maps=Maps(gain_error=np.zeros((3, 3)))), 1)
    with pytest.raises(ConfigError, match=r"detector\.mask"):
        counts(FLAT, Readout(), 1, rendered=np.ones((2, 2), bool))
