"""The list of Scene fields, written in Python and in the C header, is one list."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from handmade_scene import busy

from nanobragg import _core, constants
from nanobragg.config.crystal import Shape
from nanobragg.derivation.scene import CONTINUOUS, KERNEL_QUIRKS, Scene
from nanobragg.errors import CoreError


def test_python_and_c_have_the_same_fields() -> None:
    assert [(field.name, field.metadata["shape"]) for field in fields(Scene)] == list(_core.scene_fields)


def test_shapes_are_what_a_scene_has() -> None:
    scene = busy()
    sizes = {
        "n_pixels": scene.n_pixels,
        "n_sources": scene.n_sources,
        "n_phi": scene.n_phi,
        "n_domains": scene.n_domains,
    }
    sizes |= {f"n_hkl[{i}]": n for i, n in enumerate(scene.f_table.shape)}
    for field in fields(scene):
        value = getattr(scene, field.name)
        if field.name != "quirks" and value is not None:
            wanted = tuple(sizes.get(n, n) for n in field.metadata["shape"])
            assert np.shape(value) == wanted, field.name


def numbers() -> list[str]:
    """Fields of real numbers, which must be finite; in a table of structure factors anything is allowed."""
    values = busy().values()
    return [name for name, value in values.items() if np.asarray(value).dtype.kind == "f" and name != "f_table"]


@pytest.mark.parametrize("name", numbers())
def test_every_number_is_checked(name: str) -> None:
    """A number that is none, anywhere in a field, is refused by the field's name, on its way or by the core."""
    value = getattr(busy(), name)
    for place in range(np.size(value)):
        spoilt = np.array(value, dtype=np.float64)
        spoilt.reshape(-1)[place] = math.nan
        with pytest.raises(CoreError, match=rf"scene\.{name}\b.*must be a finite number"):
            _core.CoreScene(busy(**{name: spoilt}))


def test_continuous_fields_are_those_with_derivatives_in_c() -> None:
    assert set(CONTINUOUS) == set(_core.continuous_fields)


def test_fields_with_derivatives_are_numbers() -> None:
    for field in fields(Scene):
        kind = np.asarray(getattr(busy(), field.name)).dtype.kind
        assert kind == "f" or field.name not in CONTINUOUS, field.name


def test_enumerations_and_constants() -> None:
    for shape in Shape:
        _core.CoreScene(busy(shape=shape))
    with pytest.raises(CoreError, match=r"scene\.shape"):
        _core.CoreScene(busy(shape=len(Shape)))
    _core.CoreScene(busy(quirks=KERNEL_QUIRKS))
    assert constants.PI == math.pi and constants.TOPHAT_CUT == pytest.approx(constants.GAUSS_WIDTH**2, rel=1e-15)
    assert constants.ROUND_SCALE == pytest.approx(math.sqrt(math.pi / 6), rel=1e-15)
