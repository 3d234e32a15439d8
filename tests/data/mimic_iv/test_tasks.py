"""Which stays belong to a task, and what it reads of them."""

import numpy as np
import pytest

from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tasks import (
    MORTALITY,
    PHENOTYPING,
    Excluded,
    Task,
    benchmark_task,
    sample,
)


def at(*hours: float) -> TimeSeries:
    return TimeSeries(np.array(hours), np.zeros((len(hours), 17)))


def test_what_a_task_reads() -> None:
    series = at(-3.0, 0.0, 12.5, 48.0, 50.0, 61.0)
    read = sample(benchmark_task(MORTALITY), series, 60.0, True, Rules())
    assert read.series.hours.tolist() == [0.0, 12.5, 48.0]
    assert read.period == 48
    read = sample(benchmark_task(PHENOTYPING), series, 60.0000004, True, Rules())
    assert read.series.hours.tolist() == [0.0, 12.5, 48.0, 50.0]
    assert read.period == 60


@pytest.mark.parametrize(
    ("task", "hours", "los", "diagnosed", "rules", "reason"),
    [
        (MORTALITY, [1.0], 47.9, True, Rules(), "48"),
        (MORTALITY, [49.0], 60.0, True, Rules(), "no event"),
        (MORTALITY, [1.0], 60.0, False, Rules.published(), "no diagnoses"),
        (PHENOTYPING, [1.0], 60.0, False, Rules(), "no diagnoses"),
        (PHENOTYPING, [-1.0, 99.0], 60.0, True, Rules(), "no event"),
        (PHENOTYPING, [0.0], 0.0, True, Rules(), "duration"),
    ],
)
def test_reasons_to_be_left_out(
    task: str, hours: list[float], los: float, diagnosed: bool, rules: Rules, reason: str
) -> None:
    with pytest.raises(Excluded, match=reason):
        sample(benchmark_task(task), at(*hours), los, diagnosed, rules)


def test_mortality_needs_no_diagnoses() -> None:
    assert sample(benchmark_task(MORTALITY), at(1.0), 48.0, False, Rules()).period == 48


def test_the_observation_window_is_an_option() -> None:
    series = at(0.0, 12.0, 24.0, 30.0)
    read = sample(benchmark_task(MORTALITY, 24.0), series, 26.0, True, Rules())
    assert read.series.hours.tolist() == [0.0, 12.0, 24.0] and read.period == 24
    with pytest.raises(Excluded, match="shorter than 30 hours"):
        sample(Task("own", 30.0), series, 26.0, True, Rules())
