"""R^2 and AUROC of predictions on the same resamples."""

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from medjax.metrics.comparison import difference
from medjax.metrics.regression import is_binary, paired_scores, r_squared


def test_what_counts_as_binary() -> None:
    assert is_binary([0, 1, np.nan, 1]) and is_binary([1.0, 1.0])
    assert not is_binary([0, 1, 2]) and not is_binary([np.nan]) and not is_binary([])


def test_r_squared_of_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    truth = 1e6 + rng.normal(size=40)  # far from 0
    prediction = truth + 0.5 * rng.normal(size=40)
    counts = rng.integers(0, 3, (7, 40))
    ours = r_squared(truth, prediction, counts)
    rows = [np.repeat(np.arange(40), row) for row in counts]
    np.testing.assert_allclose(ours, [r2_score(truth[r], prediction[r]) for r in rows], rtol=1e-8)
    assert r_squared(truth, prediction) == pytest.approx(r2_score(truth, prediction), rel=1e-9)
    assert np.isnan(r_squared(np.full(5, 3.7), np.arange(5.0)))


@pytest.mark.parametrize("binary", [False, True])
def test_scores_and_their_differences_on_the_same_resamples(binary: bool) -> None:
    rng = np.random.default_rng(1)
    ids = np.repeat(np.arange(150), 2)
    truth = rng.normal(size=150)[ids]
    truth = (truth > 0.5).astype(float) if binary else truth
    common = rng.normal(size=300)  # what makes both err alike cancels in a difference
    predictions = {
        "strong": truth + common + 0.1 * rng.normal(size=300),
        "weak": truth + common + 0.6 * rng.normal(size=300),
    }
    score = roc_auc_score if binary else r2_score
    estimates = paired_scores(truth, predictions, ids, 400, np.random.default_rng(2))
    for name, values in predictions.items():
        assert estimates[name].value == pytest.approx(score(truth, values), abs=1e-12)
        assert estimates[name].resampled.shape == (400,)
    gain = difference(estimates["strong"], estimates["weak"])
    low, high = gain.interval()
    assert 0 < low < gain.value < high
    widths = [np.ptp(estimates[name].interval()) for name in predictions]
    assert high - low < min(widths)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 60 studies whose R^2 would be 0.5 with endless participants, 95 % are expected."""
    covered = 0
    for study in range(60):
        rng = np.random.default_rng([study, 3])
        prediction = rng.normal(size=200)
        truth = prediction + rng.normal(size=200)
        estimate = paired_scores(truth, {"a": prediction}, np.arange(200), 200, rng)["a"]
        low, high = estimate.interval()
        covered += low <= 0.5 <= high
    assert covered >= 51


def test_labels_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="all the same"):
        paired_scores(np.full(9, 2.0), {"a": np.zeros(9)}, np.arange(9), 9, np.random.default_rng())
