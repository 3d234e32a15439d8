"""Pages of films with what was found drawn over them, beside what is there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from medjax.metrics.film_page import film_page, take_evenly

TRUE_COLOR, FOUND_COLOR = "#56B4E9", "#E69F00"
OPACITY = 0.55
EDGE = [withStroke(linewidth=1.5, foreground="black")]
MOST_DRAWN = 8
"""Boxes of a film that are drawn, the most confident."""


class MaskOverlay(NamedTuple):
    """A film with masks."""

    image: np.ndarray
    """uint8 [side, side, 1]"""
    found: np.ndarray
    """bool [side, side]"""
    true: np.ndarray | None = None
    """The same, of 0 and 1; None where not known."""
    dice: float | None = None


def choose_films(scores: np.ndarray, positive: np.ndarray | None, count: int) -> np.ndarray:
    """Return the positions of up to `count` films.

    A quarter of them are films without the finding, the worst scored ones first; of the others as
    many of high scores as of low ones. Where nothing is known those of the highest scores.

    Args:
        scores: [n]
        positive: bool [n], whether a film has the finding; None: not known.
        count: of films.
    """
    falling = np.argsort(-scores, kind="stable")
    if positive is None:
        return falling[:count]
    having, without = falling[positive[falling]], falling[~positive[falling]][::-1]
    chosen = take_evenly(having, count - min(count // 4, len(without)))
    return np.concatenate([chosen, without[: count - len(chosen)]]).astype(np.int64)


class BoxOverlay(NamedTuple):
    """A film with boxes, as corners x1, y1, x2, y2 in shares of the film."""

    image: np.ndarray
    """uint8 [side, side, 1]"""
    found: np.ndarray
    """[detection, 4], the most confident first"""
    confidence: np.ndarray
    """[detection]"""
    true: np.ndarray | None = None
    """[box, 4]; None where not known."""


def box_page(overlays: Sequence[BoxOverlay], title: str) -> Figure:
    """Draw films with the boxes that were found and the true ones as outlines."""
    legend = "Orange: what was found, with its confidence. Blue: where the finding is."
    captions = [_boxes_caption(overlay) for overlay in overlays]
    figure, axes = film_page([o.image for o in overlays], captions, title, legend)
    for ax, overlay in zip(axes, overlays):
        side = len(overlay.image)
        for box, confidence in list(zip(overlay.found, overlay.confidence))[:MOST_DRAWN]:
            _outline(ax, box * side, FOUND_COLOR)
            left, top = box[:2] * side - 0.5
            told = ax.text(left, top, f"{confidence:.2f}", fontsize=6, color=FOUND_COLOR)
            told.set(va="bottom", clip_on=True, path_effects=EDGE)
        for box in () if overlay.true is None else overlay.true:
            _outline(ax, box * side, TRUE_COLOR)
    return figure


def _outline(ax: Axes, box: np.ndarray, color: str) -> None:
    """Draw a box of corners in pixels; the first pixel begins at -1/2."""
    left, top, right, bottom = box - 0.5
    ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color, linewidth=1.2)


def _boxes_caption(overlay: BoxOverlay) -> str:
    known = "not known" if overlay.true is None else f"{len(overlay.true)} there"
    return f"{len(overlay.found)} found\n{known}"


def mask_page(overlays: Sequence[MaskOverlay], title: str) -> Figure:
    """Draw films with the mask that was found as a tint and the true one as an outline."""
    legend = "Orange: what was found. Blue line: where the finding is."
    figure, axes = film_page(
        [o.image for o in overlays], [_caption(o) for o in overlays], title, legend
    )
    for ax, overlay in zip(axes, overlays):
        _tint(ax, overlay.found)
        if overlay.true is not None and overlay.true.any():
            ax.contour(overlay.true, levels=[0.5], colors=[TRUE_COLOR], linewidths=1.2)
    return figure


def _tint(ax: Axes, mask: np.ndarray) -> None:
    layer = np.zeros((*mask.shape, 4))
    layer[..., :3] = to_rgb(FOUND_COLOR)
    layer[..., 3] = OPACITY * (np.asarray(mask) > 0)
    ax.imshow(layer, interpolation="nearest")


def _caption(overlay: MaskOverlay) -> str:
    if overlay.true is None or overlay.dice is None:
        return f"{int(overlay.found.sum())} pixels\nnot known"
    there = "present" if overlay.true.any() else "absent"
    return f"Dice {overlay.dice:.2f}\n{there}"
