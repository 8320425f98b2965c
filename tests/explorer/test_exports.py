"""What the explorer exports means the experiment that it shows."""

from __future__ import annotations

import io
import re
import shlex
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.api import decide
from nanobragg.cli.main import main
from nanobragg.config.serialize import plain
from nanobragg.exchange.images.provenance import read_provenance
from nanobragg.exchange.toml import read_toml
from nanobragg.explorer.comparison.measured import Measured
from nanobragg.explorer.drawing.tiles import View
from nanobragg.explorer.exports.command_text import CommandText
from nanobragg.explorer.exports.files import MENU, exported
from nanobragg.explorer.exports.python_text import PythonText
from nanobragg.explorer.rendering import as_images
from nanobragg.explorer.session import Session

pytestmark = pytest.mark.filterwarnings("ignore::nanobragg.PlausibilityWarning")  # few wavelengths, far apart
CELL = nb.UnitCell(50, 60, 40, 90, 95, 90)


def table() -> nb.StructureFactors:
    hkl = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return nb.StructureFactors.from_arrays(hkl, np.round(50 + 40 * np.sin(hkl @ (1.3, 2.1, 0.7)), 3))


def experiment(**parts: Any) -> nb.Experiment:
    crystal = nb.Crystal(unit_cell=CELL, n_cells=(9, 8, 10), misset_deg=(10.5, -20.25, 30),
                         mosaic=nb.Mosaic(spread_deg=0.3, n_domains=4), structure_factors=table())  # fmt: skip
    known = {
        "crystal": crystal, "beam": nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e26, kahn_factor=0.9),
        "detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0, rotation_deg=(0, 5, 0),
                                sensor=nb.Sensor(thickness_um=300.0, attenuation_um=200.0)),
        "goniometer": nb.Goniometer(phi_start_deg=5.0, osc_deg=0.5, n_steps=2),
        "sampling": nb.Sampling(oversample=1), "background": nb.Background(water_um=2.0),
    }  # fmt: skip
    return nb.Experiment(**{**known, **parts})


@pytest.fixture
def session() -> Iterator[Session]:
    one = Session(experiment(detector=nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0)))
    one.begin()
    yield one
    one.close()


def run_python(text: str, files: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    for name, value in files.items():
        value.to_hkl(name) if isinstance(value, nb.StructureFactors) else np.save(name, value)
    names: dict[str, Any] = {}
    exec(compile(text, "experiment.py", "exec"), names)
    return names


MASK = np.ones((70, 80), bool)
MASK[:, 30:34] = False


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"crystal": nb.Crystal(unit_cell=CELL, shape="gauss", n_cells=(5.5, 6, 7), misset_deg="random", misset_seed=4,
                               structure_factors=nb.StructureFactors.constant(80.0))},
        {"detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=(0.5, 0.4), mask=MASK)},
        {"crystal": (nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), structure_factors=nb.StructureFactors.constant(80.0)),
                     nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), misset_deg=(1, 2, 3), structure_factors=table()))},
        {"sampling": nb.Sampling(oversample=1, roi=(slice(10, 60), slice(0, 40)))},
        {"background": nb.Background(components=nb.Amorphous(table="water", thickness_mm=0.01))},
    ],
    ids=["table", "random", "mask", "two crystals", "region", "amorphous"],
)  # fmt: skip
def test_python_makes_the_experiment(parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = experiment(**parts)
    made = PythonText(ours)
    names = run_python(made.text, made.files, tmp_path, monkeypatch)
    assert np.array_equal(names["image"], nb.simulate(ours))
    if "table" not in made.text and ".hkl" not in made.text:
        assert names["experiment"].equals(ours)


@pytest.mark.parametrize(
    "parts",
    [
        {"detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5)},  # its distance is decided
        {"beam": nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e26, exposure_s=0.1, flux_per_s=0.0)},  # both are idle
        {},
        {"crystal": nb.Crystal(unit_cell=CELL, shape="round", n_cells=(5, 6, 7), fudge=1.1, misset_deg="random", misset_seed=4,
                               structure_factors=nb.StructureFactors.constant(80.0))},
        {"beam": nb.Beam(energy_ev=11000.0, flux_per_s=1e12, exposure_s=0.1, size_mm=0.02, dispersion_percent=0.5,
                         n_wavelengths=3, divergence=nb.Divergence(h_mrad=0.5, v_mrad=0.4, n_h=2, n_v=2, round=False))},
        {"sampling": nb.Sampling(oversample=2, roi=(slice(10, 60), slice(0, 40)), d_min_angstrom=2.5)},
        {"detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0, convention="xds", org_px=(30.0, 20.0),
                                 twotheta_deg=10.0)},
        {"detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0,
                                 beam_center_convention_mm=(18.0, 19.0))},
        {"detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0, mask=MASK,
                                 sensor=nb.Sensor(material="Si", thickness_um=320.0, n_layers=3))},
        {"beam": nb.Beam(fluence_per_m2=1e26, sources=nb.Sources(
            direction=np.array([[-1, 0, 0], [-1, 0.001, 0.0]]), wavelength_angstrom=np.array([1.1, 1.11]),
            weight=np.array([1.0, 2.0])))},
        {"beam": nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e26,
                         divergence=nb.Divergence(h_mrad=1.0, v_mrad=2.0, n_h=3, n_v=3),
                         spectrum=nb.Spectrum(kind="gaussian", fwhm_percent=1.0, n_wavelengths=5))},
        {"beam": nb.Beam(fluence_per_m2=1e26, spectrum=nb.Spectrum(
            kind="given", wavelength_angstrom=np.linspace(1.0, 1.2, 7), weight=np.arange(1.0, 8.0)))},
        {"beam": nb.Beam(wavelength_angstrom=1.1, fluence_per_m2=1e26, spectrum=nb.Spectrum(
            kind="sase", fwhm_ev=20.0, duration_fs=10.0, n_wavelengths=12, shot=3))},
        {"beam": nb.Beam(energy_ev=11000.0, fluence_per_m2=1e26),
         "crystal": nb.Crystal(a_star_matrix=np.array([[0.02, 0.001, 0], [0, 0.017, 0.002], [0.001, 0, 0.025]]),
                               n_cells=(9, 8, 7), misset_deg=(1, 2, 3), structure_factors=table())},
    ],
    ids=["no distance", "exposure", "table", "random", "beam", "region", "xds", "beam center", "mask and sensor", "sources",
         "divergence and spectrum", "given spectrum", "pulse", "energy and matrix"],
)  # fmt: skip
def test_the_command_line_means_the_experiment(
    parts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = experiment(**parts)
    made = CommandText(ours)
    assert made.lost == []
    made.write_files(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    typed = shlex.split(made.text.replace("\\\n", " "))
    assert typed[0] == "nanoBragg"
    read = nb.Experiment.from_nanobragg_args(typed[1:])
    # an energy is a wavelength on the command line: the same up to rounding
    image = nb.simulate(ours)
    assert nb.simulate(read) == pytest.approx(image, rel=1e-9, abs=1e-12 * image.max())


def test_what_a_command_line_cannot_hold_is_told() -> None:
    crystal = nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), mosaic=nb.Mosaic(spread_deg=0.2, n_domains=3, model="gaussian"),
                         structure_factors=nb.StructureFactors.constant(80.0))  # fmt: skip
    made = CommandText(experiment(crystal=crystal))
    assert made.lost == ["crystal.mosaic.model"]
    assert made.text.startswith("# not on this command line, which has no flag for it: crystal.mosaic.model\n")
    assert "# with it: nanoBragg run experiment.toml" in made.text and not made.whole


def opened(content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(set(archive.namelist())) == len(archive.namelist())
        archive.extractall(folder)


def by_energy() -> nb.StructureFactors:
    hkl = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sizes = {10500.0: 40.0, 11500.0: 60.0}
    return nb.StructureFactors.by_energy(
        {energy: nb.StructureFactors.from_arrays(hkl, np.full(len(hkl), size)) for energy, size in sizes.items()}
    )


def panel(shift: float, **fields: Any) -> nb.Detector:
    return nb.Detector(n_fast=40, n_slow=30, pixel_size_mm=0.5, pix0_mm=(60.0, shift, 10.0), **fields)


KINDS = {
    "panels": {"detector": (panel(-21.0, name="low"), panel(3.0, name="high", mask=np.arange(1200).reshape(30, 40) % 7 > 0))},
    "two crystals": {"crystal": tuple(
        nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), misset_deg=(i, 2, 3), structure_factors=table()) for i in range(2)
    )},
    "by energy": {"crystal": nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), structure_factors=by_energy()),
                  "beam": nb.Beam(fluence_per_m2=1e26, spectrum=nb.Spectrum(
                      kind="given", wavelength_angstrom=np.linspace(1.05, 1.2, 5)))},
    "mosaic": {"crystal": nb.Crystal(unit_cell=CELL, n_cells=(5, 5, 5), structure_factors=table(),
                                     mosaic=nb.Mosaic(spread_deg=(0.3, 0.1, 0.2), n_domains=4, model="gaussian")),
               "detector": nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0, mask=MASK)},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_texts_make_what_flags_cannot_say(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOML, Python and the command of several panels, crystals, tables: the same image; the command's to its float32."""
    one = Session(experiment(**KINDS[kind]))
    one.begin()
    image = nb.simulate(one.state.experiment)
    images = as_images(image)
    for name in ("toml", "python", "command"):
        opened(exported(name, one, View(), None, "viridis")[2], tmp_path / name)
    back = nb.simulate(nb.Experiment.from_toml(tmp_path / "toml" / "experiment.toml"))
    assert all(np.array_equal(a, b) for a, b in zip(as_images(back), images, strict=True))
    monkeypatch.chdir(tmp_path / "python")
    names: dict[str, Any] = {}
    exec(compile(Path("experiment.py").read_text(), "experiment.py", "exec"), names)
    assert all(np.array_equal(a, b) for a, b in zip(as_images(names["image"]), images, strict=True))
    monkeypatch.chdir(tmp_path / "command")
    lines = Path("run.sh").read_text().splitlines()
    word = next(line for line in lines if "nanoBragg run" in line).removeprefix("# with it: ")
    assert main(shlex.split(word)[1:]) == 0
    found = as_images(nb.io.read_image("image.nxs"))
    assert all(np.array_equal(a, np.float32(b)) for a, b in zip(found, images, strict=True))
    one.close()


def test_what_is_switched_on_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point spread and noise: the counts in the files, and those that the Python makes, are those that are shown."""
    readout = nb.Readout(gain_adu_per_photon=2.0, noise_adu=1.5, offset_adu=40.0,
                         psf=nb.Psf(kind="gauss", fwhm_um=700.0), bits=20)  # fmt: skip
    detector = nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, distance_mm=60.0, mask=MASK)
    one = Session(experiment(detector=detector), readout)
    one.begin()
    one.switch("spread", True)
    one.switch("noise", True)
    one.draw_again()
    shown = one.wait(60).values
    names: dict[str, Any] = {}
    opened(exported("python", one, View(), None, "viridis")[2], tmp_path / "python")
    monkeypatch.chdir(tmp_path / "python")
    exec(compile(Path("experiment.py").read_text(), "experiment.py", "exec"), names)
    assert np.array_equal(names["counts"], shown)
    for name in ("cbf", "counts"):
        file, _, content = exported(name, one, View(), None, "viridis")
        (tmp_path / file).write_bytes(content)
        read = nb.io.read_image(tmp_path / file)
        assert np.array_equal(read[MASK], shown[MASK]) and (read[~MASK] < 0).all()
        record = read_provenance(tmp_path / file)
        assert (record["noise_seed"], record["frame"], record["adc_offset"]) == (1, 1, 40.0)
        assert record["readout"]["psf"]["fwhm_um"] == 700.0
        geometry = nb.read_geometry(tmp_path / file, template=one.state.experiment)
        ours, theirs = (decide(e)[0][0].placement for e in (one.state.experiment, geometry))
        # measured: 2e-16 m in NXmx; the header of a CBF has the beam center in 1e-6 pixels of 0.5 mm
        assert np.allclose(ours.pix0, theirs.pix0, rtol=0, atol=1e-9)
        if name == "counts":
            assert np.array_equal(geometry.detector.mask, MASK)
    opened(exported("toml", one, View(), None, "viridis")[2], tmp_path / "toml")
    plan = read_toml(tmp_path / "toml" / "experiment.toml")
    assert plan.readout is not None and plain(plan.readout) == plain(readout)
    assert np.array_equal(nb.expose(plan.experiment, plan.readout, seed=1, frame=1).counts, shown)
    one.close()


@pytest.mark.parametrize(
    ("name", "switched"),
    [("command", ["spread"]), ("command", ["noise"]), ("command", ["spread", "noise"]), ("command", []), ("toml", ["spread"]),
     ("toml", [])],
)  # fmt: skip
def test_the_command_of_the_page_makes_what_is_shown(
    name: str, switched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected counts with point spread, counts with noise, and photons where both are switched off again."""
    one = Session(experiment(), nb.Readout(gain_adu_per_photon=2.0, offset_adu=3.0) if name == "command" else None)
    one.begin()
    one.switch("spread", True)
    one.switch("spread", "spread" in switched)
    one.switch("noise", "noise" in switched)
    shown = np.asarray(one.wait(60).values)
    opened(exported(name, one, View(), None, "viridis")[2], tmp_path)
    page = exported("html", one, View(), None, "viridis")[2].decode()
    one.close()
    noise = "run.seed=1" if "noise" in switched else "run.noise=false"
    word = f"nanoBragg run experiment.toml --set {noise}"
    assert word in page and ("[readout" in page) == bool(switched)
    monkeypatch.chdir(tmp_path)
    if name == "command" and not switched:
        assert "run experiment.toml" not in Path("run.sh").read_text()
        assert main(shlex.split(Path("run.sh").read_text().replace("\\\n", " "))[1:]) == 0
        found = np.fromfile("floatimage.bin", np.float32).reshape(shown.shape)
        assert np.allclose(found, shown, rtol=1e-6, atol=1e-6 * shown.max())
        return
    if name == "command":
        assert f"flag for it: readout\n# with it: {word}\n" in Path("run.sh").read_text()
    assert main(shlex.split(word)[1:]) == 0
    found = nb.io.read_image("image.nxs")
    assert found.dtype == (np.int32 if "noise" in switched else np.float32)
    assert np.array_equal(found, shown.astype(found.dtype))


def test_without_background_it_is_not_exported(tmp_path: Path) -> None:
    one = Session(experiment())
    one.begin()
    one.switch("background", False)
    opened(exported("toml", one, View(), None, "viridis")[2], tmp_path)
    back = nb.Experiment.from_toml(tmp_path / "experiment.toml")
    assert np.array_equal(nb.simulate(back), one.wait(60).frame.photons)
    one.close()


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"rotation_deg": (0, 5, 0)}, "take counts as NXmx"), ({"curved": True}, r"picture \(PNG\), or Python")],
)
def test_a_format_that_cannot_hold_it_names_another(fields: dict[str, Any], said: str) -> None:
    one = Session(experiment(detector=nb.Detector(n_fast=80, n_slow=70, pixel_size_mm=0.5, **fields)))
    one.begin()
    with pytest.raises(nb.ConfigError, match=said):
        exported("cbf", one, View(), None, "viridis")
    one.close()


def test_exports_while_values_move(session: Session) -> None:
    """A play button that goes on does not keep an export waiting: it gets the image of the moment, or of a later one."""
    end = threading.Event()

    def play() -> None:
        phi = 0.0
        while not end.is_set():
            phi += 0.5
            session.set("goniometer.phi_start_deg", phi, moving=True)
            session.picture_shown.wait(1)

    session.picture_shown = threading.Event()
    session.redraw = session.picture_shown.set
    player = threading.Thread(target=play)
    player.start()
    try:
        assert exported("png", session, View(), None, "viridis")[2].startswith(b"\x89PNG")
    finally:
        end.set()
        player.join()


def test_every_file_of_the_menu(session: Session, tmp_path: Path) -> None:
    ours = session.state.experiment
    image = nb.simulate(ours)
    got = {name: exported(name, session, View(), None, "viridis") for name in MENU}
    for name in ("toml", "python", "command"):
        assert got[name][1] == "application/zip"  # the table goes with it
        (tmp_path / name).mkdir()
        opened(got[name][2], tmp_path / name)
    assert np.array_equal(nb.simulate(nb.Experiment.from_toml(tmp_path / "toml" / "experiment.toml")), image)
    assert {path.name for path in (tmp_path / "python").iterdir()} == {"experiment.py", "crystal_structure_factors.hkl"}
    assert {path.name for path in (tmp_path / "command").iterdir()} == {"run.sh", "experiment.hkl"}
    nxmx = tmp_path / got["nxmx"][0]
    nxmx.write_bytes(got["nxmx"][2])
    assert np.array_equal(nb.io.read_image(nxmx), image.astype(np.float32))
    cbf = tmp_path / got["cbf"][0]
    cbf.write_bytes(got["cbf"][2])
    assert np.array_equal(nb.io.read_image(cbf), nb.expose(ours, seed=1).counts)
    assert got["counts"][0] == "counts.nxs" and got["nxmx"][0] == "photons.nxs"
    assert got["png"][2].startswith(b"\x89PNG")
    with pytest.raises(nb.ConfigError, match="export"):
        exported("elf", session, View(), None, "viridis")


def test_the_snapshot_has_no_links(session: Session) -> None:
    name, kind, content = exported("html", session, View(), None, "ink on paper")
    page = content.decode()
    assert name == "snapshot.html" and kind.startswith("text/html")
    assert "data:image/png;base64," in page and "nanoBragg" in page and "experiment = nb.Experiment(" in page
    sources = re.findall(r"(?:src|href)\s*=\s*['\"]([^'\"]*)", page)
    assert sources and all(source.startswith("data:") for source in sources)
    assert "://" not in re.sub(r"base64,[^'\"]*", "", page)
    assert "reads crystal_structure_factors.hkl" in page and "experiment.hkl" in page  # what goes along with the texts
    assert "table = &quot;experiment_table.json&quot;" in page
    assert "<script" not in page


def test_measured_layers_have_the_shades_of_the_same_counts(session: Session) -> None:
    """Where the measured image is the simulated one, scaled, both tiles are the same and the difference is zero."""
    picture = session.wait(60)
    counts = 2.0 * picture.values + 3.0
    measured = Measured("twice", counts, factor=2.0, offset=3.0)
    from nanobragg.explorer.comparison.layers import tiles

    whole = View(fast=(0, 80), slow=(0, 70), width=80, height=70)
    for layer in ("beside", "blend"):
        (_, a), (_, b) = tiles(picture, nb_replace(whole, layer), measured)
        assert np.array_equal(a.shades, b.shades)
    ((name, apart),) = tiles(picture, nb_replace(whole, "difference"), measured)
    assert name == "difference" and (apart.shades == 127).all()  # the middle of 0 to 254


def nb_replace(view: View, layer: str) -> View:
    from dataclasses import replace

    return replace(view, layer=layer)
