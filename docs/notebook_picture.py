"""Makes docs/pictures/notebook.png: cells are run, shown as a notebook shows them, and drawn by Chromium.

    python docs/notebook_picture.py [--html page.html]

The page is ours and not Jupyter's; what stands in it is what Jupyter asks the objects for: ``_repr_html_``, a figure as
PNG, else the repr.
"""

from __future__ import annotations

import argparse
import ast
import base64
import html
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

PICTURE = Path(__file__).parent / "pictures" / "notebook.png"
SIZE = (1080, 2065)
CELLS = (
    """import numpy as np
import nanobragg as nb

def panel(i):
    turn = np.radians(45 * i)
    fast, slow = np.array([0, -np.sin(turn), np.cos(turn)]), np.array([0, -np.cos(turn), -np.sin(turn)])
    corner = np.array([100, 0, 0]) - 18 * fast + 46 * slow
    return nb.Detector(n_fast=120, n_slow=110, pixel_size_mm=0.3, name=f"q{i}", fast_axis=tuple(fast), slow_axis=tuple(slow),
                       normal_axis=(1, 0, 0), pix0_mm=tuple(corner))

experiment = nb.Experiment(
    crystal=nb.Crystal(unit_cell=nb.UnitCell(79.1, 79.1, 37.9, 90, 90, 90), n_cells=(12, 12, 25), misset_deg=(10, 20, 30),
                       mosaic=nb.Mosaic(spread_deg=0.3, n_domains=20), structure_factors=nb.StructureFactors.constant(150.0)),
    beam=nb.Beam(wavelength_angstrom=1.3, fluence_per_m2=1e20, flux_per_s=1e12, size_mm=0.0005),
    detector=tuple(panel(i) for i in range(8)))
experiment""",
    "nb.expose(experiment, seed=1)",
    "nb.show(nb.simulate(experiment), experiment)",
    "experiment.beam, experiment.crystal.mosaic",
)
STYLE = """
body{font:14px/1.4 system-ui,'DejaVu Sans',sans-serif;margin:18px;width:1040px;background:#fff;color:#1b1f24}
.cell{display:flex;gap:10px;margin-bottom:12px}
.prompt{color:#57606a;font:12px monospace;width:60px;text-align:right;flex-shrink:0}
pre{font:12.5px/1.4 'DejaVu Sans Mono',monospace;margin:0;white-space:pre-wrap}
.in{background:#f6f8fa;border:1px solid #d0d7de;padding:8px;width:960px}
.out{width:975px;overflow:hidden;font-size:12.5px}
table{border-collapse:collapse;font-size:12px}td{padding:1px 8px;text-align:right}
tbody tr:nth-child(odd){background:#f6f8fa}thead th{font-weight:600;border-bottom:1px solid #8c959f;padding:1px 8px}
"""


def shown(value: Any) -> str:
    """The HTML that a notebook shows of a value."""
    if hasattr(value, "_repr_png_"):
        return f"<img style='width:470px' src='data:image/png;base64,{base64.b64encode(value._repr_png_()).decode()}'>"
    if hasattr(value, "_repr_html_"):
        return str(value._repr_html_())
    return f"<pre>{html.escape(repr(value))}</pre>"


def page() -> str:
    """The cells with what they show."""
    names: dict[str, Any] = {}
    parts = [f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>"]
    for i, cell in enumerate(CELLS, 1):
        tree = ast.parse(cell)
        last = tree.body.pop()
        assert isinstance(last, ast.Expr)
        exec(compile(tree, f"cell {i}", "exec"), names)
        value = eval(compile(ast.Expression(last.value), f"cell {i}", "eval"), names)
        for kind, text in (("in", f"<pre>{html.escape(cell)}</pre>"), ("out", shown(value))):
            prompt = f"{'In ' if kind == 'in' else 'Out'}[{i}]:"
            parts.append(f"<div class=cell><div class=prompt>{prompt}</div><div class={kind}>{text}</div></div>")
    return "\n".join(parts)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--html", type=Path, help="keep the page there")
    typed = parser.parse_args()
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None:
        raise SystemExit("needs Chromium: apt install chromium, or brew install chromium")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = page()
    with tempfile.TemporaryDirectory() as folder:
        path = typed.html or Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={PICTURE}",
                   "--window-size={},{}".format(*SIZE), path.absolute().as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    print(PICTURE)


if __name__ == "__main__":
    main()
