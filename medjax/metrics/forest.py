"""A forest plot: numbers with their intervals as dots and lines, row by row, in panels."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medjax.metrics.figures import COLORS, REFERENCE
from medjax.metrics.metric import Metric
from medjax.metrics.panels import HEADER_SIZE, MARGIN, text_height, wrap

LABELS, WIDTH, ROW = 3.2, 8.5, 0.23
"""Inches of the labels to the left, of the page, of a row."""
TEXT_SIZE = 7.5
BELOW, BETWEEN = 0.45, 0.25
"""Inches for the ticks below a block, and between it and the next one's head."""


class Row(NamedTuple):
    """One line of a block; without metrics it heads those below it."""

    label: str
    metrics: Sequence[Metric] = ()
    """One a panel."""


class Block(NamedTuple):
    """Rows on common axes."""

    heading: str
    rows: Sequence[Row]
    reference: float | None = None
    """Where a dashed line stands: no difference, chance."""


def forest_plot(title: str, legend: str, panels: Sequence[str], blocks: Sequence[Block]) -> Figure:
    """Draw blocks one below the other, with one panel a metric side by side.

    Args:
        title, legend: heading of the page and an explanation under it, wrapped to its width.
        panels: names of the metrics, in the order of `Row.metrics`.
        blocks: each with axes of its own; numbers stand to the right of each panel. Those with a
            reference have the same range, and so have the others.
    """
    header = "\n".join(wrap(t, WIDTH - 2 * MARGIN, HEADER_SIZE) for t in (title, legend))
    head = 0.1 + text_height(header, HEADER_SIZE)
    heights = [ROW * len(block.rows) for block in blocks]
    height = head + sum(heights) + len(blocks) * (BELOW + BETWEEN + 0.2)
    figure = Figure(figsize=(WIDTH, height))
    style: dict[str, Any] = {"fontsize": HEADER_SIZE, "ha": "center", "va": "top"}
    figure.text(0.5, 1 - 0.1 / height, header, parse_math=False, **style)
    column = (WIDTH - LABELS - MARGIN) / len(panels)
    top = head
    alike: dict[tuple[int, bool], list[Axes]] = {}
    for block, tall in zip(blocks, heights, strict=True):
        top += BETWEEN + 0.2
        for i, name in enumerate(panels):
            box = (LABELS + i * column) / WIDTH, 1 - (top + tall) / height
            ax = figure.add_axes((*box, 0.42 * column / WIDTH, tall / height))
            _draw(ax, block, i, name if block.reference is None else f"{name}, difference")
            _label(ax, block, i, heads=i == 0)
            alike.setdefault((i, block.reference is None), []).append(ax)
        top += tall + BELOW
    for same in alike.values():
        limits = [ax.get_xlim() for ax in same]
        for ax in same:
            ax.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure


def _draw(ax: Axes, block: Block, panel: int, name: str) -> None:
    """Dots and intervals of one metric, first row on top."""
    if block.reference is not None:
        ax.axvline(block.reference, **REFERENCE)
    for place, row in enumerate(block.rows):
        metric = row.metrics[panel] if row.metrics else None
        if metric is None or metric.value is None:
            continue
        if metric.low is not None and metric.high is not None:
            ax.hlines(place, metric.low, metric.high, color=COLORS[0], linewidth=1.4)
        ax.plot([metric.value], [place], "o", color=COLORS[0], markersize=4)
    ax.set_ylim(len(block.rows) - 0.5, -0.5)
    ax.set_yticks([])
    ax.margins(x=0.08)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.locator_params(axis="x", nbins=4)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(name, fontsize=TEXT_SIZE)


def _label(ax: Axes, block: Block, panel: int, heads: bool) -> None:
    """Write the numbers beside a panel and, at the first one, what the rows are."""
    style: dict[str, Any] = {"fontsize": TEXT_SIZE, "va": "center", "parse_math": False}
    across = ax.get_yaxis_transform()
    for place, row in enumerate(block.rows):
        if row.metrics:
            ax.text(1.04, place, written(row.metrics[panel]), transform=across, **style)
        if heads:
            weight: Mapping[str, Any] = {} if row.metrics else {"style": "italic"}
            indent = 0.3 if row.metrics else 0.15
            left = (indent - LABELS) / (ax.get_position().width * WIDTH)
            ax.text(left, place, row.label, transform=across, **style, **weight)
    if heads:
        left = (0.15 - LABELS) / (ax.get_position().width * WIDTH)
        ax.text(left, -0.95, block.heading, transform=across, weight="bold", **style)


def written(metric: Metric) -> str:
    """Return a number and its interval as text, ``-0.180 (-0.371 to -0.062)`` with minus signs."""
    if metric.value is None:
        return metric.reason or "undefined"
    text = f"{metric.value:.3f}"
    if metric.low is not None and metric.high is not None:
        text += f" ({metric.low:.3f} to {metric.high:.3f})"
    return text.replace("-", "\N{MINUS SIGN}")
