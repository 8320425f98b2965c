"""The gallery of the documentation: its script draws what its page shows, and every effect shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.errors.NanoBraggWarning")


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs"), *sys.path])
    import gallery

    monkeypatch.setattr(gallery, "SIDE", 48)
    monkeypatch.setattr(gallery, "COARSE", 40)
    return gallery


def test_the_page_shows_what_the_script_draws(gallery):
    shown = re.findall(r"pictures/gallery/(\w+)\.png", (ROOT / "docs/gallery.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(gallery.pairs())
    files = list((ROOT / "docs" / "pictures" / "gallery").iterdir())
    assert sorted(path.stem for path in files) == sorted(shown)
    assert sum(path.stat().st_size for path in files) < 1e6


def test_every_effect_shows(gallery, tmp_path, monkeypatch):
    """By more than a tenth of the image, relative L2."""
    for name, pair in gallery.pairs().items():
        off, on = gallery.images(pair)
        assert np.isfinite(on).all() and np.linalg.norm(on - off) > 0.1 * np.linalg.norm(off), name
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(gallery, "FOLDER", tmp_path)
    gallery.main(["block_shape"])
    assert (tmp_path / "block_shape.png").stat().st_size > 1000
