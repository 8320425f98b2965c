"""The scaling audit: the chain of factors from the lattice sum to photons per pixel, link by link."""

from __future__ import annotations

from collections.abc import Iterator

from nanobragg.errors import ConfigError
from nanobragg.inspection.tracing.trace import Trace
from nanobragg.lazy import dataclass

_FINAL = (
    ("capture fraction, once per pixel", "final_capture_fraction"),
    ("polarization, once per pixel", "final_polarization"),
    ("solid angle, once per pixel", "final_solid_angle_sr"),
)

_ADDED = (("diffuse_photons", "diffuse scattering"), ("components_photons", "photons of background.components"))


@dataclass(frozen=True)
class Link:
    """One factor of the chain and the product up to it."""

    name: str
    factor: float
    product: float


def scaling_chain(trace: Trace) -> list[Link]:
    """The factors whose product is the pixel.

    Parameters
    ----------
    trace : Trace
        A complete one.

    Returns
    -------
    list of Link
        The sum of F_latt^2, the mean F_cell^2 (weighted with it), the mean factor of a term (weight, and whatever of
        polarization, solid angle and capture fraction belongs to the term), background and running factors, r_e^2, fluence,
        1/steps, the factors that are applied once per pixel, and what diffuse scattering and
        amorphous bodies add.

    Raises
    ------
    ConfigError
        For a trace of parts.
    """
    if trace.parts:
        raise ConfigError(
            "trace", f"{len(trace.parts)} parts", "have a chain each", "take that of trace.parts[0]"
        )  # fmt: skip
    lattice = sum(f * f for f in trace.values("F_latt"))
    terms = trace.values("term")
    bragg = _bragg(trace)
    total = trace.last("sum")
    running = "background, running factors"
    chain = [
        ("lattice sum, F_latt^2", lattice),
        ("mean F_cell^2", _quotient(bragg, lattice)),
        ("mean factor of a term", _quotient(sum(terms), bragg)),
        (running, _quotient(total, sum(terms))),
        ("r_e^2", trace.last("r_e_sqr_m2")),
        ("fluence", trace.last("fluence_per_m2")),
        ("1/steps", 1 / trace.last("steps")),
    ]
    chain += [(text, trace.last(name)) for text, name in _FINAL if trace.values(name)]
    links: list[Link] = []
    product = 1.0
    for name, factor in chain:
        product = total if name is running else product * factor
        links.append(Link(name, factor, product))
    added = [(text, sum(trace.last(name))) for name, text in _ADDED if trace.values(name)]
    reached = trace.last("sum_photons") if added else 0.0
    for i, (text, photons) in enumerate(added):
        before, reached = reached, trace.value if i == len(added) - 1 else reached + photons
        links.append(Link(text, _quotient(reached, before), reached))
    return links


def _bragg(trace: Trace) -> float:
    """Sum of F_cell^2 F_latt^2."""
    f_latt = {step.index: step.numbers[0] for step in trace.steps if step.name == "F_latt"}
    cells = ((step.index, step.numbers[0]) for step in trace.steps if step.name == "F_cell")
    return sum(f_cell * f_cell * f_latt[index] * f_latt[index] for index, f_cell in cells)


def _quotient(x: float, y: float) -> float:
    return x / y if y else 0.0


def audit_lines(a: Trace, b: Trace | None = None) -> Iterator[str]:
    """The chain of one trace, or of two side by side with the ratio at each link."""
    first = scaling_chain(a)
    if b is None:
        yield f"{'factor':<34}{a.source:>16}{'product':>16}"
        for link in first:
            yield f"{link.name:<34}{link.factor:>16.9g}{link.product:>16.9g}"
        return
    second = scaling_chain(b)
    yield f"{'factor':<34}{a.source:>16}{b.source:>16}{'ratio':>16}{'ratio so far':>18}"
    for name, one, two in _matched(first, second):
        factor = (one.factor if one else 1.0, two.factor if two else 1.0)
        product = (one.product if one else float("nan"), two.product if two else float("nan"))
        yield (f"{name:<34}{factor[0]:>16.9g}{factor[1]:>16.9g}{_ratio(*factor):>16.9g}"
               f"{_ratio(*product):>18.9g}")  # fmt: skip


def _matched(a: list[Link], b: list[Link]) -> Iterator[tuple[str, Link | None, Link | None]]:
    in_a, in_b = ({link.name: link for link in chain} for chain in (a, b))
    for name in dict.fromkeys([*in_a, *in_b]):
        yield name, in_a.get(name), in_b.get(name)


def _ratio(x: float, y: float) -> float:
    return 1.0 if x == y else (y / x if x else float("inf"))
