"""Writes the synthetic patients' chest films and tables in the layout of MIMIC-CXR-JPG 2.0."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.demo.film import Findings, draw_frontal, draw_lateral
from medjax.data.demo.findings import LABELS, findings_on_film, label_study
from medjax.data.demo.patients import EPOCH, FILMS, HOUR, draw_story, generator
from medjax.data.demo.rawcsv import require_patients, write_table

FIRST_STUDY = 96_000_001
WITHOUT_FILMS = 0.4
"""Share of the patients who have no film at all."""

_PROCEDURES = {"AP": "CHEST (PORTABLE AP)", "PA": "CHEST (PA AND LAT)",
               "LATERAL": "CHEST (PA AND LAT)"}  # fmt: skip
_VIEW_CODES = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral"}


class Study(NamedTuple):
    """One examination: seconds since the epoch, the views taken, what they show, 14 labels."""

    patient: int
    subject_id: int
    study_id: int
    second: int
    views: tuple[str, ...]
    findings: Findings
    labels: list[float]


class _Film(NamedTuple):
    study: Study
    view: str
    number: int
    dicom_id: str

    @property
    def path(self) -> str:
        """Where the film lies below the data set's folder."""
        folder = f"p{str(self.study.subject_id)[:2]}/p{self.study.subject_id}"
        return f"files/{folder}/s{self.study.study_id}/{self.dicom_id}.jpg"


def write_cxr(folder: Path, patients: int, seed: int, *, width: int = 256) -> None:
    """Write films `width` pixels wide and their tables, of the patients of `icu.write_icu`.

    Equal arguments give equal bytes. The tables come last: a folder that has them has all its
    films. Raises `UserError` when `patients` is below 1.
    """
    require_patients(patients)
    studies = list(draw_studies(patients, seed))
    films = list(_films(studies, seed))
    for film in films:
        (folder / film.path).parent.mkdir(parents=True, exist_ok=True)
    sizes = [_write_film(folder, film, seed, width) for film in films]
    write_table(folder / "mimic-cxr-2.0.0-split.csv.gz", _split_table(films))
    write_table(folder / "mimic-cxr-2.0.0-chexpert.csv.gz", _label_table(studies))
    write_table(folder / "mimic-cxr-2.0.0-metadata.csv.gz", _metadata(films, sizes))


def draw_studies(patients: int, seed: int) -> Iterator[Study]:
    """All examinations, patient by patient: in the unit (AP), some before or after it (PA)."""
    story = draw_story(patients, seed)
    people = story.patients
    habitus = people.habitus.to_numpy()[story.admissions.patient]
    admissions = story.admissions.assign(habitus=habitus)
    for record in admissions.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        if people.film_u[row["patient"]] < WITHOUT_FILMS:
            continue
        rng = generator(seed, row["patient"], FILMS, row["number"])
        first_id = FIRST_STUDY + 16 * row["patient"] + 8 * row["number"]
        for k, (second, views, acute) in enumerate(_examinations(row, rng)):
            findings = findings_on_film(row, acute, views[0] == "AP", rng)
            labels = label_study(findings, row["infection"] > 0.3, rng)
            yield Study(row["patient"], row["subject_id"], first_id + k, int(second), views,
                        findings, labels)  # fmt: skip


def _examinations(
    row: dict, rng: np.random.Generator
) -> list[tuple[float, tuple[str, ...], float]]:
    """When, which views, and how much of the acute illness is there yet."""
    u, hours = rng.random(8), (row["outtime"] - row["intime"]) / HOUR
    found: list[tuple[float, tuple[str, ...], float]] = []
    if u[0] < 0.10:
        before = row["admittime"] - (1 + 60 * u[1]) * 24 * HOUR
        found.append((before, ("PA", "LATERAL"), 0.4))
    first = min(1 + 29 * u[2], 0.9 * hours)
    views = ("AP", "AP") if u[3] < 0.06 else ("AP",)
    found.append((row["intime"] + first * HOUR, views, 1.0))
    for k in range(2):
        later = first + (k + 1) * (18 + 14 * u[4])
        if u[5 + k] < 0.22 and later < hours:
            found.append((row["intime"] + later * HOUR, ("AP",), 1.0))
    if u[7] < 0.08 and not row["died"]:
        found.append((row["outtime"] + 30 * HOUR, ("PA", "LATERAL"), 0.6))
    return found


def _films(studies: list[Study], seed: int) -> Iterator[_Film]:
    for study in studies:
        for number, view in enumerate(study.views):
            rng = generator(seed, study.patient, FILMS, 2, study.study_id, number)
            blocks = rng.integers(0, 2**32, 5, dtype=np.uint64)
            yield _Film(study, view, number, "-".join(f"{int(b):08x}" for b in blocks))


def _write_film(folder: Path, film: _Film, seed: int, width: int) -> tuple[int, ...]:
    """Draw and write one JPEG; returns its height and width."""
    rng = generator(seed, film.study.patient, FILMS, 3, film.study.study_id, film.number)
    if film.view == "LATERAL":
        grey = draw_lateral(film.study.findings, rng, width)
    else:
        grey = draw_frontal(film.study.findings, rng, width, portable=film.view == "AP")
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=85)
    (folder / film.path).write_bytes(buffer.getvalue())
    return grey.shape


def _metadata(films: list[_Film], sizes: list[tuple[int, ...]]) -> pd.DataFrame:
    time = EPOCH + np.array([f.study.second for f in films]).astype("timedelta64[s]")
    text = np.datetime_as_string(time, unit="s")
    views = [f.view for f in films]
    clock = [t[11:].replace(":", "") for t in text]
    return pd.DataFrame({
        "dicom_id": [f.dicom_id for f in films],
        "subject_id": [f.study.subject_id for f in films],
        "study_id": [f.study.study_id for f in films],
        "PerformedProcedureStepDescription": [_PROCEDURES[v] for v in views],
        "ViewPosition": views,
        "Rows": [height for height, _ in sizes],
        "Columns": [width for _, width in sizes],
        "StudyDate": [t[:10].replace("-", "") for t in text],
        # Without leading zeros and with a fraction, as released: 73015.25 is 07:30:15.
        "StudyTime": [f"{int(c)}.{f.study.second % 1000:03d}" for c, f in zip(clock, films)],
        "ProcedureCodeSequence_CodeMeaning": [_PROCEDURES[v] for v in views],
        "ViewCodeSequence_CodeMeaning": [_VIEW_CODES[v] for v in views],
        "PatientOrientationCodeSequence_CodeMeaning": ["Erect" if v != "AP" else "Recumbent"
                                                       for v in views],
    }).sort_values("dicom_id")  # fmt: skip


def _split_table(films: list[_Film]) -> pd.DataFrame:
    """The published split is by subject and nearly all `train`."""
    part = {0: "test", 1: "validate"}
    return pd.DataFrame({
        "dicom_id": [f.dicom_id for f in films],
        "study_id": [f.study.study_id for f in films],
        "subject_id": [f.study.subject_id for f in films],
        "split": [part.get(f.study.patient % 50, "train") for f in films],
    }).sort_values("dicom_id")  # fmt: skip


def _label_table(studies: list[Study]) -> pd.DataFrame:
    """One row a study; a few studies were never labelled, as in the real set."""
    labelled = [s for s in studies if s.study_id % 67 != 0]
    table = pd.DataFrame([s.labels for s in labelled], columns=list(LABELS))
    table.insert(0, "subject_id", [s.subject_id for s in labelled])
    table.insert(1, "study_id", [s.study_id for s in labelled])
    return table.sort_values(["subject_id", "study_id"])
