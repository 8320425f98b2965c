"""The independent literal twin of the forward model: one slow, readable sum written from the specification alone.

`simulate(experiment)` does everything from the settings to the image, for both fidelities and for every quirk switched
on its own: docs/model.md section by section, its corrected parts where a quirk is not in force. It imports the names of the
quirks and numpy, nothing else of the package, so that an error of the package cannot hide in it. It is meant for a
hundred pixels.

The settings are taken to be valid: nothing is checked here.
"""

from __future__ import annotations

from math import atan2, ceil, cos, exp, floor, pi, sin, sqrt

import numpy as np
from reference_beam import fluence, phi_angles, sensor_layers, sources, wavelength
from reference_crystal import make_crystal
from reference_geometry import cross, dot, matvec, norm, place_detector, rotaxis, scale, unit

from nanobragg.config.quirks import Quirk

R_E_SQR = 7.94079248018965e-30
AVOGADRO = 6.02214179e23
PER_TERM, CACHED, CUMULATIVE = "per term", "cached", "cumulative"


def simulate(experiment):
    """The image of an experiment.

    Parameters
    ----------
    experiment : nanobragg.Experiment

    Returns
    -------
    numpy.ndarray, shape (n_slow, n_fast), float64
        Expected photons per pixel; 0 outside region of interest and mask.
    """
    return Twin(experiment).image()


class Twin:
    """All decided and derived quantities, and the sum over them."""

    def __init__(self, experiment):
        quirks = experiment.quirks
        self.experiment, self.quirks = experiment, quirks
        self.detector = place_detector(experiment)
        self.sensor = sensor_layers(experiment)
        self.crystal = make_crystal(experiment)
        self.sources = sources(experiment, self.detector.lab)
        self.phis = phi_angles(experiment)
        self.fluence = fluence(experiment)
        self.oversample = experiment.sampling.oversample or self.recommended_oversample()
        self.d_min = (experiment.sampling.d_min_angstrom or 0.0) * 1e-10

        switches = experiment.sampling
        self.capture_mode = self.mode(switches.oversample_thick, Quirk.CAPTURE_LAST_LAYER)
        self.polar_mode = self.mode(switches.oversample_polar, Quirk.POLAR_CACHED)
        self.omega_mode = self.mode(switches.oversample_omega, Quirk.OMEGA_CACHED)
        self.polarized = experiment.beam.polarized or (Quirk.NOPOLAR_DEFEATED in quirks and switches.oversample_polar)
        self.kahn = float(experiment.beam.kahn_factor)

        self.weight_sum = sum(w for _, _, w in self.sources)
        self.steps = self.weight_sum * len(self.crystal.domains) * len(self.phis) * self.oversample * self.oversample
        water = float(experiment.background.water_um) / 1e6
        self.water = water
        if Quirk.WATER_SCALE in quirks:
            self.background = 2.57 * 2.57 * R_E_SQR * self.fluence * water * water * water * 1e6 * AVOGADRO / 18.0
        else:
            self.background = 2.57 * 2.57 * water * water * water * 1e6 * AVOGADRO / 18.0 * self.steps

        # state that outlives a pixel
        self.polarization = self.detector.lab.polarization
        self.turned_by = None  # the spindle angle of the current cell, None: unrotated (STALE_PHI_ZERO)
        self.interpolate = self.crystal.interpolate
        self.turned_cells = {}

    def mode(self, switch, cached):
        if switch and Quirk.OVERSAMPLE_CUMULATIVE in self.quirks:
            return CUMULATIVE
        return CACHED if cached in self.quirks else PER_TERM

    def recommended_oversample(self):
        """docs/model.md, Crystal size"""
        longest = max(edge * n for edge, n in zip(self.crystal.lengths, self.crystal.n, strict=True))
        r = wavelength(self.experiment) * self.detector.distance / max(self.detector.p)
        return max(1, ceil(3 * longest / r))

    # ------------------------------------------------------------ docs/model.md, The sum: the pixel loop

    def image(self):
        detector = self.experiment.detector
        image = np.zeros((detector.n_slow, detector.n_fast))
        rows, columns = range(detector.n_slow), range(detector.n_fast)
        if self.experiment.sampling.roi is not None:
            slow, fast = self.experiment.sampling.roi
            rows, columns = rows[slow], columns[fast]
        for s in rows:
            for f in columns:
                if detector.mask is None or detector.mask[s, f]:
                    image[s, f] = self.pixel(f, s)
        return image

    def pixel(self, f, s):
        det, sensor, n_sub = self.detector, self.sensor, self.oversample
        p, q = det.p[0] / n_sub, det.p[1] / n_sub
        modes = (self.capture_mode, self.polar_mode, self.omega_mode)
        any_per_term = PER_TERM in modes
        total = 0.0 if any_per_term else self.background
        water_share = 0.0
        omega = 0.0
        pol = 0.0 if self.polarized else 1.0
        chi = 1.0
        reached = False  # has d_min let a source through?
        first_pass = None

        for layer in range(sensor.n):
            o_det = layer * sensor.t
            chi = 0.0 if sensor.present else 1.0
            for j in range(n_sub):
                for i in range(n_sub):
                    x = self.position(p * (f * n_sub + i) + p / 2, q * (s * n_sub + j) + q / 2, o_det)
                    r = norm(x)
                    d = (x[0] / r, x[1] / r, x[2] / r)
                    if omega == 0 or self.omega_mode != CACHED:
                        omega = self.solid_angle(r)
                    afresh = self.capture_mode == CUMULATIVE or (sensor.present and self.capture_mode == PER_TERM)
                    if chi == 0 or afresh:
                        chi = self.capture(layer, d)

                    mean_pol = 0.0
                    for k, lam, weight in self.sources:
                        scattering = ((d[0] - k[0]) / lam, (d[1] - k[1]) / lam, (d[2] - k[2]) / lam)
                        stol = 0.5 * norm(scattering)
                        if first_pass is None:
                            first_pass = (k, d)
                        if self.polarized and self.polar_mode == PER_TERM:
                            pol, d = self.kahn_polarization(k, d)
                        mean_pol += weight * pol / self.weight_sum
                        if self.d_min > 0 and stol > 0 and self.d_min > 0.5 / stol:
                            continue
                        reached = True
                        if self.polarized and (
                            self.polar_mode == CUMULATIVE or (self.polar_mode == CACHED and pol == 0)
                        ):
                            pol, d = self.kahn_polarization(k, d)
                        g = weight
                        for mode, factor in zip(modes, (chi, pol, omega), strict=True):
                            if mode == PER_TERM:
                                g = g * factor
                        total = self.sum_crystal(scattering, g, total, chi, pol, omega)
                    share = 1.0
                    for mode, factor in zip(modes, (chi, mean_pol, omega), strict=True):
                        if mode == PER_TERM:
                            share = share * factor
                    water_share += share / (n_sub * n_sub)

        if any_per_term:
            if self.capture_mode != PER_TERM:
                water_share = water_share / sensor.n
            total = total + self.background * water_share
        if self.polarized and not reached and self.polar_mode != CUMULATIVE:
            if Quirk.DMIN_ZEROES_WATER in self.quirks:
                return 0.0
            if self.polar_mode == CACHED:
                pol, _ = self.kahn_polarization(*first_pass)
        value = R_E_SQR * self.fluence * total / self.steps
        for mode, factor in zip(modes, (chi, pol, omega), strict=True):
            if mode == CACHED:
                value = value * factor
        return value

    def sum_crystal(self, scattering, g, total, chi, pol, omega):
        """phi steps and mosaic domains of one source: docs/model.md, Rotation and Mosaic domains."""
        for phi in self.phis:
            if phi != 0:
                self.turned_by = phi
            elif Quirk.STALE_PHI_ZERO not in self.quirks:
                self.turned_by = None
            for domain in self.crystal.domains:
                a, b, c = self.cell_of(domain)
                h, k, l = dot(a, scattering), dot(b, scattering), dot(c, scattering)  # noqa: E741
                f_latt = self.lattice_factor(h, k, l)
                if f_latt == 0 and self.water == 0 and Quirk.LATTICE_ZERO_SKIP in self.quirks:
                    continue
                f_cell = self.structure_factor(h, k, l)
                total = total + f_cell * f_cell * f_latt * f_latt * g
                if self.capture_mode == CUMULATIVE:
                    total = total * chi
                if self.polar_mode == CUMULATIVE:
                    total = total * pol
                if self.omega_mode == CUMULATIVE:
                    total = total * omega
        return total

    def cell_of(self, domain):
        """Cell vectors [m] of a domain at the current spindle angle."""
        if (self.turned_by, domain) in self.turned_cells:
            return self.turned_cells[self.turned_by, domain]
        vectors = self.crystal.cell
        after = Quirk.MOSAIC_AFTER_PHI in self.quirks
        if domain is not None and not after:
            vectors = [matvec(domain, v) for v in vectors]
        if self.turned_by is not None:
            vectors = [rotaxis(v, self.detector.lab.spindle, self.turned_by) for v in vectors]
        if domain is not None and after:
            vectors = [matvec(domain, v) for v in vectors]
        self.turned_cells[self.turned_by, domain] = vectors
        return vectors

    # ------------------------------------------------------------ detector: docs/model.md, Pixel positions to Sensor

    def position(self, f_det, s_det, o_det):
        det = self.detector
        x = tuple(f_det * det.fast[k] + s_det * det.slow[k] + o_det * det.normal[k] + det.pix0[k] for k in range(3))
        if not self.experiment.detector.curved:
            return x
        v = scale(det.beam, det.distance)
        if Quirk.CURVED_DET_AXES in self.quirks:
            return rotaxis(rotaxis(v, det.slow, x[1] / det.distance), det.fast, x[2] / det.distance)
        off = tuple(x[k] - det.distance * det.beam[k] for k in range(3))
        u, w = dot(off, det.fast), dot(off, det.slow)
        g = 1.0 if dot(cross(det.slow, det.beam), det.fast) > 0 else -1.0
        return rotaxis(rotaxis(v, det.slow, g * u / det.distance), det.fast, -g * w / det.distance)

    def solid_angle(self, r):
        det = self.detector
        area = det.p[0] * det.p[1]
        if Quirk.ODET_REPLACED not in self.quirks:
            sine = norm(cross(det.lab.fast, det.lab.slow))
            area = area * sine if abs(sine - 1) > 1e-14 else area
        if not self.experiment.detector.point_pixel:
            return area / r / r * self.detector.close_distance / r
        return 1 / r / r if Quirk.POINT_PIXEL_AREA in self.quirks else area / r / r

    def capture(self, layer, d):
        t, mu = self.sensor.t, self.sensor.mu
        cosine = dot(d, self.detector.normal)
        return exp((-layer) * t * mu / cosine) - exp((-(layer + 1)) * t * mu / cosine)

    def kahn_polarization(self, k, d):
        """Kahn factor, and the direction normalized once more: docs/model.md, Polarization."""
        k, d = unit(k), unit(d)
        self.polarization = unit(self.polarization)
        c = dot(k, d)
        c2 = c * c
        s2 = 1 - c2
        psi = 0.0
        if self.kahn != 0:
            b = unit(cross(self.polarization, k))
            e = unit(cross(k, b))
            psi = -atan2(dot(d, b), dot(d, e))
        return 0.5 * (1 + c2 - self.kahn * cos(2 * psi) * s2), d

    # ------------------------------------------------------------ crystal: docs/model.md, Lattice factor

    def lattice_factor(self, h, k, l):  # noqa: E741
        crystal, shape = self.crystal, self.experiment.crystal.shape
        na, nb, nc = crystal.n
        h0, k0, l0 = (ceil(x - 0.5) for x in (h, k, l))
        dh, dk, dl = h - h0, k - k0, l - l0
        fudge = float(self.experiment.crystal.fudge)
        if shape == "square":
            f_latt = 1.0
            exact = Quirk.SINCG_ROUNDOFF not in self.quirks
            for x, offset, n in ((h, dh, na), (k, dk, nb), (l, dl, nc)):
                if n > 1:
                    f_latt = f_latt * grating(pi * (offset if exact else x), n)
            return f_latt
        if shape == "round":
            rho2 = dh * dh * na * na + dk * dk * nb * nb + dl * dl * nc * nc
            x = pi * sqrt(rho2 * fudge)
            s3 = sphere(x) if Quirk.SINC3_CANCELLATION in self.quirks else sphere_exact(x)
            return na * nb * nc * 0.723601254558268 * s3
        if Quirk.GAUSS_TOPHAT_WIDTH in self.quirks:
            e = [dh * a + dk * b + dl * c for a, b, c in zip(*crystal.stars, strict=True)]
            r2 = (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]) * na * na * nb * nb * nc * nc
        else:
            r2 = (dh * na) ** 2 + (dk * nb) ** 2 + (dl * nc) ** 2
        if shape == "gauss":
            return na * nb * nc * exp(-(r2 / 0.63 * fudge))
        return na * nb * nc if r2 * fudge < 0.3969 else 0.0

    def structure_factor(self, h, k, l):  # noqa: E741
        if self.interpolate:
            if self.stencil_fits(h, k, l):
                return self.tricubic(h, k, l)
            if Quirk.INTERP_SWITCHED_OFF in self.quirks:
                self.interpolate = False
        return self.nearest(ceil(h - 0.5), ceil(k - 0.5), ceil(l - 0.5))

    def stencil_fits(self, *hkl):
        for x, low, n in zip(hkl, self.crystal.hkl_min, self.crystal.table.shape, strict=True):
            if Quirk.INTERP_LOW_EDGE in self.quirks:
                if x - low + 3 > n or x - 2 < low:
                    return False
            elif floor(x) - 1 < low or floor(x) + 2 > low + n - 1:
                return False
        return True

    def nearest(self, *hkl):
        index = [x - low for x, low in zip(hkl, self.crystal.hkl_min, strict=True)]
        if all(0 <= i < n for i, n in zip(index, self.crystal.table.shape, strict=True)):
            return float(self.crystal.table[tuple(index)])
        return self.crystal.default_F

    def tricubic(self, *hkl):
        nodes = [[floor(x) - 1 + m for m in range(4)] for x in hkl]
        along_h = []
        for h in nodes[0]:
            along_k = []
            for k in nodes[1]:
                along_l = [self.nearest(h, k, l) for l in nodes[2]]  # noqa: E741
                along_k.append(lagrange(hkl[2], nodes[2], along_l))
            along_h.append(lagrange(hkl[1], nodes[1], along_k))
        return lagrange(hkl[0], nodes[0], along_h)


def grating(x, n):
    return n if x == 0 else sin(x * n) / sin(x)


def sphere(x):
    return 1.0 if x == 0 else 3 * (sin(x) / x - cos(x)) / (x * x)


def sphere_exact(x):
    """3 (sin x/x - cos x)/x^2 by its series sum (-1)^k 3 (2k+2) x^2k/(2k+3)! where the formula cancels."""
    if x > 0.7:
        return sphere(x)
    total, term = 0.0, 1.0
    for k in range(12):
        total += term
        term = -term * x * x * (2 * k + 4) / ((2 * k + 2) * (2 * k + 4) * (2 * k + 5))
    return total


def lagrange(x, nodes, y):
    """Cubic through four points, evaluated as docs/model.md, Structure factors, has it."""
    x0, x1, x2, x3 = nodes
    return (
        (x - x1) * (x - x2) * (x - x3) * y[0] / ((x0 - x1) * (x0 - x2) * (x0 - x3))
        + (x - x0) * (x - x2) * (x - x3) * y[1] / ((x1 - x0) * (x1 - x2) * (x1 - x3))
        + (x - x0) * (x - x1) * (x - x3) * y[2] / ((x2 - x0) * (x2 - x1) * (x2 - x3))
        + (x - x0) * (x - x1) * (x - x2) * y[3] / ((x3 - x0) * (x3 - x1) * (x3 - x2))
    )
