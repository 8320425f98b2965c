"""The original's matching rule: facts of docs/command.md, Matching of flags, most of them observed on the original itself."""

from __future__ import annotations

import pytest

from nanobragg.errors import QuirkWarning, UsageError
from nanobragg.exchange.command_line.numbers import atof, atoi, strict_float, strict_int
from nanobragg.exchange.command_line.parse import parse_lenient, parse_strict, split_own
from nanobragg.exchange.command_line.settings import Settings, settled


def lenient(text: str) -> Settings:
    return settled(parse_lenient(text.split()).occurrences, Settings())


def strict(text: str) -> Settings:
    return settled(parse_strict(text.split()).occurrences, Settings())


def notes(text: str) -> str:
    return "\n".join(note.text for note in parse_lenient(text.split()).notes)


@pytest.mark.parametrize("token", ["-hkl", "-hklfile", "--hkl", "-foo-hkl", "-hkl=xyz"])
def test_substring_class_matches_anywhere_in_the_token(token: str) -> None:
    assert lenient(f"{token} F.hkl").get("hkl") == "F.hkl"


@pytest.mark.parametrize(("text", "name"), [
    ("-dist 50", "distance"), ("--N 10", "n_a"), ("--phi 5", "phi"), ("--detpixels 64", "n_fast"), ("-HKL f", "hkl"),
    ("hkl f", "hkl"), ("-detector_thickness 3", "thickness"), ("-detsize_x 3", "size_fast"), ("-hdiv 3", "h_range"),
    ("-dispstep 3", "dispsteps"), ("-polarization 0.5", "kahn"), ("-phi0 3", "phi"), ("-Polar 1", "kahn"),
])  # fmt: skip
def test_what_does_not_match_is_ignored(text: str, name: str) -> None:
    assert name not in lenient(text)
    assert "ignored" in notes(text)


def test_exact_class() -> None:
    settings = lenient(
        "-phi 5 -phistep 0.1 -phisteps 7 -mosaic 1 -mosaic_domains 3 -mosaic_seed 4 -hdivstep 2 -hdivsteps 3"
    )
    names = ("phi", "phistep", "phisteps", "mosaic", "mosaic_domains", "mosaic_seed", "h_step", "n_h")
    assert [settings.get(name) for name in names] == [5.0, 0.1, 7, 1.0, 3, 4, 2.0, 3]


@pytest.mark.parametrize("flag", ["-mosaic", "-mosaicity", "-mosaic_spread", "-mosaici"])
def test_spellings_of_mosaic(flag: str) -> None:
    assert lenient(f"{flag} 0.7").get("mosaic") == 0.7


@pytest.mark.parametrize(
    ("text", "pixel"), [("-pixel=0.8 1", 1.0), ("-pixel 0.2 -pixel 0.3", 0.3), ("-pixel_size 0.4", 0.4)]
)
def test_equals_sign_is_no_value_and_the_last_wins(text: str, pixel: float) -> None:
    assert lenient(text).get("pixel") == pixel


def test_values_are_not_consumed() -> None:
    settings = lenient("-hkl -lambda 1.5")
    assert (settings.get("hkl"), settings.get("wavelength")) == ("-lambda", 1.5)
    assert "read as the flag -lambda too" in notes("-hkl -lambda 1.5")
    assert lenient("-pgmfile -nopolar").get("nopolar") is True


def test_negative_numbers_are_values_except_in_cell() -> None:
    assert lenient("-misset -1 -2 -3").get("misset") == (-1.0, -2.0, -3.0)
    assert lenient("-cell 50 60 -70 90 90 90").cell == [50.0, 60.0, 0.0, 0.0, 0.0, 0.0]


def test_a_shorter_cell_keeps_what_an_earlier_one_said() -> None:
    assert lenient("-cell 50 60 70 80 85 95 -cell 40 45").cell == [40.0, 45.0, 70.0, 80.0, 85.0, 95.0]


@pytest.mark.parametrize("flag", ["-oversample_thick", "-oversample_polar", "-oversample_omega"])
def test_a_stop_keeps_the_switches_from_being_oversample(flag: str) -> None:
    settings = lenient(f"{flag} 5")
    assert "oversample" not in settings
    assert settings.get(flag[1:]) is True


def test_ncells_sets_only_nc() -> None:
    settings = lenient("-Ncells 7")
    assert (settings.get("n_a"), settings.get("n_c")) == (None, 7)
    assert "-Ncells is read as -Nc" in notes("-Ncells 7")


def test_switches_work_as_the_last_token_but_curved_det_does_not() -> None:
    assert lenient("-nopolar").get("nopolar") is True
    assert "curved" not in lenient("-curved_det")
    assert lenient("-curved_det x").get("curved") is True


@pytest.mark.parametrize(
    "flag", ["-lambda", "-N", "-hkl", "-misset 1 2", "-roi 1 2 3", "-cell", "-fdet_vector 1 0", "-phi"]
)
def test_missing_values_are_ignored_with_a_note(flag: str) -> None:
    assert not lenient(flag).values
    assert f"{flag.split()[0]} is ignored" in notes(flag)


@pytest.mark.parametrize("flag", ["-detector_abs", "-detector_thick", "-detector_thicksteps", "-thicksteps"])
def test_the_sensor_flags_crash_the_original_and_are_errors_here(flag: str) -> None:
    with pytest.raises(UsageError, match="value missing"):
        parse_lenient(["-N", "5", flag])


def test_misset_seed_also_fires_misset() -> None:
    settings = lenient("-misset random -misset_seed 42 -phi 7.5")
    assert settings.get("misset_seed") == 42
    assert settings.get("misset") == (42.0, 0.0, 7.5)
    assert lenient("-misset random -misset_seed 42").get("misset") == "random"
    assert lenient("-misset_seed 42 -misset random -N 5").get("misset") == "random"
    assert strict("-misset random -misset_seed 42 -phi 7.5").get("misset") == "random"


def test_the_collision_is_noted_as_a_quirk_unless_a_later_flag_undoes_it() -> None:
    def quirks(text: str) -> list[str]:
        return [note.text for note in parse_lenient(text.split()).notes if note.category is QuirkWarning]

    assert "MISSET_SEED_SETS_MISSET" in quirks("-misset_seed 42 -phi 7.5 -N 5")[0]
    assert quirks("-misset_seed 42 -misset random -N 5") == []
    assert "TWOTHETA_AXIS_SETS_ANGLE" in quirks("-twotheta_axis 0.5 0 1")[0]
    assert quirks("-twotheta_axis 0.5 0 1 -twotheta 3") == []


def test_twotheta_axis_also_fires_twotheta() -> None:
    assert lenient("-twotheta 10 -twotheta_axis 1 0 0").get("twotheta") == 1.0
    assert lenient("-twotheta_axis 1 0 0 -twotheta 10").get("twotheta") == 10.0
    assert lenient("-twotheta_axis 1 0 0").pivot_state == "sample"
    assert strict("-twotheta 10 -twotheta_axis 1 0 0").get("twotheta") == 10.0


def test_printout_pixel_turns_printout_on() -> None:
    assert lenient("-printout_pixel 3 4").get("printout") is True
    short = lenient("-printout_pixel 3")
    assert short.get("printout") is True and "printout_pixel" not in short


@pytest.mark.parametrize(("text", "value"), [
    ("1.5abc", (1.5, False)), ("abc", (0.0, False)), ("1e3", (1000.0, True)), (" 7", (7.0, True)), ("0x10", (16.0, True)),
    ("-.5", (-0.5, True)), ("1e", (1.0, False)), ("inf", (float("inf"), True)), ("", (0.0, False)),
])  # fmt: skip
def test_atof(text: str, value: tuple[float, bool]) -> None:
    assert atof(text) == value


@pytest.mark.parametrize(("text", "value"), [
    ("1e3", (1, False)), ("10.7", (10, False)), ("-4", (-4, True)), ("abc", (0, False)), ("4294967297", (1, True)),
    ("99999999999999999999", (-1, True)),
])  # fmt: skip
def test_atoi_is_a_32_bit_prefix(text: str, value: tuple[int, bool]) -> None:
    assert atoi(text) == value


def test_strict_numbers() -> None:
    assert [strict_int(t) for t in ("1e3", "10.0", "-7", "10.5", "abc", "1e10", "")] == [
        1000,
        10,
        -7,
        None,
        None,
        None,
        None,
    ]
    assert [strict_float(t) for t in ("1e3", "nan", "inf", "1x", "-2.5")] == [1000.0, None, None, None, -2.5]


@pytest.mark.parametrize("text", ["-lambda 2", "--lambda 2", "-lambda=2", "--lambda=2", "-wavelength 2", "-wave=2"])
def test_strict_spellings(text: str) -> None:
    assert strict(text).get("wavelength") == 2.0


def test_strict_consumes_by_arity() -> None:
    settings = strict("-pgmfile -nopolar -misset=1,-2,3 -roi 1 2 3 4 --N 1e1 -cell 50 -curved_det")
    assert "nopolar" not in settings and settings.get("pgmfile") == "-nopolar"
    assert settings.get("misset") == (1.0, -2.0, 3.0) and settings.get("n_c") == 10
    assert settings.cell[0] == 50.0 and settings.get("curved") is True


@pytest.mark.parametrize(("text", "says"), [
    ("-foo", "unknown flag"), ("-distence 3", "did you mean -distance"), ("-detsize_x 3", "the working name is -detsize_f"),
    ("-Ncells 7", "unknown flag"), ("stray", "neither a flag"), ("-N", "takes 1 value"), ("-N abc", "not an integer"),
    ("-N 10.5", "not an integer"), ("-lambda 1x", "not a number"), ("-lambda nan", "not a number"),
    ("-misset 1 2", "takes 3 values"), ("-nopolar=1", "takes no value"), ("-cell", "1 to 6 values"), ("-hdiv 1", "-hdivrange"),
])  # fmt: skip
def test_strict_refuses_what_it_does_not_understand(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("(", "[(]")):
        parse_strict(text.split())


def test_our_own_options_are_taken_out_first() -> None:
    own, rest = split_own("-N 5 --threads 3 --kernel=scalar --strict -lambda 1 --memory 0.5".split())
    assert own == {"threads": 3, "kernel": "scalar", "strict": True, "memory": 0.5}
    assert rest == ["-N", "5", "-lambda", "1"]
    with pytest.raises(UsageError, match="--threads: value missing"):
        split_own(["--threads"])
    with pytest.raises(UsageError, match="not an integer"):
        split_own(["--threads", "many"])


def test_no_option_of_ours_contains_a_flag_of_the_original() -> None:
    from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS

    assert [(own.name, flag.name) for own in OWN_OPTIONS for flag in FLAGS if flag.matches(own.name)] == []


def test_every_spelling_of_the_table_is_matched_by_its_own_rule() -> None:
    from nanobragg.exchange.command_line.flags import FLAGS

    # the exact class is the only one whose further spellings the rule itself does not take
    for flag in FLAGS:
        for spelling in flag.spellings:
            assert flag.matches(spelling), spelling


def test_every_flag_has_a_text_in_the_help() -> None:
    from nanobragg.cli.dropin.usage import _entry
    from nanobragg.exchange.command_line.flags import FLAGS, OWN_OPTIONS

    for flag in (*FLAGS, *OWN_OPTIONS):
        first, *more = _entry(flag)
        text = (first[34:] if len(first) > 34 else "") + "".join(more).strip()
        assert text and not text.startswith(("[", "default", "also", "None")), f"{flag.name}: {text!r}"
