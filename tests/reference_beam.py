"""The literal twin's beam and sampling: counts, sources, phi steps, sensor layers, fluence.

Written from the description alone (docs/model.md).
"""

from __future__ import annotations

from math import ceil, isinf
from types import SimpleNamespace

from reference_geometry import RTD, rotaxis, scale, unit, vector

from nanobragg.config.quirks import Quirk


def phi_angles(experiment):
    """The spindle angles [rad]: docs/model.md, Counts."""
    quirks, goniometer = experiment.quirks, experiment.goniometer
    phi0 = float(goniometer.phi_start_deg) / RTD
    n = -1 if goniometer.n_steps is None else goniometer.n_steps
    osc = -1.0 if goniometer.osc_deg is None else float(goniometer.osc_deg) / RTD
    step = -1.0 if goniometer.step_deg is None else float(goniometer.step_deg) / RTD
    alone = Quirk.PHISTEPS_ALONE in quirks

    if n < 0 and osc < 0 and step <= 0:
        n, osc, step = 1, 0.0, 0.0
    elif n < 0 and osc < 0:
        n, osc = 2, 2 * step  # two intervals of one step each; their left edges are the original's angles
    elif n < 0 and step <= 0:
        n, step = 2, osc / 2
    elif n < 0:
        n = ceil(osc / step) if Quirk.PHI_CEIL_ROUNDOFF in quirks else max(1, ceil(osc / step - 1e-6))
    elif osc < 0 and step <= 0:
        osc = 1.0 / RTD if alone else 0.0
        step = osc / n
    elif osc < 0:
        n, osc = 2, 2 * step
    elif step < 0 or not alone:
        step = osc / n
    else:
        osc = n * step
    if Quirk.PHI_LEFT_EDGE in quirks:
        return [phi0 + step * i for i in range(n)]
    return [phi0 + osc * (i + 0.5) / n for i in range(n)]


def grid(n, full, step, edges, alone):
    """Counts and offsets from the center of a divergence or dispersion grid: docs/model.md, Counts.

    `edges`: the original's points, from -full/2 up by the step; otherwise the mid-points of n equal intervals.
    """
    n = -1 if n is None else n
    full = -1.0 if full is None else full
    step = -1.0 if step is None else step
    if n <= 0 and full < 0 and step <= 0:
        n, full, step = 1, 0.0, 0.0
    elif n <= 0 and full < 0:
        n, full = 2, step
    elif n <= 0 and step <= 0:
        n, step = 2, full
    elif n <= 0:
        n = ceil(full / step) if edges else max(1, ceil(full / step - 1e-6))
    elif full < 0 and step <= 0:
        full = 1.0 if alone else 0.0
        step = full / n
    elif full < 0:
        n, full = 2, step
    elif step <= 0 and edges:
        n = max(n, 2)
        step = full / (n - 1)
    elif not edges:
        step = full / n
    if full <= 0 or step <= 0 or n <= 0:
        n, full, step = 1, 0.0, 0.0
    if edges:
        offsets = [step * i - full / 2 for i in range(n)]
    else:
        step = full / n
        offsets = [full * ((i + 0.5) / n - 0.5) for i in range(n)]
    return SimpleNamespace(n=n, full=full, step=step, offsets=offsets)


def tau(point, g):
    """The half-step corrected share of the original's round cut; None for a range of 0 (0/0)."""
    if g.full == 0:
        return None
    return (point * point - g.step * g.step / 4 * (1 - g.n % 2)) / g.full / g.full


def outside_round_cut(h, v, gh, gv, original):
    if gh.full == 0 or gv.full == 0:
        return False
    if original:
        return (tau(h, gh) + tau(v, gv)) * 4 > 1.1
    return (2 * h / gh.full) ** 2 + (2 * v / gv.full) ** 2 > 1


def sources(experiment, lab):
    """List of (k, wavelength [m], weight); k the unit vector along the incident ray: docs/model.md, Sources."""
    quirks, beam = experiment.quirks, experiment.beam
    wave = wavelength(experiment)
    listed = []
    if beam.sources is not None:
        for direction, angstrom, weight in zip(
            beam.sources.direction, beam.sources.wavelength_angstrom, beam.sources.weight, strict=True
        ):
            listed.append((vector(direction), float(angstrom) / 1e10, float(weight)))
    else:
        d = beam.divergence
        alone, edges = Quirk.DIV_STEPS_ALONE in quirks, Quirk.DIV_GRID_ASYMMETRIC in quirks
        if d is None:
            gh = gv = grid(None, None, None, edges, alone)
        else:
            gh = grid(d.n_h, milli(d.h_mrad), milli(d.h_step_mrad), edges, alone)
            gv = grid(d.n_v, milli(d.v_mrad), milli(d.v_step_mrad), edges, alone)
        from_edge = Quirk.DISPERSION_EDGES in quirks
        gw = grid(beam.n_wavelengths, float(beam.dispersion_percent) / 100, None, from_edge, alone)
        for h in gh.offsets:
            for v in gv.offsets:
                if (d is None or d.round) and outside_round_cut(h, v, gh, gv, Quirk.ROUND_CUT_1D in quirks):
                    continue
                x = scale(lab.beam, -10.0)
                x = rotaxis(x, lab.polarization, v)
                x = rotaxis(x, lab.vertical, h)
                for m in range(gw.n):
                    if from_edge:
                        lam = wave * (1 + gw.step * m - gw.full / 2)
                    else:
                        lam = wave * (1 + gw.offsets[m])
                    listed.append((x, lam, 1.0))
    ignore = Quirk.SOURCE_WEIGHTS_IGNORED in quirks
    return [(scale(unit(x), -1.0), lam, 1.0 if ignore else w) for x, lam, w in listed]


def milli(value):
    return None if value is None else float(value) / 1000


def wavelength(experiment):
    """[m]"""
    beam = experiment.beam
    if beam.energy_ev is not None:
        return 12398.42 / float(beam.energy_ev) / 1e10
    return (1.0 if beam.wavelength_angstrom is None else float(beam.wavelength_angstrom)) / 1e10


def fluence(experiment):
    """[photons/m^2]: docs/model.md, Fluence and scale."""
    beam = experiment.beam
    if beam.flux_per_s is not None and float(beam.flux_per_s) != 0 and float(beam.exposure_s) > 0:
        size = 1e-4 if beam.size_mm is None else float(beam.size_mm) / 1000
        return float(beam.flux_per_s) * float(beam.exposure_s) / size / size
    return float(beam.fluence_per_m2)


def sensor_layers(experiment):
    """Layers n, their thickness t [m] and mu [1/m]; thickness 0 stands for no sensor: docs/model.md, Sensor."""
    quirks, sensor = experiment.quirks, experiment.detector.sensor
    none = SimpleNamespace(n=1, t=0.0, mu=-1.0, present=False)
    if sensor is None:
        return none
    thickness = float(sensor.thickness_um) * 1e-6
    mu = -1.0
    if sensor.attenuation_um is not None:
        depth = float(sensor.attenuation_um)
        if depth == 0 or isinf(depth):
            if Quirk.THICK_ABS_INTERPLAY not in quirks:
                return none
            mu = 0.0
        else:
            mu = 1 / (depth * 1e-6)
    if thickness <= 0:
        return none
    if mu < 0:
        mu = 1 / thickness
    n = sensor.n_layers
    if Quirk.THICK_STEP_OVERSHOOT in quirks:
        n, t = (2, thickness / 2) if n is None else (max(n, 2), thickness / (max(n, 2) - 1))
    else:
        n = 2 if n is None else n
        t = thickness / n
    return SimpleNamespace(n=n, t=t, mu=mu, present=True)
