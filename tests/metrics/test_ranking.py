"""Ranking metrics against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from medjax.metrics.ranking import (
    auroc,
    average_precision,
    curve,
    precision_recall_points,
    rank,
    roc_points,
    trace,
)


def draw(seed: int, n: int, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.random(n) < generator.uniform(0.05, 0.95)
    labels[:2] = 0, 1
    scores = np.round(generator.random(n) * 0.7 + labels * 0.2, digits)
    weights = generator.integers(0, 4, n).astype(float)
    weights[:2] = 1
    return labels.astype(int), scores, weights


CASES = [(seed, n, digits) for seed, n in enumerate((2, 5, 40, 333)) for digits in (0, 1, 2, 12)]


@pytest.mark.parametrize(("seed", "n", "digits"), CASES)
def test_equals_scikit_learn_with_ties_and_weights(seed, n, digits):
    labels, scores, weights = draw(seed, n, digits)
    for w in (None, weights):
        assert auroc(labels, scores, w) == pytest.approx(
            roc_auc_score(labels, scores, sample_weight=w), abs=1e-12
        )
        assert average_precision(labels, scores, w) == pytest.approx(
            average_precision_score(labels, scores, sample_weight=w), abs=1e-12
        )


def test_integer_weights_are_repeated_examples():
    labels, scores, weights = draw(7, 60, 1)
    rows = np.repeat(np.arange(60), weights.astype(int))
    assert auroc(labels, scores, weights) == pytest.approx(auroc(labels[rows], scores[rows]))
    assert average_precision(labels, scores, weights) == pytest.approx(
        average_precision(labels[rows], scores[rows])
    )


def test_many_weightings_at_once_equal_one_by_one():
    labels, scores, _ = draw(8, 50, 1)
    weights = np.random.default_rng(0).integers(0, 3, (4, 2, 50))
    ranking = rank(labels, scores)
    many = trace(ranking, weights)
    for index in np.ndindex(4, 2):
        for field, value in trace(ranking, weights[index])._asdict().items():
            np.testing.assert_array_equal(getattr(many, field)[index], value)


def test_auroc_depends_on_order_only_and_falls_to_one_minus_when_turned():
    labels, scores, _ = draw(9, 80, 2)
    assert auroc(labels, np.exp(3 * scores)) == auroc(labels, scores)
    assert auroc(labels, -scores) == pytest.approx(1 - auroc(labels, scores))
    assert auroc(labels, np.zeros(80)) == 0.5
    assert average_precision(labels, np.zeros(80)) == pytest.approx(labels.mean())


@pytest.mark.parametrize("digits", [1, 12])
def test_curves_are_those_of_scikit_learn(digits):
    labels, scores, _ = draw(10, 70, digits)
    counts = curve(labels, scores)
    false_rate, true_rate = roc_points(counts)
    grid = np.linspace(0.0005, 0.9995, 500)
    reference = roc_curve(labels, scores)
    np.testing.assert_allclose(
        np.interp(grid, false_rate, true_rate), np.interp(grid, *reference[:2]), atol=1e-12
    )
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(auroc(labels, scores))
    recall, precision = precision_recall_points(counts)
    all_precision, all_recall, _ = precision_recall_curve(labels, scores)
    pairs = set(zip(all_recall.round(12), all_precision.round(12), strict=True))
    assert set(zip(recall.round(12), precision.round(12), strict=True)) <= pairs
    gained = np.diff(recall, prepend=0)
    assert np.sum(gained * precision) == pytest.approx(average_precision(labels, scores))
