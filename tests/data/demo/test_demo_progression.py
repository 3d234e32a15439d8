"""Invented visits: same bytes, reports and labels that follow from the levels, films that show."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.captions import make_caption
from medjax.data.demo.film import draw_frontal
from medjax.data.demo.pneumonia_sets import (
    COVIDX_CLASSES,
    RSNA_IMAGES,
    RSNA_SIDE,
    RSNA_TABLE,
    draw_rsna_film,
    write_covidx,
    write_rsna,
)
from medjax.data.demo.progression import (
    COLUMNS,
    FIRST_SUBJECT,
    IMAGE_TABLE,
    SENTENCE_TABLE,
    draw_patient,
    findings_at,
    split_of,
    studies_of,
    told_of,
    write_ms_cxr_t,
    write_progression,
)
from medjax.data.demo.progression_report import BY_CHANGE, RESOLVED, SIZES, VERBS, describe
from medjax.data.reports import report_fields
from medjax.errors import UserError

PATIENTS, SEED, WIDTH = 40, 3, 48


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("progression")
    write_progression(folder, PATIENTS, SEED, width=WIDTH)
    return folder


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_equal_arguments_give_equal_bytes(raw, tmp_path):
    write_progression(tmp_path / "films", PATIENTS, SEED, width=WIDTH)
    assert digests(tmp_path / "films") == digests(raw)
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_ms_cxr_t(folder / "ms", 20, SEED)
        write_rsna(folder / "rsna", 4, SEED, width=WIDTH)
        write_covidx(folder / "covidx", 4, SEED, width=WIDTH)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    with pytest.raises(UserError):
        write_progression(tmp_path, 0, SEED)


def test_a_patient_has_the_same_visits_however_many_patients_there_are(raw, tmp_path):
    write_progression(tmp_path, 5, SEED, width=WIDTH)
    assert digests(tmp_path / "files").items() <= digests(raw / "files").items()


def test_every_study_has_a_report_with_sections_and_its_films(raw):
    metadata = read(raw / "mimic-cxr-2.0.0-metadata.csv.gz")
    reports = {path.stem: report_fields(path.read_text()) for path in raw.rglob("s*.txt")}
    assert set(reports) == {f"s{study}" for study in metadata.study_id}
    captions = [make_caption(r["impression"], r["findings"]) for r in reports.values()]
    assert np.mean([caption != "" for caption in captions]) > 0.9
    assert any(caption == "" for caption in captions)
    views = metadata.groupby("study_id").ViewPosition.agg(list)
    assert {view for of in views for view in of} == {"AP", "PA", "LATERAL", "LL"}
    with_lateral = views.map(lambda of: bool({"LATERAL", "LL"} & set(of))).mean()
    assert 0.4 < with_lateral < 0.8


def test_a_patient_lies_in_one_split():
    splits = [{split_of(s) for s in studies_of(draw_patient(i, SEED), SEED)} for i in range(100)]
    assert all(len(split) == 1 for split in splits)
    assert {s for split in splits for s in split} == {"train", "validate", "test"}


def test_sentences_tell_level_and_change():
    rng, told_changes = np.random.default_rng(0), set()
    for number in range(80):
        patient = draw_patient(number, SEED)
        for visit in range(len(patient.seconds)):
            for track in patient.tracks:
                told = told_of(track, visit)
                sentence = describe(told, rng).lower()
                assert (sentence == "") == (not told.level and not told.before)
                words = {"what": told.what, "size": SIZES[told.level]}
                if told.level and told.before:
                    told_changes.add(told.change)
                    forms = BY_CHANGE[told.change]
                elif told.before:
                    forms = RESOLVED
                elif told.level and told.before == 0:
                    assert "new" in sentence
                    continue
                else:
                    continue
                assert sentence in [form.format(**words).lower() for form in forms]
    assert told_changes == set(BY_CHANGE)


def test_image_labels_follow_from_the_levels_and_visits_from_time(raw, tmp_path):
    write_ms_cxr_t(tmp_path, PATIENTS, SEED)
    table = read(tmp_path / IMAGE_TABLE)
    metadata = read(raw / "mimic-cxr-2.0.0-metadata.csv.gz").set_index("dicom_id")
    when = metadata.StudyDate.astype(int)
    assert (when[table.previous_dicom_id].to_numpy() < when[table.dicom_id].to_numpy()).all()
    study = metadata.study_id
    ids = study[table.dicom_id].to_numpy(), study[table.previous_dicom_id].to_numpy()
    assert (ids[0] == table.study_id).all()
    assert (
        not table.duplicated(["dicom_id", "previous_dicom_id"]).any()
        and 0.2 < (ids[0] < ids[1]).mean() < 0.8
    )
    columns = [f"{name}_progression" for name in COLUMNS.values()]
    for row in table.to_dict("records"):
        patient = draw_patient(int(row["subject_id"]) - FIRST_SUBJECT, SEED)
        ids = int(row["study_id"]), int(study[row["previous_dicom_id"]])
        now, before = (patient.study_ids.index(i) for i in ids)
        for kind, name in COLUMNS.items():
            signs = {
                np.sign(track.levels[now] - track.levels[before])
                for track in patient.tracks
                if track.kind == kind and (track.levels[now] or track.levels[before])
            }
            label = {-1: "improving", 0: "stable", 1: "worsening"}[signs.pop()] if len(
                signs) == 1 else ""  # fmt: skip
            assert row[f"{name}_progression"] == label
    labels = Counter(table[columns].to_numpy().ravel().tolist())
    assert min(labels[name] for name in BY_CHANGE) > 5 and (table[columns] != "").any(axis=1).all()


@pytest.mark.parametrize("kind", list(COLUMNS))
def test_a_higher_level_is_seen(kind):
    patient = next(
        p for p in (draw_patient(i, SEED) for i in range(400))
        if p.tracks[0].kind == kind
    )  # fmt: skip

    def film(level):
        track = patient.tracks[0]._replace(levels=(level,))
        alone = patient._replace(tracks=(track,))
        findings = findings_at(alone, 0, np.random.default_rng(0))
        drawn = draw_frontal(findings, np.random.default_rng(1), 64, False)
        return drawn.astype(int)

    changed = [(abs(film(level) - film(0)) > 12).mean() for level in (1, 2)]
    assert 0.01 < changed[0] < changed[1]


def test_swapped_sentences_have_the_words_of_their_partners(tmp_path):
    write_ms_cxr_t(tmp_path, 2, SEED)
    table = read(tmp_path / SENTENCE_TABLE)
    for row in table.itertuples():
        first, second = (s.lower().strip(".").split() for s in (row.sentence_1, row.sentence_2))
        assert first != second
        if row.subset_name == "swaps":
            assert Counter(first) == Counter(second)
            verbs = [v for of in VERBS.values() for v in of if v in row.sentence_1]
            assert len(verbs) == 2
    assert set(table.subset_name) == {"RadGraph", "swaps"}
    counts = table.groupby(["subset_name", "category"]).size()
    assert counts.min() > 20 and set(table.category) == {"paraphrase", "contradiction"}


def test_boxes_of_rsna_hold_the_pneumonia(tmp_path):
    films = [draw_rsna_film(number, SEED, WIDTH) for number in range(40)]
    assert {film.name for film in films} == {
        "Normal", "Lung Opacity", "No Lung Opacity / Not Normal"
    }  # fmt: skip
    for film in films:
        assert film.image.shape == (WIDTH, WIDTH)
        assert (film.box is not None) == (film.name == "Lung Opacity")
        if film.box is not None:
            left, top, width, height = film.box
            assert width > 60 and height > 60
            assert left >= 0 and top >= 0
            assert left + width <= RSNA_SIDE and top + height <= RSNA_SIDE
    write_rsna(tmp_path, 10, SEED, width=WIDTH)
    table = read(tmp_path / RSNA_TABLE)
    assert list(table.columns) == ["patientId", "x", "y", "width", "height", "Target"]
    assert {p.stem for p in (tmp_path / RSNA_IMAGES).iterdir()} == set(table.patientId)


def test_lists_of_covidx_name_the_films(tmp_path):
    write_covidx(tmp_path, 30, SEED, width=WIDTH)
    patients = {}
    for part in ("train", "test"):
        lines = [line.split() for line in (tmp_path / f"{part}.txt").read_text().splitlines()]
        patients[part] = {line[0] for line in lines}
        assert {line[1] for line in lines} == {p.name for p in (tmp_path / part).iterdir()}
        assert {line[2] for line in lines} <= set(COVIDX_CLASSES)
        assert Image.open(tmp_path / part / lines[0][1]).size == (WIDTH, WIDTH)
    assert patients["train"] and patients["test"] and not patients["train"] & patients["test"]
