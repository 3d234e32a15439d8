"""The hidden units of the risk head, in which a record's risk is a plane away: a scatter plot."""

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.metrics.panels import wrap


def hidden_units_figure(hidden: NDArray, score: NDArray, event: NDArray, title: str) -> Figure:
    """Draw every record at its hidden units, coloured by its risk score; events are ringed.

    Three units are drawn in space as the paper does; beside it stand the planes of each two, which
    can be read off. With two units there is the one plane.

    Args:
        hidden: [n, units], two or three units.
        score: [n], the logarithm of the relative hazard.
        event: [n], 1 where the event was seen; anything else is drawn without a ring.
    """
    pairs = list(combinations(range(hidden.shape[1]), 2))
    solid = hidden.shape[1] == 3
    columns = 2 if solid else 1
    figure = Figure(figsize=(4.4 * columns + 0.8, 8.2 if solid else 4.6), layout="constrained")
    figure.suptitle(wrap(title, 4.2 * columns, 10), fontsize=10, parse_math=False)
    first = np.argsort(score, kind="stable")  # the highest risk on top
    hidden, score, event = hidden[first], score[first], np.asarray(event)[first]
    style: dict[str, Any] = {"c": score, "cmap": "Oranges", "s": 14, "linewidths": 0.5}
    style["edgecolors"] = ["black" if one == 1 else "#bbbbbb" for one in event]
    image: Any = None
    panels: list[Any] = []
    if solid:
        ax: Any = figure.add_subplot(2, 2, 1, projection="3d")
        ax.scatter(*hidden.T, depthshade=False, **style)
        ax.set(xlabel="unit 1", ylabel="unit 2")
        ax.set_zlabel("unit 3", fontsize=8)
        ax.set_box_aspect((1, 1, 0.9), zoom=0.82)
        panels.append(ax)
    for a, b in pairs:
        ax = figure.add_subplot(columns, columns, len(panels) + 1)
        image = ax.scatter(hidden[:, a], hidden[:, b], **style)
        ax.set(xlabel=f"unit {a + 1}", ylabel=f"unit {b + 1}")
        panels.append(ax)
    for ax in panels:
        ax.tick_params(labelsize=7)
        ax.xaxis.label.set_size(8)
        ax.yaxis.label.set_size(8)
    colorbar = figure.colorbar(image, ax=panels, shrink=0.6, pad=0.02, aspect=30)
    colorbar.set_label("risk score; black ring: event seen", fontsize=8)
    colorbar.ax.tick_params(labelsize=7)
    return figure
