"""A median beat, lead by lead, and what was made of it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.data.ml4h_cohort.tensormaps import ECG_LEADS, ECG_STEP
from medjax.metrics.figures import COLORS
from medjax.metrics.panels import HEADER_SIZE, MARGIN, wrap

GRID = (
    ("I", "II", "III"),
    ("aVR", "aVL", "aVF"),
    ("V1", "V2", "V3"),
    ("V4", "V5", "V6"),
)
"""Columns of leads, in their usual order."""
BEAT_MS = 1200.0
"""Of the whole beat, whatever the number of samples."""
MILLIVOLT = 0.005 * ECG_STEP
"""In one unit of the network's input: ten steps of the recorder of 5 microvolt."""
WIDTH, HEIGHT = 9.0, 5.2


def ecg_figure(truth: NDArray, made: Mapping[str, NDArray], title: str) -> Figure:
    """Draw the twelve leads of one beat with its reconstructions.

    Args:
        truth: [time, channel], as the network reads it.
        made: {"own latent": [time, channel], "from MRI": ...}
        title: heading.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    figure.suptitle(wrap(title, WIDTH - 2 * MARGIN, HEADER_SIZE), fontsize=10, parse_math=False)
    axes = figure.subplots(3, 4, sharex=True, sharey=True)
    time = np.arange(len(truth)) * BEAT_MS / len(truth)
    lines = {"recorded": truth, **made}
    for column, leads in enumerate(GRID):
        for row, lead in enumerate(leads):
            ax, channel = axes[row, column], ECG_LEADS.index(lead)
            for (name, beat), color in zip(lines.items(), ("0.65", COLORS[1], COLORS[0])):
                width = 2.4 if name == "recorded" else 1.0
                ax.plot(time, beat[:, channel] * MILLIVOLT, color=color, lw=width, label=name)
            ax.set_title(lead, fontsize=8, loc="left", pad=2)
            ax.tick_params(labelsize=7)
            ax.grid(alpha=0.3)
            ax.margins(x=0)
            ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("ms", fontsize=8)
    figure.supylabel("mV", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(lines), fontsize=8, frameon=False
    )
    return figure
