"""Scores of probes of two sets of latents, side by side, as dots with intervals."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medjax.metrics.figures import COLORS, REFERENCE
from medjax.metrics.forest import written
from medjax.metrics.metric import Metric
from medjax.metrics.panels import HEADER_SIZE, MARGIN, shorten, shown, text_height, wrap
from medjax.systems.crossmodal.probing import MEASURES, Probed, sets_of

WIDTH, ROW = 9.9, 0.3
"""Inches of the page, and of a row."""
LABELS, PANEL, BESIDE = 2.6, 1.55, 1.9
"""Inches of the labels at the left, of a panel, of the numbers beside it."""
BELOW, ABOVE = 0.5, 0.35
"""Inches for ticks below a block, and for its head."""
TEXT_SIZE = 7.5
SPREAD = 0.18
"""Of a row: how far the two sets stand off its middle."""
COLOR_NAMES = ("blue", "orange")
CHANCE = {"r2": 0.0, "auroc": 0.5}


def probe_figure(
    probed: Sequence[Probed], title: str, first: str = "crossmodal", second: str = "unimodal"
) -> Figure:
    """Draw a column a modality and a block a measure; beside each row stands the difference.

    Args:
        probed: of `probing.probe`.
        title: heading of the page.
        first, second: the sets; differences are the first's score less the second's.
    """
    modalities = list(dict.fromkeys(one.modality for one in probed))
    blocks = {
        measure: _rows([one for one in probed if one.measure == measure]) for measure in MEASURES
    }
    blocks = {measure: rows for measure, rows in blocks.items() if rows}
    width = max(WIDTH, LABELS + len(modalities) * (PANEL + BESIDE))
    sets = sets_of(probed, first, second) or (first,)
    named = " and ".join(f"{of} ({color})" for of, color in zip(sets, COLOR_NAMES))
    numbers = f"{first} less {second}" if len(sets) > 1 else "the score"
    legend = (
        f"Dots: {named} latents, with 95 % intervals over participants. Numbers: {numbers}. "
        "Dashed: chance."
    )
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    head = 0.1 + text_height(header, HEADER_SIZE)
    height = head + sum(ABOVE + ROW * len(rows) + BELOW for rows in blocks.values())
    figure = Figure(figsize=(width, height))
    style: dict[str, Any] = {"fontsize": HEADER_SIZE, "ha": "center", "va": "top"}
    figure.text(0.5, 1 - 0.1 / height, header, parse_math=False, **style)
    top = head
    for measure, rows in blocks.items():
        tall = ROW * len(rows)
        top += ABOVE
        left_end = _left_end(probed, measure, sets)
        for i, modality in enumerate(modalities):
            left = LABELS + i * (PANEL + BESIDE)
            box = left / width, 1 - (top + tall) / height, PANEL / width, tall / height
            ax = figure.add_axes(box)
            found = [_find(probed, modality, measure, row) for row in rows]
            _draw(ax, found, measure, sets)
            ax.set_xlim(left_end, 1.02)
            ax.set_title(f"from {modality.upper()}", fontsize=TEXT_SIZE + 1, pad=4)
            if i == 0:
                _label(ax, rows, probed)
        top += tall + BELOW
    return figure


def _rows(probed: Sequence[Probed]) -> list[tuple[str, str]]:
    """(label, kind of probe) of each row."""
    return list(dict.fromkeys((one.label, one.kind) for one in probed))


def _find(
    probed: Sequence[Probed], modality: str, measure: str, row: tuple[str, str]
) -> Probed | None:
    key = (modality, measure, *row)
    matching = (one for one in probed if (one.modality, one.measure, one.label, one.kind) == key)
    return next(matching, None)


def _left_end(probed: Sequence[Probed], measure: str, sets: tuple[str, ...]) -> float:
    """Where the axis of a measure begins: left of chance and of every interval."""
    metrics = [one.metric(of) for one in probed if one.measure == measure for of in sets]
    ends = [end for m in metrics for end in (m.value, m.low) if end is not None]
    return min([CHANCE[measure], *ends]) - 0.05


def _draw(ax: Axes, rows: Sequence[Probed | None], measure: str, sets: tuple[str, ...]) -> None:
    """Dots and intervals of one modality and measure, first row on top."""
    ax.axvline(CHANCE[measure], **REFERENCE)
    for place, one in enumerate(rows):
        if one is None:
            continue
        offsets = (-SPREAD, SPREAD) if len(sets) > 1 else (0.0,)
        for of, offset, color in zip(sets, offsets, COLORS):
            _dot(ax, place + offset, one.metric(of), color)
        text = written(one.gain(*sets) if len(sets) > 1 else one.metric(sets[0]))
        across = ax.get_yaxis_transform()
        style: dict[str, Any] = {"fontsize": TEXT_SIZE - 0.5, "va": "center", "parse_math": False}
        ax.text(1.05, place, shorten(text, BESIDE - 0.15, TEXT_SIZE), transform=across, **style)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(labelsize=TEXT_SIZE)
    ax.grid(axis="x", alpha=0.3)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel(MEASURES[measure], fontsize=TEXT_SIZE)


def _dot(ax: Axes, place: float, metric: Metric, color: str) -> None:
    if metric.value is None:
        return
    if metric.low is not None and metric.high is not None:
        ax.hlines(place, metric.low, metric.high, color=color, linewidth=1.3)
    ax.plot([metric.value], [place], "o", color=color, markersize=4)


def _label(ax: Axes, rows: Sequence[tuple[str, str]], probed: Sequence[Probed]) -> None:
    """Write the phenotypes, with their probe where there are several."""
    several = {label for label, _ in rows if len({k for one, k in rows if one == label}) > 1}
    left = 0.12 - LABELS
    for place, (label, kind) in enumerate(rows):
        name = shown(label) + (f" ({kind.replace('_', ' ')})" if label in several else "")
        ax.text(
            left / PANEL,
            place,
            shorten(name, LABELS - 0.2, TEXT_SIZE),
            transform=ax.get_yaxis_transform(),
            fontsize=TEXT_SIZE,
            va="center",
            parse_math=False,
        )
