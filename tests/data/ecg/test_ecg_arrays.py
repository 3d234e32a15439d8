"""Arrays and their outcomes to a prepared set, and arrays that are none."""

import numpy as np
import pytest

from medjax.data.demo.ecg import write_risk
from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.errors import UsageError, UserError
from tests.data.ecg.commands import prepare

SUBJECTS = 40


def save(folder, signal, outcomes=None):
    folder.mkdir(exist_ok=True)
    np.save(folder / "ecg_data.npy", signal)
    if outcomes is not None:
        np.save(folder / "y_status_duration.npy", outcomes)
    return folder


def all_of(ecg):
    """record_id -> (split, position)."""
    return {
        record: (split, i)
        for split, records in ecg.splits.items()
        for i, record in enumerate(records.record_id)
    }


def test_the_risk_cohort_is_read_back_in_millivolt(tmp_path):
    write_risk(tmp_path / "raw", SUBJECTS, seed=1)
    out = prepare("ecg_arrays", tmp_path / "raw", tmp_path / "out", "--unit=uV")
    ecg = open_ecg(out, "median")
    signal = np.load(tmp_path / "raw" / "ecg_data.npy") / 1000
    outcome = np.load(tmp_path / "raw" / "y_status_duration.npy")
    assert (ecg.unit, ecg.sampling_rate, ecg.samples) == ("mV", 500.0, 600)
    places = all_of(ecg)
    assert len(places) == SUBJECTS
    for row, (split, i) in enumerate(places[record] for record in sorted(places)):
        records = ecg.splits[split]
        assert records.subject_id[i] == str(int(outcome[row, 2]))
        assert (records.event[i], records.duration[i]) == tuple(outcome[row, :2])
        step = np.abs(signal[row]).max(axis=1, keepdims=True) / 32767
        assert (np.abs(records.signals([i])[0] - signal[row]) <= 0.51 * step + 1e-6).all()


def test_whole_numbers_are_stored_as_they_are(tmp_path):
    signal = np.random.default_rng(0).integers(-3000, 3000, (30, 8, 250), np.int16)
    raw = save(tmp_path / "raw", signal)
    out = prepare("ecg_arrays", raw, tmp_path / "out", "--unit=none", "--leads=8")
    ecg = open_ecg(out, "median")
    assert ecg.unit == "none"
    for record, (split, i) in all_of(ecg).items():
        values, scale = ecg.splits[split].raw([i])
        assert np.array_equal(values[0], signal[int(record)]) and (scale == 1).all()


def test_a_subject_stays_in_one_split(tmp_path):
    signal = np.random.default_rng(0).standard_normal((60, 12, 20)).astype(np.float32)
    outcomes = np.stack([np.zeros(60), np.arange(60), np.arange(60) // 4], axis=1)
    out = prepare("ecg_arrays", save(tmp_path / "raw", signal, outcomes), tmp_path / "out")
    splits = open_ecg(out, "median").splits
    subjects = [set(records.subject_id.tolist()) for records in splits.values()]
    assert sum(map(len, subjects)) == 15 == len(set.union(*subjects))


def test_leads_are_ordered_by_name_and_rates_changed(tmp_path):
    time = np.arange(600) / 500
    signal = np.sin(2 * np.pi * 5 * time) * np.arange(1, 13)[None, :, None] * np.ones((9, 1, 1))
    raw = save(tmp_path / "raw", signal)
    names = "--lead_names=V6,V5,V4,V3,V2,V1,AVF,AVL,AVR,III,II,I"
    out = prepare("ecg_arrays", raw, tmp_path / "out", names, "--sampling_rate=250", "--unlabelled")
    records = open_ecg(out, "median").splits["all"]
    read = records.signals([0])[0]
    assert read.shape == (12, 300)
    expected = np.arange(12, 0, -1)[:, None] * np.sin(2 * np.pi * 5 * np.arange(300) / 250)
    np.testing.assert_allclose(read, expected, atol=0.01)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("rhythm", 100.0, 400)),
        (("--sampling_rate=250", "--seconds=2"), ("rhythm", 250.0, 500)),
        (("--signal=median",), ("median", 500.0, 2000)),
        (("--recorded_at=1000",), ("median", 1000.0, 2000)),
    ],
)
def test_longer_recordings_are_strips(tmp_path, options, expected):
    raw = save(tmp_path / "raw", np.random.default_rng(0).standard_normal((2, 12, 2000)))
    out = prepare("ecg_arrays", raw, tmp_path / "out", "--unlabelled", *options)
    ecg = open_ecg(out, expected[0])
    assert (ecg.name, ecg.sampling_rate, ecg.samples) == expected


def test_flat_and_missing_values_are_counted(tmp_path):
    signal = np.random.default_rng(0).standard_normal((10, 12, 50))
    signal[0, 3] = 2.0
    signal[1, 4, 10:20] = np.nan
    signal[2, 5] = np.nan
    signal[3, 6, 7] = np.inf
    out = prepare("ecg_arrays", save(tmp_path / "raw", signal), tmp_path / "out", "--unlabelled")
    notes = read_manifest(out)["sets"]["median"]["recordings_with"]
    assert notes == {"flat lead aVR": 1, "gaps bridged": 2, "missing lead aVF": 1}
    records = open_ecg(out, "median").splits["all"]
    assert np.isfinite(records.signals(range(10))).all()
    assert not records.recorded[2, 5] and records.recorded.sum() == 119


def test_own_labels_replace_outcomes(tmp_path):
    raw = save(tmp_path / "raw", np.random.default_rng(0).standard_normal((12, 12, 30)))
    own = tmp_path / "own.csv"
    own.write_text(
        "record_id,subject_id,AF\n" + "".join(f"{i:02d},p{i},{i % 2}\n" for i in (*range(9), 77))
    )
    out = prepare("ecg_arrays", raw, tmp_path / "out", f"--labels={own}", "--unlabelled")
    ecg = open_ecg(out, "median")
    assert ecg.label_names == ("AF",)
    assert ecg.splits["all"].labels[:, 0].tolist() == [i % 2 for i in range(9)]
    assert ecg.splits["all"].subject_id[3] == "p3"
    manifest = read_manifest(out)
    assert [(c["in"], c["out"]) for c in manifest["counts"]] == [(12, 9), (10, 9)]
    assert "labels" in manifest["inputs"]


def test_splits_of_the_label_table(tmp_path):
    raw = save(tmp_path / "raw", np.random.default_rng(0).standard_normal((40, 12, 30)))
    own = tmp_path / "own.csv"
    names = ["train", "valid", "test", ""]
    rows = [f"{i:02d},p{i // 4},{names[i // 4 % 4]}" for i in range(40)]
    own.write_text("\n".join(["record_id,subject_id,split", *rows]))
    out = prepare("ecg_arrays", raw, tmp_path / "out", f"--labels={own}")
    splits = open_ecg(out, "median").splits
    assert {"p0", "p4", "p8"} <= set(splits["train"].subject_id.tolist())
    assert {"p2", "p6"} <= set(splits["test"].subject_id.tolist())
    assert read_manifest(out)["split_rule"].startswith("column split of the label table, else")
    own.write_text("record_id,subject_id,split\n00,p,train\n01,p,test\n")
    with pytest.raises(UserError, match="more than one split"):
        prepare("ecg_arrays", raw, tmp_path / "other", f"--labels={own}")


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros((4, 600)), r"shape \[records, leads, samples\]"),
        (np.zeros((4, 600, 12)), "transpose"),
        (np.zeros((4, 5, 60)), "12 or 8 leads"),
        (np.zeros((0, 12, 60)), "shape"),
        (np.zeros((2, 12, 60), "U1"), "numbers"),
        (np.array([[["x", {}]]], object), "numbers"),
    ],
)
def test_an_array_of_another_form_is_refused(tmp_path, signal, message):
    with pytest.raises(UserError, match=message):
        prepare("ecg_arrays", save(tmp_path / "raw", signal), tmp_path / "out")


def test_damaged_files_are_refused(tmp_path):
    raw = save(tmp_path / "raw", np.zeros((4, 12, 60)))
    path = raw / "ecg_data.npy"
    whole = path.read_bytes()
    for content in (b"", b"PK\x03\x04", whole[:50], whole[:-8],
                    whole.replace(b"(4, 12, 60)", b"(4, 12, 9e9)"),
                    whole.replace(b"(4, 12, 60)", b"(4, 12,\x0060(")):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(UserError, match="ecg_data.npy"):
            prepare("ecg_arrays", raw, tmp_path / "out")
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        prepare("ecg_arrays", raw, tmp_path / "out")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 1, 1], [1, 2, 2]], "2 rows for 3 records"),
        ([[0, 1, 1], [2, 2, 2], [1, 1, 3]], "row 1: the status is not 0 or 1"),
        ([[0, 1, 1], [1, -2, 2], [1, 1, 3]], "row 1: the duration"),
        ([[0, 1, 1], [1, np.nan, 2], [1, 1, 3]], "row 1: the duration"),
        ([[0, 1, 1.5], [1, 2, 2], [1, 1, 3]], "row 0: the subject"),
        ([[0, 1], [1, 2], [1, 1]], "status, duration in days, subject"),
    ],
)
def test_bad_outcomes_are_named(tmp_path, rows, message):
    raw = save(tmp_path / "raw", np.zeros((3, 12, 60)), np.array(rows, float))
    with pytest.raises(UserError, match=message):
        prepare("ecg_arrays", raw, tmp_path / "out")


@pytest.mark.parametrize("names", ["I,II", "I,I,II,V1,V2,V3,V4,V5", "I,II,V1,V2,V3,V4,V5,X9"])
def test_wrong_lead_names_are_a_usage_error(tmp_path, names):
    raw = save(tmp_path / "raw", np.zeros((3, 8, 60)))
    with pytest.raises(UsageError, match="lead_names"):
        prepare("ecg_arrays", raw, tmp_path / "out", f"--lead_names={names}")
