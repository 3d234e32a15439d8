"""Thresholds of highest F1 and their metrics."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from medjax.metrics.thresholds import Counts, best_f1, count, decide, f1_metric


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_is_that_of_the_whole_curve(seed):
    generator = np.random.default_rng(seed)
    labels, scores = generator.random(60) < 0.3, generator.integers(0, 12, 60) / 12
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = best_f1(labels, scores)
    assert best.f1 == pytest.approx(f1.max())
    assert best.threshold == thresholds[np.argmax(f1)]
    assert f1_score(labels, decide(scores, best.threshold)) == pytest.approx(best.f1)


def test_a_score_at_the_threshold_is_positive_unless_published():
    assert decide([0.2, 0.5, 0.7], 0.5).tolist() == [False, True, True]
    assert decide([0.2, 0.5, 0.7], 0.5, "above").tolist() == [False, False, True]


def test_f1_and_its_interval_follow_from_counts():
    counts = count([1, 1, 0, 0, 0], [1, 0, 1, 0, 0])
    assert counts == Counts(1, 1, 1, 2)
    assert f1_metric(counts).value == pytest.approx(0.5)
    assert f1_metric(counts).positives == 2
    large = f1_metric(Counts(300, 100, 100, 500), resamples=400, name="edema")
    rows = np.repeat(np.eye(4), [300, 100, 100, 500], axis=0)
    drawn = rows[np.random.default_rng(0).integers(0, 1000, (400, 1000))].sum(1)
    spread = np.std(2 * drawn[:, 0] / (2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2]))
    assert large.low < large.value < large.high
    assert (large.high - large.low) == pytest.approx(3.92 * spread, rel=0.2)


def test_f1_without_a_positive_is_undefined():
    assert "none of 4" in f1_metric(Counts(0, 0, 0, 4)).reason
