"""Small experiments with a known answer, shared by the tests of equivalence and of physics."""

from __future__ import annotations

import numpy as np

import nanobragg as nb

R_E_SQR = 7.94079248018965e-30  # [m^2]
FLUENCE = 1.2593201528622709e29  # the default, 1/r_e^2 [1/m^2]
FLAT = nb.StructureFactors.constant(100.0)


def render(experiment, *quirks, **options):
    """The image by the scalar kernel, under `quirks` when there are any."""
    if quirks:
        experiment = experiment.replace(quirks=frozenset(quirks))
    return nb.simulate(experiment, backend="c", kernel="scalar", **options)


def relative(a, b):
    """Largest difference in units of the maximum of `b`."""
    return np.abs(a - b).max() / np.abs(b).max()


def single(**amplitudes):
    """A table in which only the reflections named "h_k_l" (m for minus) differ from 0."""
    indices = [[int(i.replace("m", "-")) for i in name.lstrip("r").split("_")] for name in amplitudes]
    return nb.StructureFactors.from_arrays(np.array(indices), np.array(list(amplitudes.values())))


def on_reflection(shape="square", offset=0.0, n=20, index=3, structure_factors=FLAT):
    """One pixel whose center has h = `index` + `offset` to a few roundings and k = l = 0.

    The cell is built around the scattering vector of the pixel: a* = s/h, and b*, c* of 1/50 Angstrom across it.
    """
    x = np.array([0.05, 0.0, 0.011])
    s = (x / np.linalg.norm(x) - [1.0, 0.0, 0.0]) / 1.2  # 1/Angstrom
    a_star = s / (index + offset)
    b_star = np.array([0.0, 0.02, 0.0])
    c_star = np.cross(a_star, b_star)
    c_star *= 0.02 / np.linalg.norm(c_star)
    return nb.Experiment(
        crystal=nb.Crystal(
            a_star_matrix=[a_star, b_star, c_star], n_cells=(n, n, n), shape=shape, structure_factors=structure_factors
        ),
        beam=nb.Beam(wavelength_angstrom=1.2, polarized=False),
        # the center of the pixel lies 11 mm along fast (lab z) from the beam
        detector=nb.Detector(
            n_fast=1, n_slow=1, pixel_size_mm=0.002, distance_mm=50.0, beam_center_mm=(0.001 - 11.0, 0.001)
        ),
        sampling=nb.Sampling(oversample=1, interpolate="nearest"),
    )


def isolated_cell(**detector):
    """One cell of constant F without polarization: the image is r_e^2 fluence F^2 times the solid angle."""
    return nb.Experiment(
        crystal=nb.Crystal(unit_cell=nb.UnitCell(40, 50, 60, 90, 90, 90), structure_factors=FLAT),
        beam=nb.Beam(polarized=False),
        detector=nb.Detector(**{"n_fast": 9, "n_slow": 7, "pixel_size_mm": 8.0, "distance_mm": 30.0} | detector),
        sampling=nb.Sampling(oversample=1),
    )


def pixel_centers(experiment):
    """(n_slow, n_fast, 3) positions [mm] of the pixels of an unrotated mosflm panel: beam x, fast z, slow -y."""
    d = experiment.detector
    p = d.pixel_size_mm
    center = d.beam_center_mm or (d.n_fast * p / 2, d.n_slow * p / 2)
    slow, fast = np.mgrid[0 : d.n_slow, 0 : d.n_fast] + 0.5
    distance = 100.0 if d.distance_mm is None else d.distance_mm
    return np.stack([np.full(slow.shape, distance), center[1] - slow * p, fast * p - center[0]], axis=-1)


def scattering(experiment):
    """(n_slow, n_fast, 3) scattering vectors [1/Angstrom] of the same panel, the beam along x."""
    x = pixel_centers(experiment)
    directions = x / np.linalg.norm(x, axis=-1, keepdims=True)
    wavelength = experiment.beam.wavelength_angstrom or 1.0
    return (directions - [1.0, 0.0, 0.0]) / wavelength


def centroid(image):
    """(slow, fast) center of mass in pixels, pixel n spanning n ... n + 1."""
    slow, fast = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] + 0.5
    return (image * slow).sum() / image.sum(), (image * fast).sum() / image.sum()
