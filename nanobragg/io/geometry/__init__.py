"""Geometry in the files of other programs: DIALS, XDS, MOSFLM, CrystFEL and image headers.

Every reader makes a `record.Geometry`, every writer takes one; `nanobragg.exchange` joins it with experiments.
"""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
