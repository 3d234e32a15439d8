"""The temporal attention painted on the signal: each lead's samples coloured by what they weigh."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike, NDArray

COLORS = "Oranges"
UPSAMPLING = 20
"""Points a sample, as published (500 Hz to 10 kHz): steep parts of a beat stay a closed band."""
MOST_POINTS = 12_000
"""Points a lead; longer records are upsampled less, the eye would not see more."""
PAINT = "temporal attention, each lead from its least (0) to its most (1)"
"""What the colours mean."""
SHORT = 2.5
"""Seconds; records up to this length are drawn in four columns, longer ones in two."""


class PaintedRecord(NamedTuple):
    """What is painted: one record, already cropped to its own samples."""

    signal: NDArray
    """[lead, time], in any unit: each lead is drawn on its own scale."""
    paint: NDArray | None
    """[lead, time], 0..1 (`saliency.rescale`); None for a network without temporal attention."""
    leads: Sequence[str]
    sampling_rate: float
    """Hz"""
    reconstruction: NDArray | None = None
    """[lead, time] in the signal's unit: drawn as a blue line."""


def upsample(values: ArrayLike, points: int) -> NDArray[np.float64]:
    """Interpolate [time] linearly to `points` values; the first and last stay where they are."""
    known = np.asarray(values, np.float64)
    places = np.linspace(0, len(known) - 1, points)
    return np.interp(places, np.arange(len(known)), known)


def grid(leads: int, seconds: float) -> tuple[int, int]:
    """Return (rows, columns) of panels, filled column by column as ECG paper is."""
    columns = min(leads, 4 if seconds <= SHORT else 2)
    return -(-leads // columns), columns


def draw_record(axes: NDArray, record: PaintedRecord) -> None:
    """Draw every lead into its panel of `axes` [rows, columns]; panels left over stay empty."""
    rows, columns = axes.shape
    leads, samples = record.signal.shape
    seconds = np.arange(samples) / record.sampling_rate
    for place in range(rows * columns):
        ax = axes[place % rows, place // rows]
        if place >= leads:
            ax.set_axis_off()
            continue
        if record.reconstruction is not None:
            line: dict[str, Any] = {"color": "#0072B2", "linewidth": 0.7}
            ax.plot(seconds, record.reconstruction[place], zorder=3, **line)
        draw_lead(ax, seconds, record.signal[place])
        if record.paint is not None:
            paint_lead(ax, seconds, record.signal[place], record.paint[place])
        ax.set_title(record.leads[place], fontsize=8, loc="left", pad=2, fontweight="bold")
        lowest = place % rows == rows - 1 or place == leads - 1
        ax.tick_params(axis="x", labelsize=7, labelbottom=lowest, length=2)
        ax.set_yticks([])
        ax.set_xlim(0, samples / record.sampling_rate)
        if lowest:
            ax.set_xlabel("seconds", fontsize=7, labelpad=1)


def draw_lead(ax: Axes, seconds: NDArray, signal: NDArray) -> None:
    """Draw one lead as a thin line."""
    ax.plot(seconds, signal, color="black", linewidth=0.5, zorder=2)
    ax.spines[["top", "right", "left"]].set_visible(False)


def paint_lead(ax: Axes, seconds: NDArray, signal: NDArray, paint: NDArray) -> None:
    """Draw one lead as points coloured by `paint` (0..1), under its line."""
    points = min(UPSAMPLING * len(signal), max(MOST_POINTS, len(signal)))
    style: dict[str, Any] = {"s": 9, "linewidths": 0, "cmap": COLORS, "vmin": 0, "vmax": 1}
    times, values = upsample(seconds, points), upsample(signal, points)
    ax.scatter(times, values, c=upsample(paint, points), zorder=1, **style)


def add_colorbar(figure: Figure | SubFigure, axes: Any, label: str, height: float) -> None:
    """Add the scale of the paint beside `axes`, which are `height` inches high."""
    colors = ScalarMappable(cmap=COLORS)
    colors.set_clim(0, 1)
    colorbar = figure.colorbar(colors, ax=axes, shrink=0.9, pad=0.01, aspect=9 * height)
    colorbar.set_label(label, fontsize=7)
    colorbar.ax.tick_params(labelsize=7)
