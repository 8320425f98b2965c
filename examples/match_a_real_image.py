"""Simulate a still from its geometry and compare the places of its spots: ``python match_a_real_image.py FOLDER``.

FOLDER holds an image (``thau_3_2_0010.cbf.bz2``, one still of thaumatin from the data files of DIALS), its experiment list
(``.expt``) and the spots found on it, strongest first (``_spots.csv``: fast, slow in pixels, intensity ...). Intensities play no
part: every structure factor is the same. The control turns the crystal by 3 degrees about each axis of the laboratory, both
ways: on average under a tenth of the spots may still find a maximum. (Reflections close to the axis of a turn hardly move.)
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
DIM = 0.003
"""Part of the largest value from which on a pixel belongs to a spot."""
TURN_DEG = 3.0


def simulated_maxima(experiment):
    """Places (fast, slow) of the maxima of the spots of an image, from its outer corner [pixels]."""
    image = np.asarray(nb.simulate(experiment))
    regions, n = ndimage.label(image > DIM * image.max(), structure=np.ones((3, 3)))
    places = np.array(ndimage.maximum_position(image, regions, np.arange(1, n + 1)))
    return places[:, ::-1] + 0.5


def found(spots, maxima):
    """How many spots lie near a maximum."""
    distance, _ = spatial.cKDTree(maxima).query(spots)
    return int((distance < NEAR).sum())


def turned(experiment, axis, degrees):
    """The same crystal, turned about an axis of the laboratory."""
    return experiment.replace("crystal.misset_deg", tuple(degrees * (axis == other) for other in "xyz"))


def main(folder):
    """Print and return how many of the strongest spots the simulation finds, and its controls on average."""
    name = Path(folder) / "thau_3_2_0010"
    crystal = nb.Crystal(
        unit_cell=nb.UnitCell(58.4, 58.4, 152.1, 90, 90, 90), n_cells=(12, 12, 6), shape="gauss",
        mosaic=nb.Mosaic(spread_deg=0.35, n_domains=40), structure_factors=nb.StructureFactors.constant(100.0),
    )  # fmt: skip
    template = nb.Experiment(crystal=crystal, sampling=nb.Sampling(oversample=1))
    experiment = nb.Experiment.from_dials(f"{name}.expt", template)
    pixels = nb.io.read_image(f"{name}.cbf.bz2")
    assert pixels.shape == (experiment.detector.n_slow, experiment.detector.n_fast)
    with open(f"{name}_spots.csv", newline="") as file:
        spots = [(float(row["fast"]), float(row["slow"])) for row in csv.DictReader(file)][:STRONGEST]
    maxima = simulated_maxima(experiment)
    count = found(spots, maxima)
    print(f"{len(maxima)} maxima; {count} of the {len(spots)} strongest spots lie within {NEAR:g} pixels of one")
    controls = []
    for axis in "xyz":
        for degrees in (TURN_DEG, -TURN_DEG):
            controls.append(found(spots, simulated_maxima(turned(experiment, axis, degrees))))
            print(f"turned by {degrees:g} degrees about {axis}: {controls[-1]}")
    mean = float(np.mean(controls))
    print(
        f"control: {mean:.1f} on average over the {len(controls)} turns; single ones find {min(controls)} to {max(controls)}"
    )
    return count, mean


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count, control = main(sys.argv[1])
    sys.exit(0 if count >= 95 and control < 10 else 1)
