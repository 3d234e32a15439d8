"""The table of metrics: names, averages, groups, and what is undefined."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from medjax.metrics.classification import accuracy, average, classification_metrics
from medjax.metrics.metric import Metric

NAMES = ("Shock", "Pneumonia", "Gout; other")


def example(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    labels = (generator.random((n, 3)) < (0.2, 0.5, 0.35)).astype(float)
    risk = np.clip(np.round(generator.random((n, 3)) * 0.8 + labels * 0.15, 2), 0, 1)
    return labels, risk


@pytest.mark.parametrize("kind", ["macro", "micro", "weighted"])
def test_averages_are_those_of_scikit_learn(kind):
    labels, risk = example()
    metrics = classification_metrics(labels, risk, NAMES)
    assert metrics[f"auroc/{kind}"].value == pytest.approx(
        roc_auc_score(labels, risk, average=kind)
    )
    assert metrics[f"auprc/{kind}"].value == pytest.approx(
        average_precision_score(labels, risk, average=kind)
    )


def test_every_label_has_its_numbers_and_counts():
    labels, risk = example()
    metrics = classification_metrics(labels, risk, NAMES, threshold=0.4)
    for i, name in enumerate(NAMES):
        assert metrics[f"accuracy/{name}"].value == accuracy_score(labels[:, i], risk[:, i] >= 0.4)
        for metric in ("auroc", "auprc", "accuracy", "calibration_error"):
            value = metrics[f"{metric}/{name}"]
            assert (value.n, value.positives) == (120, labels[:, i].sum())
            assert value.low is None


def test_groups_are_means_of_values_and_of_bounds():
    labels, risk = example()
    groups = {"type=acute": [0, 2], "type=chronic": [1]}
    metrics = classification_metrics(labels, risk, NAMES, groups=groups, resamples=60, seed=3)
    parts = [metrics["auroc/Shock"], metrics["auroc/Gout; other"]]
    group = metrics["auroc/type=acute"]
    for field in ("value", "low", "high"):
        assert getattr(group, field) == pytest.approx(np.mean([getattr(p, field) for p in parts]))
    assert group.n == 120 and group.positives is None  # no count of examples belongs to a mean
    assert metrics["auroc/type=chronic"].positives == labels[:, 1].sum()
    assert metrics["auprc/type=chronic"][:3] == metrics["auprc/Pneumonia"][:3]


def test_intervals_hold_the_value_and_do_not_depend_on_other_labels():
    labels, risk = example()
    every = classification_metrics(labels, risk, NAMES, resamples=200, seed=1)
    for name in NAMES:
        for metric in ("auroc", "auprc", "accuracy", "calibration_error"):
            value = every[f"{metric}/{name}"]
            assert value.low < value.value < value.high
    alone = classification_metrics(labels[:, 1:2], risk[:, 1:2], NAMES[1:2], resamples=200, seed=1)
    assert alone["auroc/Pneumonia"] == every["auroc/Pneumonia"]
    other = classification_metrics(labels, risk, NAMES, resamples=200, seed=2)
    assert other["auroc/Shock"].low != every["auroc/Shock"].low


def test_a_single_label_is_its_own_macro_without_other_averages():
    labels, risk = example()
    metrics = classification_metrics(labels[:, :1], risk[:, :1], ["mortality"], resamples=20)
    assert metrics["auroc/macro"] == metrics["auroc/mortality"]
    assert set(metrics) == {
        f"{metric}/{name}"
        for metric in ("auroc", "auprc", "accuracy", "calibration_error")
        for name in ("mortality", "macro")
    }


@pytest.mark.parametrize("constant", [0, 1])
def test_one_class_only_is_undefined_with_its_reason_and_left_out_of_averages(constant):
    labels, risk = example()
    labels[:, 1] = constant
    metrics = classification_metrics(labels, risk, NAMES, groups={"g": [1]}, resamples=20)
    for metric in ("auroc", "auprc"):
        lost = metrics[f"{metric}/Pneumonia"]
        assert lost.value is None
        assert lost.reason == f"one class only: {120 * constant} of 120 examples are positive"
        kept = [metrics[f"{metric}/{name}"].value for name in ("Shock", "Gout; other")]
        macro = metrics[f"{metric}/macro"]
        assert macro.value == pytest.approx(np.mean(kept))
        assert macro.to_json()["reason"] == "1 of 3 labels left out as undefined"
        assert metrics[f"{metric}/g"].to_json() == {"value": None, "reason": lost.reason}
        assert metrics[f"{metric}/weighted"].value is not None
    assert metrics["accuracy/Pneumonia"].value is not None
    json.dumps({k: m.to_json() for k, m in metrics.items()}, allow_nan=False)


@pytest.mark.parametrize("labels", [np.zeros((0, 2)), np.zeros((1, 2)), np.ones((7, 2))])
def test_empty_split_and_single_example_are_undefined_not_errors(labels):
    metrics = classification_metrics(labels, labels * 0.5, ["a", "b"], resamples=10)
    assert metrics["auroc/macro"].value is None
    assert metrics["auroc/micro"].value is None
    assert metrics["auroc/macro"].reason == "none of 2 labels is defined"
    assert (metrics["accuracy/a"].value is None) == (len(labels) == 0)
    json.dumps({k: m.to_json() for k, m in metrics.items()}, allow_nan=False)


def test_unknown_labels_leave_the_example_out_of_that_label_only():
    labels, risk = example()
    labels[:50, 0] = np.nan
    metrics = classification_metrics(labels, risk, NAMES)
    assert metrics["auroc/Shock"].n == 70
    assert metrics["auroc/Shock"].value == roc_auc_score(labels[50:, 0], risk[50:, 0])
    assert metrics["auroc/Pneumonia"].n == 120


def test_probabilities_that_are_not_finite_are_named():
    labels, risk = example()
    risk[3, 0] = np.nan
    metrics = classification_metrics(labels, risk, NAMES, resamples=10)
    for metric in ("auroc", "accuracy", "calibration_error"):
        assert metrics[f"{metric}/Shock"].reason == "1 of 120 probabilities are not finite"
        assert metrics[f"{metric}/Pneumonia"].value is not None


@pytest.mark.parametrize(
    ("labels", "risk", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), "one column a name"),
        (np.zeros(3), np.zeros(3), "one column a name"),
        (np.full((3, 2), -1), np.zeros((3, 2)), "labels must be 0, 1"),
        (np.zeros((3, 2)), np.full((3, 2), 1.5), "logits"),
    ],
)
def test_wrong_arrays_are_refused(labels, risk, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, risk, ["a", "b"])


def test_accuracy_counts_the_threshold_as_positive():
    assert accuracy([1, 0, 1], [0.5, 0.5, 0.4]) == pytest.approx(1 / 3)


def test_average_without_all_bounds_has_none():
    mean = average([Metric(0.2, 0.1, 0.3), Metric(0.4)])
    assert (mean.value, mean.low, mean.high) == (pytest.approx(0.3), None, None)
