"""Recordings to a prepared set and back, whatever their lengths, splits and faults."""

import argparse
import copy
from pathlib import Path

import numpy as np
import pytest

from medjax.data.ecg.leads import EIGHT_LEADS, LEADS
from medjax.data.ecg.prepare_sets import Plan, prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform
from medjax.data.ecg.records import open_ecg
from medjax.data.ecg.write import EcgDescription, Source, split_rule
from medjax.data.manifest import read_manifest
from medjax.data.subject_split import hash_split
from medjax.errors import UserError

FORM = Form(100, 50)


def arguments(tmp_path: Path, **given) -> argparse.Namespace:
    (tmp_path / "raw").mkdir(exist_ok=True)
    known = {"raw": tmp_path / "raw", "out": tmp_path / "out", "source": "toy", "labels": None}
    options = {"limit": None, "dry_run": False, "unlabelled": False, "split": "published"}
    return argparse.Namespace(**known, **options | {"max_bad_records": 0, "workers": 1} | given)


def recording(i: int, samples: int = 50, **known) -> Recording:
    rng = np.random.default_rng(i)
    signal = conform(rng.integers(-2000, 2000, (12, samples)), LEADS, 100, FORM, 0.001)
    return Recording(f"{i:04d}", known.pop("subject_id", f"p{i}"), signal, **known)


def prepare(tmp_path, jobs, read=lambda job: job, form=FORM, labels=(), **given):
    args = arguments(tmp_path, **given)
    description = EcgDescription("rhythm", form, Source("toy", "", "none"), "mV", labels)
    plan = Plan(description, jobs, read, lambda job: job.record_id)
    prepare_sets(args, [plan], {}, [], split_rule(args, "folds"))
    return args.out


def test_what_is_written_is_read_back(tmp_path):
    statements = {"NORM": 100.0, "ÄB": 0.0}
    known = {"age": 61.5, "sex": "female", "fold": 9, "event": 1.0, "duration": 30.0}
    more = {"labels": (1.0, np.nan), "statements": statements, "report": "überdrehter Linkstyp"}
    given = [recording(1, split="train", **known, **more), recording(0, split="train")]
    given += [recording(2, samples=31, split="test")]
    opened = open_ecg(prepare(tmp_path, given, labels=("CD", "MI")), "rhythm")
    train = opened.splits["train"]
    assert (opened.leads, opened.sampling_rate, opened.samples) == (LEADS, 100.0, 50)
    assert opened.label_names == ("CD", "MI") and opened.unit == "mV"
    assert train.record_id.tolist() == ["0000", "0001"]
    assert train.statements == ({}, statements) and train.report[1] == "überdrehter Linkstyp"
    assert train.sex.tolist() == ["", "female"] and train.fold.tolist() == [0, 9]
    np.testing.assert_array_equal(train.labels, [[np.nan, np.nan], [1, np.nan]])
    np.testing.assert_array_equal(train.event, [np.nan, 1])
    values, scale = train.raw([1, 0, 1])
    assert values.dtype == np.int16 and values.shape == (3, 12, 50) and scale.shape == (3, 12)
    np.testing.assert_array_equal(values[0], given[0].signal.values)
    np.testing.assert_allclose(train.signals([0])[0], given[1].signal.values * 0.001, rtol=1e-6)
    short = opened.splits["test"]
    assert short.length.tolist() == [31] and not short.raw([0])[0][..., 31:].any()
    assert len(opened.splits["validation"].record_id) == 0


def test_the_order_of_jobs_and_the_number_of_workers_do_not_show(tmp_path):
    given = [recording(i) for i in range(6)]
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = read_manifest(prepare(tmp_path / "a", given))
    second = read_manifest(prepare(tmp_path / "b", given[::-1], read=copy.copy, workers=2))
    assert first["sets"] == second["sets"]


def test_published_splits_or_a_hash_of_the_subject(tmp_path):
    given = [recording(i, split="test") for i in range(8)]
    opened = open_ecg(prepare(tmp_path, given, split="hash"), "rhythm")
    for split, records in opened.splits.items():
        assert all(hash_split(subject) == split for subject in records.subject_id)
    assert "hash of the subject" in read_manifest(tmp_path / "out")["split_rule"]


def test_a_subject_in_two_splits_is_refused(tmp_path):
    given = [recording(0, subject_id="p", split="train")]
    given += [recording(1, subject_id="p", split="test")]
    with pytest.raises(UserError, match="more than one split"):
        prepare(tmp_path, given)
    assert not list((tmp_path / "out").glob("*"))


def test_unlabelled_recordings_form_one_split(tmp_path):
    given = [recording(0, split="train"), recording(1)]
    opened = open_ecg(prepare(tmp_path, given, unlabelled=True), "rhythm")
    assert list(opened.splits) == ["all"] and len(opened.splits["all"].record_id) == 2


def test_recordings_left_out_are_counted_by_reason(tmp_path):
    absent = [Dropped(f"{i}", "no such file", damaged=False) for i in range(3)]
    bad = Dropped("9", "damaged file", detail="x.dat: damaged file")
    with pytest.raises(UserError, match=r"x.dat: damaged file \(damaged recordings: 1; --max_bad"):
        prepare(tmp_path, [recording(0), bad, *absent])
    manifest = read_manifest(prepare(tmp_path, [recording(0), bad, *absent], max_bad_records=1))
    counts = {count["reason"]: (count["in"], count["out"]) for count in manifest["counts"]}
    assert counts == {"damaged file": (5, 4), "no such file": (4, 1)}
    with pytest.raises(UserError, match=r"no recording could be used \(no such file\)"):
        prepare(tmp_path, absent)


def test_limit_and_dry_run(tmp_path, capsys):
    given = [recording(i) for i in range(5)]
    prepare(tmp_path, given, dry_run=True)
    assert "dry run: rhythm, 5 recordings" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    manifest = read_manifest(prepare(tmp_path, given, limit=2))
    assert sum(manifest["sets"]["rhythm"]["splits"].values()) == 2
    assert [count["rule"] for count in manifest["counts"]] == ["limit", "recording"]


def test_only_the_sets_of_a_folder_open(tmp_path):
    out = prepare(tmp_path, [recording(0)])
    with pytest.raises(UserError, match="no set 'median'.*rhythm"):
        open_ecg(out, "median")
    (out / "rhythm.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"rhythm\.parquet: unreadable"):
        open_ecg(out, "rhythm")


def test_eight_leads_in_float32(tmp_path):
    form = Form(100, 50, EIGHT_LEADS, "float32")
    signal = np.random.default_rng(0).normal(size=(12, 50))
    given = [Recording("a", "a", conform(signal, LEADS, 100, form))]
    opened = open_ecg(prepare(tmp_path, given, form=form), "rhythm")
    (records,) = [r for r in opened.splits.values() if len(r.record_id)]
    rows = [LEADS.index(name) for name in EIGHT_LEADS]
    np.testing.assert_array_equal(records.signals([0])[0], signal[rows].astype(np.float32))
