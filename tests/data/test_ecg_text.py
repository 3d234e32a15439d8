"""Text embeddings of prepared recordings: by a model, by the table, from and to pickles."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from medjax.data.ecg.statement_vectors import read_statement_table
from medjax.data.ecg.text_embeddings import open_text, vectors_of
from medjax.data.manifest import read_manifest
from medjax.errors import UserError
from medjax.prepare import main
from tests.data.ecg.test_write import prepare as prepare_recordings
from tests.data.ecg.test_write import recording

BERT = Path(__file__).parents[1] / "weights" / "recorded" / "tiny_bert"
SAID = [{"NORM": 100.0, "SR": 0.0}, {"SR": 0.0}, {}, {"IMI": 35.0, "LVH": 70.0}]
REPORTS = ["sinus rhythm", "", "normal ecg", "sinus rhythm"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A prepared folder of four recordings, 0000 to 0003, the last in the test split."""
    splits = ["train", "train", "train", "test"]
    given = [
        recording(i, split=split, statements=said, report=report)
        for i, (split, said, report) in enumerate(zip(splits, SAID, REPORTS))
    ]
    return prepare_recordings(tmp_path_factory.mktemp("ecg"), given)


def prepare(recordings, out, *options):
    return main(["ecg_text", f"--raw={recordings}", f"--out={out}", *map(str, options)])


def test_without_a_model_the_shipped_table_is_taken_and_said(recordings, tmp_path, capsys):
    assert prepare(recordings, tmp_path) == 0
    assert "that medjax carries" in capsys.readouterr().out
    table, found = read_statement_table().statements, open_text(tmp_path)
    row = dict(zip(table.codes, table.vectors))
    assert sorted(found) == ["0000", "0001", "0003"]
    np.testing.assert_allclose(found["0000"], row["NORM"], atol=1e-6)
    np.testing.assert_allclose(found["0001"], row["SR"], atol=1e-6)
    np.testing.assert_allclose(found["0003"], (row["IMI"] + 2 * row["LVH"]) / 3, atol=1e-6)
    manifest = read_manifest(tmp_path)
    assert manifest["sets"]["text_embedding"]["splits"] == {"train": 2, "test": 1}
    assert manifest["fields"]["zero_confidence_record"] == "equal_weights"
    assert manifest["text"]["zero_confidence_records"] == 1


def test_vectors_in_the_order_of_recordings(recordings, tmp_path):
    prepare(recordings, tmp_path)
    found = open_text(tmp_path)
    vectors, known = vectors_of(found, np.array(["0003", "0002", "0000"]))
    assert known.tolist() == [True, False, True] and not vectors[1].any()
    np.testing.assert_array_equal(vectors[0], found["0003"])
    with pytest.raises(UserError, match="none of the recordings has a text embedding"):
        vectors_of(found, ["9"])


def test_a_table_made_by_a_model_gives_what_the_model_gives(recordings, tmp_path):
    out, table = tmp_path / "model", tmp_path / "table.npz"
    short = "--max_tokens=20"
    assert prepare(recordings, out, f"--bert={BERT}", f"--write_table={table}", short) == 0
    assert prepare(recordings, tmp_path / "table", f"--table={table}") == 0
    by_model, by_table = open_text(out), open_text(tmp_path / "table")
    for record, vector in by_model.items():
        assert vector.shape == (16,)
        np.testing.assert_array_equal(by_table[record], vector)
    assert read_manifest(out)["text"]["model"] == "tiny_bert"


def test_reports_that_are_empty_have_no_vector(recordings, tmp_path):
    assert prepare(recordings, tmp_path, "--text=reports", f"--bert={BERT}", "--max_tokens=8") == 0
    found = open_text(tmp_path)
    assert sorted(found) == ["0000", "0002", "0003"]
    np.testing.assert_array_equal(found["0000"], found["0003"])
    assert np.abs(found["0000"] - found["0002"]).max() > 0.01


def test_the_layout_of_the_reference_goes_out_and_in(recordings, tmp_path):
    file = tmp_path / "embeddings.pkl"
    prepare(recordings, tmp_path / "a", f"--write_pickle={file}")
    theirs = pickle.loads(file.read_bytes())  # noqa: S301
    made = open_text(tmp_path / "a")
    assert {f"{key:04d}" for key in theirs} == set(made)
    assert all(array.dtype == np.float32 and array.shape == (384,) for array in theirs.values())
    file.write_bytes(pickle.dumps({np.int64(0): [theirs[0]], 3: theirs[3][None], 77: theirs[1]}))
    assert prepare(recordings, tmp_path / "b", f"--from_pickle={file}") == 0
    found = open_text(tmp_path / "b")
    assert sorted(found) == ["0000", "0003"]
    np.testing.assert_array_equal(found["0003"], made["0003"])
    assert read_manifest(tmp_path / "b")["fields"] == {}


@pytest.mark.parametrize(
    "options, code, message",
    [
        (["--compat=published"], 2, "made with text_pooling 'masked_mean'"),
        (["--text=reports"], 2, "needs a text model"),
        (["--table=a", "--bert=b"], 2, "both give statement vectors"),
        (["--from_pickle=a", "--bert=b"], 2, "--from_pickle takes ready vectors"),
        (["--split=hash"], 2, "the splits are those of the recordings"),
        (["--letters=keep"], 2, "--letters is for a text model"),
        (
            ["--zero_confidence_record=error"],
            1,
            "1 of 4 records have statements of confidence 0 alone",
        ),
        (["--bert=absent"], 1, "absent: no such folder"),
    ],
)
def test_refusals(recordings, tmp_path, capsys, options, code, message):
    assert prepare(recordings, tmp_path / "out", *options) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_vectors_of_other_recordings_are_refused(recordings, tmp_path, capsys):
    file = tmp_path / "file.pkl"
    for content, message in [
        ({99: np.ones(3)}, "none of its ids"),
        ({0: np.ones(3), 1: np.ones(4)}, "unequal widths"),
        ({0: np.full(3, np.nan)}, "not finite"),
    ]:
        file.write_bytes(pickle.dumps(content))
        assert prepare(recordings, tmp_path / "out", f"--from_pickle={file}") == 1
        assert message in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_writes_nothing(recordings, tmp_path, capsys):
    assert prepare(recordings, tmp_path / "out", "--dry_run") == 0
    assert "4 recordings, 4 statements, 3 different reports" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_folder_without_embeddings(recordings):
    with pytest.raises(UserError, match="holds no text embeddings; make them with"):
        open_text(recordings)
