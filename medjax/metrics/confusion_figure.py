"""A picture of which class is taken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.metrics.panels import HEADER_SIZE, MARGIN, wrap


def confusion_figure(
    confusion: NDArray, names: Sequence[str], title: str, x: str, y: str
) -> Figure:
    """Draw a confusion matrix [classes, classes] by true row, as shares of the rows in percent.

    x, y: what predicted and true classes are called; the count of each true class stands beside it.
    """
    width = 6.4
    figure = Figure(figsize=(width, 6.0), layout="constrained")
    legend = "Cells: percent of the row's examples."
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    figure.suptitle(header, fontsize=HEADER_SIZE)
    ax = figure.subplots()
    counts = np.asarray(confusion, np.float64)
    rows = counts.sum(axis=1)
    share = 100 * counts / np.maximum(rows, 1)[:, None]
    ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    places = np.arange(len(names))
    ax.set_xticks(places, names, fontsize=8)
    labels = [f"{name}\n{int(n):,}" for name, n in zip(names, rows, strict=True)]
    ax.set_yticks(places, labels, fontsize=7)
    for i, j in np.ndindex(share.shape):
        if rows[i]:
            color = "white" if share[i, j] > 55 else "black"
            ax.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=7, color=color)
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(f"{y} (number of examples)", fontsize=9)
    return figure
