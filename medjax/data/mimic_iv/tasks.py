"""The tasks: which stays and which part of their series belong to them, and their labels."""

from typing import NamedTuple

import numpy as np

from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.rules import Rules

EPS = 1e-6
MORTALITY = "in_hospital_mortality"
PHENOTYPING = "phenotyping"
TASKS = (MORTALITY, PHENOTYPING)
MORTALITY_HOURS = 48.0
FIRST_PREDICTION = 4.0
"""Decompensation and length of stay are predicted each whole hour after this one."""
DECOMPENSATION_HOURS = 24.0


class Sample(NamedTuple):
    """The part of a stay's series that a task reads."""

    series: TimeSeries
    period: float
    """Hours from admission to the end of the period."""


class Excluded(Exception):
    """The stay is not part of the task; the text is the reason."""


def sample(
    task: str, series: TimeSeries, los_hours: float, diagnosed: bool, rules: Rules
) -> Sample:
    """Return what a task reads of a stay.

    Mortality reads the first 48 hours of stays of at least that length, phenotyping the whole stay
    (its length rounded to six decimals, as the published lists give it).

    Args:
        task: one of TASKS.
        series: all charted values of the stay.
        los_hours: length of the stay.
        diagnosed: whether the stay has any diagnosis.
        rules: of which `stays_without_diagnoses` matters.

    Raises:
        Excluded: with the reason, when the stay is not part of the task.
    """
    if not diagnosed and (
        task == PHENOTYPING or rules.stays_without_diagnoses == "skip_everywhere"
    ):
        raise Excluded("no diagnoses")
    if task == MORTALITY:
        if los_hours < MORTALITY_HOURS - EPS:
            raise Excluded("stay shorter than 48 hours")
        return Sample(within_period(series, MORTALITY_HOURS), MORTALITY_HOURS)
    period = round(los_hours, 6)
    if period < EPS:
        raise Excluded("stay without duration")
    return Sample(within_period(series, los_hours), period)


def within_period(series: TimeSeries, end: float) -> TimeSeries:
    """Return the rows from admission to `end` hours; Excluded when there are none."""
    kept = (series.hours > -EPS) & (series.hours < end + EPS)
    if not kept.any():
        raise Excluded("no event in the period")
    return TimeSeries(series.hours[kept], series.values[kept])


def prediction_hours(series: TimeSeries, los_hours: float, end: float) -> np.ndarray:
    """Return the whole hours up to `end` at which decompensation and length of stay are predicted.

    They lie after hour 4 and after the first row of the stay's period.

    Raises:
        Excluded: when the stay has no row in its period.
    """
    first = within_period(series, los_hours).hours[0]
    hours = np.arange(0.0, end + EPS)
    return hours[(hours > FIRST_PREDICTION) & (hours > first)]


def decompensation(
    series: TimeSeries, los_hours: float, lived_hours: float, died: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction hours and, for each, 1 when the patient dies within the next 24 hours.

    Args:
        series: all charted values of the stay.
        los_hours: length of the stay.
        lived_hours: from ICU admission to death; infinite when no time of death is known.
        died: whether the patient died in hospital.
    """
    hours = prediction_hours(series, los_hours, min(los_hours, lived_hours))
    return hours, (died & (lived_hours - hours < DECOMPENSATION_HOURS)).astype(np.uint8)


def remaining_stay(series: TimeSeries, los_hours: float) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction hours and the hours of stay that remain at each."""
    hours = prediction_hours(series, los_hours, los_hours)
    return hours, los_hours - hours
