"""The tasks: which stays and which part of their series belong to them."""

from collections.abc import Sequence
from typing import NamedTuple

from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.rules import Rules

EPS = 1e-6
MORTALITY = "in_hospital_mortality"
PHENOTYPING = "phenotyping"
DECOMPENSATION = "decompensation"
LENGTH_OF_STAY = "length_of_stay"
MULTITASK = "multitask"
OWN = "own"
BENCHMARK_TASKS = (MORTALITY, PHENOTYPING, DECOMPENSATION, LENGTH_OF_STAY, MULTITASK)
SINGLE_LABELS = {
    MORTALITY: "In-hospital mortality",
    DECOMPENSATION: "Decompensation",
    LENGTH_OF_STAY: "Length of stay",
}
"""The label of tasks that have one; multitask has all of them, then the phenotypes."""
DEFAULT_TASKS = (MORTALITY, PHENOTYPING)
"""Those of the paper. Every further task is one more copy of the series."""
MORTALITY_HOURS = 48.0
FIRST_PREDICTION = 4.0
"""Decompensation and length of stay are predicted each whole hour after this one."""


class Task(NamedTuple):
    """What a task reads, and of whom."""

    name: str
    hours: float | None = None
    """The first hours of stays of at least that length; None: whole stays."""
    hourly: bool = False
    """Whether there are predictions at whole hours, each from the hours before it."""
    diagnosed_only: bool = False
    """Whether stays without diagnoses are left out."""


def benchmark_task(name: str, mortality_hours: float = MORTALITY_HOURS) -> Task:
    """Return one of BENCHMARK_TASKS; `mortality_hours` is the observation window of mortality."""
    hourly = name in (DECOMPENSATION, LENGTH_OF_STAY, MULTITASK)
    hours = mortality_hours if name == MORTALITY else None
    return Task(name, hours, hourly, diagnosed_only=name == PHENOTYPING)


def label_names(task: str, phenotypes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the labels of one of BENCHMARK_TASKS."""
    if task in SINGLE_LABELS:
        return (SINGLE_LABELS[task],)
    return (*(SINGLE_LABELS.values() if task == MULTITASK else ()), *phenotypes)


class Sample(NamedTuple):
    """The part of a stay's series that a task reads."""

    series: TimeSeries
    period: float
    """Hours from admission to the end of the period."""


class Excluded(Exception):
    """The stay is not part of the task; the text is the reason."""


def sample(
    task: Task, series: TimeSeries, los_hours: float, diagnosed: bool, rules: Rules
) -> Sample:
    """Return what a task reads of a stay: its first hours, or all of it.

    The length of a whole stay is rounded to six decimals, as the published lists give it.

    Args:
        task: the task.
        series: all charted values of the stay.
        los_hours: length of the stay.
        diagnosed: whether the stay has any diagnosis.
        rules: of which `stays_without_diagnoses` matters.

    Raises:
        Excluded: with the reason, when the stay is not part of the task.
    """
    if not diagnosed and (
        task.diagnosed_only or rules.stays_without_diagnoses == "skip_everywhere"
    ):
        raise Excluded("no diagnoses")
    if task.hours is not None:
        if los_hours < task.hours - EPS:
            raise Excluded(f"stay shorter than {task.hours:g} hours")
        return Sample(within_period(series, task.hours), task.hours)
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
