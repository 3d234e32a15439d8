"""Remaining stays against scikit-learn, row by row, and intervals of whole stays."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, mean_absolute_error, mean_squared_error

from medjax.metrics.confusion_figure import confusion_figure
from medjax.metrics.length_of_stay import (
    BIN_MEANS,
    BIN_NAMES,
    BINS,
    bin_of,
    length_of_stay_metrics,
    linear_kappa,
)


def example(rows: int = 400, stays: int = 25, seed: int = 0):
    rng = np.random.default_rng(seed)
    remaining = rng.exponential(90, rows)
    probabilities = rng.dirichlet(np.ones(BINS), rows)
    probabilities[np.arange(rows), bin_of(remaining * rng.uniform(0.6, 1.5, rows))] += 0.4
    return remaining, probabilities, rng.integers(0, stays, rows)


def test_boundaries_belong_to_the_later_bin():
    hours = [-1.0, 0.0, 23.999999, 24.0, 8 * 24 - 1e-6, 8 * 24, 14 * 24 - 1e-6, 14 * 24, 5000]
    assert bin_of(hours).tolist() == [0, 0, 0, 1, 7, 8, 8, 9, 9]
    assert (bin_of(BIN_MEANS) == np.arange(BINS)).all()


def test_the_numbers_are_scikit_learns():
    remaining, probabilities, stay = example()
    ours = length_of_stay_metrics(remaining, probabilities, stay)
    predicted = probabilities.argmax(1)
    hours = BIN_MEANS[predicted]
    kappa = cohen_kappa_score(bin_of(remaining), predicted, weights="linear")
    assert ours["kappa"].value == pytest.approx(kappa, abs=1e-12)
    assert ours["mad"].value == pytest.approx(mean_absolute_error(remaining, hours))
    assert ours["mse"].value == pytest.approx(mean_squared_error(remaining, hours))
    mape = 100 * np.mean(np.abs(remaining - hours) / (remaining + 0.1))
    assert ours["mape"].value == pytest.approx(mape)
    assert ours["mape"].n == 400


def test_resamples_are_of_whole_stays():
    """Repeating every row of a stay tells nothing new, and moves no interval."""
    remaining, probabilities, stay = example()
    once = length_of_stay_metrics(remaining, probabilities, stay, resamples=200, seed=3)
    rows = np.repeat(np.arange(400), 7)
    often = length_of_stay_metrics(
        remaining[rows], probabilities[rows], 100 - stay[rows], resamples=2000, seed=4
    )
    for name, metric in once.items():
        assert metric.low < metric.value < metric.high
        width = metric.high - metric.low
        assert often[name].high - often[name].low == pytest.approx(width, rel=0.25)


def test_what_cannot_be_told_says_why():
    assert length_of_stay_metrics([], np.zeros((0, BINS)), [])["mad"].reason == "no examples"
    ones = np.tile(np.eye(BINS)[:1], (5, 1))
    found = length_of_stay_metrics(np.full(5, 3.0), ones, np.arange(5), resamples=5)
    assert found["kappa"].value is None and "one bin" in found["kappa"].reason
    assert found["mad"].value == pytest.approx(BIN_MEANS[0] - 3)
    lost = length_of_stay_metrics(np.full(5, 3.0), ones * np.nan, np.arange(5))
    assert "not finite" in lost["kappa"].reason


def test_kappa_of_many_matrices_at_once():
    rng = np.random.default_rng(1)
    matrices = rng.integers(0, 9, (4, BINS, BINS))
    together = linear_kappa(matrices)
    np.testing.assert_allclose(together, [linear_kappa(m) for m in matrices])


def test_the_picture_shows_shares_of_the_true_rows():
    counts = np.zeros((BINS, BINS), int)
    counts[0, :2] = 3, 1
    figure = confusion_figure(counts, BIN_NAMES, "who, where", "predicted", "true")
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["75", "25", *["0"] * (BINS - 2)]
    assert ax.get_yticklabels()[0].get_text() == "<1\n4"
