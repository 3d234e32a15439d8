"""A picture of how precise detections are, the more of the boxes they are to find."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from medjax.metrics.detection import FilmBoxes, precision_recall, rank
from medjax.metrics.figures import COLORS
from medjax.metrics.panels import HEADER_SIZE, MARGIN, wrap

LEVELS = (0.4, 0.5, 0.75)
"""Overlaps, of each of which there is a curve."""


def detection_figure(films: Sequence[FilmBoxes], title: str) -> Figure:
    """Draw precision against recall of the detections of films that have a true box."""
    ranked = rank(films, LEVELS)
    recall, precision = precision_recall(ranked)
    figure = Figure(figsize=(5.0, 4.6), layout="constrained")
    legend = "A detection is right from each overlap with a true box (IoU) on."
    header = "\n".join(wrap(text, 5.0 - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    figure.suptitle(header, fontsize=HEADER_SIZE)
    ax = figure.subplots()
    for level, x, y, color in zip(LEVELS, recall, precision, COLORS):
        # Nothing is found beyond the last recall.
        x, y = np.append(np.append(0, x), x[-1:]), np.append(np.append(y[:1], y), 0)
        ax.step(x, y[: len(x)], where="pre", color=color, linewidth=1.3, label=f"IoU {level:.2f}")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_xlabel("Recall (share of the true boxes that are found)", fontsize=9)
    ax.set_ylabel("Precision (share of the detections that are right)", fontsize=9)
    ax.legend(fontsize=8, loc="upper right")
    return figure
