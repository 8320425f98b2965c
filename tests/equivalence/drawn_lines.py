"""Command lines drawn at random: every crystal shape, set-ups whose indices fall on whole numbers among them.

What the original computes at whole indices is rounding noise, so half of the lines are made to meet them: the direct
beam on the center or the corner of a pixel, axes of the cell along those of the laboratory, distances at which a pixel
lies on a whole index.
"""

from __future__ import annotations

import random

PIXELS = (9, 16, 23, 40)
"""Pixels along an axis of the detector."""


def line(seed: int) -> list[str]:
    """The arguments of one command; files: p1_asym.hkl, sources_full.txt."""
    r = random.Random(seed)
    exact = r.random() < 0.5  # whole indices are likely
    args = [*_crystal(r, exact), *_beam(r), *_detector(r, exact), *_sampling(r)]
    return [str(arg) for arg in args]


def _some(r: random.Random, share: float, *args: object) -> tuple[object, ...]:
    return args if r.random() < share else ()


def _crystal(r: random.Random, exact: bool) -> list[object]:
    args: list[object] = ["-hkl", "p1_asym.hkl", *_some(r, 0.7, "-default_F", r.choice((20, 100.0)))]
    if r.random() < 0.3:
        args = ["-default_F", 100]
    edges = [r.choice((20, 50, 64, 100, 200)) if exact else round(r.uniform(15, 300), 3) for _ in range(3)]
    if r.random() < 0.3:
        edges = edges[:1] * 3
    angles = r.choice(((90, 90, 90), (90, 90, 120), (80, 95, 105), (90, 101.5, 90)))
    args += ["-cell", *edges, *(angles if not exact or r.random() < 0.2 else (90, 90, 90))]
    missets = ((), ("-misset", 0, 0, 90), ("-misset", 45, 0, 0), ("-misset", 10, 20, 30))
    args += r.choice(missets[:3] if exact else missets[2:])
    args += _some(r, 0.05, "-misset", "random", "-misset_seed", r.randrange(1, 99))
    cells = [1, 2, 3, 5, 8, 9, 10, 16, 20, 37, 50, 100]
    if r.random() < 0.6:
        args += ["-N", r.choice(cells)]
    else:
        args += ["-Na", r.choice(cells), "-Nb", r.choice(cells), "-Nc", r.choice(cells)]
    args += r.choice(((), (), ("-round_xtal",), ("-round_xtal",), ("-gauss_xtal",), ("-tophat_spots",)))
    args += _some(r, 0.15, "-fudge", r.choice((0.3, 0.7, 1.5)))
    if r.random() < 0.35:
        args += ["-mosaic", r.choice((0.01, 0.3, 2)), "-mosaic_domains", r.choice((2, 5))]
    if r.random() < 0.4:
        args += r.choice(
            (
                ("-phi", 90),
                ("-osc", 1),
                ("-osc", 0.1, "-phisteps", 4),
                ("-phi", 3.3),
                ("-phi", -1, "-osc", 2, "-phisteps", 3),
            )
        )
        args += _some(r, 0.2, "-spindle_axis", 0.1, 1, 0.3)
    return args


def _beam(r: random.Random) -> list[object]:
    args: list[object] = ["-lambda", r.choice((1, 1, 0.9768, round(r.uniform(0.5, 3), 4)))]
    args += r.choice(((), ("-polar", 0.9), ("-nopolar",), ("-polar", -1)))
    more = r.random()
    if more < 0.1:
        args += ["-dispersion", 1, "-dispsteps", 3]
    elif more < 0.2:
        args += ["-hdivrange", 0.4, "-vdivrange", 0.2, "-hdivsteps", 3, "-vdivsteps", 2]
    elif more < 0.25:
        args += ["-sourcefile", "sources_full.txt"]
    return args


def _detector(r: random.Random, exact: bool) -> list[object]:
    fast, slow = r.choice(PIXELS), r.choice(PIXELS)
    pixel = r.choice((0.05, 0.1, 0.172, 0.5, 2))
    args: list[object] = ["-detpixels_f", fast, "-detpixels_s", slow, "-pixel", pixel]
    args += [
        "-distance" if r.random() < 0.8 else "-close_distance",
        r.choice((50, 100, 250)) if exact else round(r.uniform(30, 400), 2),
    ]
    convention = r.choice(("-mosflm", "-mosflm", "-denzo", "-adxv", "-xds", "-dials"))
    args += [convention]
    at = r.random()
    if at < 0.6 or exact:  # on the center or corner of a pixel, by the rule of the convention or half a pixel off it
        x, y = (r.randrange(2 * min(fast, slow)) / 2 for _ in range(2))
        names = ("-ORGX", "-ORGY") if convention in ("-xds", "-dials") else ("-Xbeam", "-Ybeam")
        scale = 1 if names[0] == "-ORGX" else pixel
        args += [names[0], round(x * scale, 6), names[1], round(y * scale, 6)]
    elif at < 0.8:
        args += ["-Xbeam", round(r.uniform(0, fast * pixel), 3), "-Ybeam", round(r.uniform(0, slow * pixel), 3)]
    if r.random() < 0.25:
        args += [
            "-detector_rotx",
            r.choice((0, 3, -7)),
            "-detector_roty",
            r.choice((0, 12)),
            "-detector_rotz",
            r.choice((0, 5, 90)),
        ]
    args += _some(r, 0.15, "-twotheta", r.choice((7, 20, 60)))
    args += _some(r, 0.1, "-curved_det")
    args += _some(r, 0.1, "-point_pixel")
    if r.random() < 0.15:
        args += ["-detector_thick", 450, "-detector_abs", 234, "-detector_thicksteps", r.choice((1, 3))]
    return args


def _sampling(r: random.Random) -> list[object]:
    args: list[object] = ["-oversample", r.choice((1, 1, 1, 2, 3))]
    args += r.choice(((), (), ("-interpolate",), ("-nointerpolate",)))
    args += _some(r, 0.1, "-dmin", r.choice((2, 5)))
    args += _some(r, 0.1, "-water", 10)
    args += _some(r, 0.1, "-roi", 2, 7, 3, 8)
    return args
