"""Where formats meet experiments: geometry files, image files with their provenance, TOML, command lines."""

from nanobragg import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
