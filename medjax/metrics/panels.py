"""A page of square panels with captions of any length above them, laid out in inches.

Laid out by hand: matplotlib's automatic layouts let long captions of square panels overlap, and
take seconds for a page of 25.
"""

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

MARGIN = 0.15
"""Inches free to the left and right of a heading."""
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
        title, legend: heading of the page, and an explanation under it, wrapped to its width.
        x, y: axis labels, shared.
    """
    columns = next((c for c in (1, 2, 3, 4) if len(names) <= c * c), 5)
    columns = min(columns, len(names))
    width = (5.0, 8.0)[columns > 1]
    side = (width - LEFT - RIGHT - GAP * (columns - 1)) / columns
    size = HEADER_SIZE if columns <= 2 else 6.5
    texts = [f"{wrap(n, side, size)}\n{c}" for n, c in zip(names, captions, strict=True)]
    header = "\n".join(wrap(t, width - 2 * MARGIN, HEADER_SIZE) for t in (title, legend))
    header_height = text_height(header, HEADER_SIZE)

    rows = [texts[i : i + columns] for i in range(0, len(texts), columns)]
    above = [max(text_height(text, size) for text in row) + GAP for row in rows]
    height = 0.1 + header_height + sum(above) + side * len(rows) + BOTTOM
    figure = Figure(figsize=(width, height))
    style: dict[str, Any] = {"fontsize": HEADER_SIZE, "ha": "center", "parse_math": False}
    figure.text(0.5, 1 - 0.1 / height, header, va="top", **style)
    figure.text((LEFT + width - RIGHT) / 2 / width, 0.1 / height, x, va="bottom", **style)
    middle = (BOTTOM + (height - 0.1 - header_height)) / 2 / height
    figure.text(0.1 / width, middle, y, va="center", rotation="vertical", **style)

    axes: list[Axes] = []
    for i, text in enumerate(texts):
        row, column = divmod(i, columns)
        top = 0.1 + header_height + sum(above[: row + 1]) + side * row
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


def shown(name: str) -> str:
    """Return how pictures write a label or group: Pleural_Thickening and type=acute as words."""
    return re.sub(r"^\w+=", "", name).replace("_", " ")


def wrap(text: str, inches: float, size: float) -> str:
    """Break a text of `size` points into lines of at most `inches`; longer words are cut."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if _width(joined, size) <= inches:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and _width(lines[-1] + character, size) > inches:
                lines.append("")
            lines[-1] += character
    return "\n".join(lines)


def shorten(text: str, inches: float, size: float) -> str:
    """Cut a text of `size` points to one line of at most `inches`, with an ellipsis where cut."""
    mark = " \N{HORIZONTAL ELLIPSIS}"
    first, *rest = wrap(text, inches - _width(mark, size), size).split("\n")
    return first + mark if rest else first


def text_height(text: str, size: float) -> float:
    """Inches that the lines of a text take."""
    return (text.count("\n") + 1) * size * 1.3 / 72


def _width(line: str, size: float) -> float:
    font = FontProperties(size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(line, font, ismath=False)
    return points / 72
