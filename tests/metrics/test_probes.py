"""Probes find what is there, nothing that is not, and never see whom they predict."""

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GroupKFold

from medjax.metrics.probes import (
    KERNEL_SHARE,
    CannotFit,
    ProbeOptions,
    held_out_predictions,
    kinds_for,
)

N = 240
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 8)) * 10.0 ** np.arange(-4, 4) + 5
UNIT = (X - X.mean(0)) / X.std(0)
IDS = np.array([f"p{i}" for i in range(N)])


def label(kind: str, noise: float = 0.3) -> np.ndarray:
    """What this kind of probe can read, and a straight line cannot where it is the kernel's."""
    signal = UNIT[:, 0] - UNIT[:, 5]
    signal = np.abs(UNIT[:, 0]) + np.abs(UNIT[:, 5]) if kind == "kernel_ridge" else signal
    signal = signal + noise * np.random.default_rng(1).normal(size=N)
    return (signal > 0.3).astype(float) if kind == "logistic" else 50 + 10 * signal


def test_labels_choose_their_probes() -> None:
    assert kinds_for([0, 1, 1]) == ("logistic", "kernel_ridge")
    assert kinds_for([0.5, 1, 1], ("ridge", "logistic")) == ("ridge",)


@pytest.mark.parametrize("kind", ["ridge", "logistic", "kernel_ridge"])
def test_a_probe_reads_what_is_there_and_nothing_else(kind: str) -> None:
    y = label(kind)
    score = roc_auc_score if kind == "logistic" else r2_score
    found = score(y, held_out_predictions(kind, X, y, IDS))
    shuffled = np.random.default_rng(3).permutation(y)
    chance = score(shuffled, held_out_predictions(kind, X, shuffled, IDS))
    assert found > (0.95 if kind == "logistic" else 0.6)
    assert chance < (0.6 if kind == "logistic" else 0.05)
    if kind == "kernel_ridge":
        assert r2_score(y, held_out_predictions("ridge", X, y, IDS)) < 0.1


def test_a_participant_is_never_in_both_parts() -> None:
    """Labels are noise, shared by a participant's four rows, as are the features: whoever is in
    both parts would be known by them."""
    owner = np.repeat(np.arange(60), 4)
    x = np.random.default_rng(5).normal(size=(60, 100))[owner]
    y = np.random.default_rng(6).normal(size=60)[owner]
    options = ProbeOptions(penalties=(1e-3,))
    assert r2_score(y, held_out_predictions("ridge", x, y, owner, options)) < 0.1
    leaking = held_out_predictions("ridge", x, y, np.arange(240), options)
    assert r2_score(y, leaking) > 0.9
    binary = (y > 0).astype(float)
    assert roc_auc_score(binary, held_out_predictions("logistic", x, binary, owner)) < 0.75


def test_unknown_labels_are_neither_fitted_nor_predicted() -> None:
    y = label("ridge")
    y[::3] = np.nan
    predicted = held_out_predictions("ridge", X, y, IDS)
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(y))
    known = ~np.isnan(y)
    alone = held_out_predictions("ridge", X[known], y[known], IDS[known])
    np.testing.assert_allclose(predicted[known], alone, rtol=1e-12)


def test_the_kernel_is_exact_as_long_as_there_are_landmarks_enough() -> None:
    """Against the dual form with a centred kernel, which leaves the intercept unpenalised."""
    y, penalty = label("kernel_ridge"), 2.0
    options = ProbeOptions(folds=2, penalties=(penalty,))
    predicted = held_out_predictions("kernel_ridge", X, y, IDS, options)
    groups = np.unique(IDS, return_inverse=True)[1]
    folds = GroupKFold(2, shuffle=True, random_state=0).split(X, y, groups)
    for train, test in folds:
        mean, scale = X[train].mean(0), X[train].std(0)
        a, b = (X[train] - mean) / scale, (X[test] - mean) / scale
        inner, outer = rbf_kernel(a, a, 1 / 8), rbf_kernel(b, a, 1 / 8)
        centred = inner - inner.mean(0) - inner.mean(1)[:, None] + inner.mean()
        across = outer - outer.mean(1)[:, None] - inner.mean(0) + inner.mean()
        ridge = centred + KERNEL_SHARE * penalty * np.eye(len(train))
        weight = np.linalg.solve(ridge, y[train] - y[train].mean())
        expected = across @ weight + y[train].mean()
        np.testing.assert_allclose(predicted[test], expected, atol=1e-3 * np.ptp(y))
    few = held_out_predictions("kernel_ridge", X, y, IDS, options._replace(landmarks=100))
    assert np.corrcoef(few, predicted)[0, 1] > 0.9


def test_what_cannot_be_fitted_says_why() -> None:
    y = np.full(N, np.nan)
    y[:4] = 1, 2, 3, 4
    with pytest.raises(CannotFit, match="fewer than 5 participants"):
        held_out_predictions("ridge", X, y, IDS)
    with pytest.raises(CannotFit, match="the same label"):
        held_out_predictions("logistic", X, np.ones(N), IDS)
