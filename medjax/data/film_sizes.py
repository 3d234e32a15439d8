"""The sizes at which films are stored, each with the resize that the systems reading it publish.

A size is a rule and a number of pixels, as `width512`:

    width   that width, the height in proportion; PIL bicubic (MedFuse, resize.py)
    long    the longer side, the other in proportion; area averages (MGCA and MedST, which then pad)
    short   the shorter side, the other in proportion; PIL bilinear (as torchvision's Resize)
    square  both sides, stretched; PIL bilinear (MedKLIP)

Sides in proportion are truncated, at least 1. Films are never enlarged.
"""

import re
from typing import NamedTuple

import numpy as np
from PIL import Image

FILTERS = {
    "width": Image.Resampling.BICUBIC,
    "short": Image.Resampling.BILINEAR,
    "square": Image.Resampling.BILINEAR,
}
RULES = ("width", "long", "short", "square")


class FilmSize(NamedTuple):
    """A rule and its number of pixels."""

    rule: str = "width"
    pixels: int = 512

    def __str__(self) -> str:
        return f"{self.rule}{self.pixels}"

    @classmethod
    def parse(cls, text: str) -> "FilmSize":
        """Read "long256", or "512" for that width.

        Raises:
            ValueError: no rule of RULES with a number.
        """
        match = re.fullmatch(rf"({'|'.join(RULES)})?([1-9]\d{{0,4}})", text)
        if match is None:
            raise ValueError(text)
        return cls(match[1] or RULES[0], int(match[2]))

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) at which a film of this size is stored."""
        if self.rule == "square":
            wanted = (self.pixels, self.pixels)
        else:
            sides = {"width": width, "long": max(width, height), "short": min(width, height)}
            wanted = _in_proportion(width, height, self.pixels, sides[self.rule])
        return (width, height) if wanted[0] > width or wanted[1] > height else wanted

    def shrink(self, film: Image.Image, size: tuple[int, int]) -> Image.Image:
        """Bring a grey image, read from a film of (width, height) `size`, to the target.

        It may have been decoded smaller than the film, but not than the target.
        """
        target = self.target(*size)
        if target == film.size:
            return film
        if self.rule == "long":
            return Image.fromarray(resize_area(np.asarray(film), target))
        return film.resize(target, FILTERS[self.rule])


def _in_proportion(width: int, height: int, pixels: int, side: int) -> tuple[int, int]:
    """(width, height) when `side` becomes `pixels`."""
    return max(int(width * pixels / side), 1), max(int(height * pixels / side), 1)


def resize_to_width(pixels: np.ndarray, width: int = 512) -> np.ndarray:
    """Resize uint8 [height, width0] to [int(height * width / width0), width], PIL bicubic.

    This is the published offline resize (MedFuse, resize.py), which enlarges narrow films too.
    """
    target = _in_proportion(pixels.shape[1], pixels.shape[0], width, pixels.shape[1])
    return np.asarray(Image.fromarray(pixels).resize(target, FILTERS["width"]))


def resize_area(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Shrink uint8 [height, width] to (width, height) `target`: each pixel the mean of its area."""
    rows = area_means(pixels, target[1])
    mean = area_means(rows.T, target[0]).T
    return np.clip(np.rint(mean), 0, 255).astype(np.uint8)


def area_means(values: np.ndarray, target: int) -> np.ndarray:
    """Return the means over `target` equal stretches of the first axis: [target, ...] of [n, ...].

    A value that lies in two stretches counts in each by its share.
    """
    length = len(values)
    whole = np.uint32 if values.dtype == np.uint8 else np.float64
    sums = np.zeros((length + 1, *values.shape[1:]), whole)
    np.cumsum(values, axis=0, dtype=whole, out=sums[1:])
    edges = np.linspace(0, length, target + 1)
    below = np.minimum(edges.astype(np.int64), length - 1)
    share = (edges - below)[:, None]
    at_edges = sums[below] * (1 - share) + sums[below + 1] * share
    return np.diff(at_edges, axis=0) * (target / length)


def resize_longer(pixels: np.ndarray, side: int) -> np.ndarray:
    """Bring the longer side of uint8 [height, width] to `side`, the other in proportion, truncated.

    A larger film is shrunk by area, a smaller one enlarged by `enlarge`, as OpenCV's area
    interpolation does.
    """
    longest = max(pixels.shape)
    factor = side / longest
    height, width = (side if n == longest else max(int(n * factor), 1) for n in pixels.shape)
    if (height, width) == pixels.shape:
        return pixels
    if min(n / new for n, new in zip(pixels.shape, (height, width))) >= 1:
        return resize_area(pixels, (width, height))
    return enlarge(pixels, (width, height))


def enlarge(pixels: np.ndarray, target: tuple[int, int]) -> np.ndarray:
    """Enlarge uint8 [height, width] to (width, height): pixels of the film with blended borders."""
    rows = _blend(pixels.astype(np.float64), target[1])
    return np.rint(_blend(rows.T, target[0]).T).astype(np.uint8)


def _blend(values: np.ndarray, target: int) -> np.ndarray:
    """Stretch the first axis [n, ...] to [target, ...].

    An output position inside one input position takes its value; one across a border blends both
    by the shares on either side.
    """
    length = len(values)
    place = np.arange(target)
    first = np.floor(place * (length / target)).astype(np.int64)
    past = (place + 1) - (first + 1) * (target / length)
    share = np.where(past <= 0, 0, past - np.floor(past))
    second = np.minimum(first + 1, length - 1)
    share = np.where(first < length - 1, share, 0)[:, None]
    return values[first] * (1 - share) + values[second] * share


def square_canvas(pixels: np.ndarray, side: int = 256) -> np.ndarray:
    """Bring the longer side to `side` and put the film in the middle of a black square."""
    film = resize_longer(pixels, side)
    margins = [((side - n) // 2, (side - n + 1) // 2) for n in film.shape]
    return np.pad(film, margins)
