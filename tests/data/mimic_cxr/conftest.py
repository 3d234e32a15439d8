"""A small MIMIC-CXR-JPG folder and the stays of a prepared MIMIC-IV folder."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.data.mimic_cxr.select import film_path
from medjax.data.mimic_cxr.tables import LABELS

SUBJECTS = (10000001, 10000002, 10000003, 11000004, 11000005, 12000006)
EHR_SPLITS = {10000001: "train", 10000002: "validation", 10000003: "test", 11000004: "test"}


def make_raw(raw: Path, films_each: int = 3) -> list[dict]:
    """Write tables and films; return the rows of the metadata table."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in SUBJECTS:
        for k in range(films_each):
            dicom = f"{subject:08x}-{k:08x}"
            study = 50000000 + 10 * (subject % 1000) + k
            row = {
                "dicom_id": dicom,
                "subject_id": subject,
                "study_id": study,
                "ViewPosition": ("AP", "PA", "AP")[k % 3],
                "StudyDate": "21500102",
                "StudyTime": ("73015.25", "804.1", "180000")[k % 3],
                "Rows": 60,
            }
            rows.append(row)
            path = raw / film_path(subject, study, dicom)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (60, 50), dtype=np.uint8)).save(path)
    pd.DataFrame(rows[::-1]).to_csv(raw / "mimic-cxr-2.0.0-metadata.csv.gz", index=False)
    values = np.array(["1.0", "0.0", "-1.0", ""])
    labels = pd.DataFrame({name: values[rng.integers(0, 4, len(rows))] for name in LABELS[::-1]})
    labels.insert(0, "study_id", [row["study_id"] for row in rows])
    labels.to_csv(raw / "mimic-cxr-2.0.0-chexpert.csv", index=False)
    pd.DataFrame(
        {
            "dicom_id": [row["dicom_id"] for row in rows],
            "split": [("train", "validate", "test")[row["subject_id"] % 3] for row in rows],
        }
    ).to_csv(raw / "mimic-cxr-2.0.0-split.csv", index=False)
    return rows


EHR_SETS = {
    "phenotyping": {"version": "1.0.0", "hourly": False, "window_hours": None},
    "in_hospital_mortality": {"version": "1.0.0", "hourly": False, "window_hours": 48.0},
    "decompensation": {"version": "1.0.0", "hourly": True, "window_hours": None},
}


def make_ehr(ehr: Path) -> None:
    """Write the stays of some of the subjects, and one without films."""
    subjects = [*EHR_SPLITS, 19999999]
    table = pd.DataFrame({"subject_id": subjects, "stay_id": np.arange(30000000, 30000005)})
    table["intime"] = np.datetime64("2150-01-02T06:00", "s")
    table["outtime"] = np.datetime64("2150-01-02T12:00", "s")
    table["split"] = [EHR_SPLITS.get(subject, "train") for subject in subjects]
    ehr.mkdir()
    table.to_parquet(ehr / "stays.parquet")
    (ehr / "manifest.json").write_text(json.dumps({"source": "mimic_iv", "sets": EHR_SETS}))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    make_raw(folder)
    return folder


@pytest.fixture
def ehr(tmp_path: Path) -> Path:
    make_ehr(tmp_path / "ehr")
    return tmp_path / "ehr"
