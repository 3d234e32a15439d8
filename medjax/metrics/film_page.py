"""A page of films side by side, a caption above each, for overlays of what was found on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medjax.metrics.panels import HEADER_SIZE, MARGIN, text_height, wrap

SIDE, GAP, COLUMNS = 1.75, 0.12, 4
"""Inches of a film and between films; films in a row."""
CAPTION_SIZE = 7


def film_page(
    films: Sequence[np.ndarray], captions: Sequence[str], title: str, legend: str
) -> tuple[Figure, list[Axes]]:
    """Draw films uint8 [height, width] or [height, width, 1]; return the page and their axes.

    Args:
        films: at least one.
        captions: one a film, of up to two lines.
        title, legend: heading of the page, and an explanation under it, wrapped to its width.

    Raises:
        ValueError: no film, or not as many captions.
    """
    if not films:
        raise ValueError("no film to draw")
    columns = min(COLUMNS, len(films))
    rows = -(-len(films) // columns)
    width = max(2 * MARGIN + columns * SIDE + (columns - 1) * GAP, 4.5)
    header = "\n".join(wrap(text, width - 2 * MARGIN, HEADER_SIZE) for text in (title, legend))
    above, caption = (
        text_height(header, HEADER_SIZE) + 0.2,
        text_height("a\nb", CAPTION_SIZE) + 0.08,
    )
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
    axes = []
    for i, (film, text) in enumerate(zip(films, captions, strict=True)):
        row, column = divmod(i, columns)
        x = left + column * (SIDE + GAP)
        top = above + row * (SIDE + caption + GAP) + caption
        place = (x / width, 1 - (top + SIDE) / height, SIDE / width, SIDE / height)
        ax = figure.add_axes(place, xticks=[], yticks=[])
        pixels = np.asarray(film).reshape(film.shape[:2])
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(text, fontsize=CAPTION_SIZE, pad=2, linespacing=1.15, parse_math=False)
        axes.append(ax)
    return figure, axes


def take_evenly(ordered: np.ndarray, count: int) -> np.ndarray:
    """Return up to `count` of some positions, evenly from the first to the last."""
    if len(ordered) <= count:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, count).round().astype(int)]
