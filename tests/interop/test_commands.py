"""The words init, run, convert and view, experiment files, and structure-factor files on the command line."""

import itertools
import os
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from test_geometry_files import SAME, experiment
from test_image_files import flat
from test_reflection_files import unique_list, write

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.config.serialize import plain as plain_data
from nanobragg.errors import FileFormatError
from nanobragg.exchange.images.provenance import read_provenance
from nanobragg.exchange.toml import commented_toml, read_toml
from nanobragg.exchange.toml_text import experiment_toml
from nanobragg.io import read_image, write_nxmx


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(capsys, *args):
    status = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return status, out, err


def test_init_writes_a_file_that_runs(capsys):
    assert command(capsys, "init")[0] == 0
    assert command(capsys, "init")[2].endswith("exists; write --force to overwrite it\n")
    small = ("--set", "detector.n_fast=40", "--set", "detector.n_slow=30", "--set", "run.seed=4")
    assert command(capsys, "run", "experiment.toml", *small) == (0, "image.nxs\n", "")
    first = read_image("image.nxs")
    assert first.shape == (30, 40) and first.sum() > 0
    record = read_provenance("image.nxs")
    assert record["noise_seed"] == 4 and record["experiment"]["detector"]["n_fast"] == 40
    turned = (*small, "--set", "crystal.misset_deg=(1,2,3)", "-o", "other.nxs")
    assert command(capsys, "run", "experiment.toml", *turned)[0] == 0
    assert (read_image("other.nxs") != first).any()
    assert command(capsys, "run", "experiment.toml", *turned, "--set", "crystal.misset_deg[2]=30", "--force")[0] == 0
    assert read_provenance("other.nxs")["experiment"]["crystal"]["misset_deg"] == [1.0, 2.0, 30.0]


def commented_settings() -> list[tuple[str, str, str]]:
    """Table, line without its comment sign, and line, of every key that the commented file leaves out."""
    found, table = [], ""
    for line in commented_toml().splitlines():
        stripped = line.removeprefix("# ")
        if stripped.startswith("["):
            table = stripped.strip("[]")
        elif line.startswith("# ") and re.match(r"\w+ = ", stripped):
            found.append((table, stripped, line))
    return found


FILES = {"crystal.structure_factors.label", "detector.mask"} | {
    f"crystal.structure_factors.{name}"
    for name in ("mtz", "cif", "model", "hkl", "fdump", "table", "sha256", "energies_ev", "elements")
}
"""Settings that say a file, or how one is read."""
INSTEAD = {"crystal.a_star_matrix": "crystal.unit_cell=None", "beam.energy_ev": "beam.wavelength_angstrom=None",
           "background.components.along_beam_mm": "background.components.thickness_mm=None",
           "crystal.block_matrix": "crystal.n_cells=[1, 1, 1]"}  # fmt: skip
SLAB, STOP = (
    "background.components={thickness_mm=0.1}",
    "background.components.beamstop={radius_mm=1.0, distance_mm=30.0}",
)
CONTEXT = {"background.components": [SLAB], "background.components.beamstop": [SLAB, STOP],
           "readout.stages": ["readout.stages={up_to_kev=400.0, gain_adu_per_kev=36.0}"]}  # fmt: skip
"""What a table needs before any of its keys can be tried."""
SPECTRA = {"gaussian": ("fwhm_percent", "fwhm_ev"),
           "sase": ("duration_fs", "jitter_ev", "fixed_energy", "seed", "shot", "n_wavelengths")}  # fmt: skip
WITH = {"beam.sources.direction": "beam.sources.wavelength_angstrom=[1, 1]", "beam.flux_per_s": "beam.size_mm=0.1",
        "beam.sources.wavelength_angstrom": "beam.sources.direction=[[-1, 0, 0], [-1, 0, 0]]",
        "readout.psf.kernel": "readout.psf.kind=array", "readout.rate.pulse_rate_hz": "readout.kind=counting",
        "readout.rate.max_per_s": "readout.kind=counting", "crystal.block_matrix": "crystal.shape=gauss",
        "crystal.mosaic.covariance_deg2": "crystal.mosaic.model=gaussian",
        "crystal.mosaic.rotations": "crystal.mosaic.model=given",
        "crystal.mosaic.weights": "crystal.mosaic={model='given', rotations=[[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]}",
        **{f"beam.spectrum.{key}": f"beam.spectrum.kind={kind}" for kind, keys in SPECTRA.items() for key in keys},
        "beam.spectrum.separation_ev": "beam.spectrum={kind='two_color', separation_ev=50.0}",
        "beam.spectrum.ratio": "beam.spectrum={kind='two_color', separation_ev=50.0}",
        "beam.spectrum.sigma_low_ev": "beam.spectrum={kind='pink', sigma_high_ev=30.0}",
        "beam.spectrum.sigma_high_ev": "beam.spectrum={kind='pink', sigma_low_ev=60.0}",
        "beam.spectrum.energy_ev": "beam.spectrum={kind='given', energy_ev=[9000.0, 9010.0]}",
        "beam.spectrum.wavelength_angstrom": "beam.spectrum={kind='given', wavelength_angstrom=[1.0, 1.001]}",
        "beam.spectrum.weight": "beam.spectrum={kind='given', energy_ev=[9000.0, 9010.0]}",
        "beam.sources.weight": "beam.sources={direction=[[-1, 0, 0], [-1, 0, 0]], wavelength_angstrom=[1, 1]}"}  # fmt: skip


def test_every_setting_stands_in_the_commented_file():
    """With every comment sign taken away it is TOML; what it shows is a default, or an example that can be used."""
    text = commented_toml()
    plain = read_toml_text(text)
    tomllib.loads(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.M))
    path, seen, context = "", 0, []
    for line in text.splitlines():
        table, setting = re.fullmatch(r"(?:# )?\[\[?(.*?)\]?\]", line), re.fullmatch(r"# ((\w+) = .*?)(  # .*)?", line)
        if table:
            path = f"{table[1]}."
            context = CONTEXT.get(table[1], [])
            bare = [f"{table[1]}={{}}"] if line.startswith("# ") and table[1] != "beam.sources" else []
            plain = read_toml("x.toml", context or bare)
        if setting is None or path + setting[2] in FILES:
            continue
        key = path + setting[2]
        changes = [text for text in (INSTEAD.get(key), WITH.get(key)) if text]
        changed = read_toml("x.toml", [*context, *changes, f"{path}{setting[1]}".replace(" = ", "=", 1)])
        if "# example" not in line:
            without = read_toml("x.toml", [*context, *changes]) if changes else plain
            assert changed.experiment.to_json() == without.experiment.to_json(), line
            assert vars(changed.run) == vars(without.run), line
            assert plain_data(changed.readout) == plain_data(without.readout), line
        seen += 1
    assert seen > 115


def read_toml_text(text):
    open("x.toml", "w").write(text)
    return read_toml("x.toml")


def test_an_experiment_survives_toml():
    before = experiment(sensor=nb.Sensor(thickness_um=300.0, attenuation_um=200.0, n_layers=2)).replace(
        "beam.divergence", nb.Divergence(h_mrad=1.0, n_h=2)
    )
    before = before.replace("sampling.roi", (slice(2, 10), slice(0, 15)))
    after = read_toml_text(experiment_toml(before, {"default_F": 50.0})).experiment
    assert after.equals(before)
    from nanobragg.derivation import panels

    before = panels.split(experiment(n_fast=24, n_slow=20), 2, 2).replace("detector_pose", nb.Pose(shift_mm=(1, 2, 3)))
    after = read_toml_text(experiment_toml(before, {"default_F": 50.0})).experiment
    assert after.equals(before)
    reference = experiment().with_fidelity("reference")
    assert read_toml_text(experiment_toml(reference)).experiment.fidelity == "reference"


def test_files_named_in_toml_are_relative_to_it(tmp_path, monkeypatch):
    hkl, amplitude = unique_list(d_min=12)
    os.mkdir("sub")
    write("sub/x.mtz", [("FP", "F", amplitude)], hkl=hkl)
    mask = np.ones((6, 8), np.uint16)
    mask[2] = 0
    nb.io.write_smv("sub/mask.img", mask)
    open("sub/e.toml", "w").write("""[crystal]
n_cells = [5, 5, 5]
[crystal.structure_factors]
mtz = "x.mtz"
label = "FP"
[detector]
n_fast = 8
n_slow = 6
pixel_size_mm = 5
mask = "mask.img"
""")
    found = read_toml("sub/e.toml").experiment
    assert found.crystal.structure_factors.space_group == "P 43 21 2" and found.crystal.unit_cell.a == 79.1
    np.testing.assert_array_equal(found.detector.mask, mask > 0)


SF = "[crystal.structure_factors]\ndefault_F=5\n"
HEAD = "[crystal]\nn_cells=[5,5,5]\n[crystal.unit_cell]\na=50\nb=50\nc=50\nalpha=90\nbeta=90\ngamma=90\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[beam\n", r"is not TOML: .*line 1"),
        ("[detectr]\n", "detectr=.*no such table; did you mean detector?"),
        ("[crystal]\nn_cell=[5,5,5]\n[crystal.structure_factors]\ndefault_F=5\n", "crystal.n_cell=.*did you mean n_cells?"),
        (HEAD + "[crystal.structure_factors]\nmzt='a'\n", "structure_factors.mzt=.*did you mean mtz?"),
        (HEAD + "[crystal.structure_factors]\nmtz='a'\nhkl='b'\n", "must name one file"),
        (HEAD + "[crystal.structure_factors]\nmodel='a'\n", "d_min_angstrom=None: is required with model"),
        (HEAD + SF + "label='F'\n", "label='F': belongs to mtz or cif"),
        (HEAD + SF + "[run]\nimages=3\n", "did you mean n_images?"),
        (HEAD + SF + "[sampling]\nroi=[1,2,3,4]\n", r"roi=.*must be \[\[slow from, to\]"),
        (HEAD + SF + "[detector]\nn_fast='many'\n", "must be an integer"),
        (HEAD, r"crystal.structure_factors=\{...\}: holds no structure factors; name a file \(mtz"),
        ("beam = 3\n" + HEAD + SF, "beam=3: must be a table; write .beam. above its keys"),
    ],
)  # fmt: skip
def test_experiment_files_that_cannot_be_read(text, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        read_toml_text(text)
    assert "x.toml" in str(caught.value)


def test_changes_that_cannot_be_made(capsys):
    command(capsys, "init")
    for change, message in (("detector.n_fast", "must look like"), ("detector.n_fst=5", "did you mean n_fast?"),
                            ("crystal.n_cells.x=5", "is no table"), ("crystal.n_cells[7]=5", "an index below 3")):  # fmt: skip
        status, _, err = command(capsys, "run", "experiment.toml", "--set", change)
        assert status == 9 and message in err
    status, _, err = command(capsys, "run", "missing.toml")
    assert status == 9 and "missing.toml: cannot be read" in err
    status, _, err = command(capsys, "run", "experiment.toml", "-o", "x.xyz")
    assert status == 9 and "suffix of no known image format" in err


def test_run_writes_a_scan_in_every_format(capsys):
    command(capsys, "init")
    common = ("--set", "detector.n_fast=20", "--set", "detector.n_slow=16", "--set", "goniometer.osc_deg=0.5", "-n", "2",
              "--set", "run.seed=1", "--set", "run.sidecar=true")  # fmt: skip
    stacks = []
    for output, expected in (("a.nxs", "a.nxs"), ("b_##.cbf", "b_01.cbf b_02.cbf"), ("c.img", "c_0001.img c_0002.img"),
                             ("d.tif", "d_0001.tif d_0002.tif")):  # fmt: skip
        status, out, err = command(capsys, "run", "experiment.toml", *common, "-o", output)
        assert (status, out.split(), err) == (0, expected.split(), "")
        names = out.split()
        stacks.append(
            np.stack([read_image(names[0], i) for i in (1, 2)] if len(names) == 1 else [read_image(n) for n in names])
        )
    for stack in stacks[1:]:
        np.testing.assert_array_equal(stack, stacks[0])  # one seed, one noise
    assert {"a.expt", "b.expt", "c.expt", "d.expt"} <= set(os.listdir())
    raw = ("--set", "run.noise=false", "--set", "detector.n_fast=20", "-o", "e.bin")
    assert command(capsys, "run", "experiment.toml", *raw)[0] == 0
    assert os.path.getsize("e.bin") == 4 * 20 * 512


def test_convert_between_geometry_files(capsys):
    before = experiment()
    before.to_dials("a.expt")
    hops = ["a.expt", "XDS.INP", "XPARM.XDS", "b.toml", "c.expt"]
    for source, target in itertools.pairwise(hops):
        assert command(capsys, "convert", source, target) == (0, f"{target}\n", "")
    after = nb.Experiment.from_dials("c.expt", before).replace("beam.kahn_factor", 0.7)  # XPARM has no polarization
    first, second = nb.simulate(before), nb.simulate(after)
    assert np.abs(first - second).max() < SAME * first.max()
    still = before.replace(goniometer=nb.Goniometer())
    still.to_dials("s.expt")
    assert command(capsys, "convert", "s.expt", "d.geom")[0] == 0
    assert command(capsys, "convert", "d.geom", "e.expt", "--stream", "d.stream")[0] == 0
    after = nb.Experiment.from_dials("e.expt", still)
    first, second = nb.simulate(still), nb.simulate(after)
    assert np.abs(first - second).max() < SAME * first.max()
    assert command(capsys, "convert", "a.expt", "f.mat")[0] == 0
    assert "write --wavelength" in command(capsys, "convert", "f.mat", "g.expt")[2]
    before.to_toml("before.toml")  # supplies the wavelength, the detector and the scan that a matrix has not
    assert command(capsys, "convert", "f.mat", "g.expt", "--template", "before.toml") == (0, "g.expt\n", "")
    assert command(capsys, "convert", "f.mat", "g.toml", "--template", "before.toml") == (0, "g.toml\n", "")
    assert nb.Experiment.from_toml("g.toml").crystal.n_cells == before.crystal.n_cells
    for after in (nb.Experiment.from_dials("g.expt", before), nb.Experiment.from_toml("g.toml")):
        first, second = nb.simulate(before), nb.simulate(after)
        assert np.abs(first - second).max() < 1e-4 * first.max()  # eight decimals of the matrix: measured 5.5e-6
    assert "no known format" in command(capsys, "convert", "a.expt", "g.xyz")[2]
    assert "no known format" in command(capsys, "convert", "f.mat", "g.xyz", "--template", "before.toml")[2]
    open("junk", "w").write("hello\n")
    assert "not a geometry file that is known" in command(capsys, "convert", "junk", "g.expt")[2]


def test_convert_between_image_formats(capsys):
    e = flat()
    images = [nb.add_noise(image, seed=i) for i, image in enumerate(nb.simulate_scan(e, 3))]
    write_nxmx("a.nxs", images, e)
    assert command(capsys, "convert", "a.nxs", "b_##.cbf", "--expt")[0] == 0
    assert command(capsys, "convert", "b_01.cbf", "b_02.cbf", "b_03.cbf", "c.nxs")[0] == 0
    assert command(capsys, "convert", "c.nxs", "d_##.tif")[0] == 0
    assert command(capsys, "convert", "d_01.tif", "e_##.img", "--geometry", "b.expt")[0] == 0
    np.testing.assert_array_equal(read_image("e_01.img"), np.where(e.detector.mask, images[0], 0))  # SMV has no -1
    for i in (1, 2, 3):
        np.testing.assert_array_equal(read_image("c.nxs", i), read_image(f"b_{i:02}.cbf"))
        np.testing.assert_array_equal(read_image(f"d_{i:02}.tif"), read_image("c.nxs", i))
    after = nb.Experiment.from_image("c.nxs", e)
    first, second = nb.simulate(e), nb.simulate(after)
    assert np.abs(first - second).max() < 1e-6 * first.max()  # the CBF header's digits; measured 3e-8
    assert read_provenance("b_02.cbf")["converted_from"] == ["a.nxs"]
    assert '"quirks":[]' in read_provenance("b_02.cbf")["source"]
    assert "has no geometry that is read" in command(capsys, "convert", "d_01.tif", "f.cbf")[2]
    assert command(capsys, "convert", "d_01.tif", "f.edf")[0] == 0


def test_view(capsys):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    e = flat()
    write_nxmx("a.nxs", nb.add_noise(nb.simulate(e), seed=1), e)
    assert command(capsys, "view", "a.nxs") == (0, "a.png\n", "")
    with_rings = imread("a.png")
    assert command(capsys, "view", "a.nxs", "--no-rings", "-o", "b.png")[0] == 0
    without = imread("b.png")
    assert with_rings.shape == without.shape and (with_rings != without).any()
    blue = (with_rings[..., 2] > with_rings[..., 0] + 0.2).sum()
    assert blue > 100 and (without[..., 2] > without[..., 0] + 0.2).sum() == 0, "rings are blue"
    nb.io.write_float("c.bin", nb.simulate(e))
    assert "write --size FAST SLOW" in command(capsys, "view", "c.bin")[2]
    assert command(capsys, "view", "c.bin", "--size", "30", "26")[0] == 0
    assert "holds images 1 to 1" in command(capsys, "view", "a.nxs", "-n", "2")[2]


def test_resolution_is_braggs_law():
    from nanobragg.exchange.geometry import of_experiment
    from nanobragg.inspection.pictures.drawing import resolution

    e = flat().replace("detector", nb.Detector(n_fast=100, n_slow=100, pixel_size_mm=1.0, distance_mm=100.0))
    geometry = of_experiment(e)
    d = resolution(geometry.panels[0], geometry.beam, geometry.wavelength, np.array([100.0]), np.array([50.0]))
    assert d[0] == pytest.approx(1.1 / (2 * np.sin(np.arctan(0.5) / 2)), rel=1e-12)  # 50 mm off axis at 100 mm


SMALL = ("-N", "5", "-detpixels", "20", "-pixel", "5", "-nopgm", "-noprogress", "-oversample", "1")


def test_structure_factors_with_symmetry_on_the_command_line(capsys):
    hkl, amplitude = unique_list(d_min=4)
    write("x.mtz", [("FP", "F", amplitude), ("FC", "F", 2 * amplitude)], hkl=hkl)
    status, out, err = command(capsys, "--mtz", "x.mtz", "--label", "FP", *SMALL)
    assert status == 0 and "structure factors from x.mtz" in out and "from P 43 21 2" in out
    one = np.fromfile("floatimage.bin", np.float32)
    status, _, err = command(capsys, "--mtz", "x.mtz", *SMALL)
    assert "structure factors are taken from FC; also there: FP" in err
    np.testing.assert_allclose(np.fromfile("floatimage.bin", np.float32), 4 * one, rtol=1e-5)
    assert not os.path.exists("Fdump.bin"), "a dump is written for -hkl only"
    experiment = nb.Experiment.from_nanobragg_args(["--mtz", "x.mtz", "--label", "FP", *SMALL])
    assert experiment.crystal.unit_cell.a == 79.1
    for args, message in (
        (("--mtz", "x.mtz", "-hkl", "P1.hkl"), "--mtz and -hkl: give one of them"),
        (("--mtz", "x.mtz", "--model", "x.pdb"), "--mtz and --model: give one of them"),
        (("--mtz", "x.mtz", "--label", "FX"), "has no column FX; usable: FC, FP"),
        (("--mtz", "none.mtz"), "none.mtz: cannot be read"),
        (("--model", "x.pdb"), "the resolution is missing; write --d-min ANGSTROM"),
        (("--model", "none.pdb", "--d-min", "3"), "none.pdb: cannot be read"),
        (("-default_F", "1", "-cell", "50", "--label", "FP"), "--label: belongs to --mtz FILE"),
    ):
        status, _, err = command(capsys, *args, *SMALL)
        assert status == 9 and message in err, err


def test_help_and_import_stay_light():
    heavy = "torch,matplotlib,h5py,gemmi,fabio,hdf5plugin"
    mains = [
        f"from nanobragg.cli.main import main; main({args})" for args in (["--help"], ["run", "--help"], ["init", "-"])
    ]
    for code in ("import nanobragg", "import nanobragg.io", *mains):
        script = f"import sys; {code}; print([m for m in '{heavy}'.split(',') if m in sys.modules], file=sys.stderr)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd="/")
        assert done.stderr.strip() == "[]", code


LIQUID = """
fidelity = "corrected"
[crystal]
n_cells = [5, 5, 5]
[crystal.unit_cell]
a = 79.1
b = 79.1
c = 37.9
alpha = 90.0
beta = 90.0
gamma = 90.0
[crystal.structure_factors]
default_F = 100.0
[beam]
flux_per_s = 1e11
size_mm = 0.1
[detector]
n_fast = 60
n_slow = 50
pixel_size_mm = 1.0
[[background]]
thickness_mm = 0.5
[[background]]
table = "own.stol"
density_g_cm3 = 1.0
molar_mass_g = 18.0
along_beam_mm = [-10, 10]
[readout]
kind = "counting"
bits = 20
[readout.maps]
dead_fraction = 0.01
[run]
output = "liquid.cbf"
seed = 3
"""


def test_background_and_readout_from_toml(capsys):
    """The photons of the file, counted by the file's detector: those of expose with the same seed."""
    open("own.stol", "w").write("0 5\n1 4\n")
    open("liquid.toml", "w").write(LIQUID)
    plan = read_toml("liquid.toml")
    assert [c.density_g_cm3 for c in plan.experiment.background.components] == [None, 1.0]
    assert command(capsys, "run", "liquid.toml")[:2] == (0, "liquid_0001.cbf\n")
    exposure = nb.expose(plan.experiment, plan.readout, seed=3)
    counts = read_image("liquid_0001.cbf")
    assert np.array_equal(counts, exposure.counts) and counts.dtype == np.int32
    assert (counts == -2).sum() == (exposure.flags == 2).sum() > 0
    record = read_provenance("liquid_0001.cbf")
    assert record["noise_seed"] == 3 and record["readout"]["kind"] == "counting"
    status, _, err = command(capsys, "run", "liquid.toml", "--set", "run.adc_offset=4")
    assert status == 9 and "readout.offset_adu" in err
    assert command(capsys, "run", "liquid.toml", "--set", "run.noise=false", "-o", "expected.nxs")[0] == 0
    found, record = read_image("expected.nxs"), read_provenance("expected.nxs")
    assert found.dtype == np.float32 and np.array_equal(found, np.float32(exposure.expected))
    assert "noise_seed" not in record and record["readout"]["kind"] == "counting"


def test_components_survive_toml():
    stop = nb.Beamstop(radius_mm=1.0, distance_mm=30.0)
    bodies = (nb.Amorphous(thickness_mm=1.0), nb.Amorphous(table="air", along_beam_mm=(-3.0, 20.0), beamstop=stop))
    before = experiment().replace(background=nb.Background(components=bodies))
    assert read_toml_text(experiment_toml(before, {"default_F": 50.0})).experiment.equals(before)
