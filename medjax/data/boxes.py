"""Boxes of findings on a film: reading their published text, and drawing them as masks."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from medjax.errors import UserError

NONE = ("", "nan")


class Box(NamedTuple):
    """In pixels, from the upper left corner."""

    x: float
    y: float
    width: float
    height: float


def read_boxes(text: str) -> list[Box]:
    """Read "x;y;width;height", several joined by |; none in an empty text or "nan".

    Raises:
        UserError: anything else.
    """
    if text.strip() in NONE:
        return []
    try:
        return [Box(*(float(part) for part in box.split(";"))) for box in text.split("|")]
    except (TypeError, ValueError):
        raise UserError(f"boxes {text!r}: expects x;y;width;height, several joined by |") from None


def box_mask(boxes: Iterable[Box], height: int, width: int) -> np.ndarray:
    """Draw boxes, cut to whole pixels, as ones: uint8 [height, width]."""
    mask = np.zeros((height, width), np.uint8)
    for box in boxes:
        x, y, w, h = (int(value) for value in box)
        mask[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = 1
    return mask


def nearest_mask(mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Bring a mask to (height, width), each pixel the one at floor(k * old / new)."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
