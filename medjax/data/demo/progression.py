"""Invented patients who are examined again and again, while their findings grow, shrink or stay.

Every patient has one or two findings, each with a level at every visit. Films show the level,
reports tell it and how it differs from the visit before, and the tables of MS-CXR-T ask for that
difference.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.demo.film import Findings
from medjax.data.demo.findings import label_study
from medjax.data.demo.patients import HOUR, generator
from medjax.data.demo.progression_report import (
    CHANGES,
    PLACES,
    Told,
    sentence_pairs,
    write_report,
)
from medjax.data.demo.rawcsv import require_patients
from medjax.data.demo.release import LATERAL, Study, films_of, write_release
from medjax.data.subject_split import hash_fraction
from medjax.files import write_text

FIRST_SUBJECT, FIRST_STUDY = 99_000_001, 98_500_001
VISITS = (0.14, 0.20, 0.26, 0.20, 0.12, 0.08)
"""Shares of the patients with 1, 2, ... visits."""
LEVELS = (0.0, 0.45, 1.0)
"""Strength of an absent, a small and a large finding."""
BIG_STEP = 0.35
"""Share of the changes by two levels."""
KINDS = ("lung", "lung", "edema", "effusion", "effusion", "pneumothorax")
"""What the findings of a patient are drawn from: one in a lung at most, fluid on both sides."""
PNEUMONIA = 0.6
"""Share of the findings in a lung that reports call pneumonia, the others consolidation."""
TWO_FINDINGS = 0.8
"""Share of the patients with a second finding."""
VALIDATION_SHARE, TEST_SHARE = 0.12, 0.22
PORTABLE, WITH_LATERAL, SECOND_FRONTAL = 0.2, 0.7, 0.06
"""Shares of the studies at the bedside; of the others with a lateral film; of all with two frontal
ones."""
IMAGE_TABLE = "MS_CXR_T_temporal_image_classification_v1.0.0.csv"
SENTENCE_TABLE = "MS_CXR_T_temporal_sentence_similarity_v1.0.0.csv"
COLUMNS = {
    "consolidation": "consolidation",
    "edema": "edema",
    "effusion": "pleural_effusion",
    "pneumonia": "pneumonia",
    "pneumothorax": "pneumothorax",
}
"""Kind of finding -> column of the table of image labels, without its ending; in its order."""
_STREAMS = {"patient": 41, "visit": 42, "report": 43}


class Track(NamedTuple):
    """One finding of a patient over all visits."""

    kind: str
    """Key of COLUMNS; pneumonia is consolidation by another name."""
    side: int
    """-1 image left, the patient's right; 0 where both lungs have it."""
    place: tuple[float, float]
    """`Findings.consolidation_place`."""
    levels: tuple[int, ...]
    """[visit], of LEVELS."""


class Patient(NamedTuple):
    """What is known of a patient beside films."""

    number: int
    seconds: tuple[int, ...]
    """[visit], since the epoch, rising."""
    study_ids: tuple[int, ...]
    """[visit], in no order, as the real ones."""
    tracks: tuple[Track, ...]
    heart: float


def write_progression(folder: Path, patients: int, seed: int, *, width: int = 96) -> None:
    """Write films, reports and tables as MIMIC-CXR-JPG lays them out; equal arguments, equal bytes.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    write_release(folder, draw_studies(patients, seed), seed, width, split_of)


def write_ms_cxr_t(folder: Path, patients: int, seed: int) -> None:
    """Write both tables of MS-CXR-T, that of image labels on the films of `write_progression`."""
    require_patients(patients)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (
        (IMAGE_TABLE, _image_table(patients, seed)),
        (SENTENCE_TABLE, _sentence_table(seed)),
    ):
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))


def split_of(study: Study) -> str:
    """Return the split of a study by its patient."""
    u = hash_fraction(f"progression {study.patient}")
    if u < TEST_SHARE:
        return "test"
    return "validate" if u < TEST_SHARE + VALIDATION_SHARE else "train"


def draw_studies(patients: int, seed: int) -> list[Study]:
    """Draw all studies, patient by patient, each patient's in the order of time."""
    drawn = [draw_patient(number, seed) for number in range(patients)]
    return [study for patient in drawn for study in studies_of(patient, seed)]


def draw_patient(number: int, seed: int) -> Patient:
    """Draw the story of a patient, the same however many patients there are."""
    rng = generator(seed, number, _STREAMS["patient"])
    visits = 1 + int(rng.choice(len(VISITS), p=VISITS))
    gaps = 1 + 90 * rng.random(visits)
    start = 90 * 365.25 * rng.random()
    clock = 7 * HOUR + 12 * HOUR * rng.random(visits)
    seconds = (start + gaps.cumsum()).astype(np.int64) * 24 * HOUR + clock.astype(np.int64)
    ids = FIRST_STUDY + len(VISITS) * number + rng.permutation(len(VISITS))[:visits]
    drawn = rng.permutation(KINDS).tolist()
    kinds = [k for i, k in enumerate(drawn) if k != "lung" or k not in drawn[:i]]
    second = rng.random() < TWO_FINDINGS
    tracks: list[Track] = []
    for kind in kinds[: 1 + second]:
        tracks.append(_draw_track(kind, visits, tracks, rng))
    heart = 0.25 + 0.2 * rng.standard_normal()
    return Patient(
        number,
        tuple(int(s) for s in seconds),
        tuple(int(i) for i in ids),
        tuple(tracks),
        float(np.clip(heart, 0, 0.7)),
    )


def _draw_track(kind: str, visits: int, others: Sequence[Track], rng: np.random.Generator) -> Track:
    """A finding that at each visit grows, shrinks or stays, all as often where it can."""
    side = -1 if rng.random() < 0.5 else 1
    if kind == "lung":
        kind = "pneumonia" if rng.random() < PNEUMONIA else "consolidation"
    if any(other.kind == kind for other in others):
        side = -others[0].side
    place = draw_place(rng)
    top = len(LEVELS) - 1
    level = int(rng.integers(top + 1))
    levels = [level]
    for _ in range(visits - 1):
        ways = [way for way in CHANGES if 0 <= level + way <= top]
        step = int(rng.choice(ways)) * (1 + int(rng.random() < BIG_STEP))
        level = int(np.clip(level + step, 0, top))
        levels.append(level)
    return Track(kind, 0 if kind == "edema" else side, place, tuple(levels))


def studies_of(patient: Patient, seed: int) -> list[Study]:
    """Return a patient's studies in the order of time."""
    return [_study(patient, visit, seed) for visit in range(len(patient.seconds))]


def _study(patient: Patient, visit: int, seed: int) -> Study:
    rng = generator(seed, patient.number, _STREAMS["visit"], visit)
    views = _views(rng)
    findings = findings_at(patient, visit, rng)
    febrile = any(track.kind == "pneumonia" for track in patient.tracks)
    labels = label_study(findings, febrile, rng)
    told = [told_of(track, visit) for track in patient.tracks]
    report_draws = generator(seed, patient.number, _STREAMS["report"], visit)
    return Study(
        patient.number,
        FIRST_SUBJECT + patient.number,
        patient.study_ids[visit],
        patient.seconds[visit],
        views,
        findings,
        labels,
        write_report(told, views, visit == 0, report_draws),
    )


def _views(rng: np.random.Generator) -> tuple[str, ...]:
    """One film at the bedside, or two; now and then a frontal one is taken again."""
    u = rng.random(4)
    again = u[2] < SECOND_FRONTAL
    if u[0] < PORTABLE:
        return ("AP", "AP") if again else ("AP",)
    lateral = (LATERAL[int(u[3] < 0.2)],) if u[1] < WITH_LATERAL else ()
    return ("PA", *(("AP",) if again else ()), *lateral)


def findings_at(patient: Patient, visit: int, rng: np.random.Generator) -> Findings:
    """Return what the films of a visit show."""
    findings = Findings(heart=patient.heart)
    for track in patient.tracks:
        level = track.levels[visit]
        noise = 0.04 * float(rng.standard_normal())
        strength = LEVELS[level] + noise if level else 0.0
        if track.kind == "edema":
            findings = findings._replace(edema=0.9 * strength)
        elif track.kind == "effusion":
            if track.side == -1:
                findings = findings._replace(effusion_right=0.95 * strength)
            else:
                findings = findings._replace(effusion_left=0.95 * strength)
        elif track.kind == "pneumothorax":
            # A rim that a film of 64 pixels shows.
            findings = findings._replace(
                pneumothorax=1.6 * strength,
                pneumothorax_side=track.side,
                pneumothorax_density=0.0,
            )
        elif level:
            findings = with_opacity(findings, strength, track.side, track.place)
    return findings


def draw_place(rng: np.random.Generator) -> tuple[float, float]:
    """Draw `Findings.consolidation_place`, in the upper or the lower lung."""
    return float(rng.uniform(0.38, 0.48)), float(rng.choice((-0.25, 0.2)))


def with_opacity(
    findings: Findings, strength: float, side: int, place: tuple[float, float]
) -> Findings:
    """Add a consolidation, or a pneumonia, that is the larger and denser the stronger it is."""
    return findings._replace(
        consolidation=0.7 + 0.3 * strength,
        consolidation_side=side,
        consolidation_size=0.6 + 0.7 * strength,
        consolidation_place=place,
    )


def told_of(track: Track, visit: int) -> Told:
    """Return what a report says of a finding: its level and the change since the visit before."""
    level = track.levels[visit]
    before = track.levels[visit - 1] if visit else None
    zones = PLACES[track.kind]
    zone = zones[0] if track.place[1] < 0 else zones[-1]
    side = {-1: "right", 1: "left", 0: "bilateral"}[track.side]
    return Told(track.kind, side, zone, level, before)


def progression(before: int, now: int) -> str:
    """Return improving, stable or worsening between two levels; "" where it was never there."""
    return CHANGES[int(np.sign(now - before))] if now or before else ""


def _image_table(patients: int, seed: int) -> pd.DataFrame:
    """One row for the first frontal films of any two visits of a patient."""
    rows = []
    for number in range(patients):
        patient = draw_patient(number, seed)
        films = [films_of(study, seed)[0] for study in studies_of(patient, seed)]
        for before, visit in itertools.combinations(range(len(films)), 2):
            found: dict[str, set[str]] = {}
            for track in patient.tracks:
                change = progression(track.levels[before], track.levels[visit])
                found.setdefault(track.kind, set()).add(change)
            # Of two sides that go different ways no label is true.
            agreed = {kind: of - {""} for kind, of in found.items()}
            told = {kind: of.pop() if len(of) == 1 else "" for kind, of in agreed.items()}
            rows.append({
                "dicom_id": films[visit].dicom_id,
                "previous_dicom_id": films[before].dicom_id,
                "study_id": patient.study_ids[visit],
                "subject_id": FIRST_SUBJECT + number,
                **{f"{name}_progression": told.get(kind, "") for kind, name in COLUMNS.items()},
            })  # fmt: skip
    labels = [f"{name}_progression" for name in COLUMNS.values()]
    columns = ["dicom_id", "previous_dicom_id", "study_id", "subject_id", *labels]
    table = pd.DataFrame(rows, columns=columns)
    return table[(table[labels] != "").any(axis=1)]


def _sentence_table(seed: int) -> pd.DataFrame:
    pairs = sentence_pairs(np.random.default_rng((seed, 44)))
    table = pd.DataFrame(pairs, columns=["sentence_1", "sentence_2", "category", "subset_name"])
    table.insert(0, "pair_id", range(len(table)))
    return table
