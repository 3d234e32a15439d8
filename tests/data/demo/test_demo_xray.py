"""The synthetic films: same bytes, MIMIC-CXR-JPG's layout, readable, findings that show."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.demo.film import Findings, draw_frontal, draw_lateral
from medjax.data.demo.findings import LABELS
from medjax.data.demo.icu import write_icu
from medjax.data.demo.xray import draw_studies, write_cxr

PATIENTS, SEED, WIDTH = 60, 5, 64


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cxr")
    write_cxr(folder, PATIENTS, SEED, width=WIDTH)
    return folder


def read(folder: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"mimic-cxr-2.0.0-{table}.csv.gz", dtype=str, keep_default_na=False)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_equal_arguments_give_equal_bytes(raw, tmp_path):
    write_cxr(tmp_path, PATIENTS, SEED, width=WIDTH)
    assert digests(tmp_path) == digests(raw)


def test_a_patient_has_the_same_films_however_many_patients_there_are(raw, tmp_path):
    write_cxr(tmp_path, 20, SEED, width=WIDTH)
    few, many = digests(tmp_path / "files"), digests(raw / "files")
    assert few.items() <= many.items()
    assert 0 < len(few) < len(many)


def test_every_listed_film_lies_where_mimic_puts_it_and_decodes(raw):
    metadata = read(raw, "metadata")
    assert metadata.dicom_id.str.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}").all()
    assert metadata.dicom_id.is_unique
    for row in metadata.itertuples():
        folder = f"files/p{row.subject_id[:2]}/p{row.subject_id}/s{row.study_id}"
        with Image.open(raw / folder / f"{row.dicom_id}.jpg") as film:
            film.load()
            assert film.mode == "L"
            assert film.size == (int(row.Columns), int(row.Rows))
            assert np.asarray(film).std() > 20
    assert len(metadata) == len(list((raw / "files").rglob("*.jpg")))


def test_tables_have_the_columns_and_values_of_mimic_cxr(raw):
    labels = read(raw, "chexpert")
    assert list(labels.columns) == ["subject_id", "study_id", *LABELS]
    assert set(np.unique(labels[list(LABELS)])) == {"", "-1.0", "0.0", "1.0"}
    split = read(raw, "split")
    assert list(split.columns) == ["dicom_id", "study_id", "subject_id", "split"]
    assert set(split.split) <= {"train", "validate", "test"}
    metadata = read(raw, "metadata")
    assert set(split.dicom_id) == set(metadata.dicom_id)
    assert {"AP", "PA", "LATERAL"} == set(metadata.ViewPosition)
    assert metadata.StudyDate.str.fullmatch(r"2[0-2]\d{6}").all()
    assert metadata.StudyTime.str.fullmatch(r"\d{1,6}\.\d{3}").all()


def test_some_patients_have_no_film_and_some_stays_several(tmp_path):
    studies = list(draw_studies(300, SEED))
    share = len({s.patient for s in studies}) / 300
    assert 0.5 < share < 0.7
    assert max(pd.Series([s.patient for s in studies]).value_counts()) > 2


def test_films_belong_to_the_patients_of_the_tables(raw, tmp_path):
    write_icu(tmp_path, PATIENTS, SEED)
    stays = pd.read_csv(tmp_path / "icu/icustays.csv.gz", parse_dates=["intime", "outtime"])
    assert set(read(raw, "metadata").subject_id.astype(int)) <= set(stays.subject_id)
    bedside = pd.DataFrame(
        [(s.subject_id, s.second) for s in draw_studies(PATIENTS, SEED) if s.views[0] == "AP"],
        columns=["subject_id", "second"],
    )
    bedside["time"] = pd.Timestamp("2110-01-01") + pd.to_timedelta(bedside.second, unit="s")
    pairs = bedside.reset_index().merge(stays, on="subject_id")
    inside = pairs[(pairs.intime <= pairs.time) & (pairs.time <= pairs.outtime)]
    assert set(inside["index"]) == set(bedside.index)


def lung_brightness(findings: Findings) -> float:
    """Mean grey of the lung fields over several films."""
    films = [draw_frontal(findings, np.random.default_rng(k), 96, True) for k in range(8)]
    return float(np.mean([f[30:60, 20:40].mean() + f[30:60, 60:76].mean() for f in films]))


@pytest.mark.parametrize(
    "worse",
    [Findings(edema=1.0), Findings(consolidation=1.0), Findings(effusion_right=1.0)],
)
def test_disease_whitens_the_lungs(worse):
    assert lung_brightness(worse) > lung_brightness(Findings()) + 10


def test_a_large_heart_is_wider():
    def dark(findings: Findings) -> float:
        film = draw_frontal(findings, np.random.default_rng(0), 128, True)
        row = film[int(0.62 * len(film)), 20:108].astype(float)
        return float((row < 0.6 * film.max()).sum())

    assert dark(Findings(heart=1.0)) < dark(Findings(heart=0.0)) - 5


def test_lateral_film_has_the_size_asked_for():
    film = draw_lateral(Findings(), np.random.default_rng(0), 80)
    assert film.shape[1] == 80
    assert film.dtype == np.uint8
