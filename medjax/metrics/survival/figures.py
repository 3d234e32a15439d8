"""Pictures of survival: Kaplan-Meier curves with numbers at risk, and calibration at a horizon."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.figures import COLORS, REFERENCE
from medjax.metrics.panels import HEADER_SIZE, LEFT, MARGIN, RIGHT, text_height, wrap
from medjax.metrics.survival.curve import at_risk, kaplan_meier

WIDTH, CURVES = 6.5, 3.4
"""Inches of the page, and of the height of the curves."""
TABLE_LEFT, ROW = 1.25, 0.2
"""Inches left of the first time, where the groups' names stand, and of a row of the table."""


def kaplan_meier_figure(
    groups: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, unit: str
) -> Figure:
    """Survival of each group with its 95 % band, and the numbers at risk below.

    Args:
        groups: {name: (event [n], time [n] >= 0)}; rows of unknown outcome are left out. A group
            without rows has no curve.
        title: what happens, to whom.
        unit: of the times: "months".
    """
    known = {name: _known(*outcomes) for name, outcomes in groups.items()}
    last = max([1e-9, *(time.max() for _, time in known.values() if len(time))])
    header = wrap(title, WIDTH - 2 * MARGIN, HEADER_SIZE)
    header += "\nBands: 95 % intervals. Ticks: censored. Below: numbers at risk."
    top, below = 0.25 + text_height(header, HEADER_SIZE), 0.75 + ROW * (len(known) + 1)
    figure, ax = _page(header, top, CURVES, below, left=TABLE_LEFT)
    for (name, (event, time)), color in zip(known.items(), COLORS * len(known)):
        if len(time):
            _draw_curve(ax, event, time, name, color)
    ax.set_xlim(0, last)
    ax.set_ylim(min(0.9, ax.get_ylim()[0]), 1.01)
    ax.set_yticks([tick for tick in ax.get_yticks() if ax.get_ylim()[0] <= tick < 1 + 1e-9])
    ax.set_xlabel(f"Time ({unit})", fontsize=9)
    ax.set_ylabel("Survival without event", fontsize=9)
    ax.tick_params(labelsize=8)
    if any(len(time) for _, time in known.values()):
        ax.legend(fontsize=8, loc="lower left", frameon=False)
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= last]
    ax.set_xticks(ticks)
    style: dict[str, Any] = {"fontsize": 7.5, "va": "center", "transform": ax.transAxes}
    for row, (name, (_, time)) in enumerate(known.items()):
        y = -(0.65 + ROW * row) / CURVES
        color = (COLORS * len(known))[row]
        place = -(TABLE_LEFT - 0.12) / (WIDTH - TABLE_LEFT - RIGHT)
        ax.text(place, y, name, color=color, parse_math=False, **style)
        for tick, count in zip(ticks, at_risk(time, ticks), strict=True):
            ax.text(tick / last, y, f"{count:,}", ha="center", **style)
    return figure


def calibration_figure(
    event: ArrayLike, time: ArrayLike, risk: ArrayLike, *, horizon: float, title: str, unit: str
) -> Figure:
    """Observed against predicted risk at a horizon, in groups of equal size by predicted risk.

    The observed risk of a group is one minus its Kaplan-Meier estimate, with its 95 % interval.

    Args:
        event, time: [n]; rows of unknown outcome are left out.
        risk: [n] predicted probability of an event up to the horizon.
        horizon: in the unit of `time`.
        title: what was predicted, for whom.
        unit: of the times.
    """
    event, time, risk = (np.asarray(x, np.float64) for x in (event, time, risk))
    rows = ~(np.isnan(event) | np.isnan(time))
    event, time, risk = event[rows] > 0, time[rows], risk[rows]
    header = wrap(title, WIDTH - 2 * MARGIN, HEADER_SIZE)
    header += f"\nRisk within {horizon:g} {unit}, in groups of equal size. Dashed: perfect."
    figure, ax = _page(header, 0.25 + text_height(header, HEADER_SIZE), 3.6, 0.55, left=LEFT + 0.1)
    points = [_observed(event[g], time[g], risk[g], horizon) for g in _groups(event, risk)]
    predicted, observed, low, high = np.array(points).T.reshape(4, -1)
    most = min(1.0, 1.08 * float(np.nanmax([1e-3, *predicted, *high])))
    ax.plot([0, most], [0, most], **REFERENCE)
    ax.vlines(predicted, low, high, color=COLORS[0], linewidth=0.9)
    ax.plot(predicted, observed, "o", color=COLORS[0], markersize=4)
    ax.set_xlim(0, most)
    ax.set_ylim(0, most)
    ax.set_xlabel("Predicted risk", fontsize=9)
    ax.set_ylabel("Observed risk (Kaplan\N{EN DASH}Meier)", fontsize=9)
    ax.tick_params(labelsize=8)
    return figure


def risk_groups(risk: ArrayLike, shares: Sequence[float]) -> NDArray[np.intp]:
    """Return the group 0, 1, ... of risks [n] that are cut at quantiles, as (1/3, 2/3)."""
    risk = np.asarray(risk, np.float64)
    return np.searchsorted(np.quantile(risk, shares), risk, side="left")


def _groups(event: NDArray[np.bool_], risk: NDArray) -> list[NDArray[np.intp]]:
    """Up to ten groups of rising risk, on average with five events or more in each."""
    number = int(np.clip(event.sum() // 5, 1, 10))
    order = np.argsort(risk, kind="stable")
    return [part for part in np.array_split(order, number) if len(part)]


def _observed(
    event: NDArray, time: NDArray, risk: NDArray, horizon: float
) -> tuple[float, float, float, float]:
    """Mean predicted risk of a group, its observed one and the bounds of that."""
    survival, low, high = (float(x) for x in kaplan_meier(event, time).at(horizon))
    return float(risk.mean()), 1 - survival, 1 - high, 1 - low


def _draw_curve(ax: Axes, event: NDArray, time: NDArray, name: str, color: str) -> None:
    curve = kaplan_meier(event, time)
    ends = np.append(curve.time, time.max())
    steps = [np.append(x, x[-1]) for x in curve[1:]]
    ax.fill_between(ends, steps[1], steps[2], step="post", color=color, alpha=0.18, linewidth=0)
    label = f"{name}: event in {int(event.sum()):,} of {len(time):,}"
    ax.step(ends, steps[0], where="post", color=color, linewidth=1.3, label=label)
    censored = np.unique(time[~event])
    ax.plot(censored, curve.at(censored)[0], "|", color=color, markersize=4, markeredgewidth=0.6)


def _known(event: ArrayLike, time: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    event, time = np.asarray(event, np.float64), np.asarray(time, np.float64)
    known = ~(np.isnan(event) | np.isnan(time))
    return event[known] > 0, time[known]


def _page(
    header: str, above: float, height: float, below: float, *, left: float
) -> tuple[Figure, Axes]:
    """One axes `height` inches high under a heading."""
    total = above + height + below
    figure = Figure(figsize=(WIDTH, total))
    figure.text(
        0.5, 1 - 0.1 / total, header, fontsize=HEADER_SIZE, ha="center", va="top", parse_math=False
    )
    width = (WIDTH - left - RIGHT) / WIDTH
    ax = figure.add_axes((left / WIDTH, below / total, width, height / total))
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax
