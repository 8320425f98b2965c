"""Space groups keep their operations through every file."""

import json

import gemmi
import pytest

import nanobragg as nb
from nanobragg.cli.main import main
from nanobragg.io import space_groups
from tests.field.field_inputs import FIELD, TEMPLATE, warned

HALLS = FIELD / "f02_space_groups" / "halls.expt"
XPARM = FIELD / "f02_space_groups" / "XPARM.XDS"
GROUPS = [
    (" P 4 2", 8, 89), (" P 6 2", 12, 177), (" I 2 2 3", 24, 197), (" P 4abw 2nw", 8, 92), (" P 4nw 2abw", 8, 96),
    (" P 2ac 2ab", 4, 19), (" C 2y", 4, 5), (" C 2y (x,y,-x+z)", 4, 1), ("-P 2yn", 4, 1), (" P 61 2 (x,y,z+5/12)", 12, 178),
    (' P 31 2"', 6, 152), (' R 3 2"', 18, 155), (" P 3* 2", 6, 1), ("-P 4 2", 16, 123), (" A 2a 2a", 8, 1),
    (" I 2 2 3 (y+z,x+z,x+y)", 12, 1), (" C 2y (x+y,x-y,-z)", 2, 1), (" F 4d 2 3", 96, 210),
]  # fmt: skip
"""Hall symbol, number of operations, and the number that XDS gets: 1 where the setting is not the one that it knows."""


def operations(hall):
    return gemmi.symops_from_hall(hall)


def hall_in(path):
    return json.loads(path.read_text())["crystal"][0]["space_group_hall_symbol"]


def number_in(path):
    return int(path.read_text().splitlines()[3].split()[0])


@pytest.mark.parametrize("index", range(len(GROUPS)))
def test_hall_symbols(tmp_path, index):
    hall, n, number = GROUPS[index]
    assert main(["convert", str(HALLS), str(tmp_path / "out.expt"), "--index", str(index)]) == 0
    assert operations(hall_in(tmp_path / "out.expt")) == operations(hall)
    assert len(list(operations(hall_in(tmp_path / "out.expt")))) == n
    found = nb.Experiment.from_dials(HALLS, TEMPLATE, index=index)
    found.to_dials(tmp_path / "again.expt")
    assert operations(hall_in(tmp_path / "again.expt")) == operations(hall)
    with warned() as texts:
        found.to_xparm(tmp_path / "XPARM.XDS")
        found.to_xds_inp(tmp_path / "XDS.INP")
    assert number_in(tmp_path / "XPARM.XDS") == number
    assert f"SPACE_GROUP_NUMBER= {number}\n" in (tmp_path / "XDS.INP").read_text()
    named = [text for text in texts if space_groups.group_name(hall) in text and "is not in the setting" in text]
    assert len(named) == (2 if number == 1 else 0)


@pytest.mark.parametrize("group", list(gemmi.spacegroup_table()), ids=lambda g: g.xhm())
def test_every_setting_of_the_tables_comes_back(group):
    hall = space_groups.as_hall(group.hall)
    assert operations(hall) == group.operations() and space_groups.number(hall) == group.number
    assert operations(space_groups.hall_symbol(space_groups.group_name(hall))) == group.operations()
    written = space_groups.standard_number(hall)
    if written is not None:  # XDS then takes it for its own setting, which has the same rotations and centrings
        own = gemmi.SpaceGroup(written).operations()
        assert written == group.number and {str(op.rot) for op in own.sym_ops} == {
            str(op.rot) for op in group.operations().sym_ops
        }
        assert sorted(map(tuple, own.cen_ops)) == sorted(map(tuple, group.operations().cen_ops))


def test_numbers_of_xds(tmp_path):
    lines = XPARM.read_text().splitlines()
    for number in range(1, 231):
        lines[3] = f"{number:6d}" + lines[3][6:]
        (tmp_path / "XPARM.XDS").write_text("\n".join(lines) + "\n")
        nb.Experiment.from_xds(tmp_path / "XPARM.XDS", TEMPLATE).to_dials(tmp_path / "out.expt")
        assert operations(hall_in(tmp_path / "out.expt")) == gemmi.SpaceGroup(number).operations()
        nb.read_geometry(tmp_path / "out.expt", template=TEMPLATE).to_xparm(tmp_path / "back")
        assert number_in(tmp_path / "back") == number


def test_convert_of_xparm(tmp_path):
    assert main(["convert", str(XPARM), str(tmp_path / "out.expt")]) == 0
    assert operations(hall_in(tmp_path / "out.expt")) == operations(" P 4abw 2nw")


def test_a_setting_of_no_table_has_the_number_before_the_parenthesis():
    assert space_groups.number(" I 2 2 3 (y+z,x+z,x+y)") == 197
    assert space_groups.number(" C 2y (x+y,x-y,-z)") == 5
    assert space_groups.standard_number(" P 4 2 (x,y,z+5/24)") == 89  # another origin alone


def test_a_list_whose_symbol_is_none(tmp_path):
    (tmp_path / "x.expt").write_text(HALLS.read_text().replace(" P 61 2 (x,y,z+5/12)", " P 61 2 (x,y,w)"))
    with pytest.raises(nb.FileFormatError, match=r"x\.expt: crystal\[9\]: ' P 61 2 \(x,y,w\)' is not a Hall symbol"):
        nb.Experiment.from_dials(tmp_path / "x.expt", TEMPLATE, index=9)


@pytest.mark.parametrize(("given", "hall"), [(92, " P 4abw 2nw"), ("P 43 21 2", " P 4nw 2abw"), (" P 4 2", " P 4 2"),
                                             ("P 4 2", " P 4c"), ("R 3:R", " P 3*")])  # fmt: skip
def test_the_field_of_the_crystal(tmp_path, given, hall):
    experiment = TEMPLATE.replace("crystal.space_group", given)
    experiment.to_dials(tmp_path / "x.expt")
    assert operations(hall_in(tmp_path / "x.expt")) == operations(hall)
    assert nb.Experiment.from_dict(experiment.to_dict()).crystal.space_group == given
    nb.write_geometry(experiment, tmp_path / "x.toml")
    assert nb.read_geometry(tmp_path / "x.toml").crystal.space_group == given


@pytest.mark.parametrize("given", ["P 99 1", 231, 0, " Q 1", True])
def test_groups_that_are_none(given):
    with pytest.raises(nb.ConfigError, match=r"crystal\.space_group"):
        TEMPLATE.replace("crystal.space_group", given)
