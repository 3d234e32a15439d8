"""A recording and its reconstruction, lead by lead."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

PANELS = {12: (4, 3), 8: (4, 2)}
"""Leads -> rows and columns; leads run down the columns, limb leads first."""


def reconstruction_figure(
    target: np.ndarray,
    reconstruction: np.ndarray,
    visible: np.ndarray,
    leads: Sequence[str],
    rate: float,
    title: str,
) -> Figure:
    """Draw target and reconstruction [lead, time], what the network did not see shaded.

    Args:
        target, reconstruction: [lead, time], standardised.
        visible: [lead, time], 1 where the network saw the recording.
        leads: names.
        rate: Hz.
        title: above all panels.
    """
    rows, columns = PANELS.get(len(leads), (len(leads), 1))
    figure = Figure(figsize=(3.6 * columns, 1.7 * rows), layout="constrained")
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    time = np.arange(target.shape[-1]) / rate
    for i, (lead, panel) in enumerate(zip(leads, axes.T.flat)):
        hidden = visible[i] == 0
        panel.fill_between(time, 0, 1, where=hidden, transform=panel.get_xaxis_transform(), **SHADE)
        panel.plot(time, target[i], color="0.25", linewidth=0.9, label="recording, cleaned")
        panel.plot(time, reconstruction[i], color="tab:red", linewidth=0.9, label="reconstruction")
        panel.set_title(lead, fontsize=8, loc="left", pad=2)
        panel.tick_params(labelsize=7)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
        panel.margins(x=0)
    for panel in axes[-1]:
        panel.set_xlabel("s, padding included", fontsize=8)
    figure.supylabel("standard deviations", fontsize=8)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


SHADE = {"color": "0.9", "linewidth": 0, "label": "not shown to the network"}
