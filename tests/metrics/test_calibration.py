"""Expected calibration error and the table behind it."""

import numpy as np
import pytest
from scipy.stats import binomtest

from medjax.metrics.bootstrap import centred_interval
from medjax.metrics.calibration import (
    calibration_error,
    ranked_gaps,
    reliability,
    wilson_interval,
)


def test_by_hand():
    labels, risk = np.array([0, 1, 1, 0]), np.array([0.1, 0.3, 0.8, 1.0])
    table = reliability(labels, risk, bins=2)
    np.testing.assert_allclose(table.predicted, [0.2, 0.9])
    np.testing.assert_allclose(table.observed, [0.5, 0.5])
    assert table.examples.tolist() == [2, 2]
    assert calibration_error(labels, risk, bins=2) == pytest.approx(0.5 * 0.3 + 0.5 * 0.4)


def test_empty_bins_count_nothing():
    labels, risk = np.array([0, 1]), np.array([0.05, 0.95])
    assert calibration_error(labels, risk, bins=15) == pytest.approx(0.05)
    assert np.isnan(reliability(labels, risk, bins=15).observed[7])


def test_honest_risks_err_less_than_shifted_ones():
    generator = np.random.default_rng(0)
    risk = generator.random(20_000)
    labels = generator.random(20_000) < risk
    assert calibration_error(labels, risk) < 0.02
    assert calibration_error(labels, np.sqrt(risk)) > 0.1


def test_wilson_interval_is_that_of_scipy():
    low, high = wilson_interval([0, 3, 10, 0], [10, 10, 10, 0])
    for i, k in enumerate((0, 3, 10)):
        reference = binomtest(k, 10).proportion_ci(method="wilson")
        assert (low[i], high[i]) == pytest.approx((reference.low, reference.high), abs=1e-9)
    assert np.isnan(low[3])


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_counted_examples_err_as_if_they_were_repeated(bins):
    generator = np.random.default_rng(1)
    risk = np.append(generator.random(40).round(2), [0.0, 1.0])
    labels = generator.random(42) < risk
    order = np.argsort(-risk, kind="stable")
    counts = generator.integers(0, 4, (6, 42))
    errors = ranked_gaps(labels, risk, order, bins).error(counts)
    for row, error in zip(counts, errors, strict=True):
        rows = np.repeat(order, row)
        assert error == pytest.approx(calibration_error(labels[rows], risk[rows], bins), abs=1e-12)


def test_interval_of_an_inflated_metric_lies_around_its_value():
    resampled = np.linspace(0.05, 0.09, 1001)
    assert centred_interval(resampled, 0.03) == pytest.approx((0.011, 0.049))
    assert centred_interval(resampled, 0.01) == pytest.approx((0.0, 0.029))
