"""Sphinx configuration: ``sphinx-build -W docs build/docs`` builds the site, without a network."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

from docutils.utils.math.latex2mathml import tex2mathml

sys.path.insert(0, str(Path(__file__).parent))

project = "nanobragg"
author = "the nanobragg developers"
copyright = "the nanobragg developers, MIT license"
release = importlib.metadata.version("nanobragg")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_generated"]
pygments_style = "friendly"

html_title = f"nanobragg {release}"
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_prev_next": True, "secondary_sidebar_items": ["page-toc"], "navigation_with_keys": False}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the numpydoc sections state the types
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False


def write_tables(_app: Any) -> None:
    """The pages include tables that are made from the code."""
    import tables

    tables.write(Path(__file__).parent / "_generated")


def plain_signs(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """In docstrings a bar is an absolute value and a star a reciprocal vector, not markup."""
    for i, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [re.sub(r"\||(?<!\*)\*(?!\*)", r"\\\g<0>", part) for part in parts[::2]]
        lines[i] = "``".join(parts)


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise _skip()


def _block(writer: Any, node: Any) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise _skip()


def _skip() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()


def setup(app: Any) -> None:
    """Formulas become MathML, which browsers draw themselves: no script from the network."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("builder-inited", write_tables)
    app.connect("autodoc-process-docstring", plain_signs, priority=100)  # before napoleon
