"""In a notebook: the cell shows the page, and a picture of it where there is no server any more."""

from __future__ import annotations

import base64
import io
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, executable

import nanobragg as nb

CELL = """
import nanobragg as nb
explorer = nb.explore(nb.Experiment(
    crystal=nb.Crystal(unit_cell=nb.UnitCell(74, 74, 36, 90, 90, 90), n_cells=(12, 12, 12), misset_deg=(10, 20, 30),
                       structure_factors=nb.StructureFactors.constant(100.0)),
    beam=nb.Beam(fluence_per_m2=1e27), detector=nb.Detector(n_fast=200, n_slow=180, pixel_size_mm=0.45),
    sampling=nb.Sampling(oversample=1)))
explorer
"""


def test_a_cell_shows_the_page(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="runs a notebook: pip install '.[test]'")
    nbformat = pytest.importorskip("nbformat", reason="runs a notebook: pip install '.[test]'")
    pytest.importorskip("ipykernel", reason="runs a notebook: pip install '.[test]'")
    cells = [
        CELL,
        "import numpy as np\nnp.array_equal(explorer.image(60), nb.simulate(explorer.experiment))",
        "nearer = explorer.experiment.replace('detector.distance_mm', 80.0)\nexplorer.experiment = nearer\n"
        "np.array_equal(explorer.image(60), nb.simulate(nearer))",
        "explorer.close()\nexplorer",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
    nbformat.write(book, tmp_path / "saved.ipynb")
    book = nbformat.read(tmp_path / "saved.ipynb", 4)  # as it is found again, without a server
    (shown,) = [out for out in book.cells[0].outputs if out.output_type == "execute_result"]
    page = shown.data["text/html"]
    assert re.search(r"<iframe [^>]*src='http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}'", page)
    assert shown.data["text/plain"].startswith("<Explorer at http://127.0.0.1:")
    assert [cell.outputs[0].data["text/plain"] for cell in book.cells[1:3]] == ["True", "True"]
    kept = re.search(r"<details open>.*data:image/png;base64,([^']*)", page)
    assert kept and kept[1] == shown.data["image/png"].replace("\n", "")
    # the picture is the image: 180 rows of 200 pixels, black where the photons are
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(kept[1]))).convert("L"))
    names: dict[str, nb.Explorer] = {}
    exec(CELL.rpartition("\n")[0].rpartition("\n")[0], names)  # the same cell here
    with names["explorer"] as explorer:
        image = explorer.image(60)
    assert picture.shape == image.shape == (180, 200)
    spots = image > 0.1 * image.max()
    assert picture[spots].max() < picture[image < 1e-4 * image.max()].min()
    closed = book.cells[3].outputs[0].data
    assert closed["text/plain"] == "<Explorer, closed>" and "<iframe" not in closed["text/html"]


@pytest.mark.skipif(executable() is None, reason="no browser of the Chromium family: apt install chromium")
def test_a_notebook_of_another_address_shows_the_page(tmp_path: Path) -> None:
    """The page in the output's frame is served by another port than the notebook, and is answered all the same."""
    names: dict[str, nb.Explorer] = {}
    exec(CELL.rpartition("\n")[0].rpartition("\n")[0], names)
    with names["explorer"] as explorer:
        (tmp_path / "book.html").write_text(
            f"<!doctype html><link rel=icon href='data:,'>{explorer._repr_html_()}", encoding="utf-8"
        )
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Browser() as browser:
            browser.open(f"http://127.0.0.1:{server.server_port}/book.html")
            browser.until("document.images.length === 1 && document.images[0].naturalWidth === 200")
            for _ in range(3000):  # until the page in the frame asks for tiles at the size of its stage
                if any(page.screen.view.width > 520 for page in explorer._desk._pages):
                    break
                browser.run("new Promise((done) => setTimeout(done, 20))")
            else:
                pytest.fail("the frame stays empty")
            assert browser.console == []
        server.shutdown()


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, *_: object) -> None:
        """Nothing."""
