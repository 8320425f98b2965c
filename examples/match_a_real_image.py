"""Simulate a still from its geometry and compare the places of its spots: ``python match_a_real_image.py FOLDER``.

FOLDER holds an image (``thau_3_2_0010.cbf.bz2``, one still of thaumatin from the data files of DIALS), its experiment list
(``.expt``) and the spots found on it, strongest first (``_spots.csv``: fast, slow in pixels, intensity ...). Intensities play no
part: every structure factor is the same. The control turns the crystal by 3 degrees, which has to lose the spots.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage, spatial

import nanobragg as nb

NEAR = 3.0
"""A spot is found when a maximum of the simulation lies so close [pixels]."""
STRONGEST = 100
DIM = 1e-4
"""Maxima below this part of the largest value are not looked at."""


def simulated_maxima(experiment):
    """Places (fast, slow) of the maxima of an image, from its outer corner [pixels]."""
    image = np.asarray(nb.simulate(experiment))
    highest = (image == ndimage.maximum_filter(image, size=5)) & (image > DIM * image.max())
    slow, fast = np.nonzero(highest)
    return np.stack([fast, slow], 1) + 0.5


def found(spots, maxima):
    """How many spots lie near a maximum."""
    distance, _ = spatial.cKDTree(maxima).query(spots)
    return int((distance < NEAR).sum())


def turned(experiment, degrees, axis):
    """The same crystal, turned about an axis of the laboratory."""
    angles = [0.0, 0.0, 0.0]
    angles["xyz".index(axis)] = degrees
    return experiment.replace("crystal.misset_deg", tuple(angles))


def main(folder):
    """Print how many of the strongest spots the simulation and its controls find."""
    name = Path(folder) / "thau_3_2_0010"
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(58.4, 58.4, 152.1, 90, 90, 90), n_cells=(12, 12, 6), shape="gauss",
        mosaic=nb.Mosaic(spread_deg=0.35, n_domains=40), structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    template = nb.Experiment(crystal=crystal, sampling=nb.Sampling(oversample=1))
    experiment = nb.Experiment.from_dials(f"{name}.expt", template)
    pixels = nb.io.read_image(f"{name}.cbf.bz2")
    detector = experiment.detector
    assert pixels.shape == (detector.n_slow, detector.n_fast)
    with open(f"{name}_spots.csv", newline="") as file:
        spots = [(float(row["fast"]), float(row["slow"])) for row in csv.DictReader(file)][:STRONGEST]
    maxima = simulated_maxima(experiment)
    count = found(spots, maxima)
    print(f"{len(maxima)} maxima; {count} of the {len(spots)} strongest spots lie within {NEAR:g} pixels of one")
    controls = [found(spots, simulated_maxima(turned(experiment, 3.0, axis))) for axis in "xyz"]
    for axis, control in zip("xyz", controls, strict=True):
        print(f"turned by 3 degrees about {axis}: {control}")
    return count, controls


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count, controls = main(sys.argv[1])
    sys.exit(0 if count >= 95 and max(controls) < 10 else 1)
