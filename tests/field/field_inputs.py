"""Synthetic inputs of a field test, with right values that were computed without nanobragg; what the tests share."""

import contextlib
import warnings
from pathlib import Path

import numpy as np

import nanobragg as nb

FIELD = Path(__file__).parents[1] / "data" / "field"
TEMPLATE = nb.Experiment(
    crystal=nb.Crystal(
        unit_cell=nb.UnitCell(50, 60, 70, 90, 90, 90), structure_factors=nb.StructureFactors.constant(1.0)
    )
)
TO_DIALS = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Takes a vector of the laboratory of the default convention to the frame of DIALS: (x, y, z)_lab = (-z, y, x)."""
TO_CRYSTFEL = np.diag([-1.0, 1.0, -1.0]) @ TO_DIALS
TO_XDS = np.diag([1.0, -1.0, -1.0]) @ TO_DIALS
LENGTH, DIRECTION, RELATIVE = 1e-4, 1e-6, 1e-5
"""Tolerances of the inputs: [mm], of unit vectors, of wavelengths and amplitudes."""


@contextlib.contextmanager
def warned():
    """The texts of all warnings."""
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(w.message) for w in caught if issubclass(w.category, nb.errors.NanoBraggWarning)]


def panels(experiment):
    return experiment.detector if isinstance(experiment.detector, tuple) else (experiment.detector,)


def vectors(detector, frame=TO_DIALS):
    """Origin [mm], fast and slow in a frame."""
    return [frame @ np.array(v) for v in (detector.pix0_mm, detector.fast_axis, detector.slow_axis)]


def assert_panel(detector, origin, fast, slow, frame=TO_DIALS):
    found = vectors(detector, frame)
    np.testing.assert_allclose(found[0], origin, atol=LENGTH)
    np.testing.assert_allclose(found[1], fast, atol=DIRECTION)
    np.testing.assert_allclose(found[2], slow, atol=DIRECTION)


def spindle(experiment, frame=TO_DIALS):
    return frame @ np.array(experiment.goniometer.axis)


def refusal(call, *args, **options):
    """The text of a refusal that is clear: one error, the file named once, no Python exception in it."""
    try:
        call(*args, **options)
    except nb.errors.NanoBraggError as error:
        text = str(error)
    else:
        raise AssertionError("was not refused")
    assert not any(word in text for word in ("Error:", "KeyError", "nan,", "is it an experiment list")), text
    if args:
        assert text.count(str(args[0])) <= 1, text
    return text
