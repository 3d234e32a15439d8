"""The bootstrap against resampling by hand, and what its intervals promise."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from medjax.errors import UserError
from medjax.metrics.bootstrap import (
    bootstrap,
    bootstrap_of_draws,
    draw_counts,
    generator_for,
    percentile_interval,
)
from medjax.metrics.ranking import auroc


def example(n: int = 90, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    labels = generator.random(n) < 0.3
    scores = np.round(generator.normal(size=n) + shift * 3 * labels, 1)
    return labels, scores


def test_given_draws_equal_the_metric_on_the_drawn_rows():
    labels, scores = example()
    draws = np.random.default_rng(1).integers(0, 90, (40, 90)).astype(np.int16)
    ours = bootstrap_of_draws(labels, scores, draws)
    naive = [roc_auc_score(labels[d], scores[d]) for d in draws]
    np.testing.assert_allclose(ours.auroc, naive, rtol=0, atol=1e-12)
    naive = [average_precision_score(labels[d], scores[d]) for d in draws]
    np.testing.assert_allclose(ours.auprc, naive, rtol=0, atol=1e-12)


def test_resamples_are_distributed_as_naive_ones():
    labels, scores = example()
    ours = bootstrap(labels, scores, 4000, np.random.default_rng(2)).auroc
    draws = np.random.default_rng(3).integers(0, 90, (4000, 90))
    naive = bootstrap_of_draws(labels, scores, draws).auroc
    assert ours.mean() == pytest.approx(naive.mean(), abs=4 * naive.std() / np.sqrt(4000) * 1.5)
    assert ours.std() == pytest.approx(naive.std(), rel=0.08)


def test_every_resample_has_as_many_draws_as_examples():
    positives = np.array([0, 5])
    blocks = list(draw_counts(positives, 30000, 25, np.random.default_rng(0)))
    assert len(blocks) > 1, "the case must span several blocks"
    counts = np.concatenate(blocks)
    assert counts.shape == (25, 30000)
    assert (counts.sum(axis=1) == 30000).all()


def test_same_seed_same_interval_and_labels_draw_apart():
    labels, scores = example()
    first, again, other = (
        bootstrap(labels, scores, 50, generator_for(seed, name)).auroc
        for seed, name in ((1, "Shock"), (1, "Shock"), (1, "Pneumonia"))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(4)
    population = generator.random(200_000) < 0.4
    risk = generator.normal(size=200_000) + population
    truth = auroc(population, risk)
    hits = 0
    for _ in range(150):
        rows = generator.integers(0, 200_000, 150)
        low, high = percentile_interval(
            bootstrap(population[rows], risk[rows], 200, generator).auroc
        )
        hits += low <= truth <= high
    assert 0.86 < hits / 150 < 0.995


def test_rare_class_is_drawn_again_or_fails():
    labels, scores = np.array([1, 0, 0, 0, 0, 0]), np.array([0.9, 0.1, 0.95, 0.3, 0.2, 0.4])
    resampled = bootstrap(labels, scores, 500, np.random.default_rng(0))
    assert np.isfinite(resampled.auroc).all()
    counts = np.concatenate(list(draw_counts(np.array([2]), 6, 500, np.random.default_rng(0))))
    assert (counts[:, 2] > 0).all()
    assert (counts[:, 2] < 6).all()
    with pytest.raises(UserError, match="bootstrap_one_class"):
        bootstrap(labels, scores, 500, np.random.default_rng(0), one_class="fail")


def test_percentiles_interpolate_linearly():
    assert percentile_interval(np.arange(41.0)) == pytest.approx((1.0, 39.0))
    assert percentile_interval(np.arange(11.0), level=0.5) == pytest.approx((2.5, 7.5))


def test_clusters_are_drawn_whole():
    """A copy of every row beside it changes no metric and no interval, were it drawn apart."""
    labels, scores = example()
    rows = np.repeat(np.arange(90), 4)
    clusters = np.arange(90)[rows] * 10 + 3
    alone = bootstrap(labels, scores, 3000, np.random.default_rng(5)).auroc
    whole = bootstrap(
        labels[rows], scores[rows], 3000, np.random.default_rng(6), clusters=clusters
    ).auroc
    apart = bootstrap(labels[rows], scores[rows], 3000, np.random.default_rng(7)).auroc
    assert whole.std() == pytest.approx(alone.std(), rel=0.1)
    assert apart.std() < 0.7 * alone.std()


def test_a_cluster_counts_for_all_its_examples():
    clusters = np.array([0, 1, 1, 2, 2, 2])
    blocks = draw_counts(np.array([0, 3]), 6, 50, np.random.default_rng(0), clusters=clusters)
    counts = np.concatenate(list(blocks))
    assert (counts[:, 1] == counts[:, 2]).all() and (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (counts[:, [0, 3]].sum(axis=1) > 0).all()
    assert (counts[:, [1, 2, 4, 5]].sum(axis=1) > 0).all()
