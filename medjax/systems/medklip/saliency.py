"""Where queries look: their attention laid over films, beside the place of the finding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import zoom

from medjax.metrics.film_page import film_page, take_evenly
from medjax.metrics.panels import shown

OPACITY = 0.45
"""Of the strongest attention."""
PLACE_COLOR, PEAK_COLOR = "#56B4E9", "#000000"


class Overlay(NamedTuple):
    """A film and what one query made of it."""

    image: np.ndarray
    """uint8 [height, width] or [height, width, 1]"""
    attention: np.ndarray
    """[rows, columns], of the patches."""
    finding: str
    """What the query asks for."""
    score: float
    """Probability of presence."""
    label: float = np.nan
    """1, 0, or NaN where not known."""
    place: np.ndarray | None = None
    """Mask [height, width] of the finding; None where it has no place."""


def spread(attention: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Bring a map of patches to an image, linearly between the middles of the patches, 0 to 1."""
    factors = [side / patches for side, patches in zip(shape, attention.shape)]
    smooth = zoom(
        np.asarray(attention, np.float64), factors, order=1, grid_mode=True, mode="nearest"
    )
    low, high = smooth.min(), smooth.max()
    return (smooth - low) / (high - low) if high > low else np.zeros_like(smooth)


def saliency_page(overlays: Sequence[Overlay], title: str) -> Figure:
    """Draw films with the attention of a query in colour and the outline of the finding.

    A cross stands where the attention is highest. Raises ValueError without an overlay.
    """
    legend = (
        "Colour: attention of the query, averaged over layers, each film from its lowest to its "
        "highest. Cross: highest patch. Blue line: where the finding is."
    )
    films, captions = [o.image for o in overlays], [_caption(o) for o in overlays]
    figure, axes = film_page(films, captions, title, legend)
    for ax, overlay in zip(axes, overlays):
        _draw(ax, overlay)
    return figure


def _draw(ax: Axes, overlay: Overlay) -> None:
    height, width = overlay.image.shape[0], overlay.image.shape[1]
    strength = spread(overlay.attention, (height, width))
    ax.imshow(strength, cmap="inferno", alpha=OPACITY * np.sqrt(strength), vmin=0, vmax=1)
    if overlay.place is not None and overlay.place.any():
        ax.contour(overlay.place, levels=[0.5], colors=[PLACE_COLOR], linewidths=1.2)
    rows, columns = overlay.attention.shape
    row, column = divmod(int(np.argmax(overlay.attention)), columns)
    y, x = (row + 0.5) * height / rows - 0.5, (column + 0.5) * width / columns - 0.5
    ax.plot(x, y, "x", color="white", markersize=7, markeredgewidth=2.4)
    ax.plot(x, y, "x", color=PEAK_COLOR, markersize=6, markeredgewidth=1.2)


def _caption(overlay: Overlay) -> str:
    known = {1.0: "present", 0.0: "absent"}.get(float(overlay.label), "not known")
    return f"{shown(overlay.finding)}: {overlay.score:.2f}\n{known}"


def choose_examples(
    labels: np.ndarray, scores: np.ndarray, placed: np.ndarray, count: int
) -> np.ndarray:
    """Return the positions of up to `count` positive films [n], with a place first, then by score.

    Taken evenly from the highest score to the lowest, so that the misses are seen as well.
    """
    positive = np.flatnonzero(labels == 1)
    if placed.any():
        positive = positive[placed[positive]]
    ordered = positive[np.argsort(-scores[positive], kind="stable")]
    return take_evenly(ordered, count)
