"""Pictures say what they show, nothing overlaps, and equal data gives equal bytes."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from medjax.metrics.classification import classification_metrics
from medjax.metrics.figures import Predictions, classification_figures, number
from medjax.metrics.metric import Metric
from medjax.metrics.subsets import crossed, range_subsets, subset_metrics

LONG = "Pneumonia (except that caused by tuberculosis or sexually transmitted disease)"
NAMES = [
    f"{'Complications of surgical procedures or medical care'[: 7 + 2 * i]} {i}" for i in range(24)
]
NAMES.append(LONG)
TITLE = "in-hospital mortality from the first 48 hours of time series and film, validation split"
GROUPS = {"type=acute": range(0, 13), "type=chronic": range(13, 25)}


def predictions(names: list[str], n: int = 60, resamples: int = 5) -> Predictions:
    """Of random labels, of which the first of several has no positives."""
    generator = np.random.default_rng(len(names))
    risk = generator.random((n, len(names)))
    labels = (generator.random(risk.shape) < risk).astype(np.float32)
    labels[:, 0] = 0 if len(names) > 1 else labels[:, 0]
    groups = GROUPS if len(names) == 25 else None
    metrics = classification_metrics(labels, risk, names, groups=groups, resamples=resamples)
    return Predictions(labels, risk, names, metrics, TITLE)


def texts(figure: Figure) -> list[Text]:
    return [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]


@pytest.mark.parametrize(
    "names",
    [["in-hospital mortality"], [LONG], ["a $x$", "b"], [LONG, "W" * 50, "c"], NAMES],
    ids=["one", "one long", "two", "three", "many"],
)
def test_no_text_overlaps_another_or_leaves_the_page(names):
    groups = GROUPS if len(names) == 25 else None
    figures = classification_figures(predictions(names), groups)
    assert set(figures) == {"roc", "precision_recall", "calibration"} | (
        {"auroc_by_label"} if len(names) > 1 else set()
    )
    for stem, figure in figures.items():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts(figure)]
        page = figure.bbox
        assert any(TITLE in text.replace("\n", " ") for text, _ in boxes), stem
        for text, box in boxes:
            assert box.x0 >= page.x0, (stem, text)
            assert box.x1 <= page.x1, (stem, text)
            assert box.y0 >= page.y0, (stem, text)
            assert box.y1 <= page.y1, (stem, text)
        for (one, a), (two, b) in itertools.combinations(boxes, 2):
            apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
            assert apart, (stem, one, two)


def test_numbers_counts_and_reasons_are_written():
    data = predictions(["Shock", "Gout"])
    figures = classification_figures(data)
    for stem, metric in (("roc", "auroc"), ("precision_recall", "auprc")):
        written = " ".join(t.get_text() for t in texts(figures[stem]))
        gout = data.metrics[f"{metric}/Gout"]
        assert number(gout) in written
        assert f"{gout.positives} of 60 positive" in written
        assert "one class only" in written.replace("\n", " ")
    bars = " ".join(t.get_text() for t in texts(figures["auroc_by_label"]))
    assert "undefined" in bars
    assert "mean of 1" in bars


def test_intervals_are_not_promised_where_there_are_none():
    figures = classification_figures(predictions(["a", "b"], resamples=0))
    for figure in figures.values():
        assert not any("bootstrap" in t.get_text() for t in texts(figure))


@pytest.mark.parametrize(("names", "where"), [(["a"], "the panel"), (["a", "b"], "each panel")])
def test_the_heading_counts_the_panels(names, where):
    figures = classification_figures(predictions(names))
    for stem in ("roc", "precision_recall", "calibration"):
        written = " ".join(t.get_text() for t in texts(figures[stem])).replace("\n", " ")
        assert f"above {where}." in written


def test_labels_and_groups_are_written_as_words():
    names = ["Pleural_Thickening", "Gout", "Heart_Failure"]
    groups = {"type=acute": [0, 1], "type=chronic": [2]}
    data = predictions(names)
    metrics = classification_metrics(data.labels, data.probabilities, names, groups=groups)
    figures = classification_figures(data._replace(metrics=metrics), groups)
    for figure in figures.values():
        written = [t.get_text() for t in texts(figure)]
        assert any(text.startswith("Pleural Thickening") for text in written)
        assert not any("_" in text or "type=" in text for text in written)
    bars = [t.get_text() for t in texts(figures["auroc_by_label"])]
    assert "acute (mean of 1)" in bars  # the first label is of one class
    assert "chronic (mean of 1)" in bars


def test_curves_stand_on_the_known_examples_only():
    data = predictions(["mortality"])
    labels = np.array(data.labels)
    labels[:30] = np.nan
    metrics = classification_metrics(labels, data.probabilities, data.names)
    part = classification_figures(data._replace(labels=labels, metrics=metrics))["roc"]
    metrics = classification_metrics(labels[30:], data.probabilities[30:], data.names)
    alone = classification_figures(
        Predictions(labels[30:], data.probabilities[30:], data.names, metrics, data.title)
    )["roc"]
    lines = [figure.axes[0].lines[-1].get_xydata() for figure in (part, alone)]
    np.testing.assert_array_equal(*lines)


def test_number():
    assert number(Metric(0.834, 0.7871, 0.871)) == "0.83 (0.79\N{EN DASH}0.87)"
    assert number(Metric(0.834)) == "0.83"
    assert number(Metric(None, reason="one class only")) == "undefined"


@pytest.mark.parametrize("names", [["death"], ["a", "b"]])
def test_every_subset_is_a_bar_with_its_counts(names):
    made = predictions(names)
    row = np.arange(60)
    sets = {"set=paired": row < 40, "set=partial": row >= 0}
    parts = crossed(sets, range_subsets("age", np.where(row < 30, 30, 50), (18, 40, 60, 80)))
    arguments = (made.labels, made.probabilities, names, parts, made.metrics)
    metrics = {**made.metrics, **subset_metrics(*arguments, resamples=5)}
    figure = classification_figures(made._replace(metrics=metrics))["auroc_by_subset"]
    written = [text.get_text() for text in texts(figure)]
    assert [written.count(f"age {ages}") for ages in ("18-40", "40-60", "60-80")] == [2, 2, 2]
    assert number(metrics["auroc/set=paired/age=18-40/macro"]) in written
    assert "undefined" in written  # nobody is above sixty
    assert ("n" if len(names) > 1 else "positive") in written
