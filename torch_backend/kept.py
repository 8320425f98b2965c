"""What was made of an array and serves as long as the array lives and stays as it is: copies on a device, tables as tensors."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from torch import Tensor


class Kept:
    """What was made last of some arrays, for as long as these live unchanged."""

    def __init__(self, most: int) -> None:
        self._found: OrderedDict[tuple[Any, ...], tuple[weakref.ref[Any], Tensor]] = OrderedDict()
        self._most = most

    def of(self, array: Any, key: tuple[Any, ...], make: Callable[[], Tensor]) -> Tensor:
        """What `make` makes of an array, or made of it before for the same key."""
        version = array._version if isinstance(array, Tensor) else None
        place = (id(array), version, *key)
        known = self._found.get(place)
        if known is None or known[0]() is not array:
            made = make()
            self._found[place] = known = (weakref.ref(array, lambda _: self._found.pop(place, None)), made)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return known[1]
