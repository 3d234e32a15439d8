"""Invented films with reports, labels and the places of their findings, as a table of raw files.

What a film shows is drawn first; its report tells it in words, its labels in numbers, and its place
is where the film differs from the same film drawn without it. So grounding has a right answer.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.demo.film import Findings, draw_frontal
from medjax.data.demo.patients import generator
from medjax.data.demo.radiology_report import Report, Seen, write_report
from medjax.data.demo.rawcsv import require_patients
from medjax.data.subject_split import hash_fraction
from medjax.files import write_text

FIRST_SUBJECT, FIRST_STUDY = 97_000_001, 98_000_001
TABLE, MASKS = "films.csv", "masks.csv"
LABELS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Mass", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Pacemaker"),
)
"""Pneumonia is consolidation under a name that no report uses: a disease known by description."""
SHARES = {
    "Atelectasis": 0.16,
    "Cardiomegaly": 0.30,
    "Effusion": 0.34,
    "Mass": 0.18,
    "Pneumothorax": 0.22,
    "Consolidation": 0.30,
    "Edema": 0.14,
    "Pacemaker": 0.16,
}
"""How often each is drawn."""
PLACED = (
    *("Cardiomegaly", "Effusion", "Mass", "Pneumonia", "Pneumothorax", "Consolidation"),
    "Pacemaker",
)
"""The findings that have one place; the others are spread over both lungs."""
SHOWN_BY = 12
"""Grey levels by which a film differs where a finding is."""
SMALLEST = 0.003
"""Share of the film from which a finding counts as seen; others hide behind a larger one."""
VALIDATION_SHARE, TEST_SHARE = 0.12, 0.22
SECOND_FILM = 0.3
"""Share of the patients with a second film."""
_STREAMS = {"findings": 31, "film": 32, "report": 33}


class DrawnFilm(NamedTuple):
    """A film and all that is known of it."""

    image: np.ndarray
    """uint8 [height, width]"""
    masks: dict[str, np.ndarray]
    """Finding -> uint8 [height, width] of 0 and 1, of those in PLACED that are there."""
    present: dict[str, bool]
    """By label."""
    report: Report


def write_radiology(folder: Path, patients: int, seed: int, *, width: int = 128) -> None:
    """Write `films.csv`, `masks.csv`, and the images and masks that they name.

    films.csv: image, patient, study_id, split, view, findings, impression, and the LABELS.
    masks.csv: image, label, mask. Equal arguments give equal bytes.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, masks = [], []
    for patient in range(patients):
        films = 1 + (generator(seed, patient, _STREAMS["findings"]).random() < SECOND_FILM)
        for number in range(films):
            study = FIRST_STUDY + 2 * patient + number
            image = f"images/{study}.jpg"
            film = draw_film(patient, number, seed, width)
            _save(folder / image, film.image)
            rows.append(
                {
                    "image": image,
                    "patient": FIRST_SUBJECT + patient,
                    "study_id": study,
                    "split": _split_of(patient, seed),
                    "view": "PA",
                    **film.report._asdict(),
                    **{label: int(film.present[label]) for label in LABELS},
                }
            )
            for label, mask in film.masks.items():
                name = f"masks/{study}-{label.lower()}.png"
                _save(folder / name, mask * np.uint8(255))
                masks.append({"image": image, "label": label, "mask": name})
    for name, lines in ((MASKS, masks), (TABLE, rows)):
        table = pd.DataFrame(lines, columns=None if lines else ["image", "label", "mask"])
        write_text(folder / name, table.to_csv(index=False, lineterminator="\n"))


def draw_film(patient: int, number: int, seed: int, width: int) -> DrawnFilm:
    """Draw one film of a patient, tell what it shows, and find where."""
    findings = draw_findings(generator(seed, patient, _STREAMS["findings"], number))

    def film_with(shown: Findings) -> np.ndarray:
        rng = generator(seed, patient, _STREAMS["film"], number)
        return draw_frontal(shown, rng, width, portable=False)

    image = film_with(findings)
    places: dict[str, list[np.ndarray]] = {}
    seen = []
    for finding, side, without in _parts(findings):
        difference = image.astype(np.int16) - film_with(without)
        place = np.abs(difference) > SHOWN_BY
        if place.mean() < SMALLEST:
            continue
        seen.append(Seen(finding, side, _middle_of(place)))
        places.setdefault(finding, []).append(place)
    present = {label: label in places for label in LABELS}
    present["Pneumonia"] = present["Consolidation"]
    masks = {
        finding: np.logical_or.reduce(of_sides).astype(np.uint8)
        for finding, of_sides in places.items()
        if finding in PLACED
    }
    if present["Pneumonia"]:
        masks["Pneumonia"] = masks["Consolidation"]
    report = write_report(seen, generator(seed, patient, _STREAMS["report"], number))
    return DrawnFilm(image, masks, present, report)


def draw_findings(rng: np.random.Generator) -> Findings:
    """Draw what a film shows, plainly or not at all."""
    u, sides = dict(zip(SHARES, rng.random(len(SHARES)))), rng.random(3)
    strength = 0.7 + 0.3 * rng.random(len(SHARES))
    shown = {name: s if u[name] < SHARES[name] else 0.0 for name, s in zip(SHARES, strength)}
    left, right = sides[0] < 0.6, sides[0] > 0.4
    return Findings(
        edema=0.8 * shown["Edema"],
        consolidation=shown["Consolidation"],
        consolidation_side=-1 if sides[1] < 0.5 else 1,
        effusion_left=0.9 * shown["Effusion"] * left,
        effusion_right=0.9 * shown["Effusion"] * right,
        heart=shown["Cardiomegaly"],
        pneumothorax=shown["Pneumothorax"],
        pneumothorax_side=-1 if sides[2] < 0.5 else 1,
        atelectasis=shown["Atelectasis"],
        lesion=shown["Mass"] and 1.2,
        lesion_radius=0.13,
        pacemaker=shown["Pacemaker"] > 0,
    )


def _parts(f: Findings) -> list[tuple[str, str, Findings]]:
    """Each finding that is there, its side, and all findings but it."""
    sides = {-1: "right", 1: "left", 0: ""}
    listed = [
        ("Consolidation", f.consolidation_side, "consolidation"),
        ("Effusion", 1, "effusion_left"),
        ("Effusion", -1, "effusion_right"),
        ("Cardiomegaly", 0, "heart"),
        ("Pneumothorax", f.pneumothorax_side, "pneumothorax"),
        ("Mass", 0, "lesion"),
        ("Atelectasis", 0, "atelectasis"),
        ("Edema", 0, "edema"),
        ("Pacemaker", 1, "pacemaker"),
    ]
    return [
        (finding, sides[side], f._replace(**{field: type(getattr(f, field))(0)}))
        for finding, side, field in listed
        if getattr(f, field)
    ]


def _middle_of(place: np.ndarray) -> tuple[float, float]:
    """The middle of a place as shares of the film's width and height."""
    rows, columns = np.nonzero(place)
    return float(columns.mean() / place.shape[1]), float(rows.mean() / place.shape[0])


def _split_of(patient: int, seed: int) -> str:
    u = hash_fraction(f"{seed}/{patient}")
    if u < TEST_SHARE:
        return "test"
    return "validate" if u < TEST_SHARE + VALIDATION_SHARE else "train"


def _save(path: Path, pixels: np.ndarray) -> None:
    buffer = io.BytesIO()
    options = {"quality": 90} if path.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(buffer, "JPEG" if options else "PNG", **options)
    path.write_bytes(buffer.getvalue())
