"""The form of a Scene that the C core reads: made and checked once for each Scene, whose arrays are not written to."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from nanobragg import _core
from nanobragg.derivation.scene import Scene

_made: WeakKeyDictionary[Scene, _core.CoreScene] = WeakKeyDictionary()


def core_of(scene: Scene) -> _core.CoreScene:
    """As `CoreScene` of the scene."""
    found = _made.get(scene)
    if found is None:
        found = _made[scene] = _core.CoreScene(scene)
    return found
