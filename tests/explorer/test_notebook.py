"""In a notebook: the cell shows the page, and a picture of it where there is no server any more."""

from __future__ import annotations

import base64
import re

import pytest

CELL = """
import nanobragg as nb
explorer = nb.explore(nb.Experiment(
    crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(12, 12, 12), misset_deg=(10, 20, 30),
                       structure_factors=nb.StructureFactors.constant(100.0)),
    beam=nb.Beam(fluence_per_m2=1e27), detector=nb.Detector(n_fast=200, n_slow=180, pixel_size_mm=0.45),
    sampling=nb.Sampling(oversample=1)))
explorer
"""


def test_a_cell_shows_the_page() -> None:
    nbclient = pytest.importorskip("nbclient", reason="runs a notebook: pip install '.[test]'")
    nbformat = pytest.importorskip("nbformat", reason="runs a notebook: pip install '.[test]'")
    pytest.importorskip("ipykernel", reason="runs a notebook: pip install '.[test]'")
    cells = [
        CELL,
        "import numpy as np\nnp.array_equal(explorer.image(60), nb.simulate(explorer.experiment))",
        "explorer.close()",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
    (shown,) = [out for out in book.cells[0].outputs if out.output_type == "execute_result"]
    page = shown.data["text/html"]
    assert re.search(r"<iframe [^>]*src='http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}'", page)
    assert shown.data["text/plain"].startswith("<Explorer at http://127.0.0.1:")
    picture = base64.b64decode(re.search(r"data:image/png;base64,([^']*)", page)[1])
    assert picture.startswith(b"\x89PNG")
    assert book.cells[1].outputs[0].data["text/plain"] == "True"
    assert book.cells[2].outputs == []
