"""The paired comparison against a loop over resamples, and what its intervals promise."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from medjax.metrics.comparison import difference, draw_patients, paired_bootstrap

METRICS = {"auroc": roc_auc_score, "auprc": average_precision_score}


def example(seed: int = 0, patients: int = 60, labels: int = 2) -> tuple:
    """Labels [n, L], scores of two models over three replicas [3, n, L], patient ids [n]."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(rng.permutation(patients), 1 + (rng.random(patients) < 0.3))
    truth = (rng.random((len(ids), labels)) < 0.3).astype(float)
    scores = {
        model: np.round(rng.normal(size=(3, *truth.shape)) + signal * truth, 1)
        for model, signal in (("strong", 2.0), ("weak", 0.7))
    }
    return truth, scores, ids


def naive(truth, scores, counts, metric) -> float:
    """The mean over replicas and labels of a metric on rows repeated `counts` times."""
    rows = np.repeat(np.arange(len(truth)), counts)
    values = []
    for of_replica in scores:
        defined = [i for i in range(truth.shape[1]) if 0 < np.nanmean(truth[rows, i]) < 1]
        known = [rows[~np.isnan(truth[rows, i])] for i in defined]
        values.append(
            np.mean([metric(truth[k, i], of_replica[k, i]) for i, k in zip(defined, known)])
        )
    return float(np.mean(values))


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_resamples_equal_a_loop_over_them(missing):
    truth, scores, ids = example()
    truth[np.random.default_rng(5).random(truth.shape) < missing] = np.nan
    ours = paired_bootstrap(truth, scores, ids, 15, np.random.default_rng(1))
    counts = np.concatenate(list(draw_patients(ids, truth, 15, np.random.default_rng(1))))
    for model, values in scores.items():
        for name, metric in METRICS.items():
            estimate = getattr(ours[model], name)
            whole = naive(truth, values, np.ones(len(truth), int), metric)
            assert estimate.value == pytest.approx(whole, abs=1e-12)
            loop = [naive(truth, values, row, metric) for row in counts]
            np.testing.assert_allclose(estimate.resampled, loop, rtol=0, atol=1e-12)


def test_patients_are_drawn_whole_and_as_many_as_there_are():
    truth, _, ids = example(patients=4000)
    blocks = list(draw_patients(ids, truth, 50, np.random.default_rng(0)))
    assert len(blocks) > 1, "the case must span several blocks"
    counts = np.concatenate(blocks)
    assert counts.shape == (50, len(ids))
    _, first, owner = np.unique(ids, return_index=True, return_inverse=True)
    assert (counts == counts[:, first][:, owner]).all(), "stays of a patient come together"
    assert (counts[:, first].sum(axis=1) == 4000).all()


def test_a_difference_is_paired():
    truth, scores, ids = example(patients=300, labels=1)
    scores["shifted"] = 3 * scores["strong"] + 1
    models = paired_bootstrap(truth, scores, ids, 200, np.random.default_rng(2))
    same = difference(models["shifted"].auroc, models["strong"].auroc)
    assert same.value == 0
    assert same.interval() == (0, 0), "equal rankings differ in no resample"
    low, high = difference(models["strong"].auroc, models["weak"].auroc).interval()
    assert 0 < low < high


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(120):
        rng = np.random.default_rng((7, seed))
        truth = (rng.random((150, 1)) < 0.4).astype(float)
        scores = {m: rng.normal(size=(1, 150, 1)) + truth for m in ("one", "other")}
        models = paired_bootstrap(truth, scores, np.arange(150), 200, rng)
        low, high = difference(models["one"].auroc, models["other"].auroc).interval()
        held += low <= 0 <= high
    assert 0.87 <= held / 120 <= 0.99


def test_resamples_of_one_class_are_drawn_again():
    truth = np.zeros((12, 1))
    truth[3] = 1
    scores = {"only": np.random.default_rng(0).normal(size=(1, 12, 1))}
    models = paired_bootstrap(truth, scores, np.arange(12), 300, np.random.default_rng(0))
    assert np.isfinite(models["only"].auroc.resampled).all()
    assert len(models["only"].auroc.resampled) == 300


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        paired_bootstrap(np.ones((4, 1)), {}, np.arange(4), 10, np.random.default_rng(0))
    truth, scores, ids = example()
    with pytest.raises(ValueError, match="must be"):
        paired_bootstrap(truth, {"flat": scores["weak"][0]}, ids, 1, np.random.default_rng(0))
