"""Invented films as two public collections lay them out: SIIM-ACR's pneumothorax, and CheXpert.

SIIM's films are PNG files; its own are DICOM files of the same names, whose reader is an extra.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.chexpert import LABELS, VIEW
from medjax.data.demo.film import Findings, draw_frontal
from medjax.data.demo.findings import LABELS as DRAWN_LABELS
from medjax.data.demo.findings import label_study
from medjax.data.demo.patients import generator
from medjax.data.demo.rawcsv import require_patients
from medjax.data.film_sizes import square_canvas
from medjax.data.siim import NOTHING, RUNS, SIDE
from medjax.data.siim import TABLE as SIIM_TABLE
from medjax.data.subject_split import hash_fraction
from medjax.files import write_text

SIIM_IMAGES = "dicom-images-train"
CHEXPERT_FOLDER = "CheXpert-v1.0-small"
DARKER_BY = 12
"""Grey levels by which a film is darker where air is."""
PNEUMOTHORAX, OTHER = 0.45, 0.3
"""Shares of SIIM's films with a pneumothorax and with something else."""
SHOWN = 0.35
"""Share of CheXpert's studies that show any one of the findings."""
CHEXPERT_TESTED, SECOND_STUDY = 0.25, 0.3
"""Shares of the patients of the table valid.csv, and of those with two studies."""
_STREAMS = {"siim": 53, "chexpert": 54}


def write_siim(folder: Path, patients: int, seed: int, *, width: int = 96) -> None:
    """Write films and the table of run lengths of SIIM-ACR; equal arguments give equal bytes.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    (folder / SIIM_IMAGES).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(patients):
        image, place = draw_siim_film(number, seed, width)
        digest = hashlib.sha256(f"siim {seed} {number}".encode()).hexdigest()
        name = f"1.2.276.{int(digest[:16], 16)}"
        Image.fromarray(image).save(folder / SIIM_IMAGES / f"{name}.png")
        rows.append((name, f" {runs_of(place) if place.any() else NOTHING}"))
    # The column of the released table begins with a blank.
    _write_csv(folder / SIIM_TABLE, pd.DataFrame(rows, columns=["ImageId", f" {RUNS}"]))


def draw_siim_film(number: int, seed: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the square film of a patient, and where air lies outside its lung.

    Returns:
        uint8 [width, width] and bool [width, width].
    """
    rng = generator(seed, number, _STREAMS["siim"])
    u, strength, side = rng.random(), rng.uniform(0.5, 1.0), 1 if rng.random() < 0.5 else -1
    findings = Findings(heart=float(np.clip(0.25 + 0.2 * rng.standard_normal(), 0, 0.7)))
    if PNEUMOTHORAX <= u < PNEUMOTHORAX + OTHER:
        findings = (
            findings._replace(effusion_left=strength),
            findings._replace(edema=0.8 * strength),
            findings._replace(consolidation=strength, consolidation_side=side),
        )[int(rng.integers(3))]

    def film_with(shown: Findings) -> np.ndarray:
        film = draw_frontal(shown, generator(seed, number, _STREAMS["siim"], 1), width, False)
        return square_canvas(film, width)

    without = film_with(findings)
    if u >= PNEUMOTHORAX:
        return without, np.zeros(without.shape, bool)
    image = film_with(findings._replace(pneumothorax=strength, pneumothorax_side=side))
    return image, without.astype(np.int16) - image > DARKER_BY


def runs_of(place: np.ndarray) -> str:
    """Write a square mask as run lengths down the columns of SIDE pixels, each from the last.

    place: bool [side, side], not empty; brought to SIDE by the nearest pixel.
    """
    at = np.arange(SIDE) * len(place) // SIDE
    flat = place[np.ix_(at, at)].T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    offsets = starts - np.concatenate([[0], ends[:-1]])
    return " ".join(f"{offset} {length}" for offset, length in zip(offsets, ends - starts))


def write_chexpert(folder: Path, patients: int, seed: int, *, width: int = 96) -> None:
    """Write frontal films and both tables of CheXpert; equal arguments give equal bytes.

    The table valid.csv has no uncertain labels, as the released one.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    tables: dict[str, list[tuple]] = {"train": [], "valid": []}
    for number in range(patients):
        rng = generator(seed, number, _STREAMS["chexpert"])
        part = "valid" if hash_fraction(f"chexpert {number}") < CHEXPERT_TESTED else "train"
        for study in range(1, 2 + int(rng.random() < SECOND_STUDY)):
            draws = generator(seed, number, _STREAMS["chexpert"], study)
            findings = draw_findings(draws)
            labels = dict(zip(DRAWN_LABELS, label_study(findings, False, draws)))
            if part == "valid":
                labels = {name: float(value == 1) for name, value in labels.items()}
            view = "AP" if draws.random() < 0.8 else "PA"
            path = f"{part}/patient{number:05d}/study{study}/view1_frontal.jpg"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            film = draw_frontal(findings, draws, width, portable=view == "AP")
            Image.fromarray(film).save(folder / path, quality=95)
            row = (f"{CHEXPERT_FOLDER}/{path}", "Unknown", 60, "Frontal", view)
            tables[part].append((*row, *(labels[name] for name in LABELS)))
    columns = ["Path", "Sex", "Age", *VIEW, *LABELS]
    for part, rows in tables.items():
        _write_csv(folder / f"{part}.csv", pd.DataFrame(rows, columns=columns))


def draw_findings(rng: np.random.Generator) -> Findings:
    """Draw what a study shows: each of five findings by itself, or not."""
    shown, strength = rng.random(5) < SHOWN, rng.uniform(0.4, 1.0, 5)
    heart, edema, consolidation, atelectasis, effusion = np.where(shown, strength, 0.1)
    side = 1 if rng.random() < 0.5 else -1
    return Findings(
        heart=float(heart),
        edema=float(edema),
        consolidation=float(consolidation) if shown[2] else 0.0,
        consolidation_side=side,
        atelectasis=float(atelectasis) if shown[3] else 0.0,
        effusion_left=float(effusion) if shown[4] else 0.0,
    )


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    write_text(path, buffer.getvalue())
