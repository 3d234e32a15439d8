"""Invented films as two public collections lay them out: RSNA's pneumonia challenge, and COVIDx.

The films are PNG files; RSNA's own are DICOM files of the same names, whose reader is an extra.
"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.demo.film import Findings, draw_frontal
from medjax.data.demo.patients import generator
from medjax.data.demo.progression import draw_place, with_opacity
from medjax.data.demo.rawcsv import require_patients
from medjax.data.film_sizes import square_canvas
from medjax.data.subject_split import hash_fraction
from medjax.files import write_text

RSNA_TABLE, RSNA_CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
RSNA_IMAGES = "stage_2_train_images"
RSNA_SIDE = 1024
"""Pixels in which boxes are given."""
SHOWN_BY = 12
"""Grey levels by which a film differs where a finding is."""
PNEUMONIA, OTHER = 0.4, 0.3
"""Shares of RSNA's films with pneumonia and with something else."""
COVIDX_CLASSES = ("normal", "pneumonia", "COVID-19")
COVIDX_TESTED, SECOND_FILM = 0.25, 0.3
"""Shares of the patients in the list of test films, and of those with two films."""
_STREAMS = {"rsna": 51, "covidx": 52}


class PneumoniaFilm(NamedTuple):
    """A square film."""

    image: np.ndarray
    """uint8 [side, side]"""
    box: tuple[float, float, float, float] | None
    """Left, top, width, height of the pneumonia in pixels of RSNA_SIDE."""
    name: str
    """Its class in the table of classes."""


def write_rsna(folder: Path, patients: int, seed: int, *, width: int = 96) -> None:
    """Write films and both tables of RSNA's challenge; equal arguments give equal bytes.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    (folder / RSNA_IMAGES).mkdir(parents=True, exist_ok=True)
    labels, classes = [], []
    for number in range(patients):
        film = draw_rsna_film(number, seed, width)
        name = _uuid(f"rsna {seed} {number}")
        (folder / RSNA_IMAGES / f"{name}.png").write_bytes(_png(film.image))
        box = ("", "", "", "") if film.box is None else film.box
        labels.append((name, *box, int(film.box is not None)))
        classes.append((name, film.name))
    columns = ["patientId", "x", "y", "width", "height", "Target"]
    _write_csv(folder / RSNA_CLASSES, pd.DataFrame(classes, columns=["patientId", "class"]))
    _write_csv(folder / RSNA_TABLE, pd.DataFrame(labels, columns=columns))


def draw_rsna_film(number: int, seed: int, width: int) -> PneumoniaFilm:
    """Draw the film of a patient, and where its pneumonia is."""
    rng = generator(seed, number, _STREAMS["rsna"])
    u, strength, side = rng.random(), rng.uniform(0.4, 1.0), 1 if rng.random() < 0.5 else -1
    findings = Findings(heart=float(np.clip(0.25 + 0.2 * rng.standard_normal(), 0, 0.7)))
    name = "Lung Opacity" if u < PNEUMONIA else "Normal"
    if u < PNEUMONIA:
        findings = with_opacity(findings, strength, side, draw_place(rng))
    elif u < PNEUMONIA + OTHER:
        name = "No Lung Opacity / Not Normal"
        findings = (
            findings._replace(effusion_left=strength),
            findings._replace(effusion_right=strength),
            findings._replace(pneumothorax=strength),
        )[int(rng.integers(3))]

    def film_with(shown: Findings) -> np.ndarray:
        film = draw_frontal(shown, generator(seed, number, _STREAMS["rsna"], 1), width, False)
        return square_canvas(film, width)

    image = film_with(findings)
    if u >= PNEUMONIA:
        return PneumoniaFilm(image, None, name)
    without = film_with(findings._replace(consolidation=0.0))
    place = np.abs(image.astype(np.int16) - without) > SHOWN_BY
    return PneumoniaFilm(image, _box_of(place), name)


def _box_of(place: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box around a place that is not empty."""
    scale = RSNA_SIDE / len(place)
    rows, columns = np.flatnonzero(place.any(1)), np.flatnonzero(place.any(0))
    left, top = float(columns[0]), float(rows[0])
    width, height = float(columns[-1] + 1) - left, float(rows[-1] + 1) - top
    return left * scale, top * scale, width * scale, height * scale


def write_covidx(folder: Path, patients: int, seed: int, *, width: int = 96) -> None:
    """Write PNG films and the lists of COVIDx; equal arguments give equal bytes.

    Raises:
        UserError: `patients` is below 1.
    """
    require_patients(patients)
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for part in lists:
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(patients):
        rng = generator(seed, number, _STREAMS["covidx"])
        label = COVIDX_CLASSES[int(rng.integers(len(COVIDX_CLASSES)))]
        part = "test" if hash_fraction(f"covidx {number}") < COVIDX_TESTED else "train"
        for film in range(1 + int(rng.random() < SECOND_FILM)):
            name = f"film{number:05d}_{film}.png"
            draws = generator(seed, number, _STREAMS["covidx"], 1, film)
            image = draw_frontal(covidx_findings(label, draws), draws, width, portable=False)
            (folder / part / name).write_bytes(_png(square_canvas(image, width)))
            lists[part].append(f"{number:05d} {name} {label} invented\n")
    for part, lines in lists.items():
        write_text(folder / f"{part}.txt", "".join(lines))


def covidx_findings(label: str, rng: np.random.Generator) -> Findings:
    """Draw what a film of a class shows: pneumonia lies in one lung, COVID-19 in both."""
    findings = Findings(heart=float(np.clip(0.25 + 0.2 * rng.standard_normal(), 0, 0.7)))
    strength, side = rng.uniform(0.5, 1.0), 1 if rng.random() < 0.5 else -1
    if label == "pneumonia":
        return with_opacity(findings, strength, side, draw_place(rng))
    return findings._replace(edema=0.9 * strength) if label == "COVID-19" else findings


def _uuid(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
