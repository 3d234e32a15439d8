"""Writes invented studies as MIMIC-CXR-JPG 2.0 lays them out: films, reports, tables."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.demo.film import Findings, draw_frontal, draw_lateral
from medjax.data.demo.findings import LABELS
from medjax.data.demo.patients import EPOCH, FILMS, generator
from medjax.data.demo.rawcsv import write_table
from medjax.files import write_text

LATERAL = ("LATERAL", "LL")
"""Views from the side."""
_PROCEDURES = {"AP": "CHEST (PORTABLE AP)"}
_OTHER_PROCEDURE = "CHEST (PA AND LAT)"
_VIEW_CODES = {"AP": "antero-posterior", "PA": "postero-anterior", "LATERAL": "lateral",
               "LL": "left lateral"}  # fmt: skip


class Study(NamedTuple):
    """One examination: seconds since the epoch, the views taken, what they show, 14 labels."""

    patient: int
    subject_id: int
    study_id: int
    second: int
    views: tuple[str, ...]
    findings: Findings
    labels: list[float]
    report: str = ""
    """Its text; "" where none is published."""

    @property
    def folder(self) -> str:
        """Where its films lie; the report lies beside, with the suffix .txt."""
        return f"files/p{str(self.subject_id)[:2]}/p{self.subject_id}/s{self.study_id}"


class StudyFilm(NamedTuple):
    """One film of a study."""

    study: Study
    view: str
    number: int
    dicom_id: str

    @property
    def path(self) -> str:
        """Where the film lies below the data set's folder."""
        return f"{self.study.folder}/{self.dicom_id}.jpg"


def write_release(
    folder: Path,
    studies: Sequence[Study],
    seed: int,
    width: int,
    split_of: Callable[[Study], str],
) -> None:
    """Write films `width` pixels wide, reports and tables.

    The tables come last: a folder that has them has all its films.
    """
    films = [film for study in studies for film in films_of(study, seed)]
    for film in films:
        (folder / film.path).parent.mkdir(parents=True, exist_ok=True)
    sizes = [_write_film(folder, film, seed, width) for film in films]
    for study in studies:
        if study.report:
            write_text(folder / f"{study.folder}.txt", study.report)
    write_table(folder / "mimic-cxr-2.0.0-split.csv.gz", _split_table(films, split_of))
    write_table(folder / "mimic-cxr-2.0.0-chexpert.csv.gz", _label_table(studies))
    write_table(folder / "mimic-cxr-2.0.0-metadata.csv.gz", _metadata(films, sizes))


def films_of(study: Study, seed: int) -> list[StudyFilm]:
    """Return the films of a study, in the order of its views."""
    films = []
    for number, view in enumerate(study.views):
        rng = generator(seed, study.patient, FILMS, 2, study.study_id, number)
        blocks = rng.integers(0, 2**32, 5, dtype=np.uint64)
        films.append(StudyFilm(study, view, number, "-".join(f"{int(b):08x}" for b in blocks)))
    return films


def _write_film(folder: Path, film: StudyFilm, seed: int, width: int) -> tuple[int, ...]:
    """Draw and write one JPEG; returns its height and width."""
    rng = generator(seed, film.study.patient, FILMS, 3, film.study.study_id, film.number)
    if film.view in LATERAL:
        grey = draw_lateral(film.study.findings, rng, width)
    else:
        grey = draw_frontal(film.study.findings, rng, width, portable=film.view == "AP")
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=85)
    (folder / film.path).write_bytes(buffer.getvalue())
    return grey.shape


def _metadata(films: list[StudyFilm], sizes: list[tuple[int, ...]]) -> pd.DataFrame:
    time = EPOCH + np.array([f.study.second for f in films]).astype("timedelta64[s]")
    text = np.datetime_as_string(time, unit="s")
    views = [f.view for f in films]
    clock = [t[11:].replace(":", "") for t in text]
    return pd.DataFrame({
        "dicom_id": [f.dicom_id for f in films],
        "subject_id": [f.study.subject_id for f in films],
        "study_id": [f.study.study_id for f in films],
        "PerformedProcedureStepDescription": [_PROCEDURES.get(v, _OTHER_PROCEDURE) for v in views],
        "ViewPosition": views,
        "Rows": [height for height, _ in sizes],
        "Columns": [width for _, width in sizes],
        "StudyDate": [t[:10].replace("-", "") for t in text],
        # Without leading zeros and with a fraction, as released: 73015.25 is 07:30:15.
        "StudyTime": [f"{int(c)}.{f.study.second % 1000:03d}" for c, f in zip(clock, films)],
        "ProcedureCodeSequence_CodeMeaning": [_PROCEDURES.get(v, _OTHER_PROCEDURE) for v in views],
        "ViewCodeSequence_CodeMeaning": [_VIEW_CODES[v] for v in views],
        "PatientOrientationCodeSequence_CodeMeaning": ["Erect" if v != "AP" else "Recumbent"
                                                       for v in views],
    }).sort_values("dicom_id")  # fmt: skip


def _split_table(films: list[StudyFilm], split_of: Callable[[Study], str]) -> pd.DataFrame:
    return pd.DataFrame({
        "dicom_id": [f.dicom_id for f in films],
        "study_id": [f.study.study_id for f in films],
        "subject_id": [f.study.subject_id for f in films],
        "split": [split_of(f.study) for f in films],
    }).sort_values("dicom_id")  # fmt: skip


def _label_table(studies: Sequence[Study]) -> pd.DataFrame:
    """One row a study; a few studies were never labelled, as in the real set."""
    labelled = [s for s in studies if s.study_id % 67 != 0]
    table = pd.DataFrame([s.labels for s in labelled], columns=list(LABELS))
    table.insert(0, "subject_id", [s.subject_id for s in labelled])
    table.insert(1, "study_id", [s.study_id for s in labelled])
    return table.sort_values(["subject_id", "study_id"])
