"""Triplets of prepared films, through the command."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.prepared import read_manifest
from medjax.data.radgraph.annotation import write_annotations
from medjax.data.radgraph.extract import extract
from medjax.data.radgraph.package import annotate, read_cache
from medjax.data.radgraph.prepare import Report, read_triplets
from medjax.data.radgraph.published_files import MATRICES, STUDIES, read_published
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.errors import UserError
from medjax.prepare import main

REPORTS = ("Left pleural effusion.", "No edema.", "", "Possible mass.")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    names = [f"{i}.png" for i in range(len(REPORTS))]
    for name in names:
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(raw / name)
    columns = {"image": names, "patient": range(4), "study_id": range(50, 54), "findings": REPORTS}
    columns["split"] = ["train", "train", "val", "test"]
    pd.DataFrame(columns).to_csv(raw / "labels.csv", index=False)
    out = tmp_path_factory.mktemp("xray")
    assert main(["cxr_table", f"--raw={raw}", f"--out={out}", "--workers=1"]) == 0
    return out


def run(films, out, *options):
    return main(["radgraph", f"--raw={films}", f"--out={out}", *options])


def told(out, split):
    return {
        name: [(POSITIONS[p], ENTITIES[e], int(s)) for p, e, s in triplets]
        for name, triplets in read_triplets(out, split)
    }


EXPECTED = {
    "0.png": [("left_pleural", "effusion", 1)],
    "1.png": [("unspecified", "edema", 0)],
}


def test_reports_are_read_by_the_rules(films, tmp_path):
    assert run(films, tmp_path) == 0
    assert told(tmp_path, "train") == EXPECTED
    assert told(tmp_path, "validation") == {}
    assert told(tmp_path, "test") == {"3.png": [("unspecified", "mass", 2)]}
    manifest = read_manifest(tmp_path)
    assert manifest["counts"][0]["out"] == 3
    assert manifest["found"]["entities"]["mass OBS-U"] == 1
    assert manifest["fields"]["anatomy_chain"] == "all"


def test_annotations_are_matched_by_study(films, tmp_path):
    path = tmp_path / "radgraph.json"
    named = [extract(f"train/p1/s{50 + i}.txt", text) for i, text in enumerate(REPORTS[:2])]
    write_annotations(path, [*named, extract("train/p9/s99.txt", "Edema.")])
    assert run(films, tmp_path / "out", f"--annotations={path}") == 0
    assert told(tmp_path / "out", "train") == EXPECTED
    assert "radgraph.json" in read_manifest(tmp_path / "out")["inputs"]


def test_the_published_files_are_written_and_read(films, tmp_path):
    assert run(films, tmp_path / "out", "--write_matrix") == 0
    matrices = np.load(tmp_path / "out" / MATRICES)
    assert matrices.shape == (3, 51, 75) and matrices.dtype == np.float64
    assert np.load(tmp_path / "out" / STUDIES).tolist() == ["53", "50", "51"]
    assert read_published(tmp_path / "out")["53"] == []  # what is uncertain is not told
    assert run(films, tmp_path / "again", f"--published_matrix={tmp_path / 'out'}") == 0
    assert told(tmp_path / "again", "train") == EXPECTED


def test_films_without_a_study_are_no_study_zero(tmp_path, capsys):
    raw = tmp_path / "raw"
    raw.mkdir()
    for name in ("000.png", "001.png"):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(raw / name)
    films = pd.DataFrame({"image": ["000.png", "001.png"], "findings": ["", ""]})
    films.assign(split=["train", "test"]).to_csv(raw / "labels.csv", index=False)
    assert main(["cxr_table", f"--raw={raw}", f"--out={tmp_path / 'x'}", "--workers=1"]) == 0
    assert run(tmp_path / "x", tmp_path / "none") == 1
    assert "none of the 2 films has a report" in capsys.readouterr().err
    write_annotations(tmp_path / "a.json", [extract("0", "Edema."), extract("001.png", "Mass.")])
    assert run(tmp_path / "x", tmp_path / "out", f"--annotations={tmp_path / 'a.json'}") == 0
    assert told(tmp_path / "out", "train") == {}
    assert told(tmp_path / "out", "test") == {"001.png": [("unspecified", "mass", 1)]}
    numbered = Report("0000001", "", "").names()
    assert numbered == ["0000001", "1"]


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--sections=findigs"], 2, "no section 'findigs'"),
        (["--extractor=radgraph"], 2, "needs --weights"),
        (["--extractor=radgraph", "--weights=nowhere"], 1, "name a folder radgraph"),
        (["--published_matrix=nowhere"], 1, "unreadable"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(films, tmp_path, options, code, expected, capsys):
    assert run(films, tmp_path / "out", *options) == code
    assert expected in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("triplets"))


def test_a_dry_run_writes_nothing(films, tmp_path):
    assert run(films, tmp_path / "out", "--dry_run") == 0
    assert not (tmp_path / "out").exists()


def package_output(texts):
    """What the package gives, "skip" being a report on which it fails."""
    return {
        str(i): {
            "text": text,
            "entities": {"1": {"tokens": "edema", "label": "Observation::definitely absent",
                               "start_ix": 1, "end_ix": 1, "relations": []}},
        }
        for i, text in enumerate(texts)
        if text != "skip"
    }  # fmt: skip


def test_output_of_the_package_is_kept_and_a_cut_off_line_made_again(tmp_path):
    asked = []

    def annotator(texts):
        asked.append(list(texts))
        return package_output(texts)

    texts = {"a": "No edema .", "b": "skip", "c": " ", "d": "No edema ."}

    def run_again():
        return list(annotate(texts, tmp_path / "kept.jsonl", "radgraph-xl", lambda: annotator))

    first = run_again()
    assert [(a.key, len(a.entities)) for a in first] == [("a", 1), ("b", 0), ("d", 1)]
    assert first[0].entities[0].label == "OBS-DA"
    assert run_again() == first and asked == [["No edema .", "skip"]]
    content = (tmp_path / "kept.jsonl").read_text()
    (tmp_path / "kept.jsonl").write_text(content[:-20])
    assert run_again() == first and asked[1:] == [["skip"]]
    assert list(read_cache(tmp_path / "kept.jsonl", "another")) == []


def test_a_damaged_cache_is_named(tmp_path):
    (tmp_path / "kept.jsonl").write_text(json.dumps([1]) + "\n")
    with pytest.raises(UserError, match="line 1"):
        read_cache(tmp_path / "kept.jsonl", "radgraph")
