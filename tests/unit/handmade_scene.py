"""Scenes built by hand, from the formulas of docs/model.md alone, so that the engine is tested without the derivation."""

from dataclasses import replace
from math import cos, sin, sqrt

import numpy as np

from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import KERNEL_QUIRKS, FactorMode, Scene, Shape

RTD = 57.29577951308232


def rotxyz(v, angles):
    """docs/model.md, Order of operations; none of the angles is 0 here."""
    x, y, z = v
    a, b, c = angles
    y, z = y * cos(a) + z * -sin(a), y * sin(a) + z * cos(a)
    x, z = x * cos(b) + y * 0 + z * sin(b), x * -sin(b) + y * 0 + z * cos(b)
    x, y = x * cos(c) + y * -sin(c), x * sin(c) + y * cos(c)
    return x, y, z


def cross(x, y):
    return x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]


def scale(x, s):
    return tuple(s * e for e in x)


def rescale(x, m):
    q = m / sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
    return scale(x, q)


def oriented_cell(a, b, c, alpha, beta, gamma, misset):
    """Rows a, b, c [m] and a*, b*, c* [1/Angstrom] of docs/model.md, Unit cell, defects included."""
    alpha, beta, gamma = alpha / RTD, beta / RTD, gamma / RTD
    s = (alpha + beta + gamma) / 2
    k = abs(sin(s) * sin(s - alpha) * sin(s - beta) * sin(s - gamma))
    volume = 2 * a * b * c * sqrt(k)
    v_star = 1 / volume
    ra, rb, rc = b * c * sin(alpha) * v_star, c * a * sin(beta) * v_star, a * b * sin(gamma) * v_star
    sin_gs = c * v_star / ra / rb
    cos_as = (cos(beta) * cos(gamma) - cos(alpha)) / (sin(beta) * sin(gamma))
    cos_bs = (cos(gamma) * cos(alpha) - cos(beta)) / (sin(gamma) * sin(alpha))
    cos_gs = (cos(alpha) * cos(beta) - cos(gamma)) / (sin(alpha) * sin(beta))
    rows = [
        (ra, 0.0, 0.0),
        (rb * cos_gs, rb * sin_gs, 0.0),
        (rc * cos_bs, rc * (cos_as - cos_bs * cos_gs) / sin_gs, rc * volume / (a * b * c * sin_gs)),
    ]
    rows = [rotxyz(row, [angle / RTD for angle in misset]) for row in rows]
    ab, bc, ca = cross(rows[0], rows[1]), cross(rows[1], rows[2]), cross(rows[2], rows[0])
    bc, ca, ab = rescale(bc, a / volume), rescale(ca, b / volume), rescale(ab, c / volume)
    v_star = 1 / volume
    volume = 1 / v_star
    real = [scale(bc, volume), scale(ca, volume), scale(ab, volume)]
    star = [scale(cross(real[1], real[2]), v_star), scale(cross(real[2], real[0]), v_star)]
    star.append(scale(cross(real[0], real[1]), v_star))
    return np.array([scale(row, 1e-10) for row in real]), np.array(star)


def table(limit=8):
    """F = 10 + ((7h + 11k + 13l) mod 97) for all indices within +-limit."""
    h, k, m = np.mgrid[-limit : limit + 1, -limit : limit + 1, -limit : limit + 1]
    return 10.0 + (7 * h + 11 * k + 13 * m) % 97


def worked_example(**changes):
    """The Scene of docs/model.md, Worked example, as the original runs it, with the given fields replaced."""
    cell, star = oriented_cell(40, 50, 60, 80, 95, 105, (10, 20, 30))
    p = 2 / 1000
    f_beam, s_beam = 0.007, 0.006
    fast, slow, normal, beam = (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0)
    distance = 50 / 1000
    scene = Scene(
        n_fast=5,
        n_slow=4,
        pixel_size=(p, p),
        pix0=np.array([-f_beam * f - s_beam * s + distance * b for f, s, b in zip(fast, slow, beam, strict=True)]),
        fast=np.array(fast),
        slow=np.array(slow),
        normal=np.array(normal),
        beam=np.array(beam),
        close_distance=distance,
        distance=distance,
        curved=False,
        point_pixel=False,
        pixel_area=p * p,
        has_sensor=False,
        n_layers=1,
        layer_thickness=0.0,
        attenuation=0.0,
        pixels=np.arange(20),
        incident=np.array([beam]),
        wavelength=np.array([1.2 / 1e10]),
        weight=np.ones(1),
        polarized=True,
        kahn_factor=0.8,
        polarization_axis=np.array([0.0, 0.0, 1.0]),
        r_e_sqr=7.94079248018965e-30,
        fluence=125932015286227086360700780544.0,
        orientations=cell[None, None],
        orientations_first_pass=None,
        domain_weight=None,
        has_block_matrix=False,
        block_matrix=np.zeros((3, 3)),
        first_pass=(0, 0),
        a_star=star,
        n_cells=np.array([3.0, 3.0, 3.0]),
        shape=Shape.SQUARE,
        fudge=1.0,
        n_tables=1,
        source_table=None,
        f_table=table(),
        hkl_min=(-8, -8, -8),
        default_F=0.0,
        tricubic=False,
        interpolation_off=(20, 0),
        oversample=1,
        d_min=0.0,
        steps=1.0,
        background=0.0,
        capture_mode=FactorMode.CACHED,
        polar_mode=FactorMode.CACHED,
        omega_mode=FactorMode.CACHED,
        quirks=frozenset(KERNEL_QUIRKS),
    )
    return replace(scene, **changes)


def corrected(**changes):
    """The same experiment with every factor in its own term and no quirk."""
    modes = dict.fromkeys(("capture_mode", "polar_mode", "omega_mode"), FactorMode.PER_TERM)
    return worked_example(**{**modes, "quirks": frozenset(), **changes})


def busy(base=worked_example, **changes):
    """A scene in which every loop runs: layers, sub-pixels, sources, phi steps, domains, an odd list of pixels."""
    rng = np.random.default_rng(20260101)
    tilt = 1 + 0.01 * rng.standard_normal((3, 4, 1, 1))
    incident = np.array([[1, 0, 0], [1, 0.01, 0.02], [1, -0.01, 0.0]])
    incident /= np.linalg.norm(incident, axis=1)[:, None]
    scene = base(
        n_fast=23,
        n_slow=17,
        pixel_size=np.array([4e-4, 4e-4]),
        pixel_area=1.6e-7,
        pixels=np.flatnonzero(rng.random(23 * 17) < 0.8),
        orientations=base().orientations * tilt,
        incident=incident,
        wavelength=np.array([1.2e-10, 1.19e-10, 1.21e-10]),
        weight=np.array([1.0, 2.0, 0.5]),
        has_sensor=True,
        n_layers=2,
        layer_thickness=2e-4,
        attenuation=4e3,
        oversample=2,
        steps=3.5 * 12 * 4,
        background=3.0,
        interpolation_off=(23 * 17, 0),
    )
    scene = replace(scene, interpolation_off=(scene.n_pixels, 0))
    return replace(scene, **changes)


def without(quirk: Quirk):
    """All kernel quirks but one."""
    return frozenset(KERNEL_QUIRKS - {quirk})
