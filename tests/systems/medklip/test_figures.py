"""Pictures and the metrics file: what they hold, not how they look."""

import json

import numpy as np
import pandas as pd
import pytest

from medjax.metrics.figures import Predictions
from medjax.systems.medklip.figures import entity_figures
from medjax.systems.medklip.metrics_file import metrics_file
from medjax.systems.medklip.saliency import Overlay, choose_examples, saliency_page, spread
from medjax.systems.medklip.zero_shot import entity_metrics

GENERATOR = np.random.default_rng(0)
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, np.nan]], float)
SCORES = GENERATOR.random((5, 2))
NAMES = ["mass", "edema"]


def test_the_promised_pictures_are_drawn():
    metrics = entity_metrics(LABELS, SCORES, NAMES)
    figures = entity_figures(Predictions(LABELS, SCORES, NAMES, metrics, "test"))
    assert {"auc_per_entity", "roc_curve"} <= set(figures)
    ticks = figures["auc_per_entity"].get_axes()[0].get_yticklabels()
    assert set(NAMES) <= {tick.get_text() for tick in ticks}


def test_attention_is_spread_over_its_patches():
    attention = np.zeros((4, 4))
    attention[1, 2] = 1
    shown = spread(attention, (32, 24))
    assert shown.shape == (32, 24) and shown.max() <= 1 and shown.min() == 0
    assert np.unravel_index(shown.argmax(), shown.shape)[0] in range(8, 16)
    assert not spread(np.ones((2, 2)), (8, 8)).any()


def test_a_page_shows_film_attention_peak_and_place():
    attention = np.zeros((2, 2))
    attention[1, 0] = 1
    place = np.zeros((16, 16), np.uint8)
    place[10:14, 2:6] = 1
    film = np.full((16, 16, 1), 100, np.uint8)
    overlays = [Overlay(film, attention, "mass", 0.8, 1.0, place), Overlay(film, attention, "a", 0)]
    axes = saliency_page(overlays, "title").get_axes()
    assert [ax.get_title() for ax in axes] == ["mass: 0.80\npresent", "a: 0.00\nnot known"]
    assert [tuple(line.get_xdata()) for line in axes[0].get_lines()] == [(3.5,)] * 2
    assert len(axes[0].collections) == 1 and not axes[1].collections
    with pytest.raises(ValueError):
        saliency_page([], "title")


def test_examples_run_from_the_best_to_the_worst_of_the_placed():
    labels = np.array([1, 1, 0, 1, 1, 1])
    scores = np.array([0.1, 0.9, 0.99, 0.5, 0.7, 0.3])
    placed = np.array([True, True, True, True, True, False])
    chosen = choose_examples(labels, scores, placed, 3)
    assert chosen[0] == 1 and chosen[-1] == 0 and len(chosen) == 3
    assert set(choose_examples(labels, scores, placed, 9)) == {0, 1, 3, 4}
    assert set(choose_examples(labels, scores, np.zeros(6, bool), 9)) == {0, 1, 3, 4, 5}


def test_the_metrics_file_holds_numbers_curves_and_trend():
    table = pd.DataFrame({f"score/{n}": SCORES[:, i] for i, n in enumerate(NAMES)})
    table["label/mass"], table["label/edema"] = LABELS.T
    metrics = entity_metrics(LABELS, SCORES, NAMES)
    results = {name: metric.to_json() for name, metric in metrics.items()} | {"loss": {"value": 1}}
    log = [
        {"step": 1, "split": "train", "loss": 2.0, "learning_rate": 1e-4},
        {"step": 2, "split": "train", "loss": None, "accuracy": 0.5},
        {"step": 2, "split": "validation", "loss": 1.5},
    ]
    content = json.loads(metrics_file(results, table, log))
    assert content["entities"]["mass"]["auroc"]["value"] == metrics["auroc/mass"].value
    assert content["mean"]["prevalence"]["value"] == pytest.approx((0.4 + 0.5) / 2)
    assert content["roc"]["edema"]["fpr"][0] == 0 and content["roc"]["edema"]["tpr"][-1] == 1
    assert content["trend"] == {
        "train/loss": {"step": [1], "value": [2.0]},
        "train/accuracy": {"step": [2], "value": [0.5]},
        "validation/loss": {"step": [2], "value": [1.5]},
    }
    assert content["other"] == {"loss": {"value": 1}}
    assert json.loads(metrics_file(results))["roc"] == {}
