"""The literal twin in reference fidelity against the original's own images: it must be right before it may judge."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from commands import experiment_of
from reference_crystal import Shuffle, Stream, angles_of, random_rotation
from worst_pixel import worst_pixel

ORIGINAL = json.loads((Path(__file__).parent / "original_images.json").read_text())


@pytest.mark.parametrize(
    "case", ORIGINAL["cases"], ids=lambda case: case["args"].split("-seed 1")[-1].strip() or "plain"
)
def test_bit_identical_to_the_original(case):
    # measured: all 760 pixels of the 38 images are bit-identical in float32
    experiment = experiment_of(case["args"], ORIGINAL["files"])
    image = reference.simulate(experiment).astype(np.float32)
    bits = np.array([int(bits, 16) for bits in case["float32_hex"].split()], dtype=np.uint32)
    expected = bits.view(np.float32).reshape(image.shape)
    identical = np.array_equal(image.ravel().view(np.uint32), bits)
    assert identical, worst_pixel(experiment, image, expected, ("twin", "original"))


def test_worked_example_intermediate_values():
    """docs/model.md, Worked example, to the printed digits."""
    twin = reference.Twin(experiment_of(ORIGINAL["cases"][0]["args"], {}))
    det, crystal = twin.detector, twin.crystal
    assert crystal.cell == [
        (3.445226936647397e-09, 9.336952896156692e-10, -1.8051660480821988e-09),
        (-1.8416150852758993e-09, 4.361104369680848e-09, 1.6091061352300084e-09),
        (2.2711338382187546e-09, 1.081698674177835e-10, 5.552499470389941e-09),
    ]
    assert crystal.lengths == [3.9999999999999994e-09, 5e-09, 6.000000000000001e-09]
    assert crystal.stars == [
        (0.02108160060591469, 0.012171467784773017, -0.00886010396197474),
        (-0.004717393521752914, 0.020369925033795235, 0.001532718735159734),
        (0.008220906054038317, -0.001946123723789905, 0.014683303209291017),
    ]
    assert twin.recommended_oversample() == 19
    np.testing.assert_allclose(det.pix0, (0.05, 0.006, -0.007), rtol=1e-15)
    x = twin.position(0.003, 0.005, 0.0)
    np.testing.assert_allclose(x, (0.05, 0.001, -0.004), rtol=1e-15)
    r = reference.norm(x)
    assert r == 0.050169711978443735
    assert twin.solid_angle(r) == 0.0015838176278444034
    d = tuple(c / r for c in x)
    k, lam, _ = twin.sources[0]
    assert twin.kahn_polarization(k, d)[0] == 0.9942391736193882
    s = tuple((a - b) / lam for a, b in zip(d, k, strict=True))
    np.testing.assert_allclose(s, (-28189647.32424119, 166102873.72018182, -664411494.8807273), rtol=1e-15)
    hkl = [reference.dot(v, s) for v in crystal.cell]
    np.testing.assert_allclose(hkl, (1.2573428110023226, -0.29280216457135855, -3.735199609543739), rtol=1e-15)
    assert twin.lattice_factor(*hkl) == pytest.approx(0.3463701823618641, rel=1e-14)
    assert twin.structure_factor(*hkl) == 62


def test_uniform_deviates():
    """docs/random_numbers.md, Uniform deviate"""
    stream = Stream(-12345678, Shuffle())
    expected = [0.765989304, 0.023453664, 0.589726627, 0.535101593, 0.982231438, 0.693016112, 0.328146875, 0.29564169]
    assert [np.float32(stream.uniform()) for _ in expected] == [np.float32(x) for x in expected]
    for _ in range(12):
        stream.uniform()
    assert stream.s == 1473579805


def test_a_positive_state_continues_the_shared_table():
    """docs/random_numbers.md, Streams: NEGATIVE_SEED_NO_RESEED"""
    shared = Shuffle()
    first = Stream(-12345678, shared)
    for _ in range(3):
        first.uniform()
    second = Stream(5, shared)
    expected = [0.535101593, 0.982231438, 0.693016112, 0.328146875, 0.29564169]
    assert [np.float32(second.uniform()) for _ in expected] == [np.float32(x) for x in expected]


def test_random_rotations():
    """docs/random_numbers.md, Random rotation: domain 1 of half a degree, and the random orientation of seed 42"""
    stream = Stream(-12345678, Shuffle())
    random_rotation(stream, 0.0087266462599716477, single=True)
    assert random_rotation(stream, 0.0087266462599716477, single=True) == pytest.approx(
        (0.99996592089784464, -0.0079751680914580177, 0.0021339486494309119, 0.0079761872189555976, 0.99996807949662869,
         -0.0004694946988297568, -0.0021301362335746331, 0.00048649947281547405, 0.99999761291609557), rel=1e-15
    )  # fmt: skip
    angles = angles_of(random_rotation(Stream(-42, Shuffle()), 90.0, single=True))
    assert angles == pytest.approx((-0.20221186862078774, 0.98100923794684858, -0.023271770029654332), rel=1e-15)
