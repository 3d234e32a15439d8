"""MIMIC-CXR-JPG from raw folder to prepared sets, through the command."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from medjax.data.mimic_cxr.tables import LABELS
from medjax.data.prepared import open_set, read_manifest
from medjax.prepare import main
from tests.data.mimic_cxr.conftest import EHR_SPLITS, SUBJECTS, make_raw

FILMS = 3 * len(SUBJECTS)


def run(raw, out, *options):
    return main(["mimic_cxr", f"--raw={raw}", f"--out={out}", "--workers=1", *options])


def every(out, name="xray"):
    return {s: list(examples) for s, examples in open_set(out, name).splits.items()}


def counts(out):
    return {count["rule"]: (count["in"], count["out"]) for count in read_manifest(out)["counts"]}


def test_published_split_labels_and_times(raw, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out) == 0
    splits = every(out)
    assert sum(map(len, splits.values())) == FILMS
    assert "published list" in read_manifest(out)["split_rule"]
    table = pd.read_csv(raw / "mimic-cxr-2.0.0-chexpert.csv").set_index("study_id")
    for split, films in splits.items():
        for film in films:
            name = {0: "train", 1: "validation", 2: "test"}[film["subject_id"] % 3]
            assert split == name
            expected = table.loc[film["study_id"], list(LABELS)].fillna(-2)
            np.testing.assert_array_equal(film["labels"], expected)
            assert film["image"].shape == (60, 50)
            if film["view"] == "PA":
                time = np.datetime64(film["study_time"], "s")
                assert time == np.datetime64("2150-01-02T00:08:04")


def test_split_follows_the_icu_data_and_stays_are_linked(raw, ehr, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out, f"--ehr={ehr}") == 0
    splits = every(out)
    for split, films in splits.items():
        assert {f["subject_id"] for f in films} == {
            subject for subject in SUBJECTS if EHR_SPLITS.get(subject, "train") == split
        }
    for task, last in (("phenotyping", 0), ("in_hospital_mortality", 2)):
        links = every(out, f"icu_links_{task}")
        assert {s: len(rows) for s, rows in links.items()} == {
            "train": 1, "validation": 1, "test": 2
        }  # fmt: skip
        for split, rows in links.items():
            for row in rows:
                film = splits[split][row["index"]]
                assert film["dicom_id"] == row["dicom_id"] == f"{row['subject_id']:08x}-{last:08x}"
                assert film["subject_id"] == row["subject_id"]
    hours = [r["hour"] for rows in every(out, "icu_links_decompensation").values() for r in rows]
    np.testing.assert_allclose(hours, [1 + (30 * 60 + 15) / 3600] * 4, rtol=1e-6)


def test_films_are_linked_for_the_tasks_that_were_prepared(raw, ehr, tmp_path, capsys):
    assert run(raw, tmp_path / "out", f"--ehr={ehr}", "--tasks=phenotyping") == 0
    assert set(read_manifest(tmp_path / "out")["sets"]) == {"xray", "icu_links_phenotyping"}
    assert run(raw, tmp_path / "no", f"--ehr={ehr}", "--tasks=length_of_stay") == 2
    assert "no set 'length_of_stay'" in capsys.readouterr().err


def test_no_patient_in_two_splits(raw, ehr, tmp_path):
    for name, options in {"a": [], "b": ["--split=hash"], "c": [f"--ehr={ehr}"]}.items():
        assert run(raw, tmp_path / name, *options) == 0
        subjects = [{f["subject_id"] for f in films} for films in every(tmp_path / name).values()]
        assert sum(map(len, subjects)) == len(set.union(*subjects)) == len(SUBJECTS)


def test_rows_in_another_order_and_more_workers_change_no_record(raw, ehr, tmp_path):
    assert run(raw, tmp_path / "a", f"--ehr={ehr}") == 0
    table = pd.read_csv(raw / "mimic-cxr-2.0.0-metadata.csv.gz", dtype=str)
    table.sample(frac=1, random_state=1).to_csv(
        raw / "mimic-cxr-2.0.0-metadata.csv.gz", index=False
    )
    assert run(raw, tmp_path / "b", f"--ehr={ehr}", "--workers=2") == 0
    first, second = (read_manifest(tmp_path / name)["sets"] for name in "ab")
    assert first == second


def test_subset_view_and_limit(raw, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out, "--subset=p10,p12", "--views=AP", "--limit=5") == 0
    films = [film for part in every(out).values() for film in part]
    assert len(films) == 5 and {film["view"] for film in films} == {"AP"}
    assert {str(film["subject_id"])[:2] for film in films} <= {"10", "12"}
    seen = counts(out)
    assert seen["subset"] == (FILMS, 12) and seen["view"] == (12, 8) and seen["limit"] == (8, 5)


def test_images_not_on_disk_and_unlabelled_studies_are_counted(raw, tmp_path):
    out = tmp_path / "out"
    next(raw.rglob("*00000001.jpg")).unlink()
    table = pd.read_csv(raw / "mimic-cxr-2.0.0-chexpert.csv", dtype=str)
    table.iloc[2:].to_csv(raw / "mimic-cxr-2.0.0-chexpert.csv", index=False)
    kept = run(raw, out) == 0 and counts(out)
    assert kept["labels"] == (FILMS, FILMS - 2)
    assert kept["image on disk"][0] == FILMS - 2 and kept["image on disk"][1] < FILMS - 2


def test_unreadable_images_stop_unless_there_is_a_budget(raw, ehr, tmp_path, capsys):
    out = tmp_path / "out"
    broken = sorted(raw.rglob("*00000000.jpg"))[0]
    broken.write_bytes(broken.read_bytes()[:300])
    assert run(raw, out, f"--ehr={ehr}") == 1
    message = capsys.readouterr().err
    assert broken.name in message and message.startswith("medjax: ") and message.count("\n") == 1
    assert not out.exists()
    assert run(raw, out, f"--ehr={ehr}", "--max_bad_images=1") == 0
    assert counts(out)["readable"] == (FILMS, FILMS - 1)
    manifest = read_manifest(out)
    assert [film["dicom_id"] for film in manifest["bad_images"]] == [broken.stem]
    linked = [
        row["dicom_id"] for rows in every(out, "icu_links_phenotyping").values() for row in rows
    ]
    assert broken.stem not in linked


def test_links_out_of_the_folder_are_refused(raw, tmp_path, capsys):
    film = next(raw.rglob("*.jpg"))
    film.rename(tmp_path / "outside.jpg")
    film.symlink_to(tmp_path / "outside.jpg")
    assert run(raw, tmp_path / "out") == 1
    assert "leads out" in capsys.readouterr().err


def test_unlabelled_gives_one_split(raw, tmp_path):
    out = tmp_path / "out"
    (raw / "mimic-cxr-2.0.0-chexpert.csv").unlink()
    assert run(raw, out) == 1
    assert run(raw, out, "--unlabelled") == 0
    (films,) = every(out).values()
    assert len(films) == FILMS and not any("labels" in film for film in films)


def test_reports_are_read_where_they_are(raw, tmp_path):
    studies = pd.read_csv(raw / "mimic-cxr-2.0.0-chexpert.csv")["study_id"]
    pd.DataFrame(
        {"study": "s" + studies.astype(str), "impression": "clear\nlungs", "findings": ""}
    ).to_csv(raw / "mimic_cxr_sectioned.csv", index=False)
    assert run(raw, tmp_path / "out") == 0
    films = every(tmp_path / "out")["train"]
    assert {film["report"]["impression"] for film in films} == {"clear\nlungs"}


REPORTS = {
    b"\n FINDINGS: clear\n IMPRESSION: none": "clear",
    b"\n FINDINGS: caf\xe9\0\n": "caf\ufffd",
    b"no heads": "",
    b" ___ \n": "",
    b"\n FINDINGS: " + b"a" * (1 << 20): "a" * ((1 << 18) - 12),
}


def write_reports(folder, rows):
    """A report of each kind for the first studies; returns study -> findings."""
    found = {}
    for row, (data, findings) in zip(rows, REPORTS.items()):
        subject = str(row["subject_id"])
        path = folder / f"files/p{subject[:2]}/p{subject}/s{row['study_id']}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found[row["study_id"]] = findings
    return found


@pytest.mark.parametrize("where", ["beside the films", "option", "files", "zip"])
def test_report_texts_are_split(tmp_path, where):
    rows = make_raw(tmp_path / "raw")
    folder = tmp_path / ("raw" if where == "beside the films" else "reports")
    found = write_reports(folder, rows)
    option = {"option": f"--reports={folder}", "files": f"--reports={folder / 'files'}"}.get(where)
    if where == "zip":
        shutil.make_archive(str(tmp_path / "raw/mimic-cxr-reports"), "zip", folder)
    assert run(tmp_path / "raw", tmp_path / "out", *([option] if option else [])) == 0
    films = [film for part in every(tmp_path / "out").values() for film in part]
    for film in films:
        assert film["report"]["findings"] == found.get(film["study_id"], "")
    assert read_manifest(tmp_path / "out")["reports"] == {
        "studies": FILMS, "with_report": 4,
        "not_utf8": 1, "cut": 1, "empty": 1, "without_sections": 1,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["absent", "damaged"])
def test_reports_that_cannot_be_read_are_named(raw, tmp_path, capsys, kind):
    path = tmp_path / "reports.zip"
    if kind == "damaged":
        path.write_bytes(b"PK no zip")
    assert run(raw, tmp_path / "out", f"--reports={path}") == 1
    message = capsys.readouterr().err
    assert "reports.zip" in message and message.count("\n") == 1


def test_dry_run_writes_nothing(raw, tmp_path, capsys):
    assert run(raw, tmp_path / "out", "--dry_run") == 0
    assert f"{FILMS} images" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def damage_gzip(raw):
    path = raw / "mimic-cxr-2.0.0-metadata.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])


def drop_column(raw):
    path = raw / "mimic-cxr-2.0.0-metadata.csv.gz"
    pd.read_csv(path, dtype=str).drop(columns="StudyDate").to_csv(path, index=False)


def bad_label(raw):
    path = raw / "mimic-cxr-2.0.0-chexpert.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[3, "Edema"] = "2.0"
    table.to_csv(path, index=False)


def repeat_image(raw):
    path = raw / "mimic-cxr-2.0.0-metadata.csv.gz"
    table = pd.read_csv(path, dtype=str)
    pd.concat([table, table.iloc[:1]]).to_csv(path, index=False)


def bad_id(raw):
    path = raw / "mimic-cxr-2.0.0-metadata.csv.gz"
    table = pd.read_csv(path, dtype=str)
    table.loc[1, "subject_id"] = "10000001.0"
    table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_gzip, ("metadata.csv.gz", "damaged gzip")),
        (drop_column, ("metadata.csv.gz", "StudyDate")),
        (bad_label, ("chexpert.csv, row 5", "Edema")),
        (repeat_image, ("metadata.csv.gz: row 20 repeats image", "of row 2; remove one")),
        (bad_id, ("metadata.csv.gz, row 3", "subject_id")),
    ],
)
def test_bad_tables_are_named_in_one_line(raw, tmp_path, capsys, damage, words):
    damage(raw)
    assert run(raw, tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert all(word in message for word in words) and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("absent", 2, "no such folder"),
        ("empty", 1, "no manifest.json"),
        ("films", 1, "holds the prepared mimic_cxr"),
        ("no stays", 1, "stays.parquet"),
    ],
)
def test_the_ehr_folder_is_checked_before_the_raw_tables(tmp_path, capsys, kind, code, words):
    (tmp_path / "raw").mkdir()  # holds no table: an error of its own, were it read first
    ehr = tmp_path / "ehr"
    if kind != "absent":
        ehr.mkdir()
    if kind in ("films", "no stays"):
        source = "mimic_cxr" if kind == "films" else "mimic_iv"
        (ehr / "manifest.json").write_text(json.dumps({"source": source}))
    assert run(tmp_path / "raw", tmp_path / "out", f"--ehr={ehr}") == code
    message = capsys.readouterr().err
    assert words in message and str(ehr) in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_manifest_is_whole(raw, ehr, tmp_path):
    out = tmp_path / "out"
    assert run(raw, out, f"--ehr={ehr}") == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["source"] == "mimic_cxr" and manifest["fields"] == {
        "cxr_tie": "dicom_id",
        "truncated_indication_header": "indication",
        "custom_section_studies": "kept",
    }
    assert set(manifest["inputs"]) == {
        "ehr/manifest.json",
        *(f"mimic-cxr-2.0.0-{name}" for name in ("metadata.csv.gz", "chexpert.csv", "split.csv")),
    }
    assert manifest["sets"]["xray"]["labels"] == list(LABELS)
    assert not [v for v in manifest["options"].values() if str(tmp_path) in str(v)]


def test_boxes_become_regions(raw, tmp_path):
    metadata = pd.read_csv(raw / "mimic-cxr-2.0.0-metadata.csv.gz", dtype=str)
    rows = {"category_name": "Pneumonia", "x": 1, "y": 2, "w": 3, "h": 4}
    boxes = pd.DataFrame([rows | {"dicom_id": metadata["dicom_id"][0]}])
    boxes.to_csv(raw / "boxes.csv", index=False)
    assert run(raw, tmp_path / "out", "--boxes=boxes.csv") == 0
    regions = read_manifest(tmp_path / "out")["sets"]["regions"]
    assert sum(regions["splits"].values()) == 1 and regions["labels"] == ["Pneumonia"]
    assert "boxes.csv" in read_manifest(tmp_path / "out")["inputs"]
