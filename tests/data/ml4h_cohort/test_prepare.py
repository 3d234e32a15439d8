"""Preparing a cohort and reading it back."""

import os

import h5py
import numpy as np
import pytest

from medjax.data.hd5 import open_hd5
from medjax.data.manifest import read_manifest
from medjax.data.ml4h_cohort.prepare import find_participants
from medjax.data.ml4h_cohort.records import open_cohort
from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS, MriOptions, mri_tensor
from medjax.data.prepared import digest_set, open_set
from medjax.errors import UsageError, UserError
from tests.data.ecg.commands import prepare
from tests.data.ml4h_cohort.hd5_files import CINE, FRAMES, SAMPLES, write_ecg, write_mri

SIZES = (f"--ecg_samples={SAMPLES}", "--mri_edge=12", f"--mri_frames={FRAMES}")
PEOPLE = {"1000001": "both", "1000002": "ecg", "1000003": "mri", "0000004": "both"}


@pytest.fixture
def raw(tmp_path):
    for seed, (sample_id, has) in enumerate(PEOPLE.items()):
        path = tmp_path / "raw" / str(seed % 2) / f"{sample_id}.hd5"
        if has in ("both", "ecg"):
            write_ecg(path, seed)
        if has in ("both", "mri"):
            write_mri(path, seed)
    write_ecg(tmp_path / "raw" / "9.HD5", leads=ECG_LEADS[:4])
    return tmp_path / "raw"


def cohort(raw, out, *options):
    return open_cohort(prepare("ml4h_cohort", raw, out, *SIZES, *options))


def test_everyone_with_one_modality_is_kept(raw, tmp_path):
    opened = cohort(raw, tmp_path / "out", "--unlabelled")
    people = opened.splits["all"]
    assert people.sample_id.tolist() == sorted(PEOPLE)
    for i, sample_id in enumerate(people.sample_id):
        assert people.has_ecg[i] == (PEOPLE[sample_id] in ("both", "ecg"))
        assert people.has_mri[i] == (PEOPLE[sample_id] in ("both", "mri"))
    everyone = np.arange(4)
    ecg, mri = people.ecg(everyone), people.mri(everyone)
    assert ecg.shape == (4, *opened.ecg_shape) and mri.shape == (4, *opened.mri_shape)
    np.testing.assert_array_equal(ecg.any(axis=(1, 2)), people.has_ecg)
    np.testing.assert_array_equal(mri.any(axis=(1, 2, 3)), people.has_mri)
    with open_hd5(raw / "0" / "1000003.hd5") as file:
        wanted = mri_tensor(file, MriOptions(height=12, width=12, frames=FRAMES))
    np.testing.assert_array_equal(people.mri([2, 3])[1], wanted)
    manifest = read_manifest(tmp_path / "out")
    reasons = {
        (rule["rule"], rule["reason"]): rule["in"] - rule["out"] for rule in manifest["counts"]
    }
    assert reasons == {
        ("ecg", "a lead is missing"): 1,
        ("ecg", "no resting ECG in the file"): 1,
        ("mri", "no long-axis cine in the file"): 2,
        ("participant", "neither ECG nor MRI could be used"): 1,
    }
    assert digest_set(open_set(tmp_path / "out", "cohort")) == opened.digest


def test_half_precision_and_workers_change_no_more_than_they_say(raw, tmp_path):
    one = cohort(raw, tmp_path / "one", "--unlabelled")
    two = cohort(raw, tmp_path / "two", "--unlabelled", "--workers=2", "--storage=float16")
    assert two.digest != one.digest
    want, got = (c.splits["all"].mri(range(4)) for c in (one, two))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-6)


def test_published_choices_by_one_word_and_one_by_one(raw, tmp_path):
    current = cohort(raw, tmp_path / "a", "--compat=published_current")
    assert current.fields == {
        "ecg_instance": 0,
        "ecg_missing_lead": "reject",
        "ecg_require_text": "yes",
        "mri_anchor": "top_left",
        "mri_normalize_region": "padded",
        "split_rule": "walk_draw",
    }
    mixed = cohort(raw, tmp_path / "b", "--compat=published", "--mri_anchor=center", "--unlabelled")
    assert mixed.fields["ecg_missing_lead"] == "zeros" and mixed.fields["mri_anchor"] == "center"
    assert "9" in mixed.splits["all"].sample_id
    assert cohort(raw, tmp_path / "c").fields["split_rule"] == "id_hash"


def test_lists(raw, tmp_path):
    (tmp_path / "take.csv").write_text("sample_id\n1000001\n1000003\n0000004\n9\n")
    (tmp_path / "leave.csv").write_text("9\n")
    (tmp_path / "train.csv").write_text("1000001\n0000004\n")
    (tmp_path / "test.csv").write_text("x,mrn\n0,1000003\n")
    names = ("sample_csv=take", "exclude_csv=leave", "train_csv=train", "test_csv=test")
    lists = [f"--{n.split('=')[0]}={tmp_path}/{n.split('=')[1]}.csv" for n in names]
    opened = cohort(raw, tmp_path / "out", *lists, "--valid_ratio=0")
    assert opened.splits["train"].sample_id.tolist() == ["0000004", "1000001"]
    assert opened.splits["test"].sample_id.tolist() == ["1000003"]
    assert opened.splits["validation"].sample_id.tolist() == []
    assert opened.splits["validation"].phenotypes.shape == (0, 0)
    inputs = read_manifest(tmp_path / "out")["inputs"]
    assert sorted(inputs) == ["exclude_csv", "sample_csv", "test_csv", "train_csv"]
    with pytest.raises(UsageError, match="--split=hash"):
        cohort(raw, tmp_path / "other", *lists, "--split=hash")


def test_phenotypes(raw, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("age, fpath,mass,name\n50,1000001,98.5,a\n,0000004,120,b\n60,77,1,c\n")
    wanted = (f"--labels={labels}", "--phenotypes=mass,age", "--unlabelled")
    opened = cohort(raw, tmp_path / "out", *wanted)
    assert opened.phenotype_names == ("mass", "age")
    expected = [[120, np.nan], [98.5, 50], [np.nan] * 2, [np.nan] * 2]
    np.testing.assert_array_equal(opened.splits["all"].phenotypes, np.float32(expected))
    last = read_manifest(tmp_path / "out")["counts"][-1]
    assert (last["rule"], last["in"], last["out"]) == ("row of labels", 3, 2)
    for text, options, message in [
        ("fpath,mass,name\n1,2,a\n", (), "column 'name' is not a number"),
        ("fpath,mass\n1,2\n", ("--phenotypes=mess",), "did you mean"),
        ("fpath\n1\n", (), "no phenotype"),
        ("fpath,mass\n1,2\n1,3\n", (), "row 3 repeats"),
        ("fpath,mass\n,2\n", (), "is empty"),
    ]:
        labels.write_text(text)
        with pytest.raises(UserError, match=message):
            cohort(raw, tmp_path / "bad", f"--labels={labels}", *options)
    with pytest.raises(UserError, match="--labels"):
        cohort(raw, tmp_path / "bad", "--phenotypes=mass")


def test_damaged_files_are_an_error_or_counted(raw, tmp_path):
    path = raw / "0" / "1000001.hd5"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"1000001\.hd5.*fetch it again.*--max_bad_records"):
        cohort(raw, tmp_path / "out")
    left = cohort(raw, tmp_path / "out", "--max_bad_records=1", "--unlabelled").splits["all"]
    assert left.sample_id.tolist() == ["0000004", "1000002", "1000003"]


def test_one_bad_modality_leaves_the_other(raw, tmp_path):
    with h5py.File(raw / "0" / "1000001.hd5", "a") as file:
        del file[CINE]
        file[CINE] = h5py.ExternalLink("1000003.hd5", CINE)
        del file["ukb_ecg_rest/median_II/instance_0"]
        file["ukb_ecg_rest/median_II/instance_0"] = np.full(SAMPLES, np.nan)
    with pytest.raises(UserError, match="a link to elsewhere"):
        cohort(raw, tmp_path / "out")
    cohort(raw, tmp_path / "out", "--max_bad_records=1")
    reasons = {rule["reason"] for rule in read_manifest(tmp_path / "out")["counts"]}
    assert {"NaN or infinite values", "a link to elsewhere; copy the data itself"} <= reasons


def test_nobody(raw, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no file <id>.hd5"):
        cohort(tmp_path / "empty", tmp_path / "out")
    os.mkfifo(raw / "pipe.hd5")
    (raw / "folder.hd5").mkdir()
    assert "pipe" not in find_participants(raw)
    write_ecg(raw / "other" / "1000001.hd5")
    with pytest.raises(UserError, match="a second file of this participant"):
        cohort(raw, tmp_path / "out")
    (tmp_path / "few").mkdir()
    with h5py.File(tmp_path / "few" / "1.hd5", "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="no participant could be used .no resting ECG"):
        cohort(tmp_path / "few", tmp_path / "out")


def test_dry_run_writes_nothing(raw, tmp_path, capsys):
    prepare("ml4h_cohort", raw, tmp_path / "out", *SIZES, "--dry_run", "--limit=3")
    assert "3 participants" in capsys.readouterr().out and not (tmp_path / "out").exists()


def test_median_beats_of_any_source_are_a_cohort(tmp_path):
    rows = write_ecg(tmp_path / "raw" / "1.hd5", samples=600)
    write_ecg(tmp_path / "raw" / "2.hd5", samples=600, leads=ECG_LEADS[1:])
    options = ("--microvolt=5", "--unlabelled", "--sampling_rate=500")
    out = prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "out", *options)
    opened = open_cohort(out)
    people = opened.splits["all"]
    assert people.has_ecg.tolist() == [True, False] and not people.has_mri.any()
    np.testing.assert_allclose(people.ecg([0])[0], rows.T / 10, atol=0.02)
    assert not people.ecg([1]).any() and people.mri([0]).shape == (1, *opened.mri_shape)
    manifest = out / "manifest.json"
    known = manifest.read_text()
    manifest.write_text(known.replace('"unit": "mV"', '"unit": "arbitrary"'))
    weak = open_cohort(out).splits["all"]
    np.testing.assert_allclose(weak.ecg([0]) * 1000, people.ecg([0]), rtol=1e-5)
    manifest.write_text(known.replace('"unit": "mV"', '"unit": "none"'))
    with pytest.raises(UserError, match="unknown unit"):
        open_cohort(out)
    slow = prepare("ml4h_hd5", tmp_path / "raw", tmp_path / "slow", "--sampling_rate=250")
    with pytest.raises(UserError, match="12 leads at 500 Hz"):
        open_cohort(slow)
