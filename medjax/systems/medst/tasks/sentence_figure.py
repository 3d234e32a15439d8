"""A picture of how alike pairs of sentences are to one text encoder or several."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.metrics.figures import COLORS, GREY
from medjax.metrics.panels import HEADER_SIZE, MARGIN, shown, wrap

KINDS = ("contradictions", "paraphrases")
"""By `same`."""
WIDTH = 7.0
LEGEND = (
    "Points: pairs of sentences; bar: their median. In pairs of equal words nothing but the order "
    "of the words differs."
)


def sentence_figure(
    cosines: Mapping[str, NDArray],
    same: NDArray,
    same_words: NDArray,
    title: str,
) -> Figure:
    """Draw the cosines of pairs, a panel an encoder, a row a kind of pair.

    Args:
        cosines: {encoder: [pair]}.
        same: [pair], 0 for contradictions.
        same_words: bool [pair].
        title: heading of the page.
    """
    figure = Figure(figsize=(WIDTH, 1.2 + 2.3 * len(cosines)), layout="constrained")
    header = "\n".join(wrap(text, WIDTH - 2 * MARGIN, HEADER_SIZE) for text in (title, LEGEND))
    figure.suptitle(header, fontsize=HEADER_SIZE)
    axes = figure.subplots(len(cosines), 1, squeeze=False, sharex=True)[:, 0]
    rows = [
        (
            f"{kind}\n{'equal' if alike else 'other'} words",
            (same == code) & (same_words == alike),
            code,
        )
        for alike in (False, True)
        for code, kind in enumerate(KINDS)
    ]
    rows = [row for row in rows if row[1].any()]
    for ax, (name, values) in zip(axes, cosines.items(), strict=True):
        for place, (_, chosen, code) in enumerate(rows):
            here = values[chosen]
            spread = np.random.default_rng(0).uniform(-0.28, 0.28, len(here))
            ax.scatter(here, place + spread, s=6, color=COLORS[code], alpha=0.6, linewidths=0)
            ax.plot([np.median(here)] * 2, [place - 0.4, place + 0.4], color="black", linewidth=1.5)
        labels = [f"{label} ({int(chosen.sum())})" for label, chosen, _ in rows]
        ax.set_yticks(range(len(rows)), labels, fontsize=7)
        ax.set_title(shown(name), fontsize=HEADER_SIZE)
        ax.invert_yaxis()
        ax.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
        ax.tick_params(axis="x", labelsize=7)
    axes[-1].set_xlabel("cosine of the two sentences", fontsize=8)
    return figure
