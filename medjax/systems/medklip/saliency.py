"""Where queries look: their attention laid over films, beside the place of the finding."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import zoom

from medjax.metrics.panels import HEADER_SIZE, MARGIN, shown, text_height, wrap

SIDE, GAP, COLUMNS = 1.75, 0.12, 4
"""Inches of a film and between films; films in a row."""
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
    if not overlays:
        raise ValueError("no film to draw")
    columns = min(COLUMNS, len(overlays))
    rows = -(-len(overlays) // columns)
    width = max(2 * MARGIN + columns * SIDE + (columns - 1) * GAP, 4.5)
    legend = (
        "Colour: attention of the query, averaged over layers, each film from its lowest to its "
        "highest. Cross: highest patch. Blue line: where the finding is."
    )
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    above, caption = text_height(header, HEADER_SIZE) + 0.2, text_height("a\nb", 7) + 0.08
    height = above + rows * (SIDE + caption + GAP) + MARGIN
    figure = Figure(figsize=(width, height))
    style: dict[str, Any] = {
        "fontsize": HEADER_SIZE,
        "ha": "center",
        "va": "top",
        "parse_math": False,
    }
    figure.text(0.5, 1 - 0.1 / height, header, **style)
    left = (width - columns * SIDE - (columns - 1) * GAP) / 2
    for i, overlay in enumerate(overlays):
        row, column = divmod(i, columns)
        x = left + column * (SIDE + GAP)
        top = above + row * (SIDE + caption + GAP) + caption
        place = (x / width, 1 - (top + SIDE) / height, SIDE / width, SIDE / height)
        ax = figure.add_axes(place, xticks=[], yticks=[])
        _draw(ax, overlay)
        ax.set_title(_caption(overlay), fontsize=7, pad=2, linespacing=1.15, parse_math=False)
    return figure


def _draw(ax: Axes, overlay: Overlay) -> None:
    height, width = overlay.image.shape[0], overlay.image.shape[1]
    image = np.asarray(overlay.image).reshape(height, width)
    ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    strength = spread(overlay.attention, image.shape)
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
    if len(ordered) <= count:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, count).round().astype(int)]
