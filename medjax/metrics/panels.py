"""A page of square panels with captions of any length above them, laid out in inches.

Laid out by hand: matplotlib's automatic layouts let long captions of square panels overlap, and
take seconds for a page of 25.
"""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

LEFT, RIGHT, BOTTOM, GAP = 0.65, 0.2, 0.55, 0.22
HEADER_SIZE = 9.0
"""Points; captions are as large on pages of few panels, smaller on others."""


def panel_page(
    names: Sequence[str], captions: Sequence[str], *, title: str, legend: str, x: str, y: str
) -> tuple[Figure, list[Axes], float]:
    """Return a page with one unit square a name, the squares' axes, and their text size.

    Args:
        names: labels, wrapped to the panel's width in the first lines above it.
        captions: further lines above it, taken as they are.
        title, legend: heading of the page, and a wrapped explanation under it.
        x, y: axis labels, shared.
    """
    columns = next((c for c in (1, 2, 3, 4) if len(names) <= c * c), 5)
    columns = min(columns, len(names))
    width = (5.0, 8.0)[columns > 1]
    side = (width - LEFT - RIGHT - GAP * (columns - 1)) / columns
    size = HEADER_SIZE if columns <= 2 else 6.5
    characters = int(side / (size * 0.56 / 72))
    texts = [f"{textwrap.fill(n, characters)}\n{c}" for n, c in zip(names, captions, strict=True)]
    header = f"{title}\n{textwrap.fill(legend, int(width / (HEADER_SIZE * 0.56 / 72)))}"

    rows = [texts[i : i + columns] for i in range(0, len(texts), columns)]
    above = [max(_height(text, size) for text in row) + GAP for row in rows]
    height = 0.1 + _height(header, HEADER_SIZE) + sum(above) + side * len(rows) + BOTTOM
    figure = Figure(figsize=(width, height))
    style: dict[str, Any] = {"fontsize": HEADER_SIZE, "ha": "center", "parse_math": False}
    figure.text(0.5, 1 - 0.1 / height, header, va="top", **style)
    figure.text((LEFT + width - RIGHT) / 2 / width, 0.1 / height, x, va="bottom", **style)
    middle = (BOTTOM + (height - 0.1 - _height(header, HEADER_SIZE))) / 2 / height
    figure.text(0.1 / width, middle, y, va="center", rotation="vertical", **style)

    axes: list[Axes] = []
    for i, text in enumerate(texts):
        row, column = divmod(i, columns)
        top = 0.1 + _height(header, HEADER_SIZE) + sum(above[: row + 1]) + side * row
        left = LEFT + column * (side + GAP)
        ax = figure.add_axes(
            (left / width, 1 - (top + side) / height, side / width, side / height),
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            xticks=[0, 0.5, 1],
            yticks=[0, 0.5, 1],
        )
        ax.set_title(text, fontsize=size, pad=4, linespacing=1.15, parse_math=False)
        ax.tick_params(labelsize=size, labelleft=column == 0, labelbottom=i + columns >= len(texts))
        axes.append(ax)
    return figure, axes, size


def _height(text: str, size: float) -> float:
    """Inches that the lines of a text take."""
    return (text.count("\n") + 1) * size * 1.3 / 72
