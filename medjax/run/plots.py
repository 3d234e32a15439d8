"""Pictures of a training, and writing pictures. Nothing here knows a window or a current figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from medjax.files import write_atomic
from medjax.metrics.panels import shown

SPLIT_COLORS = {"train": "#0072B2", "validation": "#D55E00", "test": "#009E73"}
"""From the colour-blind safe palette of Okabe & Ito."""
OTHER_COLOR = "#777777"
ACRONYMS = frozenset({"auroc", "auprc"})
"""Metrics written in capitals."""


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, 150 dots an inch, atomically; equal figures give equal bytes."""
    write_atomic(
        path, lambda p: figure.savefig(p, format="png", dpi=150, metadata={"Software": None})
    )


def learning_curves(
    rows: Sequence[Mapping[str, Any]], monitor: str, title: str, monitor_mode: str = "max"
) -> Figure:
    """Draw loss, monitored metric and, where it was logged, accuracy against the step.

    One line a split.

    Args:
        rows: lines of metrics.jsonl: "step", "split" and values by name, None where undefined.
        monitor: name of the metric that chooses the best step, which is marked.
        title: heading, usually the stage.
        monitor_mode: "max" or "min": which value is best.
    """
    wanted = dict.fromkeys(("loss", monitor, "accuracy"))
    names = [name for name in wanted if any(name in r for r in rows)]
    drawn = [name for name in names if any(r.get(name) is not None for r in rows)]
    undefined = [name for name in names if name not in drawn]
    notes = [f"{metric_label(name)}: undefined in every evaluation" for name in undefined]
    if not names:
        notes = [f"neither a loss nor {metric_label(monitor)} was logged"]
    figure = Figure(figsize=(8.2, 0.9 + 2.6 * len(drawn)), layout="constrained")
    figure.suptitle("\n".join([f"Learning curves: {title}", *notes]), fontsize=10)
    if not drawn:
        return figure
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for ax, name in zip(axes, drawn, strict=True):
        for split in sorted({r["split"] for r in rows if name in r}):
            _draw_line(ax, *_series(rows, split, name), split)
        if name == monitor:
            _mark_best(ax, rows, name, monitor_mode)
        if name != "loss":
            _widen_rates(ax, [r[name] for r in rows if r.get(name) is not None])
        ax.set_ylabel(metric_label(name))
        ax.grid(alpha=0.3)
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    axes[-1].set_xlabel("Training step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


def metric_label(name: str) -> str:
    """Return how pictures write a metric: auroc/macro as AUROC (macro), loss as Loss."""
    metric, _, of = name.partition("/")
    words = metric.replace("_", " ")
    label = words.upper() if metric in ACRONYMS else words[:1].upper() + words[1:]
    return f"{label} ({shown(of)})" if of else label


def _series(
    rows: Sequence[Mapping[str, Any]], split: str, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = [
        (r["step"], np.nan if r[name] is None else r[name])
        for r in rows
        if r["split"] == split and name in r
    ]
    steps, values = np.array(pairs, np.float64).reshape(-1, 2).T
    return steps, values


def _draw_line(ax: Axes, steps: NDArray, values: NDArray, split: str) -> None:
    """Few points with markers; many points faintly, under their running mean."""
    color = SPLIT_COLORS.get(split, OTHER_COLOR)
    window = len(values) // 25
    if window < 2 or not np.isfinite(values).all():
        marker = "o" if len(values) <= 40 else None
        ax.plot(steps, values, color=color, marker=marker, markersize=3, label=split)
        return
    ax.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
    kernel = np.ones(window) / window
    middle = np.convolve(steps, kernel, mode="valid")
    mean = np.convolve(values, kernel, mode="valid")
    ax.plot(middle, mean, color=color, label=f"{split}\n(mean of {window} logged steps)")


def _mark_best(ax: Axes, rows: Sequence[Mapping[str, Any]], name: str, mode: str) -> None:
    sign = 1 if mode == "max" else -1
    judged = [r for r in rows if r["split"] != "train" and r.get(name) is not None]
    if judged:
        best = max(judged, key=lambda r: sign * r[name])
        label = f"best: {best[name]:.3f}\nat step {best['step']:,}"
        style: dict[str, Any] = {
            "marker": "*",
            "markersize": 11,
            "linestyle": "none",
            "color": "black",
        }
        ax.plot([best["step"]], [best[name]], label=label, zorder=3, **style)


def _widen_rates(ax: Axes, values: Sequence[float], span: float = 0.1) -> None:
    """Let the axis of values in [0, 1] span at least `span`: a flat curve then looks flat.

    The limits stay in [0, 1], but for the room that a marker at either end takes.
    """
    low, high = ax.get_ylim()
    if high - low < span and min(values) >= 0 and max(values) <= 1:
        room = span / 10
        middle = min(max((low + high) / 2, span / 2 - room), 1 - span / 2 + room)
        ax.set_ylim(middle - span / 2, middle + span / 2)
