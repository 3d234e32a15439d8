"""Views of a film on a black square: training cuts out any part of it, evaluation the middle."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.data.batching import generator
from medjax.data.film_sizes import square_canvas
from medjax.data.image_transforms import center_crop


class ViewOptions(NamedTuple):
    """Sizes in pixels; the defaults are the published ones."""

    canvas: int = 256
    """To which the longer side of a film is brought."""
    size: int = 224
    """Of what is cut out."""


def evaluation_view(film: np.ndarray, options: ViewOptions) -> np.ndarray:
    """Return the middle of a film uint8 [height, width]: uint8 [size, size, 1]."""
    return center_crop(square_canvas(film, options.canvas), options.size)[..., None]


def training_view(film: np.ndarray, options: ViewOptions, draws: np.random.Generator) -> np.ndarray:
    """Return a random part of a film uint8 [height, width]: uint8 [size, size, 1]."""
    canvas = square_canvas(film, options.canvas)
    top, left = draws.integers(0, options.canvas - options.size + 1, 2)
    part = canvas[top : top + options.size, left : left + options.size]
    return np.ascontiguousarray(part)[..., None]


def read_views(
    records: Any,
    image: str,
    numbers: np.ndarray,
    options: ViewOptions,
    draws: Sequence[int] | None,
) -> np.ndarray:
    """Return views of some films, uint8 [film, size, size, 1].

    Args:
        records: of the store.
        image: name of the stored image.
        numbers: places of the films in the store.
        options: sizes.
        draws: seed and words of the random streams of training views, to which the number of a
            film is added; None: evaluation views.
    """
    views = []
    for number in numbers.tolist():
        film = records[number][image]
        if draws is None:
            views.append(evaluation_view(film, options))
        else:
            views.append(training_view(film, options, generator(*draws, number)))
    return np.stack(views) if views else np.zeros((0, options.size, options.size, 1), np.uint8)
