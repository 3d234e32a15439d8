"""PTB-XL and the median beats of PTB-XL+ to prepared sets, through the command."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medjax.data.demo.ecg import write_medians, write_ptbxl
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.data.ptbxl.tables import SUPERCLASSES, read_database
from medjax.data.subject_split import hash_split
from medjax.prepare import main

REAL = Path(__file__).parent / "recorded"


@pytest.fixture(scope="module")
def invented(tmp_path_factory) -> Path:
    """Return a folder with PTB-XL at both rates and PTB-XL+, of 30 invented patients."""
    folder = tmp_path_factory.mktemp("ptbxl")
    write_ptbxl(folder, 30, 3, sampling_rates=(100, 500))
    write_medians(folder, 30, 3)
    return folder


def run(raw, out, *options):
    return main(["ptbxl", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def database(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "ptbxl_database.csv", dtype=str, keep_default_na=False)


def rewrite(raw, to, **columns):
    """Copy the table of a folder, with other columns and links to its records."""
    to.mkdir()
    database(raw).assign(**columns).to_csv(to / "ptbxl_database.csv", index=False)
    for path in raw.glob("records*"):
        (to / path.name).symlink_to(path)
    return to


def test_a_real_record(tmp_path):
    assert run(REAL, tmp_path / "out") == 0
    opened = open_ecg(tmp_path / "out", "rhythm")
    train = opened.splits["train"]
    assert train.record_id.tolist() == ["1"] and train.subject_id.tolist() == ["15709"]
    assert train.age.tolist() == [56] and train.sex.tolist() == ["female"]
    assert train.fold.tolist() == [3] and train.report[0].startswith("sinusrhythmus")
    assert train.statements == ({"NORM": 100.0, "LVOLT": 0.0, "SR": 0.0},)
    assert opened.label_names == SUPERCLASSES == tuple(sorted(SUPERCLASSES))
    assert train.labels.tolist() == [[0, 0, 0, 1, 0]]
    stored = np.fromfile(REAL / "records100/00000/00001_lr.dat", "<i2").reshape(1000, 12)
    np.testing.assert_array_equal(train.raw([0])[0][0], stored.T)
    np.testing.assert_allclose(train.signals([0])[0], stored.T / 1000, rtol=1e-6)
    (rule, _) = read_manifest(tmp_path / "out")["counts"]
    assert (rule["in"], rule["out"]) == (11, 1)


def test_folds_are_splits_and_patients_stay_together(invented, tmp_path):
    assert run(invented, tmp_path / "out", "--signal=both") == 0
    table = database(invented)
    opened = open_ecg(tmp_path / "out", "rhythm")
    subjects = [set(part.subject_id) for part in opened.splits.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 30
    for split, folds in {"train": range(1, 9), "validation": [9], "test": [10]}.items():
        part = opened.splits[split]
        wanted = table.ecg_id[table.strat_fold.isin([str(fold) for fold in folds])]
        assert sorted(part.record_id) == sorted(wanted) and set(part.fold) == set(folds)
    old = opened.splits["train"].age.max()
    assert old <= 90 and opened.leads == LEADS
    medians = open_ecg(tmp_path / "out", "median")
    assert (medians.sampling_rate, medians.samples, medians.unit) == (500, 600, "arbitrary")
    there = {path.name[:5] for path in invented.glob("median_beats/12sl/*/*.hea")}
    assert {name for part in medians.splits.values() for name in part.record_id} == there


def test_both_rates_are_of_one_heart(invented, tmp_path):
    assert run(invented, tmp_path / "low", "--sampling_rate=100") == 0
    assert run(invented, tmp_path / "high", "--sampling_rate=500", "--leads=8") == 0
    low = open_ecg(tmp_path / "low", "rhythm").splits["test"]
    high = open_ecg(tmp_path / "high", "rhythm").splits["test"]
    assert high.signals([0]).shape == (1, 8, 5000)
    a, b = low.signals([0])[0, 6], high.signals([0])[0, 2, ::5]  # both V1
    assert np.corrcoef(a, b)[0, 1] > 0.8


def test_one_rate_serves_for_the_other(tmp_path):
    shutil.copytree(REAL, tmp_path / "raw")
    assert run(tmp_path / "raw", tmp_path / "out", "--sampling_rate=250") == 0
    noted = read_manifest(tmp_path / "out")["sets"]["rhythm"]["recordings_with"]
    assert noted == {"resampled from 100 Hz": 1}


def test_high_quality_filters_training_and_validation(invented, tmp_path):
    assert run(invented, tmp_path / "out", "--quality=high") == 0
    table = database(invented)
    noisy = table[["baseline_drift", "static_noise", "burst_noise", "electrodes_problems"]]
    clean = (noisy == "").all(axis=1) & (table.validated_by_human == "True")
    wanted = table.ecg_id[clean | (table.strat_fold == "10")]
    parts = open_ecg(tmp_path / "out", "rhythm").splits.values()
    assert sorted(name for part in parts for name in part.record_id) == sorted(wanted)
    assert len(wanted) < len(table)


def test_hash_splits_and_prediction(invented, tmp_path):
    assert run(invented, tmp_path / "hash", "--split=hash") == 0
    for split, part in open_ecg(tmp_path / "hash", "rhythm").splits.items():
        assert all(hash_split(subject) == split for subject in part.subject_id)
    assert run(invented, tmp_path / "all", "--unlabelled", "--limit=3") == 0
    opened = open_ecg(tmp_path / "all", "rhythm")
    assert list(opened.splits) == ["all"] and opened.label_names == ()
    assert len(opened.splits["all"].record_id) == 3


def test_unig_medians_are_microvolt(invented, tmp_path):
    source = tmp_path / "plus" / "median_beats" / "unig"
    for path in invented.glob("median_beats/12sl/*/*"):
        new = source / path.parent.name / f"0{path.name}"
        new.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        new.write_bytes(data.replace(b"/9", b"/09").replace(b"\n9", b"\n09"))
    options = (f"--medians={tmp_path / 'plus'}", "--median_source=unig", "--signal=median")
    assert run(invented, tmp_path / "unig", *options) == 0
    assert run(invented, tmp_path / "12sl", "--signal=median") == 0
    opened = open_ecg(tmp_path / "unig", "median")
    assert opened.unit == "mV"
    other = open_ecg(tmp_path / "12sl", "median").splits["test"].signals([0])
    np.testing.assert_allclose(opened.splits["test"].signals([0]) * 1000, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"scp_codes": "__import__('os')"}, "row 2: column 'scp_codes' is not a dict"),
        ({"scp_codes": "{'NORM': 1e999}"}, "row 2: column 'scp_codes'"),
        ({"scp_codes": "(" * 9000}, "row 2: column 'scp_codes'"),
        ({"strat_fold": "11"}, "row 2: column 'strat_fold' is not from 1 to 10"),
        ({"sex": "2"}, "row 2: column 'sex' holds none of"),
        ({"ecg_id": "7"}, "row 3: a record that stands in an earlier row"),
        ({"patient_id": "x"}, "row 2: column 'patient_id' is not an integer"),
        ({"filename_lr": "../../secret"}, "no path of a record"),
        ({"filename_lr": "records100/absent"}, "none of the 11 rhythm records"),
    ],
)
def test_tables_that_are_wrong(tmp_path, capsys, columns, words):
    assert run(rewrite(REAL, tmp_path / "raw", **columns), tmp_path / "out") == 1
    message = capsys.readouterr().err.strip()
    assert words in message and len(message.splitlines()) == 1
    assert not list((tmp_path / "out").glob("*"))


def test_the_folder_is_found_one_level_down(tmp_path, capsys):
    shutil.copytree(REAL, tmp_path / "raw" / "ptb-xl-1.0.3")
    assert run(tmp_path / "raw", tmp_path / "out") == 0
    assert run(REAL.parent / "recorded" / "records100", tmp_path / "other") == 1
    assert "no ptbxl_database.csv there" in capsys.readouterr().err


def test_ages_above_89_stand_as_300(tmp_path):
    raw = rewrite(REAL, tmp_path / "raw", age=["300.0", "89.0", "", *["50.0"] * 8])
    ages = [patient.age for patient in read_database(raw / "ptbxl_database.csv")]
    assert ages[:2] == [90, 89] and np.isnan(ages[2])
