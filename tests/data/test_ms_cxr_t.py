"""MS-CXR-T: pairs of films and of sentences, as the released tables have them."""

import shutil

import numpy as np
import pandas as pd
import pytest

from medjax.data.demo.progression import (
    IMAGE_TABLE,
    SENTENCE_TABLE,
    write_ms_cxr_t,
    write_progression,
)
from medjax.data.manifest import read_manifest
from medjax.data.ms_cxr_t import CHANGES, FINDINGS
from medjax.data.prepared import open_set
from medjax.data.xray.index import INDEX, read_index
from medjax.prepare import main

PATIENTS, SEED = 24, 1


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ms_cxr_t")
    write_progression(folder / "cxr", PATIENTS, SEED, width=32)
    write_ms_cxr_t(folder / "tables", PATIENTS, SEED)
    return folder


@pytest.fixture
def tables(raw, tmp_path):
    return shutil.copytree(raw / "tables", tmp_path / "tables")


def run(tables, out, raw, *options):
    images = f"--images={raw / 'cxr'}"
    fixed = (f"--raw={tables}", f"--out={out}", images, "--workers=1", "--sizes=long32")
    return main(["ms_cxr_t", *fixed, *options])


def pairs_of(out):
    sets = open_set(out, "temporal_images").splits
    return {split: [records[i] for i in range(len(records))] for split, records in sets.items()}


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_pairs_are_those_of_the_table_and_films_those_of_the_pairs(raw, tmp_path):
    assert run(raw / "tables", tmp_path, raw) == 0
    table, found = read(raw / "tables" / IMAGE_TABLE), pairs_of(tmp_path)
    rows = sorted((r for of in found.values() for r in of), key=lambda record: record["row"])
    assert [r["row"] for r in rows] == list(range(len(table)))
    assert [r["dicom_id"] for r in rows] == table.dicom_id.tolist()
    assert [r["previous_dicom_id"] for r in rows] == table.previous_dicom_id.tolist()
    for record, (_, row) in zip(rows, table.iterrows()):
        named = ["" if code < 0 else CHANGES[code] for code in record["labels"]]
        assert named == [row[f"{finding}_progression"] for finding in FINDINGS]
        assert str(record["subject_id"]) == row.subject_id
    films = {split: set(read_index(tmp_path, split).dicom_id) for split in found}
    for split, of in found.items():
        used = {r["dicom_id"] for r in of} | {r["previous_dicom_id"] for r in of}
        assert used == films[split]


def test_patients_are_never_split(raw, tmp_path):
    run(raw / "tables", tmp_path, raw)
    subjects = [{r["subject_id"] for r in of} for of in pairs_of(tmp_path).values()]
    assert len(subjects) > 1 and sum(map(len, subjects)) == len(set.union(*subjects))


def test_the_split_of_prepared_films_is_followed(raw, tmp_path):
    films = tmp_path / "films"
    arguments = (f"--raw={raw / 'cxr'}", f"--out={films}", "--workers=1", "--sizes=long32")
    assert main(["mimic_cxr", *arguments]) == 0
    assert run(raw / "tables", tmp_path / "followed", raw, f"--films={films}") == 0
    of = {s: split for split in ("train", "validation", "test")
          for s in read_index(films, split).subject_id}  # fmt: skip
    found = pairs_of(tmp_path / "followed")
    assert all(of[r["subject_id"]] == split for split, rs in found.items() for r in rs)
    assert {split for split, rs in found.items() if rs} == {"train", "validation", "test"}


def test_sentences_are_read_by_place_and_need_no_films(tables, raw, tmp_path):
    (tables / IMAGE_TABLE).unlink()
    table = read(tables / SENTENCE_TABLE)
    renamed = table.rename(columns={"sentence_1": "a", "sentence_2": "b", "category": "kind"})
    renamed.to_csv(tables / SENTENCE_TABLE, index=False)
    assert main(["ms_cxr_t", f"--raw={tables}", f"--out={tmp_path / 'out'}"]) == 0
    assert set(read_manifest(tmp_path / "out")["sets"]) == {"temporal_sentences"}
    records = open_set(tmp_path / "out", "temporal_sentences").splits["test"]
    for name in ("sentence_1", "sentence_2", "category", "subset_name"):
        assert [records[i][name] for i in range(len(records))] == table[name].tolist()


def test_images_may_be_named_with_their_paths(tables, raw, tmp_path):
    table = read(tables / IMAGE_TABLE)
    plain = table.dicom_id.tolist()
    table["dicom_id"] = "p99/p99000001/s1/" + table.dicom_id
    table["previous_dicom_id"] = "p99/p99000001/s1/" + table.previous_dicom_id + ".jpg"
    table.to_csv(tables / IMAGE_TABLE, index=False)
    assert run(tables, tmp_path / "out", raw) == 0
    found = {r["dicom_id"] for of in pairs_of(tmp_path / "out").values() for r in of}
    assert found == set(plain)


def test_pairs_without_both_images_are_left_out_and_counted(tables, raw, tmp_path):
    table = read(tables / IMAGE_TABLE)
    lost = table.previous_dicom_id[0]
    table.loc[3, "dicom_id"] = "not-a-film-of-mimic"
    table.to_csv(tables / IMAGE_TABLE, index=False)
    cxr = shutil.copytree(raw / "cxr", tmp_path / "raw" / "cxr")
    next(cxr.rglob(f"{lost}.jpg")).unlink()
    assert run(tables, tmp_path / "out", tmp_path / "raw") == 0
    counts = {c["rule"]: (c["in"], c["out"]) for c in read_manifest(tmp_path / "out")["counts"]}
    n = len(table)
    assert counts["in MIMIC-CXR"] == (n, n - 1) and counts["image on disk"][1] < n - 1
    rows = {r["row"] for of in pairs_of(tmp_path / "out").values() for r in of}
    assert not rows & {0, 3}


def test_without_labels_there_is_one_split(tables, raw, tmp_path):
    table = read(tables / IMAGE_TABLE).iloc[:, :4]
    table.to_csv(tables / IMAGE_TABLE, index=False)
    assert run(tables, tmp_path / "out", raw, "--unlabelled", "--limit=5") == 0
    found = pairs_of(tmp_path / "out")
    assert list(found) == ["all"] and len(found["all"]) == 5
    assert (np.array([r["labels"] for r in found["all"]]) == -1).all()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.replace("stable", "unchanged"), "holds none of empty, improving"),
        (lambda t: t.rename(columns={"edema_progression": "edema"}), "edema_progression"),
        (lambda t: t.assign(previous_dicom_id="x"), "both images of none"),
    ],
)
def test_wrong_tables_are_refused(tables, raw, tmp_path, capsys, spoil, says):
    spoil(read(tables / IMAGE_TABLE)).to_csv(tables / IMAGE_TABLE, index=False)
    assert run(tables, tmp_path / "out", raw) == 1
    assert says in capsys.readouterr().err


def test_a_category_that_is_none_is_refused(tables, raw, tmp_path, capsys):
    table = read(tables / SENTENCE_TABLE)
    table.loc[3, "category"] = "contradicts"
    table.to_csv(tables / SENTENCE_TABLE, index=False)
    assert run(tables, tmp_path / "out", raw) == 1
    told = capsys.readouterr().err
    assert "row 5" in told and "holds none of contradiction, paraphrase" in told


def test_films_of_other_patients_are_refused(raw, tmp_path, capsys):
    index = pd.DataFrame({"subject_id": [1, 2], "split": ["train", "test"]})
    (tmp_path / "films").mkdir()
    index.to_parquet(tmp_path / "films" / INDEX)
    assert run(raw / "tables", tmp_path / "out", raw, f"--films={tmp_path / 'films'}") == 1
    assert "it has none of the" in capsys.readouterr().err


def test_what_is_missing_is_named(raw, tmp_path, capsys):
    assert main(["ms_cxr_t", f"--raw={raw / 'tables'}", f"--out={tmp_path / 'out'}"]) == 1
    assert "--images" in capsys.readouterr().err
    assert run(raw / "cxr", tmp_path / "out", raw) == 1
    assert "temporal_image_classification" in capsys.readouterr().err
    assert run(raw / "tables", tmp_path / "out", raw, f"--films={raw}") == 1
    assert "--films" in capsys.readouterr().err
