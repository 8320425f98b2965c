"""Each quirk alone: it does what the twin says, it changes the image when triggered, and nothing when it is not."""

from __future__ import annotations

import pytest
import reference
import triggers
from laboratory import relative
from laboratory import render as image
from triggers import ELSEWHERE, REFUSED, TRIGGERS
from worst_pixel import assert_agree

import nanobragg as nb
from nanobragg.config.quirks import CORRECTED, REFERENCE, Quirk

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")

TOLERANCE = 1e-12  # of the maximum; see test_twin
REFUSALS = [(quirk, case) for quirk, cases in REFUSED.items() for case in cases]


def name(value):
    return value.name if isinstance(value, Quirk) else None


def agreed(experiment):
    """The image, on which the scalar kernel and the twin agree."""
    found = image(experiment)
    assert_agree(experiment, found, reference.simulate(experiment), TOLERANCE)
    return found


def test_every_quirk_is_tested():
    assert set(TRIGGERS) | set(REFUSED) | ELSEWHERE == set(Quirk)


@pytest.mark.parametrize("quirk", TRIGGERS, ids=name)
def test_alone_agrees_with_the_twin_and_changes_the_image(quirk):
    options, settings, besides = TRIGGERS[quirk]
    on = triggers.experiment(options, settings, {quirk, *besides})
    off = triggers.experiment(options, settings, besides)
    with_quirk, without = agreed(on), agreed(off)
    # the smallest effect is that of float32 in the mosaic angle: 2e-8 of 1.5 degrees
    assert relative(with_quirk, without) > 1e-9


@pytest.mark.parametrize("quirk", TRIGGERS, ids=name)
def test_absent_from_reference_agrees_with_the_twin(quirk):
    options, settings, _ = TRIGGERS[quirk]
    agreed(triggers.experiment(options, settings, REFERENCE - {quirk}))


@pytest.mark.parametrize(("quirk", "case"), REFUSALS, ids=name)
def test_refused_unless_in_force(quirk, case):
    options, settings = case
    agreed(triggers.experiment(options, settings, {quirk}))
    with pytest.raises(nb.ConfigError):
        image(triggers.experiment(options, settings, CORRECTED))


@pytest.mark.parametrize("quirk", list(Quirk), ids=name)
def test_changes_nothing_without_its_trigger(quirk):
    base = triggers.without_triggers()
    plain = image(base)
    changed = image(base.replace(quirks=frozenset({quirk})))
    if quirk is Quirk.SINCG_ROUNDOFF:  # two ways to evaluate the same sines; measured 1e-14
        assert relative(changed, plain) <= TOLERANCE
    elif quirk in (Quirk.POLAR_CACHED, Quirk.OMEGA_CACHED):  # the same factors, multiplied in another place
        assert relative(changed, plain) <= 1e-15
    else:
        assert (changed == plain).all()


def test_all_quirks_together_change_nothing_without_a_trigger():
    base = triggers.without_triggers()
    assert relative(image(base.with_fidelity("reference")), image(base)) <= TOLERANCE
