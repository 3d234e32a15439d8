"""Masks of findings beside their stretched films."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from medjax.data.image_transforms import affine

GEOMETRIES = ("as_image", "padded")
"""How a mask is brought to the square of its film, which is stretched: as that, or (published) in
proportion with zeros beside, so that of a film that is no square it lies elsewhere."""


class Turn(NamedTuple):
    """A random turn, growth and shift of a film and its mask; the defaults are the published."""

    probability: float = 0.5
    degrees: float = 10.0
    """Uniform in [-degrees, degrees]."""
    scale: float = 0.1
    """Growth, uniform in [-scale, scale]."""
    shift: float = 0.0
    """Along each axis, as a share of the side, uniform in [-shift, shift]."""


def square_mask(mask: np.ndarray, size: int, geometry: str = "as_image") -> np.ndarray:
    """Bring a mask uint8 [height, width] of 0 and 1 to [size, size], each pixel the nearest.

    geometry: of GEOMETRIES.
    """
    height, width = mask.shape
    shape = (size, size)
    if geometry == "padded":
        longest = max(height, width)
        shape = (max(width * size // longest, 1), max(height * size // longest, 1))
    resized = Image.fromarray(mask).resize(shape, Image.Resampling.NEAREST)
    margins = [((size - n) // 2, (size - n + 1) // 2) for n in reversed(shape)]
    return np.pad(np.asarray(resized), margins)


def turned(
    image: np.ndarray, mask: np.ndarray, draws: np.random.Generator, turn: Turn
) -> tuple[np.ndarray, np.ndarray]:
    """Move a film [side, side] and its mask alike; always as many draws."""
    applied, angle, grow, right, down = draws.random(5)
    if applied >= turn.probability:
        return image, mask
    side = len(image)
    shift = [round((2 * draw - 1) * turn.shift * side) for draw in (right, down)]
    motion = (
        (2 * angle - 1) * turn.degrees,
        (shift[0], shift[1]),
        1 + (2 * grow - 1) * turn.scale,
    )
    return affine(image, *motion, Image.Resampling.BILINEAR), affine(mask, *motion)
