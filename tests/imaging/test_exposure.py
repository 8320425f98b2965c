"""expose: an experiment with its mask, pixel size and exposure time, read out."""

from __future__ import annotations

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.errors import ConfigError


def experiment(**parts):
    return small(beam=nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e28), **parts)


def test_counts_are_those_of_the_image() -> None:
    e = experiment()
    exposure = nb.expose(e, nb.Readout(counting="none", gain_adu_per_photon=2.0, bits=32), seed=1)
    image = nb.simulate(e)
    assert np.array_equal(exposure.photons, image)
    assert np.array_equal(exposure.counts, np.floor(2.0 * np.minimum(image, 1e9) + 0.5))
    np.testing.assert_allclose(exposure.expected, 2.0 * image)
    np.testing.assert_allclose(exposure.variance, 1 / 12)


def test_a_seed_is_drawn_and_told() -> None:
    e = experiment()
    first = nb.expose(e)
    again = nb.expose(e, seed=first.seed)
    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, nb.expose(e, seed=first.seed, frame=1).counts)


def test_frames_in_any_order_and_threads() -> None:
    e = experiment()
    image = nb.simulate(e)
    readout = nb.Readout(psf=nb.Psf(kind="fiber", fwhm_um=80.0), noise_adu=1.0, offset_adu=10.0)
    forward = [nb.expose(e, readout, seed=5, frame=i, photons=image, n_threads=1).counts for i in range(3)]
    backward = [nb.expose(e, readout, seed=5, frame=i, photons=image, n_threads=4).counts for i in (2, 1, 0)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


@pytest.mark.parametrize("kernel", ["auto", "scalar"])
def test_a_frame_alone_with_any_number_of_threads(kernel: str) -> None:
    """Spots, background and counting, every frame simulated anew: the same counts for 1, 2 and 4 threads, in any order."""
    e = small(beam=nb.Beam(flux_per_s=1e10, size_mm=0.1), background=nb.Background(components=nb.Amorphous(thickness_mm=0.5)),
              detector=nb.Detector(n_fast=300, n_slow=280, pixel_size_mm=0.5, distance_mm=90.0))  # fmt: skip
    readout = nb.Readout(noise_adu=1.0, offset_adu=10.0, flicker=0.02, maps=nb.Maps(gain_error=0.02), bits=32)

    def frame(i: int, n_threads: int) -> np.ndarray:
        return nb.expose(e, readout, seed=9, frame=i, n_threads=n_threads, kernel=kernel).counts

    wanted = [frame(i, 1) for i in range(3)]
    for n_threads in (2, 4):
        assert all(np.array_equal(frame(i, n_threads), wanted[i]) for i in (2, 0, 1))
    assert not np.array_equal(wanted[0], wanted[1])


def test_mask_and_roi_are_gaps() -> None:
    e = experiment()
    n_slow, n_fast = e.detector.n_slow, e.detector.n_fast
    mask = np.ones((n_slow, n_fast), bool)
    mask[2] = False
    masked = e.replace("detector.mask", mask)
    readout = nb.Readout(kind="counting", bits=20)
    exposure = nb.expose(masked, readout, seed=1, roi=(slice(0, 6), slice(0, n_fast)))
    gaps = exposure.counts == -1
    assert gaps[2].all() and gaps[6:].all() and not gaps[:2].any()
    assert np.array_equal(exposure.flags == 1, gaps)


def test_pixel_size_and_exposure_reach_the_readout() -> None:
    e = experiment().replace("beam.exposure_s", 2.0)
    exposure = nb.expose(
        e, nb.Readout(dark_adu_per_s=3.0), seed=1, photons=np.zeros((e.detector.n_slow, e.detector.n_fast))
    )
    assert (exposure.counts == 6).all()
    conditions = exposure.conditions[0]
    assert conditions.pixel_um == (1000 * e.detector.pixel_size_mm, 1000 * e.detector.pixel_size_mm)
    assert abs(conditions.photon_energy_kev * 1000 * e.beam.wavelength_angstrom / 12398.42 - 1) < 1e-12


def test_panels() -> None:
    e = experiment()
    e = e.replace(detector=(e.detector, e.detector))
    exposure = nb.expose(e, nb.Readout(noise_adu=2.0, offset_adu=100.0), seed=3)
    assert exposure.counts.shape == exposure.photons.shape == exposure.expected.shape
    assert not np.array_equal(exposure.counts[0], exposure.counts[1])
    assert np.array_equal(exposure.photons[0], exposure.photons[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seed": -1}, "seed"), ({"seed": 2**32}, "seed"), ({"frame": -1}, "frame"), ({"readout": 3}, "readout"),
     ({"photons": np.zeros((3, 3)), "n_threads": 0}, "n_threads"), ({"photons": np.zeros((3, 3))}, "shape")],
)  # fmt: skip
def test_bad_input(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        nb.expose(experiment(), **options)
