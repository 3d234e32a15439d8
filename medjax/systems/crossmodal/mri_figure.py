"""Frames of a beating heart, and what was made of them."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medjax.metrics.panels import HEADER_SIZE, MARGIN, wrap

PANEL = 1.75
"""Inches of an image."""
SYSTOLE = (0.25, 0.5)
"""Shares of the cycle between which the heart is smallest."""


def end_systole(cine: NDArray) -> int:
    """Return the frame [height, width, frame] that differs most from the first, end-diastole.

    It is looked for where systole ends in a heart that beats regularly.
    """
    frames = cine.shape[-1]
    first, last = (round(share * frames) for share in SYSTOLE)
    among = range(max(first, 1), max(last, 1) + 1) if frames > 2 else [frames - 1]
    return max(among, key=lambda i: float(np.square(cine[..., i] - cine[..., 0]).sum()))


def mri_figure(
    truth: NDArray, made: Mapping[str, NDArray], title: str, frame: int | None = None
) -> Figure:
    """Draw end-diastole and end-systole of one heart, its reconstructions and their errors.

    Args:
        truth: [height, width, frame], as the network reads it.
        made: {"own latent": [height, width, frame], "from ECG": ...}
        title: heading.
        frame: of end-systole; `end_systole` by default.
    """
    later = end_systole(truth) if frame is None else frame
    frames = {"end-diastole": 0, "end-systole": later}
    columns = 1 + 2 * len(made)
    width = 0.4 + columns * PANEL
    figure = Figure(figsize=(width, 0.75 + 2 * PANEL), layout="constrained")
    legend = "Error: reconstruction less recording, red where it is too bright."
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    figure.suptitle(header, fontsize=HEADER_SIZE, parse_math=False)
    axes = figure.subplots(2, columns, squeeze=False)
    low, high = np.percentile(truth, [1, 99.5])
    span = max(float(high - low), 1e-6)
    for row, (name, i) in zip(axes, frames.items()):
        images = [("recorded", truth[..., i], "gray", low, high)]
        for of, signal in made.items():
            error = signal[..., i] - truth[..., i]
            images += [(of, signal[..., i], "gray", low, high)]
            images += [("error", error, "RdBu_r", -span / 2, span / 2)]
        for ax, (of, image, colors, bottom, top) in zip(row, images):
            ax.imshow(image, cmap=colors, vmin=bottom, vmax=top, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if i == 0:
                ax.set_title(of, fontsize=8, pad=3, parse_math=False)
        row[0].set_ylabel(f"{name}\nframe {i + 1} of {truth.shape[-1]}", fontsize=8)
    return figure
