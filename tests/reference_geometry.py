"""The literal twin's geometry: vector primitives, conventions and the placement of the detector.

Written from the description alone (docs/model.md), in plain Python floats, so that it shares
nothing with the package but the names of the settings and of the quirks.
"""

from __future__ import annotations

from math import cos, sin, sqrt
from types import SimpleNamespace

from nanobragg.config.quirks import Quirk

RTD = 57.29577951308232
DBL_MIN = 2.2250738585072014e-308

# ---------------------------------------------------------------- vector primitives, docs/model.md, Order of operations


def dot(x, y):
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


def norm(x):
    return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])


def cross(x, y):
    return (x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0])


def unit(x):
    m = norm(x)
    return (x[0] / m, x[1] / m, x[2] / m) if m != 0 else (0.0, 0.0, 0.0)


def scale(x, s):
    return (s * x[0], s * x[1], s * x[2])


def rescale(x, m):
    o = norm(x)
    if o <= 0:
        o = 1.0
    return scale(x, m / o)


def rotxyz(v, angles):
    """Rotate about lab x, then y, then z; a stage with an angle of exactly 0 is skipped."""
    x, y, z = v
    alpha, beta, gamma = angles
    if alpha != 0:
        y, z = y * cos(alpha) + z * (-sin(alpha)), y * sin(alpha) + z * cos(alpha)
    if beta != 0:
        x, z = x * cos(beta) + y * 0.0 + z * sin(beta), x * (-sin(beta)) + y * 0.0 + z * cos(beta)
    if gamma != 0:
        x, y = x * cos(gamma) + y * (-sin(gamma)), x * sin(gamma) + y * cos(gamma)
    return (x, y, z)


def rotaxis(v, e, phi):
    """Rodrigues' formula; the axis is not normalized here."""
    s, c = sin(phi), cos(phi)
    d = (e[0] * v[0] + e[1] * v[1] + e[2] * v[2]) * (1 - c)
    return (
        e[0] * d + v[0] * c + ((-e[2]) * v[1] + e[1] * v[2]) * s,
        e[1] * d + v[1] * c + (e[2] * v[0] - e[0] * v[2]) * s,
        e[2] * d + v[2] * c + ((-e[1]) * v[0] + e[0] * v[1]) * s,
    )


def matvec(u, v):
    return (
        u[0] * v[0] + u[1] * v[1] + u[2] * v[2],
        u[3] * v[0] + u[4] * v[1] + u[5] * v[2],
        u[6] * v[0] + u[7] * v[1] + u[8] * v[2],
    )


# ---------------------------------------------------------------- docs/model.md, Laboratory frames

# beam, fast, slow, normal, two-theta axis, polarization, spindle, pivot
TABLE = {
    "adxv": ((0, 0, 1), (1, 0, 0), (0, -1, 0), (0, 0, 1), (-1, 0, 0), (1, 0, 0), (1, 0, 0), "beam"),
    "mosflm": ((1, 0, 0), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 0, -1), (0, 0, 1), (0, 0, 1), "beam"),
    "denzo": ((1, 0, 0), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 0, -1), (0, 0, 1), (0, 0, 1), "beam"),
    "xds": ((0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), (1, 0, 0), (1, 0, 0), "sample"),
    "dials": ((0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0), (0, 1, 0), "sample"),
    "custom": ((1, 0, 0), (0, 0, 1), (0, -1, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1), "beam"),
}


def number(value):
    return None if value is None else float(value)


def vector(value):
    return None if value is None else tuple(float(item) for item in value)


def pair(value):
    return (None, None) if value is None else (number(value[0]), number(value[1]))


def frame(experiment):
    """Convention in force and the unit vectors of the laboratory (docs/model.md, Laboratory frames)."""
    quirks, detector, beam = experiment.quirks, experiment.detector, experiment.beam
    given = {
        "beam": vector(beam.direction),
        "fast": vector(detector.fast_axis),
        "slow": vector(detector.slow_axis),
        "normal": vector(detector.normal_axis),
        "twotheta_axis": vector(detector.twotheta_axis),
        "polarization": vector(beam.polarization_axis),
        "spindle": vector(experiment.goniometer.axis),
    }
    convention = detector.convention
    any_vector = any(v is not None for v in given.values()) or detector.pix0_mm is not None
    if any_vector and Quirk.CUSTOM_CHANGES_CENTRE in quirks:
        convention = "custom"
    row = dict(zip(given, TABLE[convention], strict=False))
    v = {name: given[name] if given[name] is not None else tuple(map(float, row[name])) for name in given}

    for name in ("beam", "fast", "slow", "polarization", "spindle"):
        v[name] = unit(v[name])
    normal_of_axes = unit(cross(v["fast"], v["slow"]))
    if Quirk.ODET_REPLACED in quirks:
        m = norm(v["normal"])
        v["normal"] = unit(v["normal"]) if m == 1.0 else normal_of_axes
    elif given["normal"] is None and (given["fast"] is not None or given["slow"] is not None):
        sign = 1.0 if dot(normal_of_axes, v["beam"]) > 0 else -1.0
        v["normal"] = scale(normal_of_axes, sign)
    else:
        v["normal"] = unit(v["normal"])
    if Quirk.TWOTHETA_AXIS_NOT_UNIT not in quirks:
        v["twotheta_axis"] = unit(v["twotheta_axis"])
    v["vertical"] = unit(cross(v["beam"], v["polarization"]))

    pivot = TABLE[convention][7]
    if convention == "custom" or Quirk.PIVOT_FORCED not in quirks:
        pivot = detector.pivot or pivot
    return SimpleNamespace(convention=convention, pivot=pivot, **v)


# ---------------------------------------------------------------- docs/model.md, Beam center


def center(experiment, convention, p, size):
    """(fast, slow) [m] of the beam spot (pivot beam) or of the foot of the normal (pivot sample)."""
    quirks, detector = experiment.quirks, experiment.detector
    d_f, d_s = size
    named_beam = convention in ("mosflm", "denzo", "adxv")

    # what was typed, as (fast, slow)
    x, y = pair(detector.beam_center_convention_mm)
    x, y = None if x is None else x / 1000, None if y is None else y / 1000
    if convention == "mosflm":
        beam = (None if y is None else y + 0.5 * p[0], None if x is None else x + 0.5 * p[1])
    elif convention == "denzo":
        beam = (y, x)
    elif convention == "adxv":
        beam = (x, None if y is None else d_s - y)
    else:
        beam = (x, y)
    given = tuple(None if v is None else v / 1000 for v in pair(detector.beam_center_mm))
    if detector.beam_center_mm is not None:
        beam = given
    close = tuple(None if v is None else v / 1000 for v in pair(detector.close_point_mm))
    org = tuple(None if v is None else (v - 0.5) * edge for v, edge in zip(pair(detector.org_px), p, strict=True))

    default = (d_f / 2, d_s / 2)
    if Quirk.DEFAULT_CENTRE_SHIFT in quirks:
        if convention == "mosflm":
            default = ((d_f + p[0]) / 2 + 0.5 * p[0], (d_s + p[1]) / 2 + 0.5 * p[1])
        elif convention == "denzo":
            default = ((d_f + p[0]) / 2, (d_s + p[1]) / 2)
        elif convention == "adxv":
            default = ((d_f + p[0]) / 2, d_s - (d_s - p[1]) / 2)

    if Quirk.XDS_BEAM_IGNORED in quirks and convention in ("xds", "dials"):
        ways = (given, org)  # the package's own way holds in every convention; the original's Xbeam does not
    elif Quirk.XDS_BEAM_IGNORED in quirks and named_beam:
        ways = (beam,)
    else:
        ways = (beam, close, org)
    return tuple(next((way[axis] for way in ways if way[axis] is not None), default[axis]) for axis in (0, 1))


# ---------------------------------------------------------------- docs/model.md, Detector placement


def place_detector(experiment):
    """Everything the pixel loop needs to know about the detector and the frame."""
    quirks, detector = experiment.quirks, experiment.detector
    lab = frame(experiment)
    size = detector.pixel_size_mm
    p = tuple(float(edge) / 1000 for edge in (size if isinstance(size, tuple) else (size, size)))
    d_f, d_s = p[0] * detector.n_fast, p[1] * detector.n_slow
    if detector.size_mm is not None and Quirk.DETSIZE_NOT_ROUNDED in quirks:
        typed = pair(detector.size_mm)
        d_f = d_f if typed[0] is None else typed[0] / 1000
        d_s = d_s if typed[1] is None else typed[1] / 1000
    f_center, s_center = center(experiment, lab.convention, p, (d_f, d_s))

    rotation = tuple(float(angle) / RTD for angle in detector.rotation_deg)
    twotheta = float(detector.twotheta_deg) / RTD
    beam, f, s, o = lab.beam, lab.fast, lab.slow, lab.normal

    def turned(x):
        return rotaxis(rotxyz(x, rotation), lab.twotheta_axis, twotheta)

    rho = dot(beam, rotxyz(o, rotation))
    if rho == 0:
        rho = DBL_MIN
    if detector.close_distance_mm is not None:
        close_distance = float(detector.close_distance_mm) / 1000
    else:
        distance = 100.0 if detector.distance_mm is None else float(detector.distance_mm)
        close_distance = abs(rho * (distance / 1000))
    distance = close_distance / rho

    if detector.pix0_mm is not None and Quirk.PIX0_IGNORED not in quirks:
        pix0 = turned(tuple(x / 1000 for x in vector(detector.pix0_mm)))
        f, s, o = turned(f), turned(s), turned(o)
    elif lab.pivot == "sample":
        pix0 = turned(tuple((-f_center) * f[k] - s_center * s[k] + close_distance * o[k] for k in range(3)))
        f, s, o = turned(f), turned(s), turned(o)
    else:
        f, s, o = turned(f), turned(s), turned(o)
        pix0 = tuple((-f_center) * f[k] - s_center * s[k] + distance * beam[k] for k in range(3))

    close_distance = dot(pix0, o)
    if Quirk.TWOTHETA_DISTANCE not in quirks:
        rho = dot(beam, o)
    distance = close_distance / rho
    return SimpleNamespace(
        lab=lab, p=p, pix0=pix0, fast=f, slow=s, normal=o, beam=beam, close_distance=close_distance, distance=distance
    )
