"""Which stays belong to a task, and the hourly labels of two further tasks."""

import numpy as np
import pytest

from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tasks import (
    MORTALITY,
    PHENOTYPING,
    Excluded,
    decompensation,
    remaining_stay,
    sample,
)


def at(*hours: float) -> TimeSeries:
    return TimeSeries(np.array(hours), np.zeros((len(hours), 17)))


def test_what_a_task_reads() -> None:
    series = at(-3.0, 0.0, 12.5, 48.0, 50.0, 61.0)
    read = sample(MORTALITY, series, 60.0, True, Rules())
    assert read.series.hours.tolist() == [0.0, 12.5, 48.0]
    assert read.period == 48
    read = sample(PHENOTYPING, series, 60.0000004, True, Rules())
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
        sample(task, at(*hours), los, diagnosed, rules)


def test_mortality_needs_no_diagnoses() -> None:
    assert sample(MORTALITY, at(1.0), 48.0, False, Rules()).period == 48


def test_decompensation_is_death_within_a_day() -> None:
    hours, dies = decompensation(at(6.5, 20.0), 40.0, 35.5, True)
    assert hours.tolist() == list(range(7, 36))
    assert dies.tolist() == [int(35.5 - hour < 24) for hour in hours]
    assert not decompensation(at(0.0), 40.0, 35.5, False)[1].any()
    hours, _ = decompensation(at(0.0), 40.0, np.inf, False)
    assert hours.tolist() == list(range(5, 41))


def test_remaining_stay_counts_down() -> None:
    hours, remaining = remaining_stay(at(0.0), 10.25)
    assert hours.tolist() == [5, 6, 7, 8, 9, 10]
    np.testing.assert_allclose(hours + remaining, 10.25)
