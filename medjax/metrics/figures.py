"""Pictures of classification: how well probabilities rank, and whether they are honest.

Every label has a panel of its own, so that no curve hides another, with its numbers above it; the
pages fit A4. Pure functions from arrays to figures; nothing knows a window or a current figure.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from medjax.metrics.calibration import reliability, wilson_interval
from medjax.metrics.metric import Metric
from medjax.metrics.panels import HEADER_SIZE, MARGIN, panel_page, shorten, shown, text_height, wrap
from medjax.metrics.ranking import curve, precision_recall_points, roc_points
from medjax.metrics.subsets import subsets_of

# The colour-blind safe palette of Okabe & Ito.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#777777"
REFERENCE: Mapping[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 0.8}
DASH = "\N{EN DASH}"


class Predictions(NamedTuple):
    """What the pictures of a split are drawn from."""

    labels: NDArray
    """[n, L] of 0 and 1, or NaN where not known."""
    probabilities: NDArray
    """[n, L]"""
    names: Sequence[str]
    """Of the L labels."""
    metrics: Mapping[str, Metric]
    """What `classification_metrics` gave: the numbers that are written into the pictures."""
    title: str
    """What was predicted, for whom: "phenotypes, test split"."""


def classification_figures(
    predictions: Predictions, groups: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Figure]:
    """All pictures of a split by file stem: roc, precision_recall, calibration, auroc_by_label.

    The last one only for several labels; `auroc_by_subset` where there are metrics of subsets.
    groups: positions of the labels of each group, as given to `classification_metrics`.
    """
    figures = {
        "roc": roc_curves(predictions),
        "precision_recall": precision_recall_curves(predictions),
        "calibration": calibration_curves(predictions),
    }
    if len(predictions.names) > 1:
        figures["auroc_by_label"] = auroc_by_label(predictions, groups)
    if any(subsets_of(predictions.metrics)):
        figures["auroc_by_subset"] = auroc_by_subset(predictions.metrics, predictions.title)
    return figures


def roc_curves(predictions: Predictions) -> Figure:
    """ROC curve of every label, with the chance line."""

    def draw(ax: Axes, labels: NDArray, risk: NDArray) -> None:
        ax.plot([0, 1], [0, 1], **REFERENCE)
        ax.plot(*roc_points(curve(labels, risk)), color=COLORS[0], linewidth=1.3)

    return _page(
        predictions,
        "auroc",
        draw,
        heading="ROC curves",
        legend="Dashed: chance.",
        x="False-positive rate (1 \N{MINUS SIGN} specificity)",
        y="True-positive rate (sensitivity)",
    )


def precision_recall_curves(predictions: Predictions) -> Figure:
    """Precision against recall of every label, as the steps whose area is the AUPRC."""

    def draw(ax: Axes, labels: NDArray, risk: NDArray) -> None:
        ax.plot([0, 1], [labels.mean()] * 2, **REFERENCE)
        recall, precision = precision_recall_points(curve(labels, risk))
        steps = np.append(0, recall), np.append(precision[0], precision)
        ax.step(*steps, where="pre", color=COLORS[0], linewidth=1.3)

    return _page(
        predictions,
        "auprc",
        draw,
        heading="Precision and recall",
        legend="Dashed: share of positives, the precision of chance.",
        x="Recall (sensitivity)",
        y="Precision (positive predictive value)",
    )


def calibration_curves(predictions: Predictions, bins: int = 15) -> Figure:
    """Observed share of positives against predicted risk, over the histogram of the risks."""

    def draw(ax: Axes, labels: NDArray, risk: NDArray) -> None:
        table = reliability(labels, risk, bins)
        left = np.arange(bins) / bins
        share = table.examples / len(labels)
        ax.bar(left, share, 1 / bins, align="edge", color="#DDDDDD", edgecolor="white")
        ax.plot([0, 1], [0, 1], **REFERENCE)
        low, high = wilson_interval(table.observed * table.examples, table.examples)
        ax.vlines(table.predicted, low, high, color=COLORS[0], linewidth=0.9)
        ax.plot(table.predicted, table.observed, "o", color=COLORS[0], markersize=3)

    return _page(
        predictions,
        "calibration_error",
        draw,
        heading="Calibration",
        legend="Points: observed share of positives with its 95 % interval. "
        "Bars: share of all examples at that risk. Dashed: perfect calibration.",
        x="Predicted risk",
        y="Observed share of positives",
    )


class _Line(NamedTuple):
    """A line of the page of bars; without a color it heads a group."""

    place: int
    name: str
    metric: Metric
    color: str | None


def auroc_by_label(
    predictions: Predictions, groups: Mapping[str, Sequence[int]] | None = None
) -> Figure:
    """AUROC of every label as a bar from chance, with its interval, best first in its group."""
    lines = _label_lines(predictions, groups or {"macro": range(len(predictions.names))})
    return _bars(lines, f"AUROC by label: {predictions.title}")


def auroc_by_subset(metrics: Mapping[str, Metric], title: str) -> Figure:
    """Mean AUROC of every subset as a bar from chance, with its interval, by the set it is of."""
    lines: list[_Line] = []
    place, colors = 0, iter(COLORS * len(metrics))
    subsets = subsets_of(metrics)
    for parent in filter(None, subsets):
        inner = [subset for subset in subsets if subset.rpartition("/")[0] == parent]
        if "/" in parent:
            continue
        lines.append(_Line(place, shown(parent), metrics[f"auroc/{parent}/macro"], None))
        color = next(colors)
        for subset in inner:
            place += 1
            name = subset.rpartition("/")[2].replace("=", " ")
            lines.append(_Line(place, name, metrics[f"auroc/{subset}/macro"], color))
        place += 2
    return _bars(lines, f"AUROC by subset: {title}")


def _bars(lines: Sequence[_Line], title: str) -> Figure:
    """Draw the page of bars."""
    interval = _has_intervals(line.metric for line in lines)
    width = 8.0
    title = wrap(title, width - 2 * MARGIN, HEADER_SIZE)
    legend = "Bars start at chance, 0.5." + (" Lines: 95 % bootstrap intervals." * interval)
    header = f"{title}\n{legend}"
    around = 0.7 + text_height(header, HEADER_SIZE)
    height = around + 0.4 + 0.21 * lines[-1].place
    figure = Figure(figsize=(width, height))
    top: dict[str, Any] = {"y": 1 - 0.1 / height, "va": "top"}
    figure.suptitle(header, fontsize=HEADER_SIZE, parse_math=False, **top)
    ax = figure.add_axes((0.46, 0.5 / height, 0.25, 1 - around / height))
    for line in lines:
        if line.color and line.metric.value is not None:
            length = line.metric.value - 0.5
            ax.barh(line.place, length, left=0.5, height=0.7, color=line.color, alpha=0.55)
            if line.metric.low is not None and line.metric.high is not None:
                ax.hlines(line.place, line.metric.low, line.metric.high, color="black", linewidth=1)
    _scale_bars(ax, lines)
    _write_beside_bars(ax, lines, "AUROC (95 % interval)" if interval else "AUROC")
    return figure


def _label_lines(predictions: Predictions, groups: Mapping[str, Sequence[int]]) -> list[_Line]:
    lines: list[_Line] = []
    place = 0
    for color, (group, members) in zip(COLORS * len(groups), groups.items()):
        names = [predictions.names[i] for i in members]
        labels = [(name, predictions.metrics[f"auroc/{name}"]) for name in names]
        defined = sum(metric.value is not None for _, metric in labels)
        heading = f"{shown(group)} (mean of {defined})"
        lines.append(_Line(place, heading, predictions.metrics[f"auroc/{group}"], None))
        best_first = sorted(labels, key=lambda pair: -(pair[1].value or 0))
        for name, metric in best_first:
            place += 1
            lines.append(_Line(place, shown(name), metric, color))
        place += 2
    return lines


def _scale_bars(ax: Axes, lines: Sequence[_Line]) -> None:
    ax.axvline(0.5, **REFERENCE)
    bounds = [b for line in lines for b in (line.metric.value, line.metric.low) if b is not None]
    ax.set_xlim(min([0.45, *(b - 0.02 for b in bounds)]), 1.0)
    ax.set_ylim(lines[-1].place + 0.8, -1.8)
    ax.set_xlabel("AUROC", fontsize=9)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.tick_params(axis="x", labelsize=7.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _write_beside_bars(ax: Axes, lines: Sequence[_Line], header: str) -> None:
    """Write names to the left of the bars, numbers and counts to the right."""
    names = [shorten(line.name, 3.2, 7.5) for line in lines]
    ax.set_yticks([line.place for line in lines], names)
    for tick, line in zip(ax.get_yticklabels(), lines):
        tick.set(fontsize=7.5, fontweight="normal" if line.color else "bold", parse_math=False)
    number_at, counts_at = 1.03, 2.1
    positive = any(line.metric.positives is not None for line in lines if line.color)
    style: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "fontsize": 7.5, "va": "center"}
    ax.text(number_at, -1, header, **style)
    ax.text(counts_at, -1, "positive" if positive else "n", ha="right", **style)
    for line in lines:
        weight = "normal" if line.color else "bold"
        ax.text(number_at, line.place, number(line.metric), fontweight=weight, **style)
        if line.color:
            ax.text(counts_at, line.place, _counts(line.metric), ha="right", **style)


def _counts(metric: Metric) -> str:
    """How many examples there are, and how many of them are positive where that is known."""
    if metric.positives is None:
        return f"{metric.n or 0:,}"
    return f"{metric.positives:,} of {metric.n or 0:,}"


def _has_intervals(metrics: Iterable[Metric]) -> bool:
    return any(metric.low is not None for metric in metrics)


_NAMES = {
    "auroc": ("AUROC", "AUROC"),
    "auprc": ("AUPRC", "AUPRC (average precision)"),
    "calibration_error": ("ECE", "ECE (expected calibration error)"),
}
"""Short and long names."""


def _page(
    predictions: Predictions,
    metric: str,
    draw: Callable[[Axes, NDArray, NDArray], None],
    *,
    heading: str,
    legend: str,
    x: str,
    y: str,
) -> Figure:
    """Draw a panel a label, captioned with its metric; where it is undefined the panel says why.

    draw: (axes, labels [known], probabilities [known]) fills one panel.
    """
    values = [predictions.metrics[f"{metric}/{name}"] for name in predictions.names]
    short, long = _NAMES[metric]
    interval = ", with its 95 % bootstrap interval," if _has_intervals(values) else ""
    panel = "each panel" if len(values) > 1 else "the panel"
    figure, panels, size = panel_page(
        [shown(name) for name in predictions.names],
        [f"{short} {number(v)}\n{v.positives:,} of {v.n:,} positive" for v in values],
        title=f"{heading}: {predictions.title}",
        legend=f"{long}{interval} above {panel}. {legend}",
        x=x,
        y=y,
    )
    for i, (ax, value) in enumerate(zip(panels, values, strict=True)):
        if value.value is None:
            reason = textwrap.fill(value.reason or "", 22)
            ax.text(0.5, 0.5, reason, ha="center", va="center", fontsize=size, color=GREY)
            continue
        known = ~np.isnan(np.asarray(predictions.labels[:, i], np.float64))
        draw(ax, predictions.labels[known, i], predictions.probabilities[known, i])
    return figure


def number(metric: Metric) -> str:
    """A value and its interval as text, ``0.83 (0.79-0.86)`` with an en dash."""
    if metric.value is None:
        return "undefined"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} ({metric.low:.2f}{DASH}{metric.high:.2f})"
