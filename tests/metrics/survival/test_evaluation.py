"""All survival metrics of a split: names, counts, intervals, and reasons where undefined."""

import numpy as np
import pytest

from medjax.metrics.survival.baseline import breslow
from medjax.metrics.survival.evaluation import survival_metrics


def cohort(n=200, seed=0, effect=1.0):
    """Exponential times whose hazard is exp(effect * risk), uniform censoring."""
    generator = np.random.default_rng(seed)
    risk = generator.normal(size=n)
    time = generator.exponential(np.exp(-effect * risk)) * 10
    censored = generator.uniform(0, 20, n)
    return (time <= censored).astype(float), np.minimum(time, censored), risk


def test_names_counts_and_order_of_bounds():
    event, time, risk = cohort()
    baseline = breslow(event, time, risk)
    metrics = survival_metrics(
        event, time, risk, baseline=baseline, horizons=(3, 12.5), resamples=60
    )
    names = {"c_index", "auc/3", "auc/12.5", "brier/3", "brier/12.5", "brier/integrated"}
    assert set(metrics) == names
    for metric in metrics.values():
        assert metric.low < metric.value < metric.high
        assert metric.n == 200
    assert metrics["c_index"].positives == event.sum()
    assert metrics["brier/3"].positives == metrics["auc/3"].positives == (event * (time <= 3)).sum()
    assert metrics["c_index"].value > 0.65
    # A forecast of the right model beats one half everywhere.
    assert metrics["brier/3"].value < 0.25


def test_without_baseline_and_horizons_only_the_c_index():
    metrics = survival_metrics(*cohort())
    assert set(metrics) == {"c_index"}
    assert metrics["c_index"].low is None


def test_unknown_outcomes_are_left_out():
    event, time, risk = cohort()
    whole = survival_metrics(event, time, risk, horizons=(5,))
    more = [np.append(x, [np.nan, 1.0]) for x in (event, time, risk)]
    more[1][-1] = np.nan
    assert survival_metrics(*more, horizons=(5,)) == whole


@pytest.mark.parametrize(
    ("event", "time", "words"),
    [
        ([0, 0], [1, 2], "no event among 2 rows"),
        ([1, 1], [2, 2], "no comparable pair"),
        ([np.nan], [1], "no row with a known outcome"),
    ],
)
def test_reasons(event, time, words):
    metrics = survival_metrics(event, time, np.zeros(len(time)), horizons=(9,), resamples=5)
    assert metrics["c_index"].value is None
    assert words in metrics["c_index"].reason
    assert metrics["auc/9"].value is None


def test_reasons_of_a_horizon():
    event, time, risk = cohort()
    metrics = survival_metrics(event, time, risk, horizons=(1e-9, 5, 900), resamples=5)
    assert "no event up to" in metrics["auc/1e-09"].reason
    assert metrics["auc/5"].value is not None
    assert "nobody under observation after 900" in metrics["auc/900"].reason
    risk[3] = np.nan
    assert "1 of 200 risks" in survival_metrics(event, time, risk)["c_index"].reason


def test_the_interval_of_the_c_index_covers_its_truth():
    """With no effect the truth is one half."""
    hits = 0
    for seed in range(60):
        event, time, risk = cohort(80, seed, effect=0.0)
        metric = survival_metrics(event, time, risk, resamples=120, seed=seed)["c_index"]
        hits += metric.low <= 0.5 <= metric.high
    assert 0.85 < hits / 60 <= 1


def test_rare_events_still_have_an_interval():
    event, time, risk = cohort(30)
    event[:] = 0
    event[np.argmin(time)] = 1
    metric = survival_metrics(event, time, risk, resamples=100)["c_index"]
    assert metric.low is not None and 0 <= metric.low <= metric.value <= metric.high <= 1


def test_clusters_are_drawn_whole():
    event, time, risk = (np.tile(x, 4) for x in cohort(60))
    patients = np.tile(np.arange(60), 4)
    apart, whole = (
        survival_metrics(event, time, risk, resamples=300, clusters=c)["c_index"]
        for c in (None, patients)
    )
    assert whole.high - whole.low > 1.5 * (apart.high - apart.low)
