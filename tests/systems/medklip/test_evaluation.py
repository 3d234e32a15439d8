"""Zero-shot classification and grounding, on scores and maps whose metrics are known."""

import numpy as np
import pytest

from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.systems.medklip.grounding import (
    attention_map,
    default_threshold,
    grounding_metrics,
    grounding_scores,
    search_threshold,
)
from medjax.systems.medklip.zero_shot import (
    Intervals,
    choose_thresholds,
    entity_metrics,
    existence_scores,
    query_numbers,
    roc_points_of,
)

NAN = np.nan
LABELS = np.array([[1, 0], [1, 0], [0, 0], [0, NAN], [0, 0]], np.float64)
SCORES = np.array([[0.9, 0.1], [0.4, 0.2], [0.6, 0.3], [0.2, 0.4], [0.1, 0.9]])


def test_the_score_is_the_probability_of_the_second_logit():
    logits = np.array([[0.0, 0.0], [0.0, np.log(3)], [800.0, -800.0]])
    assert existence_scores(logits) == pytest.approx([0.5, 0.75, 0])
    assert [ENTITIES[i] for i in query_numbers(["edema", "hernia"])] == ["edema", "hernia"]


def test_metrics_of_entities_and_their_means():
    thresholds = np.array([0.5, NAN])
    metrics = entity_metrics(LABELS, SCORES, ["a", "b"], thresholds)
    assert metrics["auroc/a"].value == pytest.approx(5 / 6)
    assert metrics["f1/a"].value == pytest.approx(0.5)
    assert metrics["accuracy/a"].value == pytest.approx(3 / 5)
    assert metrics["max_f1/a"].value == pytest.approx(0.8)
    assert metrics["prevalence/a"].value == 0.4
    assert metrics["accuracy/macro"].value == pytest.approx((0.6 + 0.75) / 2)
    assert metrics["constant_accuracy/a"].value == pytest.approx(0.6)
    assert metrics["auroc/b"].value is None and metrics["max_f1/b"].value is None
    assert metrics["accuracy/b"].value == 0.75 and metrics["prevalence/b"].n == 4
    assert metrics["f1/macro"].value == pytest.approx(0.25)


def test_without_a_validation_split_only_the_oracle_is_given():
    metrics = entity_metrics(LABELS, SCORES, ["a", "b"], intervals=Intervals(200))
    assert not any(name.startswith("f1/") for name in metrics)
    assert metrics["max_f1/a"].low <= metrics["max_f1/a"].value <= metrics["max_f1/a"].high
    chosen = choose_thresholds(LABELS, SCORES)
    assert chosen[0] == 0.4 and np.isnan(chosen[1])
    strict = entity_metrics(LABELS, SCORES, ["a", "b"], chosen, "above")
    assert strict["f1/a"].value < metrics["max_f1/a"].value


def test_roc_curves_of_entities_with_both_classes():
    curves = roc_points_of(LABELS, SCORES, ["a", "b"])
    assert list(curves) == ["a"]
    assert (curves["a"]["fpr"][0], curves["a"]["tpr"][-1]) == (0, 1)


def mask(rows, columns, side=8):
    found = np.zeros((side, side), np.uint8)
    found[rows, columns] = 1
    return found


def test_grounding_of_a_map_that_lies_on_the_finding():
    maps = np.full((3, 4, 4), 0.02)
    maps[0, 0, 0] = maps[1, 3, 3] = 0.7
    masks = [mask(slice(0, 2), slice(0, 4)), mask(slice(0, 2), slice(0, 4)), mask([], [])]
    scores = grounding_scores(maps, masks, default_threshold((4, 4)))
    assert scores.hit.tolist() == [True, False] and scores.skipped == 1
    assert scores.iou.tolist() == [0.5, 0] and scores.dice == pytest.approx([2 / 3, 0])
    assert scores.chance.tolist() == [2 / 16, 2 / 16]
    missed = grounding_scores(maps, masks, default_threshold((4, 4)), "miss")
    assert missed.hit.tolist() == [True, False, False] and missed.skipped == 0
    metrics = grounding_metrics(scores, "edema", resamples=50)
    assert metrics["pointing/edema"].value == 0.5
    assert "1 films" in metrics["pointing/edema"].reason
    assert metrics["pointing_chance/edema"].value == 0.125


def test_every_maximum_may_hit():
    maps = np.zeros((1, 2, 2))
    maps[0, 0, 0] = maps[0, 1, 1] = 0.5
    scores = grounding_scores(maps, [mask(slice(6, 8), slice(6, 8))], 0.1)
    assert scores.hit.all()


def test_a_searched_threshold_is_at_least_as_good_as_the_default():
    generator = np.random.default_rng(0)
    masks = [mask(slice(2, 6), slice(i, i + 3)) for i in range(4)]
    maps = np.array([m[::2, ::2] * 0.1 + generator.random((4, 4)) * 0.06 for m in masks])
    maps /= maps.sum((1, 2), keepdims=True)
    best = grounding_scores(maps, masks, search_threshold(maps, masks)).dice.mean()
    assert best >= grounding_scores(maps, masks, default_threshold((4, 4))).dice.mean()
    assert search_threshold(maps, [mask([], [])] * 4) == default_threshold((4, 4))


def test_nothing_to_ground_is_undefined():
    scores = grounding_scores(np.ones((1, 2, 2)), [mask([], [])], 0.1)
    assert grounding_metrics(scores, "a")["dice/a"].value is None


def test_attention_of_one_query_is_averaged_over_layers():
    layers = [np.arange(12.0).reshape(1, 3, 4), np.zeros((1, 3, 4))]
    assert attention_map(layers, 1, (2, 2)).tolist() == [[[2, 2.5], [3, 3.5]]]
    assert default_threshold((14, 14)) == pytest.approx(0.008)
