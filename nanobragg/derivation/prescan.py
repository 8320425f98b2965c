"""The two quirks that depend on what was rendered before, found once in loop order, independent of blocking.

STALE_PHI_ZERO needs the first source pass that is really evaluated; INTERP_SWITCHED_OFF the first lookup that leaves the
table. Both become indices in the Scene, so that no kernel carries state from pixel to pixel.
"""

from __future__ import annotations

import math
from dataclasses import replace

from nanobragg import _core
from nanobragg.config.quirks import Quirk
from nanobragg.derivation.scene import Scene
from nanobragg.lazy import dataclass


@dataclass(frozen=True)
class OutOfRange:
    """The first lookup out of range: real and nearest indices, for the original's message."""

    hkl: tuple[float, float, float]
    hkl0: tuple[int, int, int]


AT_A_GLANCE = 1_000_000
"""Evaluations that are looked at where nothing is rendered: some 50 ms."""


def prescan(scene: Scene, quirks: frozenset[Quirk], *, glance: bool = False) -> tuple[Scene, OutOfRange | None, bool]:
    """Set ``first_pass`` and ``interpolation_off`` of a scene.

    Parameters
    ----------
    scene : Scene
        With (0, 0) and (n_pixels, 0) there, which are right where nothing has to be looked for.
    quirks : frozenset of Quirk
        Those in force.
    glance : bool
        Look at the first `AT_A_GLANCE` evaluations alone.

    Returns
    -------
    scene : Scene
    out_of_range : OutOfRange or None
        The lookup that switches interpolation off.
    through : bool
        False where a glance did not suffice: what was not found may be there.
    """
    wants_pass = scene.d_min > 0 and scene.orientations_first_pass is not None
    wants_lookup = Quirk.INTERP_SWITCHED_OFF in quirks and scene.tricubic
    if scene.n_pixels == 0 or not (wants_pass or wants_lookup):
        return scene, None, True
    never = (scene.n_pixels, 0)
    most = (AT_A_GLANCE,) if glance else ()
    first_pass, lookup, hkl, through = _core.CoreScene(scene.plain()).prescan(wants_pass, wants_lookup, *most)
    found = None if lookup is None else OutOfRange(hkl, tuple(math.ceil(x - 0.5) for x in hkl))  # type: ignore[arg-type]
    return replace(scene, first_pass=first_pass or never, interpolation_off=lookup or never), found, through
