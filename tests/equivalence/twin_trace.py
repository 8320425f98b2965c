"""What the literal twin computes on the way to one pixel, under the names of `nanobragg.trace`."""

from __future__ import annotations

import reference
from reference_geometry import norm

from nanobragg.inspection.tracing.quantities import OUTSIDE, SCENE
from nanobragg.inspection.tracing.trace import Trace, TraceStep

MOST_EVALUATIONS = 100_000
"""Of the twin on the way to a pixel: some seconds."""


class Counted(list):
    """A list that knows which of its items a loop is at."""

    at = -1

    def __iter__(self):
        for self.at, item in enumerate(super().__iter__()):
            yield item


class TracedTwin(reference.Twin):
    """The twin, noting what its parts return while it renders one pixel."""

    def __init__(self, experiment, pixel):
        super().__init__(experiment)
        self.target, self.steps_seen, self.recording = pixel, {}, False
        self.sources, self.phis = Counted(self.sources), Counted(self.phis)
        self.crystal.domains = Counted(self.crystal.domains)

    def trace(self):
        """Render what comes before the pixel, as quirks carry state from pixel to pixel, and record the pixel.

        Where that would take long, only the rendered pixel just before it is visited: enough for the spindle angle that
        STALE_PHI_ZERO carries on, not for an interpolation that an earlier pixel switched off.
        """
        for name, value in self.scene().items():
            self.record(name, SCENE, value)
        detector, roi = self.experiment.detector, self.experiment.sampling.roi
        rows, columns = range(detector.n_slow), range(detector.n_fast)
        if roi is not None:
            rows, columns = rows[roi[0]], columns[roi[1]]
        before = [
            (s, f) for s in rows for f in columns
            if (s, f) < self.target and (detector.mask is None or detector.mask[s, f])
        ]  # fmt: skip
        per_pixel = len(self.sources) * len(self.phis) * len(self.crystal.domains) * self.oversample**2 * self.sensor.n
        for s, f in before if len(before) * per_pixel <= MOST_EVALUATIONS else before[-1:]:
            self.pixel(f, s)
        slow, fast = self.target
        self.recording, self.point = True, -1
        self.record("pixel", OUTSIDE, self.pixel(fast, slow))
        steps = [TraceStep(name, index, value) for (name, index), value in self.steps_seen.items()]
        return Trace(self.target, "twin", steps, complete=False)

    def scene(self):
        """What the twin derives, as far as a scene holds the same."""
        det, crystal = self.detector, self.crystal
        found = {f"cell_{name}_m": v for name, v in zip("abc", crystal.cell, strict=True)}
        found |= {f"{name}_star_per_angstrom": v for name, v in zip("abc", crystal.stars, strict=True)}
        return found | {
            "n_cells": crystal.n, "n_domains": len(crystal.domains), "spindle_axis": det.lab.spindle, "phi_rad": self.phis,
            "kahn_factor": self.kahn, "n_sources": len(self.sources), "pixel_size_m": det.p, "fast_axis": det.fast,
            "slow_axis": det.slow, "normal_axis": det.normal, "close_distance_m": det.close_distance, "pix0_m": det.pix0,
            "n_layers": self.sensor.n, "oversample": self.oversample, "fluence_per_m2": self.fluence, "steps": self.steps,
        }  # fmt: skip

    def record(self, name, index, value):
        self.steps_seen[name, index] = float(value) if isinstance(value, int | float) else tuple(map(float, value))

    def note(self, depth, **values):
        """Record quantities of the point (depth 3), source (4) or orientation (6) that the loops are at."""
        if self.recording:
            n = self.oversample
            index = (self.point // n**2, self.point // n % n, self.point % n,
                     self.sources.at, self.phis.at, self.crystal.domains.at)  # fmt: skip
            for name, value in values.items():
                self.record(name, index[:depth] + OUTSIDE[depth:], value)

    def position(self, f_det, s_det, o_det):
        x = super().position(f_det, s_det, o_det)
        if self.recording:
            self.point += 1
        r = norm(x)
        self.note(3, position_m=x, airpath_m=r, direction=[c / r for c in x])
        return x

    def solid_angle(self, r):
        omega = super().solid_angle(r)
        self.note(3, solid_angle_sr=omega)
        return omega

    def capture(self, layer, d):
        chi = super().capture(layer, d)
        self.note(3, capture_fraction=chi)
        return chi

    def sum_crystal(self, scattering, g, total, chi, pol, omega):
        k, lam, weight = self.sources[self.sources.at]
        self.note(4, incident=k, wavelength_m=lam, weight=weight, scattering_vector_per_m=scattering,
                  stol_per_m=0.5 * norm(scattering), polarization=pol)  # fmt: skip
        self.last_looked_up = None
        total = super().sum_crystal(scattering, g, total, chi, pol, omega)
        if self.last_looked_up == (self.phis.at, self.crystal.domains.at):  # not after a LATTICE_ZERO_SKIP
            self.note(6, running_sum=total)
        return total

    def cell_of(self, domain):
        a, b, c = super().cell_of(domain)
        self.note(6, a_m=a, b_m=b, c_m=c)
        return [a, b, c]

    def lattice_factor(self, h, k, l):  # noqa: E741
        f_latt = super().lattice_factor(h, k, l)
        self.note(6, hkl=(h, k, l), F_latt=abs(f_latt))  # only its square counts, and the engines differ in the sign
        return f_latt

    def structure_factor(self, h, k, l):  # noqa: E741
        f_cell = super().structure_factor(h, k, l)
        self.note(6, F_cell=f_cell)
        self.last_looked_up = (self.phis.at, self.crystal.domains.at)
        return f_cell
