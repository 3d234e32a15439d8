"""The chest films of the synthetic patients in the intensive care unit."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medjax.data.demo.findings import findings_on_film, label_study
from medjax.data.demo.patients import FILMS, HOUR, draw_story, generator
from medjax.data.demo.rawcsv import require_patients
from medjax.data.demo.release import Study, write_release

FIRST_STUDY = 96_000_001
WITHOUT_FILMS = 0.4
"""Share of the patients who have no film at all."""


def write_cxr(folder: Path, patients: int, seed: int, *, width: int = 256) -> None:
    """Write films `width` pixels wide and their tables, of the patients of `icu.write_icu`.

    Equal arguments give equal bytes. Raises `UserError` when `patients` is below 1.
    """
    require_patients(patients)
    write_release(folder, list(draw_studies(patients, seed)), seed, width, _split_of)


def _split_of(study: Study) -> str:
    """The published split is by subject and nearly all `train`."""
    return {0: "test", 1: "validate"}.get(study.patient % 50, "train")


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
