"""Data sets: recipes, `generate`, and the frames and truth of what it made (docs/howto/data_sets.md)."""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, "nanobragg.datasets")
