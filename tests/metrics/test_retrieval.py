"""Retrieval: ranks by hand, ties, texts that several records share; collapse measured."""

import numpy as np

from medjax.metrics.retrieval import effective_rank, mean_cosine, ranks, retrieval_metrics

RNG = np.random.default_rng(0)


def metrics_of(first, second, group):
    metrics = retrieval_metrics(first, second, group, ("ecg", "text"), at=(1, 5))
    return {name: metric.value for name, metric in metrics.items()}


def test_ranks_by_hand() -> None:
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    queries = np.array([[1.0, 0.1], [1.0, 0.2]])
    np.testing.assert_array_equal(ranks(queries, gallery, np.array([0, 2]), np.arange(3)), [1, 3])


def test_right_pairs_are_found_in_both_directions() -> None:
    texts = RNG.normal(size=(30, 8))
    group = np.arange(90) % 30
    ecgs = texts[group] + 0.01 * RNG.normal(size=(90, 8))
    metrics = metrics_of(ecgs, texts[group], group)
    for way in ("ecg_to_text", "text_to_ecg"):
        assert metrics[f"retrieval/{way}/recall@1"] == 1
        assert metrics[f"retrieval/{way}/median_rank"] == 1
    # 30 distinct texts are the candidates; 90 records, 3 of them right.
    assert metrics["retrieval/ecg_to_text/median_rank_by_chance"] == 31 / 2
    assert metrics["retrieval/text_to_ecg/median_rank_by_chance"] == 91 / 4


def test_unrelated_features_have_the_rank_of_chance() -> None:
    group = np.arange(400)
    metrics = metrics_of(RNG.normal(size=(400, 8)), RNG.normal(size=(400, 8)), group)
    rank, chance = (
        metrics[f"retrieval/ecg_to_text/{name}"]
        for name in ("median_rank", "median_rank_by_chance")
    )
    assert abs(rank - chance) < 40


def test_a_collapsed_space_retrieves_nothing() -> None:
    """All points one, but for rounding: no recall, the middle rank, and both measures say so."""
    point = RNG.normal(size=8)
    first, second = (point * RNG.uniform(1, 2, (50, 1)) + 1e-9 for _ in range(2))
    metrics = metrics_of(first, second, np.arange(50))
    assert metrics["retrieval/ecg_to_text/recall@5"] == 0
    assert metrics["retrieval/ecg_to_text/median_rank"] == 25.5
    assert mean_cosine(first) > 0.999 and effective_rank(np.tile(point, (50, 1))) == 0


def test_collapse_measures_of_known_spaces() -> None:
    spread = RNG.normal(size=(4000, 6))
    assert abs(mean_cosine(spread)) < 0.01 and 5.9 < effective_rank(spread) <= 6
    line = np.outer(RNG.normal(size=100), np.ones(6))
    assert abs(effective_rank(line) - 1) < 1e-6
    pairs = [(a, b) for a in range(20) for b in range(20) if a != b]
    few = spread[:20] / np.linalg.norm(spread[:20], axis=1, keepdims=True)
    np.testing.assert_allclose(mean_cosine(few), np.mean([few[a] @ few[b] for a, b in pairs]))


def test_one_text_for_all_is_told() -> None:
    metrics = retrieval_metrics(
        RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3)), np.zeros(5, int), ("ecg", "text")
    )
    assert all(metric.value is None and metric.reason for metric in metrics.values())
