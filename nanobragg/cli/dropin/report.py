"""The console text of the original program, line by line (docs/command.md, The report)."""

# ruff: noqa: UP031  the lines are written as the C formats that define them
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nanobragg.cli.dropin.usage import BANNER
from nanobragg.config.quirks import Quirk
from nanobragg.constants import AVOGADRO, RTD
from nanobragg.derivation.cell import CellParameters, cell_parameters
from nanobragg.derivation.derive import Derivation
from nanobragg.derivation.vectors import dot
from nanobragg.exchange.command_line.files import ReflectionInput
from nanobragg.exchange.command_line.reading import CommandLine

_CRYSTAL_DENSITY = 1.2e6
"""Density from which the original estimates a molecular weight [g/m^3]."""
_SHAPES = {"round": "ellipsoidal", "square": "parallelpiped", "gauss": "gaussian", "tophat": "tophat-spot"}


def opened_headers(line: CommandLine) -> Iterator[str]:
    """Lines about the mask and image files."""
    for path in line.headers_read:
        yield f"reading {path}"
        yield f"mmap({path}) = 0x0"


def setup(line: CommandLine, d: Derivation, matrix_opened: bool) -> Iterator[str]:
    """Everything before the structure factors are read: items 2 to 27."""
    get = line.settings.get
    placement, cell = d.placement, d.cell
    for axis, size, beam_size in d.size.clipped:
        yield "WARNING: clipping sample (%g m %s) with beam (%g m)" % (size, axis, beam_size)
    if placement.normal_replaced:
        yield "WARNING: auto-generating odet_vector"
    yield BANNER
    if d.layers.thickness > 0 and not (line.settings.sensor_attenuation or -1.0) > 0:
        yield f"WARNING: setting detector attenuation depth to {d.layers.attenuation:g} m"
    domains, spread = get("mosaic_domains", -1), get("mosaic", -1.0)
    if domains <= 0 and spread > 0:
        yield "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains"
    elif domains > 0 and spread < 0:
        yield "WARNING: no mosaic spread specified.  setting mosaic_domains = 1"
    elif domains > 0 and spread == 0:
        yield "WARNING: zero mosaic spread specified.  setting mosaic_domains = 1"
    yield f"{placement.convention} convention selected."
    yield f"pivoting detector around {'sample' if placement.pivot == 'sample' else 'direct beam spot'}"
    beam = placement.beam
    yield "XDS incident beam: %g %g %g" % (
        dot(placement.fast, beam),
        dot(placement.slow, beam),
        dot(placement.normal, beam),
    )
    if "interpolate" not in line.settings:
        typed = Quirk.INTERP_BEFORE_SIZE in line.quirks
        counts = [get(f"n_{axis}", 1) for axis in "abc"] if typed else d.size.n_cells
        chosen = "tricubic interpolation of structure factors" if min(counts) <= 2 else "no interpolation"
        yield f"auto-selected {chosen}"
    yield from cell.oddities
    if matrix_opened:
        yield f"reading {get('mat')}"
    if cell.misset_deg is not None:
        yield "random orientation misset angles: %f %f %f deg" % cell.misset_deg
    yield from _cell_lines(d)
    yield from _size_lines(line, d)


def _cell_lines(d: Derivation) -> Iterator[str]:
    cell = d.cell
    axes = tuple(tuple(1e10 * x for x in axis) for axis in (cell.a, cell.b, cell.c))
    stars = (cell.a_star, cell.b_star, cell.c_star)
    direct = cell_parameters(axes, cell.volume, stars)  # type: ignore[arg-type]
    reciprocal = cell_parameters(stars, cell.volume_star, axes)  # type: ignore[arg-type]
    yield from _odd_angles("cell", direct, ("sin_%-5s =", "cos_%-5s ="))
    yield from _odd_angles("reciprocal cell", reciprocal, ("sin(%s_star)%s =", "cos(%s_star)%s ="))
    yield "Unit Cell: %g %g %g %g %g %g" % (*direct.lengths, *direct.angles)
    yield "Recp Cell: %g %g %g %g %g %g" % (*reciprocal.lengths, *reciprocal.angles)
    yield f"volume = {cell.volume:g} A^3"
    yield from vector_lines("real-space cell vectors (Angstrom):", ("a", "b", "c"), axes)
    yield from vector_lines("reciprocal-space cell vectors (Angstrom^-1):", ("a_star", "b_star", "c_star"), stars)


def _odd_angles(name: str, cell: CellParameters, labels: tuple[str, str]) -> Iterator[str]:
    """The original's warning about sines and cosines beyond 1, in its own columns (docs/command.md, The report)."""
    if not cell.odd:
        return
    yield f"WARNING: oddball {name} angles:"
    for i, axis in enumerate(("alpha", "beta", "gamma")):
        for label, value in zip(labels, (cell.sines[i], cell.cosines[i]), strict=True):
            fill = (axis, " " if axis == "beta" else "") if label.count("%s") == 2 else axis
            yield f"{label % fill} {value:.25g}"


def vector_lines(title: str, names: tuple[str, str, str], vectors: Any) -> Iterator[str]:
    """A title, the names, and rows X, Y, Z with one column for each vector."""
    yield title
    yield "     %-10s  %-10s  %-10s" % names
    for k, row in enumerate("XYZ"):
        yield f"{row}: %11.8f %11.8f %11.8f" % tuple(vector[k] for vector in vectors)


def _size_lines(line: CommandLine, d: Derivation) -> Iterator[str]:
    edges = [n * edge for n, edge in zip(d.size.n_cells, d.cell.lengths, strict=True)]
    yield "crystal is %g x %g x %g microns" % tuple(1e6 * edge for edge in edges)
    typed = line.settings.get("oversample", -1)
    if typed <= 0:
        yield f"auto-selected {d.scene.oversample}-fold oversampling"
    elif typed < d.decided.recommended_oversample:
        placement = d.placement
        reciprocal = line.wavelength_angstrom / 1e10 * placement.distance / placement.pixel_size[0]
        yield f"WARNING: maximum dimension of sample is {1e10 * max(edges):g} A"
        yield f"         but reciprocal pixel size is {1e10 * reciprocal:g} A"
        yield "         intensity may vary significantly across a pixel!"
        yield f"         recommend -oversample {d.decided.recommended_oversample} to work around this"
    yield f"approximate MW = {math.prod(d.cell.lengths) * _CRYSTAL_DENSITY * AVOGADRO:g}"


def reading(reflections: ReflectionInput) -> Iterator[str]:
    """What is said while the structure factors are read: item 28 up to the dump."""
    table = reflections.structure_factors
    if reflections.kind == "symmetric":
        yield f"structure factors from {reflections.path}: {table.n_reflections} in P1, from {table.space_group}"
    elif reflections.kind == "dump":
        yield f"reading Fs from {reflections.path}"
    elif reflections.kind == "hkl":
        yield f"counting entries in {reflections.path}"
        for letter, value, record in reflections.non_integer:
            yield f"WARNING: non-integer value for {letter} ({value:g}) at line {record}"
        default_F = table.default_F
        if default_F != 0:
            yield f"initializing to default_F = {default_F:g}:"
            yield "done initializing:"
        yield f"re-reading {reflections.path}"


def summary(line: CommandLine, d: Derivation, reflections: ReflectionInput, seed: int | None) -> Iterator[str]:
    """Everything between the structure factors and the rendering: items 29 to 55."""
    get = line.settings.get
    if get("stol") is not None:
        yield f"reading {get('stol')}"
    for i in range(d.layers.n):
        yield f"thick{i} = {1e6 * d.layers.step * i:g} um"
    for i, phi in enumerate(d.rotation.phi):
        yield f"phi{i} = {phi * RTD:g}"
    sources = d.sources
    for h, v in sources.grid or ():
        yield f"divergence deviation: {h:g} {v:g}"
    for i, wavelength in enumerate(sources.wavelengths or ()):
        yield f"lambda{i} = {wavelength:.15g}"
    yield f"  created a total of {len(sources.position)} sources:"
    for position, weight, wavelength in zip(sources.position, sources.weight, sources.wavelength, strict=True):
        yield "%g %g %g   %g %g" % (*position, weight, wavelength)
    yield f"  created a total of {d.scene.n_domains} mosaic domains"
    table = reflections.structure_factors
    yield f"  {table.n_reflections if table.has_table else 0} initialized hkls (all others ={table.default_F:g})"
    yield f"  {_SHAPES[d.experiment.crystal.shape]} xtal: %.0fx%.0fx%.0f cells" % tuple(d.size.n_cells)
    spectrum = sources.spectrum
    yield f"  wave={line.wavelength_angstrom / 1e10:g} meters +/- {100 * spectrum.width:g}% in {spectrum.n} steps"
    yield from _beam_lines(line, d)
    yield from _detector_lines(line, d)
    yield from _sampling_lines(line, d)
    if seed is not None:
        yield ""
        yield "  noise image paramters:"
        yield f"  seed: {-seed}"
        yield f"  water droplet size: {d.water:g} m"


def _beam_lines(line: CommandLine, d: Derivation) -> Iterator[str]:
    beam, detector = d.experiment.beam, d.experiment.detector
    yield f"  Kahn polarization factor: {beam.kahn_factor:f}" if beam.polarized else "  polarization effect disabled"
    if detector.curved:
        yield "  curved detector: all pixels same distance from origin"
    if detector.point_pixel:
        yield "  pixel obliquity effect disabled"
    yield f"  incident fluence: {d.fluence:g} photons/m^2"


def _detector_lines(line: CommandLine, d: Derivation) -> Iterator[str]:
    p, detector = d.placement, d.experiment.detector
    yield (
        f"  distance={p.distance:g} detsize={p.size_fast:g}x{p.size_slow:g}  pixel={p.pixel_size[0]:g} meters "
        f"({detector.n_fast}x{detector.n_slow} pixels)"
    )
    yield f"  sensor is {d.layers.thickness:g} m thick in {d.layers.n} layers with mu= {d.layers.attenuation:g}"
    yield f"  Xbeam={p.xbeam:g} Ybeam={p.ybeam:g}"
    yield f"  Fbeam={p.fbeam:g} Sbeam={p.sbeam:g}"
    yield f"  Xclose={p.xclose:g} Yclose={p.yclose:g}"
    yield f"  Fclose={p.fclose:g} Sclose={p.sclose:g}"
    beam, polar = p.beam, p.polarization_axis
    plane_normal = (
        beam[1] * polar[2] - beam[2] * polar[1],
        beam[2] * polar[0] - beam[0] * polar[2],
        beam[0] * polar[1] - beam[1] * polar[0],
    )
    for name, vector in (
        ("DIRECTION_OF_DETECTOR_X-AXIS", p.fast),
        ("DIRECTION_OF_DETECTOR_Y-AXIS", p.slow),
        ("DIRECTION_OF_DETECTOR_Z-AXIS", p.normal),
        ("INCIDENT_BEAM_DIRECTION", beam),
        ("spindle ROTATION_AXIS", p.spindle),
        ("POLARIZATION_PLANE_NORMAL", plane_normal),
    ):
        yield f"  {name}= %g %g %g" % tuple(vector)
    yield "  dials origin= %g %g %g" % p.dials_origin_mm
    roi = line.roi()
    yield f"  roi: {roi.x_min} < x < {roi.x_max} && {roi.y_min} < y < {roi.y_max}"


def _sampling_lines(line: CommandLine, d: Derivation) -> Iterator[str]:
    sources, sampling, scene = d.sources, d.experiment.sampling, d.scene
    for name, axis in (("hdiv", sources.horizontal), ("vdiv", sources.vertical)):
        yield f"  {name}range={axis.width:g} {name}step={axis.step:g}  radians"
    yield f"  {-1 if sources.grid is None else len(sources.grid)} divergence steps"
    yield f"  {len(sources.position)} sources"
    yield f"  {scene.n_domains} mosaic domains over mosaic spread of {d.mosaic_spread * RTD:g} degrees"
    start, osc = d.rotation.start, d.rotation.osc
    yield f"  {scene.n_phi} phi steps from {start * RTD:g} to {(start + osc) * RTD:g} degrees"
    extra = [f" +{name}" for name in ("thick", "polar", "omega") if getattr(sampling, f"oversample_{name}")]
    yield f"  {scene.oversample}x{scene.oversample} pixel oversample steps{''.join(extra)}"
    if line.mask is not None:
        yield f"  skipping zero-flagged pixels in {line.settings.get('mask')}"


def out_of_range(d: Derivation) -> str:
    """The message of the lookup that switches interpolation off; its end has no newline (item 56). Empty: there is none."""
    if d.out_of_range is None:
        return ""
    values = (*d.out_of_range.hkl, *d.out_of_range.hkl0)
    return (
        "WARNING: out of range for three point interpolation: h,k,l,h0,k0,l0: %g,%g,%g,%d,%d,%d \n"
        "WARNING: further warnings will not be printed! "
    ) % values
