"""Labels at whole hours: decompensation, remaining length of stay, and all tasks at once.

A label at hour t belongs to the first t hours of the series. The discretised series of those t
hours is the first t rows of that of the whole stay, so one series serves every hour.
"""

from typing import Any, NamedTuple

import numpy as np

from medjax.data.mimic_iv.tasks import (
    DECOMPENSATION,
    EPS,
    FIRST_PREDICTION,
    LENGTH_OF_STAY,
    MORTALITY_HOURS,
    Excluded,
    Task,
)

DECOMPENSATION_HOURS = 24.0
UNKNOWN = -1
"""Where a task asks nothing of a stay or an hour."""


class Course(NamedTuple):
    """What hourly labels follow from."""

    first: float
    """Hour of the first row of the series within the stay."""
    los_hours: float
    """Length of the stay."""
    lived_hours: float
    """From ICU admission to death; infinite when no time of death is known."""
    died: bool
    """Whether the patient died in hospital."""


def lived_hours(intime: np.ndarray, deathtime: np.ndarray) -> np.ndarray:
    """Return the hours from ICU admission to death, infinite where there is no time of death."""
    seconds = (deathtime - intime) / np.timedelta64(1, "s")
    return np.where(np.isnan(seconds), np.inf, seconds / 3600)


def prediction_hours(first: float, end: float) -> np.ndarray:
    """Return the whole hours [n] up to `end` at which decompensation and stay are predicted.

    They lie after hour 4 and after `first`, the first row of the stay's period.
    """
    hours = np.arange(0.0, end + EPS)
    return hours[(hours > FIRST_PREDICTION) & (hours > first)]


def decompensation(course: Course) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction hours and, for each, 1 when the patient dies within the next 24 hours."""
    hours = prediction_hours(course.first, min(course.los_hours, course.lived_hours))
    dies = course.died & (course.lived_hours - hours < DECOMPENSATION_HOURS)
    return hours, dies.astype(np.int8)


def remaining_stay(course: Course) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction hours and the hours of stay that remain at each."""
    hours = prediction_hours(course.first, course.los_hours)
    return hours, course.los_hours - hours


def asks_mortality(course: Course) -> bool:
    """Return whether in-hospital mortality is asked at hour 48: stayed and charted until then."""
    stayed = course.los_hours >= MORTALITY_HOURS - EPS
    return stayed and course.first <= MORTALITY_HOURS + EPS


def check_predicted(task: Task, course: Course) -> None:
    """Raise Excluded when the task is of hours and there is none (multitask has other labels)."""
    hours = {DECOMPENSATION: decompensation, LENGTH_OF_STAY: remaining_stay}
    if task.name in hours and not len(hours[task.name](course)[0]):
        raise Excluded("ends before the first prediction")


def hourly_labels(task: str, course: Course, phenotypes: np.ndarray) -> dict[str, Any]:
    """Return the label fields of an example of an hourly task.

    `hours` int32 [n] and, for decompensation and length of stay, `labels` [n] at each (0 or 1;
    hours of stay that remain, float64). For multitask `remaining` float64 [n], `decompensation`
    int8 [n], `mortality` int8 (at hour 48) and `phenotypes` int8 [25] (at the end), each UNKNOWN
    where it is not asked.

    Args:
        task: "decompensation", "length_of_stay" or "multitask".
        course: the course of the stay.
        phenotypes: int8 [25], UNKNOWN where the stay has no diagnosis; for multitask.
    """
    if task == DECOMPENSATION:
        hours, labels = decompensation(course)
    else:
        hours, labels = remaining_stay(course)
    if task in (DECOMPENSATION, LENGTH_OF_STAY):
        return {"hours": hours.astype(np.int32), "labels": labels}
    dies = np.full(len(hours), UNKNOWN, np.int8)
    asked = decompensation(course)[1]
    dies[: len(asked)] = asked
    return {
        "hours": hours.astype(np.int32),
        "remaining": labels,
        "decompensation": dies,
        "mortality": np.int8(course.died if asks_mortality(course) else UNKNOWN),
        "phenotypes": phenotypes.astype(np.int8),
    }
