"""Readers and writers, one file per format, of plain data: arrays, a plain geometry, text."""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
