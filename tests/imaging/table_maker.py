"""Makes the packaged tables of water and ice: ``python tests/imaging/table_maker.py FOLDER``.

Water: molecules of an oxygen with its two hydrogens, averaged over their orientation, and the order of neighboring
oxygens from a pair distribution of smooth steps with the distances, heights and widths of the liquid at 298 K (first shell
2.80 Angstrom and 2.57, minimum 3.45 and 0.84, second 4.50 and 1.12, third 6.7 and 1.05); below 1.15 1/Angstrom (in Q) the
plateau that the compressibility sets (2.57 electrons). Good to some ten percent; a measured table is better.

Ice: powder of hexagonal ice (a 4.497, c 7.322 Angstrom, oxygen at 1/3 2/3 0.0629, half hydrogens), B 1.8 Angstrom^2, lines
0.002 (ice) and 0.03 Angstrom^-1 (nanoice, crystals of about 30 Angstrom) wide in 1/d, with the thermal diffuse rest.

Form factors: International Tables C, 6.1.1 (Cromer & Mann, Acta Cryst. A24 (1968) 321).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

STOL = np.round(np.concatenate([np.arange(0.0, 0.3, 0.001), np.arange(0.3, 1.2001, 0.005)]), 4)
OXYGEN = ((3.0485, 13.2771), (2.2868, 5.7011), (1.5463, 0.3239), (0.867, 32.9089), (0.2508, 0.0))
HYDROGEN = ((0.489918, 20.6593), (0.262003, 7.74039), (0.196767, 49.5519), (0.049879, 2.20159), (0.001305, 0.0))
OH, HH = 0.96, 1.52
"""Distances within a molecule [Angstrom]."""
DENSITY = 0.03333
"""Molecules in a cubic Angstrom."""


def form_factor(terms, s):
    return sum(a * np.exp(-b * s * s) for a, b in terms)


def sinc(x):
    return np.sinc(x / np.pi)


def molecule_squared(s):
    """<F^2> of one molecule over its orientations [electrons^2]."""
    q, o, h = 4 * np.pi * s, form_factor(OXYGEN, s), form_factor(HYDROGEN, s)
    return o * o + 2 * h * h + 4 * o * h * sinc(q * OH) + 2 * h * h * sinc(q * HH)


def mean_molecule(s):
    """<F> seen from the oxygen [electrons]."""
    return form_factor(OXYGEN, s) + 2 * form_factor(HYDROGEN, s) * sinc(4 * np.pi * s * OH)


def pair_distribution(r):
    g = 1 / (1 + np.exp(-(r - 2.66) / 0.035))
    shells = ((1.62, 2.80, 0.115), (-0.16, 3.45, 0.30), (0.13, 4.50, 0.42), (-0.12, 5.6, 0.45), (0.05, 6.75, 0.5))
    for height, center, width in shells:
        g = g + height * np.exp(-0.5 * ((r - center) / width) ** 2)
    return np.where(r < 2.3, 0.0, g)


def water(s):
    q, r = 4 * np.pi * s, np.linspace(0.005, 25.0, 5000)
    excess = pair_distribution(r) - 1
    order = np.array([4 * np.pi * DENSITY * np.trapezoid(r * r * excess * sinc(k * r), r) for k in q])
    model = molecule_squared(s) + mean_molecule(s) ** 2 * order
    plateau = 2.57**2 * (1 + 0.15 * q * q)  # the model does not know the compressibility
    near = 1 / (1 + np.exp((q - 1.15) / 0.08))
    return np.sqrt(near * plateau + (1 - near) * model)


def ice(s, width):
    """Root of the intensity of one molecule in a powder with lines `width` wide (FWHM in 1/d)."""
    a, c, z = 4.497, 7.322, 0.0629
    reciprocal = 2 / (np.sqrt(3) * a)
    volume = a * a * c * np.sqrt(3) / 2

    def orbit(points):
        return np.array(points) % 1

    def four(z):  # 4f of P6_3/mmc
        return [(1 / 3, 2 / 3, z), (2 / 3, 1 / 3, z + 0.5), (2 / 3, 1 / 3, -z), (1 / 3, 2 / 3, -z + 0.5)]

    def twelve(x, z):  # 12k
        base = [(x, 2 * x), (-2 * x, -x), (x, -x)]
        out = []
        for u, v in base:
            out += [(u, v, z), (-u, -v, z + 0.5), (-u, -v, -z), (u, v, -z + 0.5)]
        return out

    o, h = orbit(four(z)), orbit(four(0.1989) + twelve(0.4551, 0.0182))
    sigma = width / 2.3548
    intensity = np.zeros_like(s)
    d_star = 2 * s
    for i in range(-12, 13):
        for j in range(-12, 13):
            for k in range(-20, 21):
                g = np.sqrt(reciprocal**2 * (i * i + i * j + j * j) + (k / c) ** 2)
                if not 0 < g < 2.6:
                    continue
                index = np.array([i, j, k])
                f = form_factor(OXYGEN, g / 2) * np.exp(2j * np.pi * (o @ index)).sum()
                f = f + 0.5 * form_factor(HYDROGEN, g / 2) * np.exp(2j * np.pi * (h @ index)).sum()
                strength = abs(f) ** 2 * np.exp(-1.8 * g * g / 2) / (4 * volume * 4 * np.pi * g * g)
                intensity += strength * np.exp(-0.5 * ((d_star - g) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    diffuse = (form_factor(OXYGEN, s) ** 2 + 2 * form_factor(HYDROGEN, s) ** 2) * (1 - np.exp(-2 * 1.8 * s * s))
    return np.sqrt(intensity + diffuse + 0.01)


FINE = np.round(np.concatenate([np.arange(0.0, 0.45, 0.0005), np.arange(0.45, 1.2001, 0.005)]), 4)
TABLES = {
    "water": (STOL, lambda: water(STOL), "liquid water, F of one molecule"),
    "ice": (FINE, lambda: ice(FINE, 0.002), "powder of hexagonal ice, F of one molecule"),
    "nanoice": (STOL, lambda: ice(STOL, 0.03), "powder of hexagonal ice in crystals of 30 Angstrom, F of one molecule"),
}


def text(name: str) -> str:
    stol, factor, what = TABLES[name]
    rows = "".join(f"{s:.4f} {f:.5f}\n" for s, f in zip(stol, factor(), strict=True))
    return f"# {what}; made by tests/imaging/table_maker.py\n# sin(theta)/lambda [1/Angstrom], F [electrons]\n{rows}"


if __name__ == "__main__":
    for name in TABLES:
        (Path(sys.argv[1]) / f"{name}.stol").write_text(text(name))
