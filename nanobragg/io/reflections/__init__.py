"""Structure factors in files: lists of P1, merged data with symmetry, coordinates."""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
