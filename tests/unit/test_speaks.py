"""What people read of the objects: help, signatures, repr, the pages of notebooks."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import pydoc
import re
import typing
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from small import small

import nanobragg as nb
from nanobragg.config.fields import Config
from nanobragg.exchange.geometry import of_experiment
from nanobragg.exchange.notebook.layout import corners

PARTS = [value for name in nb.__all__ if inspect.isclass(value := getattr(nb, name)) and issubclass(value, Config)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_help_lists_every_field_with_its_metadata(part: type) -> None:
    text = pydoc.plain(pydoc.render_doc(part))
    for field in dataclasses.fields(part):
        line = re.search(rf"^ \|  {field.name} : (.*)\n \|      (.*)", text, re.MULTILINE)
        assert line, field.name
        facts, meaning = line.groups()
        assert (f"[{field.metadata['unit']}]" in facts) == bool(field.metadata["unit"]), field.name
        assert ("differentiable" in facts) == field.metadata["differentiable"], field.name
        assert "default" in facts or "required" in facts
        assert field.metadata["doc"] and meaning.startswith(field.metadata["doc"]), field.name


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_signature_is_that_of_the_fields(part: type) -> None:
    signature = inspect.signature(part)
    assert list(signature.parameters) == [field.name for field in dataclasses.fields(part)]
    for field in dataclasses.fields(part):
        parameter = signature.parameters[field.name]
        assert (parameter.kind == parameter.KEYWORD_ONLY) == field.kw_only
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        assert (parameter.default is parameter.empty) == needed
        assert not isinstance(parameter.annotation, str)


def test_types_of_a_signature_can_be_used() -> None:
    parameters = inspect.signature(nb.Detector).parameters
    assert parameters["n_fast"].annotation is int
    assert set(typing.get_args(parameters["pivot"].annotation)) >= {type(None)}
    assert "dials" in typing.get_args(parameters["convention"].annotation)
    distance = parameters["distance_mm"].annotation
    assert float in typing.get_args(distance) and type(None) in typing.get_args(distance)
    assert [kind.__name__ for kind in typing.get_args(distance)].count("Tensor") == 1
    assert str(parameters["distance_mm"]) == "distance_mm: float | torch.Tensor | None = None"


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(nb.Beam()) == "Beam()"
    assert repr(nb.Beam(wavelength_angstrom=1.5)) == "Beam(wavelength_angstrom=1.5)"
    assert repr(nb.UnitCell(74, 74, 36, 90, 90, 120)) == "UnitCell(a=74, b=74, c=36, alpha=90, beta=90, gamma=120)"
    assert repr(nb.StructureFactors.constant(2.5)) == "StructureFactors(default_F=2.5)"
    table = nb.StructureFactors.from_arrays([[1, -2, 3], [4, 5, 6]], [1.0, 2.0])
    assert repr(table) == "StructureFactors(2 reflections, hkl 1..4 -2..5 3..6, default_F=0)"
    mask = np.ones((3, 4), bool)
    mask[1, 2] = False
    assert repr(nb.Detector(n_fast=4, n_slow=3, mask=mask).mask is not None) == "True"
    assert "mask=<mask (3, 4), 1 pixels off>" in repr(nb.Detector(n_fast=4, n_slow=3, mask=mask))
    sources = nb.Sources(direction=np.tile([[-1.0, 0, 0]], (50, 1)), wavelength_angstrom=np.linspace(1, 1.1, 50))
    assert repr(sources).startswith("Sources(direction=<float64 (50, 3)>, wavelength_angstrom=<float64 (50,)>")


def test_repr_of_an_experiment_is_short_whatever_its_size() -> None:
    experiment = small().replace(detector=(small().detector,) * 30).with_fidelity("reference")
    text = repr(experiment)
    assert "... 30 in all" in text and "quirks='reference'" in text
    assert len(text) < 1500
    assert "quirks" not in repr(small().with_fidelity("corrected"))


def test_repr_of_tensors_says_whether_they_carry_a_gradient() -> None:
    torch = pytest.importorskip("torch")
    beam = nb.Beam(wavelength_angstrom=torch.tensor(1.5, dtype=torch.float64, requires_grad=True))
    assert repr(beam) == "Beam(wavelength_angstrom=tensor(1.5, requires_grad))"
    crystal = small().crystal
    turned = dataclasses.replace(crystal, misset_deg=torch.zeros(3))
    assert "misset_deg=<tensor (3,) float32>" in repr(turned)


def test_a_fluence_that_a_flux_overrides_is_not_shown_as_if_it_counted() -> None:
    both = nb.Beam(fluence_per_m2=1e20, flux_per_s=1e12, size_mm=0.1)
    assert repr(both) == "Beam(flux_per_s=1e+12, size_mm=0.1)"
    assert "<s>1e+20</s> has no effect: flux_per_s decides" in both._repr_html_()
    assert "fluence_per_m2=1e+20" in repr(nb.Beam(fluence_per_m2=1e20))
    assert "fluence_per_m2=1e+20" in repr(nb.Beam(fluence_per_m2=1e20, flux_per_s=0.0))


def test_only_public_names_are_listed() -> None:
    assert {name for name in dir(nb) if not name.startswith("__")} == set(nb.__all__)


def test_page_of_an_experiment_draws_its_panels() -> None:
    experiment = small().replace("detector.name", "main <1>")
    experiment = experiment.replace(detector=(experiment.detector, experiment.detector.with_value("name", "b")))
    page = experiment._repr_html_()
    svg = xml.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    assert len(svg.findall("polygon")) == 2
    assert "main <1>" in [text.text for text in svg.findall("text")]  # escaped in the page
    assert "crystal.unit_cell" in page and "beta=" in page


def test_page_of_what_cannot_be_placed_is_a_table() -> None:
    page = small().replace("detector.curved", True)._repr_html_()
    assert "<svg" not in page and "detector.curved" in page


def test_page_of_an_exposure_holds_its_picture() -> None:
    page = nb.expose(small(), seed=1)._repr_html_()
    data = base64.b64decode(re.search("base64,([^']*)'", page)[1])
    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize(("convention", "down"), [("mosflm", -3.0), ("xds", -3.0), ("dials", -3.0), ("adxv", 3.0)])
def test_layout_is_as_the_beam_sees_it(convention: str, down: float) -> None:
    """Along the beam the fast axis runs to the right and the rows downwards; adxv sees its detector from behind."""
    detector = nb.Detector(n_fast=40, n_slow=30, pixel_size_mm=0.1, distance_mm=50.0, convention=convention)
    geometry = of_experiment(small().replace(detector=detector)).along_beam()
    first, right, opposite, below = corners(geometry.panels[0])
    assert np.allclose(right - first, (4.0, 0.0), atol=1e-9)
    assert np.allclose(below - first, (0.0, down), atol=1e-9)
    assert np.allclose((first + opposite) / 2, 0.0, atol=0.1)  # the default beam center may lie half a pixel off
