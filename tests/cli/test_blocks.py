"""``--blocks`` and ``--volume-mm3``: the scale of a crystal of many blocks, on the command line and in what it records."""

from __future__ import annotations

import math

import numpy as np

import nanobragg as nb
from nanobragg.io import read_float

FLAGS = (
    "-default_F 100 -cell 60 70 80 90 100 90 -N 5 -gauss_xtal -lambda 1 -distance 100 -detpixels 32 -pixel 1 "
    "-oversample 1 -nonoise"
)


def test_blocks_multiply_the_image_and_no_solid_angle(run):
    def image(*more):
        found = run(FLAGS, *more)
        assert found.status == 0
        return read_float("floatimage.bin", (32, 32)), [
            line for line in found.out.splitlines() if "solid angle" in line
        ]

    one, angle = image()
    many, same = image("--blocks 1e6")
    assert np.allclose(many, 1e6 * one, rtol=1e-6) and same == angle and one.max() > 0
    volume, _ = image("--volume-mm3 2.7e-5")
    blocks = 2.7e16 / (125 * 60 * 70 * 80 * math.sin(math.radians(100)))
    assert np.allclose(volume, blocks * one, rtol=1e-6)


def test_they_are_part_of_the_experiment():
    of = nb.Experiment.from_nanobragg_args([*FLAGS.split(), "--volume-mm3", "2.7e-5"], fidelity="corrected")
    assert of.crystal.volume_mm3 == 2.7e-5 and of.to_dict()["crystal"]["volume_mm3"] == 2.7e-5
    assert nb.Experiment.from_nanobragg_args([*FLAGS.split(), "--blocks", "7"]).crystal.n_blocks == 7.0
    plain = nb.Experiment.from_nanobragg_args(FLAGS.split())
    assert plain.crystal.n_blocks is None and np.isfinite(nb.simulate(plain)).all()


def test_both_are_refused_in_the_words_of_the_command(run):
    refused = run(FLAGS, "--blocks 7 --volume-mm3 1e-6")
    assert refused.status == 9 and "--volume-mm3 1e-06: says the same as --blocks 7" in refused.err


def test_no_blocks_are_refused_in_the_words_of_the_command(run):
    for typed, field in (("--blocks 0", "crystal.n_blocks=0.0"), ("--volume-mm3 -1e-6", "crystal.volume_mm3=-1e-06")):
        refused = run(FLAGS, typed)
        assert refused.status == 9 and f"error: {typed.replace('1e-6', '1e-06')}: {field}: must be > 0" in refused.err
