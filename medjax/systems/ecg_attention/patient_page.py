"""A page a patient: the ECG painted with what the network looked at, and the risk it tells.

A page names nobody: which patient it belongs to is said by its file name, a row of the
predictions table.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.panels import wrap
from medjax.systems.ecg_attention.lead_maps import draw_one_map
from medjax.systems.ecg_attention.painted_beat import (
    PAINT,
    PaintedRecord,
    add_colorbar,
    draw_record,
    grid,
)

WIDTH = 11.69
"""Inches: A4, landscape."""


class SurvivalCurve(NamedTuple):
    """The chance to stay without the event, S(t | x), of one patient."""

    times: NDArray
    """[steps], ascending, in `unit`."""
    survival: NDArray
    """[steps], 0..1"""
    horizons: Sequence[float]
    """In `unit`: where values are written."""
    unit: str
    """"days", "months", "years"."""
    event: str = "event"
    """What is waited for: "heart failure"."""

    def at(self, time: float) -> float | None:
        """Return S at a time, None beyond the last one known."""
        if not len(self.times) or time > self.times[-1]:
            return None
        place = int(np.searchsorted(self.times, time, side="right"))
        return float(self.survival[place - 1]) if place else 1.0


class PatientPage(NamedTuple):
    """What a page is drawn from."""

    record: PaintedRecord
    lead_map: NDArray | None
    """[lead, lead]; None for a network without lead attention."""
    score: float
    """The network's output: the logarithm of the relative hazard."""
    percentile: float | None
    """Share of the training subjects with a lower score, in percent; None where not known."""
    curve: SurvivalCurve | None
    """None where there is no baseline hazard."""
    title: str
    """Without a name, an id or a date."""
    footnote: str
    """Which model and seed, and what else a reader must know."""


def percentile_among(score: float, others: ArrayLike) -> float | None:
    """Return the share of `others` below `score` in percent, ties half; None of nobody."""
    known = np.asarray(others, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    below = np.count_nonzero(known < score) + np.count_nonzero(known == score) / 2
    return 100 * float(below) / len(known)


def patient_page(page: PatientPage) -> Figure:
    """Draw the page: leads above; lead map, survival and risk below, as far as they are known."""
    record = page.record
    rows, columns = grid(len(record.leads), record.signal.shape[-1] / record.sampling_rate)
    above_height = 0.6 + 1.3 * rows
    below_height = 1.2 if page.lead_map is None and page.curve is None else 3.3
    figure = Figure(figsize=(WIDTH, above_height + below_height + 0.8), layout="constrained")
    figure.suptitle(wrap(page.title, WIDTH - 0.4, 11), fontsize=11, parse_math=False)
    note = wrap(page.footnote, WIDTH - 0.4, 7)
    figure.supxlabel(note, fontsize=7, color="#555555", parse_math=False)
    heights = (above_height, below_height)
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    axes = above.subplots(rows, columns, squeeze=False)
    draw_record(axes, record)
    if record.paint is not None:
        add_colorbar(above, axes, wrap(PAINT, 0.85 * above_height, 7), above_height)
    _draw_below(below, page)
    return figure


def _draw_below(below: SubFigure, page: PatientPage) -> None:
    panels: list[tuple[float, Callable[[Axes], None]]] = []
    if page.lead_map is not None:
        panels.append((1.15, lambda ax: _draw_lead_map(below, ax, page)))
    if (curve := page.curve) is not None:
        panels.append((1.45, lambda ax: draw_survival(ax, curve)))
    panels.append((1.0, lambda ax: _write_risk(ax, page)))
    widths = [width for width, _ in panels]
    axes = below.subplots(1, len(panels), width_ratios=widths, squeeze=False)[0]
    for ax, (_, draw) in zip(axes, panels, strict=True):
        draw(ax)


def _draw_lead_map(below: SubFigure, ax: Axes, page: PatientPage) -> None:
    assert page.lead_map is not None
    leads = page.record.leads
    draw_one_map(below, ax, page.lead_map, leads, size=6.5)
    ax.set_title(f"Lead attention (grey: even, {1 / len(leads):.2f})", fontsize=9)


def _write_risk(ax: Axes, page: PatientPage) -> None:
    ax.set_axis_off()
    head, *lines = risk_lines(page)
    style: dict[str, Any] = {"va": "top", "transform": ax.transAxes, "parse_math": False}
    ax.text(0.0, 1.0, head, fontsize=10, fontweight="bold", **style)
    below_head = 1.0 - 0.25 / ax.get_window_extent().height * ax.figure.dpi
    ax.text(0.0, below_head, "\n".join(lines), fontsize=9, linespacing=1.5, **style)


def risk_lines(page: PatientPage) -> list[str]:
    """Return what the page says of the risk, line by line."""
    lines = [f"Risk score {page.score:.2f}", "logarithm of the relative hazard"]
    if page.percentile is not None:
        lines.append(f"higher than in {page.percentile:.0f} % of the training subjects")
    curve = page.curve
    if curve is not None:
        lines += ["", f"Chance to stay free of {curve.event}"]
        for horizon in curve.horizons:
            value = curve.at(horizon)
            text = "beyond the follow-up" if value is None else f"{100 * value:.1f} %"
            lines.append(f"at {horizon:g} {curve.unit}: {text}")
    return lines


def draw_survival(ax: Axes, curve: SurvivalCurve) -> None:
    """Draw S(t | x) as steps from 1, with a mark at every horizon within it."""
    times = np.concatenate([[0.0], curve.times])
    survival = np.concatenate([[1.0], curve.survival])
    ax.step(times, survival, where="post", color="#D55E00", linewidth=1.2)
    marks = [(h, value) for h in curve.horizons if (value := curve.at(h)) is not None]
    if marks:
        ax.plot(*zip(*marks, strict=True), "o", color="#D55E00", markersize=4)
    ax.set_ylim(-0.01, 1.01)  # the same on every page: pages are laid side by side
    ax.set_yticks(np.linspace(0, 1, 5))
    ax.set_xlim(0, max(float(times[-1]), *curve.horizons, 0.0) or 1.0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(curve.unit, fontsize=8)
    ax.set_title(f"Free of {curve.event}", fontsize=9)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.3)
