"""Metrics of parts of a split are those of the rows in it."""

import numpy as np
import pytest

from medjax.metrics.classification import classification_metrics
from medjax.metrics.subsets import crossed, range_subsets, subset_metrics, subsets_of

NAMES = ("Shock", "Gout")


@pytest.fixture
def example():
    generator = np.random.default_rng(5)
    labels = (generator.random((150, 2)) < 0.3).astype(float)
    return labels, np.clip(generator.random((150, 2)) * 0.8 + labels * 0.2, 0, 1)


def test_ranges_hold_their_lower_edge_and_the_last_one_all_above():
    ages = [17.9, 18, 39.99, 40, 80, 100, 104, np.nan]
    groups = range_subsets("age", ages, (18, 40, 60, 80, 100))
    assert list(groups) == ["age=18-40", "age=40-60", "age=60-80", "age=80-100"]
    held = {name: np.flatnonzero(members).tolist() for name, members in groups.items()}
    assert held == {"age=18-40": [1, 2], "age=40-60": [3], "age=60-80": [], "age=80-100": [4, 5, 6]}
    assert range_subsets("age", ages, ()) == {}


def test_a_subset_has_the_metrics_of_its_rows(example):
    labels, risk = example
    members = np.arange(150) % 3 == 0
    options = {"groups": {"type=acute": [0]}, "resamples": 30, "seed": 2}
    whole = classification_metrics(labels, risk, NAMES, **options)
    subsets = crossed({"set=all": np.ones(150, bool)}, {"third=0": members})
    metrics = subset_metrics(labels, risk, NAMES, subsets, whole, **options)
    alone = classification_metrics(labels[members], risk[members], NAMES, **options)
    for metric in ("auroc", "auprc"):
        for name in (*NAMES, "type=acute", "macro"):
            assert metrics[f"{metric}/set=all/{name}"] == whole[f"{metric}/{name}"]
            assert metrics[f"{metric}/set=all/third=0/{name}"] == alone[f"{metric}/{name}"]
    assert len(metrics) == 2 * 2 * 4
    assert subsets_of(whole | metrics) == ["", "set=all", "set=all/third=0"]


def test_empty_and_one_class_subsets_say_why(example):
    labels, risk = example
    whole = classification_metrics(labels, risk, NAMES)
    subsets = {"s=none": np.zeros(150, bool), "s=healthy": labels[:, 0] == 0}
    metrics = subset_metrics(labels, risk, NAMES, subsets, whole, resamples=10)
    assert metrics["auroc/s=none/Shock"].reason == "no examples"
    assert metrics["auroc/s=none/macro"].value is None
    assert "one class only: 0 of" in metrics["auroc/s=healthy/Shock"].reason
    assert metrics["auroc/s=healthy/macro"].value == metrics["auroc/s=healthy/Gout"].value
