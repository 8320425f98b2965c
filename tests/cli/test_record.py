"""What the SMV files of the command record: nothing but the original's header, or the set of quirks and the seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import SMALL, Result

from nanobragg.config.quirks import REFERENCE
from nanobragg.exchange.command_line.headers import read_header
from nanobragg.exchange.images.provenance import read_provenance
from nanobragg.io import read_smv
from nanobragg.io.images.embedded import SMV_KEY

Run = Callable[..., Result]
RUN = (
    SMALL
    + " -seed 5 -adc 7 -mosaic 0.5 -mosaic_domains 2 -mosaic_seed 11 -misset random -misset_seed 42 -phi 10 -osc 1"
)


@pytest.mark.parametrize("options", ["", "--fidelity reference", "--quirks all", "--strict"])
def test_reference_headers_hold_the_original_s_keys_only(run: Run, tmp_path: Path, options: str) -> None:
    assert run(options, SMALL, "-seed 5").status == 0
    for name in ("intimage.img", "noiseimage.img"):
        data = (tmp_path / name).read_bytes()
        assert data.startswith(b"{\nHEADER_BYTES=512;\nDIM=2;\n") and len(data) == 512 + 2 * 16 * 16
        assert SMV_KEY.encode() not in data and data[:512].count(b"=") == 27  # lines 2 to 28 of docs/file_formats.md


@pytest.mark.parametrize(("options", "fidelity", "quirks"), [
    ("--fidelity corrected", "corrected", []),
    ("--quirks none --strict", "corrected", []),
    ("--quirks STALE_PHI_ZERO,PIVOT_FORCED --strict", None, ["PIVOT_FORCED", "STALE_PHI_ZERO"]),
    ("--fidelity corrected --quirks PIVOT_FORCED", None, ["PIVOT_FORCED"]),
])  # fmt: skip
def test_other_headers_record_quirks_and_seeds(
    run: Run, tmp_path: Path, options: str, fidelity: str | None, quirks: list[str]
) -> None:
    done = run(options, "--kernel scalar", RUN)
    assert done.status == 0, done.err
    for name in ("intimage.img", "noiseimage.img"):
        record = read_provenance(tmp_path / name)
        assert record["experiment"]["quirks"] == quirks
        assert fidelity is None or record["experiment"]["fidelity"] == fidelity
        assert record["noise_seed"] == 5 and record["adc_offset"] == 7 and record["backend"] == "c"
        crystal = record["experiment"]["crystal"]
        assert crystal["misset_seed"] == 42 and crystal["mosaic"]["seed"] == 11
        assert len((tmp_path / name).read_bytes()) % 512 == 0  # 16 x 16 pixels are one block, the header whole ones


def test_seeds_from_the_system_are_recorded_and_repeat_the_run(run: Run, tmp_path: Path) -> None:
    flags = RUN.replace("-seed 5 ", "").replace(" -misset_seed 42", "")
    assert run("--fidelity corrected --kernel scalar", flags).status == 0
    first, record = read_smv(tmp_path / "noiseimage.img")[0], read_provenance(tmp_path / "noiseimage.img")
    again = f"-seed {record['noise_seed']} -misset_seed {record['experiment']['crystal']['misset_seed']}"
    assert run("--fidelity corrected --kernel scalar", flags, again).status == 0
    assert (read_smv(tmp_path / "noiseimage.img")[0] == first).all()


def test_without_noise_no_noise_seed_is_recorded(run: Run, tmp_path: Path) -> None:
    assert run("--fidelity corrected", SMALL, "-nonoise").status == 0
    assert "noise_seed" not in read_provenance(tmp_path / "intimage.img")


@pytest.mark.parametrize("strict", [True, False])
def test_the_geometry_reads_back_by_either_rule(run: Run, tmp_path: Path, strict: bool) -> None:
    """The original looks for letters anywhere, so the compressed record must come before the keys that it could hide."""
    assert run("--fidelity corrected", SMALL, "-phi 30 -osc 2 -Xbeam 3 -Ybeam 4").status == 0
    header, _ = read_header(str(tmp_path / "intimage.img"), strict)
    wanted = {"PIXEL_SIZE": 0.4, "WAVELENGTH": 1, "DISTANCE": 100, "PHI": 30, "OSC_RANGE": 2, "SIZE1": 16}
    assert {key: header[key] for key in wanted} == wanted
    text = (tmp_path / "intimage.img").read_bytes()
    assert text.index(SMV_KEY.encode()) < text.index(b"PIXEL_SIZE")


def test_the_demo_records_its_seed(spawn: Run, tmp_path: Path) -> None:
    assert spawn("demo").status == 0
    record = read_provenance(tmp_path / "nanobragg_demo" / "demo.img")
    assert record["noise_seed"] == 7 and record["experiment"]["fidelity"] == "corrected"


def test_the_reference_set_is_the_full_one() -> None:
    """What `--quirks all` means, and so when a header stays the original's."""
    from nanobragg.exchange.command_line.reading import read_command

    assert read_command([*SMALL.split(), "--quirks", "all"]).quirks == REFERENCE
