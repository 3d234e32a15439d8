"""Views of a film on a black square: training cuts out any part of it, evaluation the middle."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from medjax.data.batching import generator
from medjax.data.film_sizes import square_canvas
from medjax.data.image_transforms import center_crop
from medjax.data.randaugment import brightness, contrast


class Augment(NamedTuple):
    """Random changes of grey films; the defaults are those of MoCo v2 (Chen et al. 2020)."""

    jitter_probability: float = 0.8
    """Of another brightness and contrast, in either order."""
    jitter: float = 0.4
    """By how much the factor of each may differ from 1."""
    blur_probability: float = 0.5
    blur: tuple[float, float] = (0.1, 2.0)
    """Standard deviation in pixels, uniform."""
    flip_probability: float = 0.5
    """Of exchanging left and right."""

    @property
    def changes(self) -> bool:
        """Whether anything can happen."""
        chances = self.jitter_probability, self.blur_probability, self.flip_probability
        return any(chances)


class ViewOptions(NamedTuple):
    """Sizes in pixels; the defaults are the published ones."""

    canvas: int = 256
    """To which the longer side of a film is brought."""
    size: int = 224
    """Of what is cut out."""
    augment: Augment | None = None
    """What else happens to training views."""


def evaluation_view(film: np.ndarray, options: ViewOptions) -> np.ndarray:
    """Return the middle of a film uint8 [height, width]: uint8 [size, size, 1]."""
    return center_crop(square_canvas(film, options.canvas), options.size)[..., None]


def training_view(film: np.ndarray, options: ViewOptions, draws: np.random.Generator) -> np.ndarray:
    """Return a random part of a film uint8 [height, width]: uint8 [size, size, 1]."""
    canvas = square_canvas(film, options.canvas)
    top, left = draws.integers(0, options.canvas - options.size + 1, 2)
    part = canvas[top : top + options.size, left : left + options.size]
    if options.augment is not None:
        part = augmented(part, draws, options.augment)
    return np.ascontiguousarray(part)[..., None]


def augmented(view: np.ndarray, draws: np.random.Generator, augment: Augment) -> np.ndarray:
    """Change a view uint8 [side, side]; always as many draws."""
    jittered, bright, strong, order, blurred, sigma, flipped = draws.random(7)
    if jittered < augment.jitter_probability:
        factors = [1 + augment.jitter * (2 * draw - 1) for draw in (bright, strong)]
        changes = list(zip((brightness, contrast), factors))
        for change, factor in changes if order < 0.5 else reversed(changes):
            view = change(view[..., None], factor)[..., 0]
    if blurred < augment.blur_probability:
        least, most = augment.blur
        blur = ImageFilter.GaussianBlur(float(least + sigma * (most - least)))
        view = np.asarray(Image.fromarray(view).filter(blur))
    return view[:, ::-1] if flipped < augment.flip_probability else view


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
