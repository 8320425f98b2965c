"""The script of `nanoBragg completion`, in the shell that it is for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Result

from nanobragg.cli.dropin.usage import SUBCOMMANDS
from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS

Run = Callable[..., Result]
bash = shutil.which("bash")
pytestmark = pytest.mark.skipif(bash is None, reason="there is no bash")


@pytest.fixture
def completed(run: Run, tmp_path: Path):
    """What bash offers for the last of some words."""
    script = tmp_path / "completion.sh"
    done = run("completion bash")
    assert done.status == 0
    script.write_text(done.out)

    def offered(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("nanoBragg", *words))
        commands = (f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _nanobragg; "
                    'printf "%s\\n" "${COMPREPLY[@]}"')  # fmt: skip
        found = subprocess.run([bash, "--norc", "-c", commands], capture_output=True, text=True, check=True, timeout=60)
        assert not found.stderr
        return [line for line in found.stdout.splitlines() if line]

    return offered


def test_words_and_flags_are_offered_first(completed) -> None:
    found = completed("")
    assert set(SUBCOMMANDS) <= set(found)
    assert {name for flag in (*FLAGS, *OWN_OPTIONS) for name in flag.spellings} <= set(found)
    assert completed("vi") == ["view"]
    assert set(completed("-mosaic_d")) == {"-mosaic_domains", "-mosaic_dom"}
    assert set(completed("-mat", "A.mat", "-lamb")) == {"-lambda"}


def test_options_of_words_are_those_of_their_parsers(completed) -> None:
    assert set(completed("view", "--n")) == {"--number", "--no-rings"}
    assert "--max-diff" in completed("compare", "--m")
    assert completed("noisify", "-psf_f")[0].startswith("-psf_f")
    assert completed("completion", "z") == ["zsh"]
    for word in SUBCOMMANDS:
        assert completed(word, "-"), word


def test_choices_follow_their_option(completed) -> None:
    assert set(completed("compare", "--backends", "")) == {"c", "torch"}


def test_flags_are_offered_behind_the_dashes_of_a_tool(completed) -> None:
    assert "-misset" in completed("explain", "--", "-mis")
    assert not completed("explain", "-mis")


def test_names_of_files_are_left_to_the_shell(completed) -> None:
    assert completed("view", "ima") == [] and completed("-hkl", "P1") == []


def test_another_shell_is_refused_by_name(run: Run) -> None:
    done = run("completion fish")
    assert done.status == 9 and "bash" in done.err and "zsh" in done.err


def test_the_script_for_zsh_loads_what_it_needs(run: Run) -> None:
    first, *rest = run("completion zsh").out.splitlines()
    assert "bashcompinit" in first and rest == run("completion bash").out.splitlines()
