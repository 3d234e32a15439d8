"""Views of a film for MedKLIP: a stretched one for evaluation, a random one for training."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from medjax.data.boxes import nearest_mask
from medjax.data.image_transforms import Crop, crop_box, stretch
from medjax.data.randaugment import RandAugment, random_augment


class ViewOptions(NamedTuple):
    """How films are shown; the defaults are the published ones."""

    size: int = 224
    crop: Crop | None = Crop()
    """None: the whole film."""
    flip: float = 0.5
    """Probability of exchanging left and right. Reports that tell the side then contradict the
    film, as published; 0 keeps them true."""
    augment: RandAugment | None = RandAugment()
    """None: no further change."""


class View(NamedTuple):
    """A view and, where asked for, the mask of a finding in it."""

    image: np.ndarray
    """uint8 [size, size, 1]"""
    mask: np.ndarray | None
    """uint8 [size, size] of 0 and 1."""


def evaluation_view(film: np.ndarray, size: int, mask: np.ndarray | None = None) -> View:
    """Stretch a film uint8 [height, width] to [size, size]."""
    shown = None if mask is None else nearest_mask(mask, (size, size))
    return View(stretch(film, size)[..., None], shown)


def training_view(
    film: np.ndarray,
    generator: np.random.Generator,
    options: ViewOptions,
    mask: np.ndarray | None = None,
) -> View:
    """A random part, perhaps flipped, augmented. A mask is cropped and flipped alike.

    Operations of RandAugment that move pixels do not move the mask: leave them out with one.
    """
    height, width = film.shape
    size = options.size
    top, left, h, w = 0, 0, height, width
    if options.crop is not None:
        top, left, h, w = crop_box(height, width, generator, options.crop)
    part = Image.fromarray(film[top : top + h, left : left + w])
    image = np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))
    shown = None
    if mask is not None:
        inner = nearest_mask(mask, (height, width))[top : top + h, left : left + w]
        shown = np.asarray(Image.fromarray(inner).resize((size, size), Image.Resampling.NEAREST))
    if generator.random() < options.flip:
        image = image[:, ::-1]
        shown = None if shown is None else shown[:, ::-1]
    image = np.ascontiguousarray(image)[..., None]
    if options.augment is not None:
        image = random_augment(image, generator, options.augment)
    return View(image, shown)
