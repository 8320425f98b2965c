"""MTZ, mmCIF and models made here: symmetry against an independent expansion, choice of columns, bad files."""

import gzip

import numpy as np
import pytest

import nanobragg as nb
from nanobragg.config.structure_factors import StructureFactors
from nanobragg.errors import ConfigError, FileFormatError, NanoBraggWarning
from nanobragg.io.reflections.symmetry import absent, expand, operations

gemmi = pytest.importorskip("gemmi", reason="needs gemmi: pip install 'nanobragg[io]'")
LYSOZYME = (79.1, 79.1, 37.9, 90.0, 90.0, 90.0)


def unique_list(group="P 43 21 2", cell=LYSOZYME, d_min=6.0, seed=1):
    """Unique reflections without absences, and random amplitudes."""
    hkl = gemmi.make_miller_array(gemmi.UnitCell(*cell), gemmi.SpaceGroup(group), d_min)
    return np.array(hkl), np.random.default_rng(seed).uniform(10, 100, len(hkl))


def write(path, columns, *, hkl, group="P 43 21 2", cell=LYSOZYME):
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(group) if group else None
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.add_dataset("test")
    for label, kind, _ in columns:
        mtz.add_column(label, kind)
    mtz.set_data(np.column_stack([hkl, *(values for _, _, values in columns)]).astype(np.float32))
    mtz.write_to_file(str(path))
    return path


def by_hand(hkl, plus, minus, group):
    """Every symmetry and Friedel mate, one reflection and one operation (as text) at a time: no code in common."""
    full = {}
    for (h, k, l_), f_plus, f_minus in zip(hkl.tolist(), plus, minus, strict=True):
        for op in gemmi.SpaceGroup(group).operations().sym_ops:
            columns = []
            for axis in "xyz":  # coefficient of this axis in each row of the operation: h' = h R
                coefficient = 0
                for index, row in zip((h, k, l_), op.triplet().split(","), strict=True):
                    sign = 1
                    for letter in row:
                        if letter == axis:
                            coefficient += sign * index
                        sign = -1 if letter == "-" else 1
                columns.append(coefficient)
            full[tuple(columns)] = f_plus
            full.setdefault(tuple(-x for x in columns), f_minus)
    return full


@pytest.mark.parametrize("group", ["P 43 21 2", "C 1 2 1", "P 21 21 21", "P 63 2 2", "H 3", "I 4", "P 1", "F 2 3"])
def test_expansion_against_one_operation_at_a_time(tmp_path, group):
    cell = {
        "C 1 2 1": (60, 40, 30, 90, 105, 90), "P 1": (30, 40, 50, 80, 85, 95), "H 3": (60, 60, 50, 90, 90, 120),
        "P 63 2 2": (60, 60, 50, 90, 90, 120), "P 21 21 21": (40, 50, 60, 90, 90, 90), "F 2 3": (60, 60, 60, 90, 90, 90),
    }.get(group, LYSOZYME)  # fmt: skip
    hkl, amplitude = unique_list(group, cell)
    expected = by_hand(hkl, np.float32(amplitude), np.float32(amplitude), group)
    table = StructureFactors.from_mtz(
        write(tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl, group=group, cell=cell)
    )
    assert table.n_reflections == len(expected)
    hkl, values = table.reflections()
    assert {tuple(h): f for h, f in zip(hkl.tolist(), values, strict=True)} == expected


def test_anomalous_pairs_stay_apart(tmp_path):
    hkl, plus = unique_list()
    minus = plus * 1.5
    centric = gemmi.SpaceGroup("P 43 21 2").operations().centric_flag_array(hkl)
    minus[centric] = plus[centric]
    path = write(tmp_path / "x.mtz", [("F(+)", "G", plus), ("F(-)", "G", minus), ("SIG", "L", plus)], hkl=hkl)
    table = StructureFactors.from_mtz(path)
    expected = by_hand(hkl, np.float32(plus), np.float32(minus), "P 43 21 2")
    got = dict(zip(map(tuple, table.reflections()[0].tolist()), table.reflections()[1], strict=True))
    assert got.keys() == expected.keys()
    h = next(tuple(h) for h, c in zip(hkl.tolist(), centric, strict=True) if not c)
    assert got[h] * 1.5 == pytest.approx(got[tuple(-x for x in h)], rel=1e-6)
    mean = StructureFactors.from_mtz(path, anomalous=False)
    lookup = dict(zip(map(tuple, mean.reflections()[0].tolist()), mean.reflections()[1], strict=True))
    assert lookup[h] == pytest.approx(1.25 * got[h], rel=1e-6)


def test_separate_rows_for_friedel_mates(tmp_path):
    hkl, amplitude = unique_list("P 1", (30, 40, 50, 80, 85, 95))
    both = np.concatenate([hkl, -hkl])
    path = write(tmp_path / "x.mtz", [("FP", "F", np.concatenate([amplitude, 2 * amplitude]))], hkl=both, group="P 1",
                 cell=(30, 40, 50, 80, 85, 95))  # fmt: skip
    table = StructureFactors.from_mtz(path)
    got = dict(zip(map(tuple, table.reflections()[0].tolist()), table.reflections()[1], strict=True))
    assert all(got[tuple(-x for x in h)] == 2 * got[tuple(h)] for h in hkl.tolist())


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        (["FMODEL F", "FC F", "FP F", "I J"], "FMODEL"),
        (["FP F", "FC F", "I J"], "FC"),
        (["F-model F", "FP F"], "F-model"),
        (["I J", "FP F", "F(+) G", "F(-) G"], "FP"),
        (["FWT F", "DELFWT F", "F F", "I J"], "F"),
        (["F_native F", "IMEAN J"], "F_native"),
        (["I(+) K", "I(-) K", "F(+) G", "F(-) G"], "F(+)"),
        (["FWT F", "PHWT P", "IMEAN J", "SIG Q", "IPR J"], "IMEAN"),
    ],
)  # fmt: skip
def test_the_order_of_choice(tmp_path, columns, taken):
    hkl, amplitude = unique_list(d_min=15)
    names = [column.split() for column in columns]
    data = [(name, kind, amplitude + 100 * (i - i % 2)) for i, (name, kind) in enumerate(names)]
    expected = next(values for name, _, values in data if name == taken)
    if dict(names)[taken] in "JK":
        expected = np.sqrt(expected)
    with pytest.warns(NanoBraggWarning, match=r"taken from|square roots"):
        table = StructureFactors.from_mtz(write(tmp_path / "x.mtz", data, hkl=hkl))
    i = tuple(hkl[3] - np.array(table.hkl_min))
    assert table.amplitude[i] == pytest.approx(expected[3], rel=1e-6)


def test_label_choice_by_name_and_intensities(tmp_path):
    hkl, amplitude = unique_list(d_min=15)
    intensity = amplitude**2
    intensity[0] = -5
    path = write(tmp_path / "x.mtz", [("FC", "F", amplitude), ("IMEAN", "J", intensity)], hkl=hkl)
    with pytest.warns(NanoBraggWarning, match=r"square roots of the intensities IMEAN; 1 negative"):
        table = StructureFactors.from_mtz(path, "imean")
    assert table.amplitude[tuple(hkl[1] - np.array(table.hkl_min))] == pytest.approx(amplitude[1], rel=1e-6)
    assert table.amplitude[tuple(hkl[0] - np.array(table.hkl_min))] == 0


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (["FREE I", "PHIC P"], {}, r"no column of amplitudes or intensities; it has: FREE \(I\), PHIC \(P\)"),
        (["F_w1 F", "F_w2 F"], {}, "ambiguous: F_w1, F_w2 are equally good; choose one with label="),
        (["FP F"], {"label": "FX"}, "has no column FX; usable: FP"),
        (["FP F", "PHIC P"], {"label": "PHIC"}, r"PHIC holds no amplitudes or intensities \(type P\); usable: FP"),
        (["FP F"], {"anomalous": True}, r"no F\(\+\)/F\(-\) or I\(\+\)/I\(-\)"),
        (["FP F"], {"space_group": "P 99"}, "space_group='P 99' is unknown"),
        (["FP F nan"], {}, "every value is missing"),
        (["FP F inf"], {}, "infinite"),
    ],
)  # fmt: skip
def test_unusable_columns(tmp_path, columns, options, message):
    hkl, amplitude = unique_list(d_min=15)
    data = []
    for column in columns:
        name, kind, *value = column.split()
        data.append((name, kind, np.full(len(hkl), float(value[0])) if value else amplitude))
    path = write(tmp_path / "x.mtz", data, hkl=hkl)
    with pytest.raises(FileFormatError, match=message) as caught:
        StructureFactors.from_mtz(path, **options)
    assert str(path) in str(caught.value)


def test_missing_values_get_default_F_and_absences_stay_0(tmp_path):
    hkl, amplitude = unique_list(d_min=8)
    amplitude[5] = np.nan
    path = write(tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl)
    with pytest.warns(NanoBraggWarning, match=r"1 of .* have no value in FP"):
        table = StructureFactors.from_mtz(path, default_F=7.0)
    where = np.array(table.hkl_min)
    assert table.amplitude[tuple(hkl[5] - where)] == 7.0
    for h in ((0, 0, 1), (0, 0, 2), (1, 0, 0), (3, 0, 0)):  # 4_3 along c, 2_1 along a
        assert table.amplitude[tuple(np.array(h) - where)] == 0.0
    every = np.indices(table.amplitude.shape).reshape(3, -1).T + where
    gone = gemmi.SpaceGroup("P 43 21 2").operations().systematic_absences(every)
    assert (absent(every, "P 43 21 2") == gone).all()


def test_a_list_that_contradicts_its_space_group(tmp_path):
    hkl, amplitude = unique_list("P 2 2 2", (40, 50, 60, 90, 90, 90), 10)
    strong = write(
        tmp_path / "a.mtz", [("FP", "F", amplitude)], hkl=hkl, group="P 21 21 21", cell=(40, 50, 60, 90, 90, 90)
    )
    with pytest.raises(FileFormatError, match=r"not in its space group P 21 21 21: .* systematic absences"):
        StructureFactors.from_mtz(strong)
    hkl, amplitude = unique_list("P 1", (40, 40, 60, 90, 90, 90), 10)
    wrong = write(tmp_path / "b.mtz", [("FP", "F", amplitude)], hkl=hkl, group="P 4", cell=(40, 40, 60, 90, 90, 90))
    with pytest.raises(FileFormatError, match=r"not in its space group P 4: .* equivalent but have F="):
        StructureFactors.from_mtz(wrong)
    assert StructureFactors.from_mtz(wrong, space_group="P 1").n_reflections == 2 * len(hkl)


def test_weak_absences_are_set_to_0_aloud(tmp_path):
    hkl, amplitude = unique_list("P 2 2 2", (40, 50, 60, 90, 90, 90), 10)
    gone = absent(hkl, "P 21 21 21")
    amplitude[gone] = 0.5
    path = write(
        tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl, group="P 21 21 21", cell=(40, 50, 60, 90, 90, 90)
    )
    with pytest.warns(NanoBraggWarning, match=rf"{gone.sum()} weak systematic absences"):
        table = StructureFactors.from_mtz(path)
    assert not table.amplitude[tuple((hkl[gone] - np.array(table.hkl_min)).T)].any()


def test_files_that_are_no_mtz(tmp_path):
    hkl, amplitude = unique_list(d_min=15)
    good = write(tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl).read_bytes()
    (tmp_path / "short.mtz").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.mtz").write_text("0 0 1 5\n")
    (tmp_path / "empty.mtz").write_bytes(b"")
    for name in ("short.mtz", "text.mtz", "empty.mtz", "missing.mtz"):
        with pytest.raises(FileFormatError, match=name):
            StructureFactors.from_mtz(tmp_path / name)


def test_hkl_and_mtz_round_trips(tmp_path):
    hkl, plus = unique_list()
    table = StructureFactors.from_mtz(write(tmp_path / "x.mtz", [("FP", "F", plus)], hkl=hkl))
    table.to_hkl(tmp_path / "x.hkl")
    again = StructureFactors.from_hkl(tmp_path / "x.hkl")
    np.testing.assert_array_equal(again.amplitude, table.amplitude)
    table.to_mtz(tmp_path / "y.mtz")
    np.testing.assert_array_equal(StructureFactors.from_mtz(tmp_path / "y.mtz").amplitude, table.amplitude)
    rng = np.random.default_rng(3)
    lopsided = StructureFactors(amplitude=rng.uniform(1, 9, (3, 4, 5)).astype(np.float32), hkl_min=(-1, -1, -2))
    lopsided.to_mtz(tmp_path / "z.mtz", nb.UnitCell(30, 40, 50, 90, 90, 90))
    mtz = gemmi.read_mtz_file(str(tmp_path / "z.mtz"))
    assert mtz.column_labels() == ["H", "K", "L", "F(+)", "F(-)"]
    with pytest.raises(ConfigError, match=r"needs a unit cell"):
        lopsided.to_mtz(tmp_path / "w.mtz")


def refln_cif(tmp_path, hkl, amplitude):
    rows = "\n".join(f"{h} {k} {l_} {f:.3f}" for (h, k, l_), f in zip(hkl.tolist(), amplitude, strict=True))
    cell = "\n".join(f"_cell.{n} {v}" for n, v in zip(
        ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"), LYSOZYME, strict=True))  # fmt: skip
    text = f"""data_r0000sf
{cell}
_symmetry.space_group_name_H-M 'P 43 21 2'
loop_
_refln.index_h
_refln.index_k
_refln.index_l
_refln.F_meas_au
{rows}
"""
    (tmp_path / "x.cif").write_text(text)
    return text


def test_structure_factor_cif(tmp_path):
    hkl, amplitude = unique_list(d_min=10)
    text = refln_cif(tmp_path, hkl, amplitude)
    table = StructureFactors.from_cif(tmp_path / "x.cif")
    assert table.space_group == "P 43 21 2" and table.unit_cell == LYSOZYME
    assert table.amplitude[tuple(hkl[2] - np.array(table.hkl_min))] == pytest.approx(amplitude[2], abs=6e-4)
    (tmp_path / "x.cif.gz").write_bytes(gzip.compress(text.encode()))
    assert (StructureFactors.from_cif(tmp_path / "x.cif.gz").amplitude == table.amplitude).all()
    (tmp_path / "none.cif").write_text("data_a\n_cell.length_a 1\n")
    with pytest.raises(FileFormatError, match=r"no data block has a _refln table \(blocks: a\)"):
        StructureFactors.from_cif(tmp_path / "none.cif")
    (tmp_path / "nocell.cif").write_text(text.replace("_cell.", "_sell."))
    with pytest.raises(FileFormatError, match=r"no unit cell|cell"):
        StructureFactors.from_cif(tmp_path / "nocell.cif")
    (tmp_path / "bad.cif").write_text("this is no cif 'x\n")
    with pytest.raises(FileFormatError, match=r"not a CIF file"):
        StructureFactors.from_cif(tmp_path / "bad.cif")
    with pytest.raises(FileFormatError, match=r"cannot be read|No such"):
        StructureFactors.from_cif(tmp_path / "missing.cif")


def lysozyme_like(tmp_path, n=1032):
    """A file of 1032 carbons at random places in lysozyme's cell."""
    rng = np.random.default_rng(0)
    structure = gemmi.Structure()
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(*LYSOZYME), "P 43 21 2"
    chain = gemmi.Chain("A")
    for i in range(n):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(str(i + 1))
        atom = gemmi.Atom()
        atom.name, atom.element, atom.b_iso = "CA", gemmi.Element("C"), float(rng.uniform(5, 30))
        atom.pos = structure.cell.orthogonalize(gemmi.Fractional(*rng.random(3)))
        residue.add_atom(atom)
        chain.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(chain)
    structure.add_model(model)
    path = tmp_path / "model.pdb"
    structure.write_pdb(str(path))
    return path


def test_a_lysozyme_sized_model_gives_every_reflection(tmp_path):
    table = StructureFactors.from_model(lysozyme_like(tmp_path), 1.5)
    hkl = np.array(gemmi.make_miller_array(gemmi.UnitCell(*LYSOZYME), gemmi.SpaceGroup("P 43 21 2"), 1.5))
    rotations, _ = operations("P 43 21 2")
    everything = np.unique(np.concatenate([sign * hkl @ r for r in rotations for sign in (1, -1)]), axis=0)
    assert table.n_reflections == len(everything)


def test_models_that_lack_something(tmp_path):
    text = lysozyme_like(tmp_path, 5).read_text()
    (tmp_path / "nocell.pdb").write_text("".join(x for x in text.splitlines(True) if not x.startswith("CRYST1")))
    with pytest.raises(FileFormatError, match=r"nocell.pdb: has no unit cell"):
        StructureFactors.from_model(tmp_path / "nocell.pdb", 3.0)
    (tmp_path / "noatoms.pdb").write_text("".join(x for x in text.splitlines(True) if not x.startswith("ATOM")))
    with pytest.raises(FileFormatError, match=r"no atoms"):
        StructureFactors.from_model(tmp_path / "noatoms.pdb", 3.0)
    with pytest.raises(FileFormatError, match=r"cannot be read"):
        StructureFactors.from_model(tmp_path / "missing.pdb", 3.0)
    (tmp_path / "endless.pdb").write_text(text.replace(text.splitlines()[2][60:66], "   inf", 1))
    with pytest.raises(FileFormatError, match=r"endless.pdb: atom .*B inf: must be finite"):
        StructureFactors.from_model(tmp_path / "endless.pdb", 3.0)
    for d_min in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"d_min"):
            StructureFactors.from_model(tmp_path / "model.pdb", d_min)
    for d_min in (0.01, 5e-324):
        with pytest.raises(ConfigError, match=r"needs .* GiB"):
            StructureFactors.from_model(tmp_path / "model.pdb", d_min)


def test_the_crystal_takes_the_cell_of_the_file(tmp_path):
    hkl, amplitude = unique_list(d_min=15)
    table = StructureFactors.from_mtz(write(tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl))
    crystal = nb.Crystal(structure_factors=table)
    assert (crystal.unit_cell.a, crystal.unit_cell.c, crystal.unit_cell.gamma) == (79.1, 37.9, 90.0)
    detector = nb.Detector(n_fast=8, n_slow=8, pixel_size_mm=1.0, distance_mm=100)
    with pytest.warns(NanoBraggWarning, match=r"detector reaches .* the structure factors end at 15"):
        nb.simulate(nb.Experiment(crystal=crystal, detector=nb.Detector(n_fast=8, n_slow=8, pixel_size_mm=10.0)))
    other = nb.Crystal(structure_factors=table, unit_cell=nb.UnitCell(70, 79.1, 37.9, 90, 90, 90))
    with pytest.warns(NanoBraggWarning, match=r"differs from the cell of the structure factors"):
        nb.simulate(nb.Experiment(crystal=other, detector=detector))
    again = nb.Experiment.from_json(nb.Experiment(crystal=crystal).to_json())
    assert again.crystal.structure_factors.space_group == "P 43 21 2"


def test_expand_reports_the_outermost_reflection(tmp_path):
    from nanobragg.io.reflections.mtz import read_mtz

    hkl, amplitude = unique_list(d_min=8)
    full = expand(read_mtz(write(tmp_path / "x.mtz", [("FP", "F", amplitude)], hkl=hkl)))
    cell = gemmi.UnitCell(*LYSOZYME)
    assert full.d_min == pytest.approx(min(cell.calculate_d(h.tolist()) for h in hkl), rel=1e-12)
