"""RandomAugment: a few operations drawn at random, each applied with probability one half.

The operations and ranges of the published code (MedKLIP's dataset/randaugment.py, a form of
RandAugment, Cubuk et al. 2020), on uint8 images [height, width, channels]. Coordinates of warps are
rounded to 1/32 pixel and pixels are weighed in whole numbers, as OpenCV does.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

FILL = (128, 128, 128)
MAX_LEVEL = 10
OPERATIONS = (
    *("Identity", "AutoContrast", "Equalize", "Brightness", "Sharpness"),
    *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"),
)
"""The published list."""
LUMA = {"rgb": (0.299, 0.587, 0.114), "bgr": (0.114, 0.587, 0.299)}
_STEPS = 32
"""Parts of a pixel to which warps round."""


class RandAugment(NamedTuple):
    """How many operations, how strong, and which; the defaults are ours."""

    number: int = 2
    """Operations drawn for an image, with replacement."""
    level: float = 7
    """Strength, of MAX_LEVEL."""
    operations: tuple[str, ...] = OPERATIONS
    sharpness_overflow: Literal["clip", "wrap"] = "clip"
    """Values beyond 0 to 255: cut off, or (published) begun again at the other end."""
    autocontrast_offset: Literal["exact", "wrap"] = "exact"
    """Of AutoContrast: exact, or (published) in 8 bits, which turns most films white."""
    luma_channel_order: Literal["rgb", "bgr"] = "rgb"
    """Weights of the channels for Color and Contrast; "bgr", for RGB images, as published."""


def random_augment(
    image: np.ndarray, generator: np.random.Generator, options: RandAugment
) -> np.ndarray:
    """Return an augmented image; the draws do not depend on what the operations are."""
    names = generator.integers(0, len(options.operations), options.number)
    applied, signs = generator.random((2, options.number))
    for number, apply, sign in zip(names, applied, signs):
        if apply < 0.5:
            name = options.operations[number]
            image = operate(name, image, arguments(name, options.level, sign), options)
    return image


def arguments(name: str, level: float, draw: float) -> tuple:
    """Return the arguments of an operation at a level; a draw in [0, 1) gives the sign.

    Brightness, Sharpness, Color and Contrast take a factor, Solarize a threshold, Posterize bits;
    shears a share of a side's length, translations pixels, rotations degrees, each with the fill.
    """
    share = level / MAX_LEVEL
    if name in ("Brightness", "Sharpness", "Color", "Contrast"):
        return (share * 1.8 + 0.1,)
    if name == "Solarize":
        return (share * 256,)
    if name == "Posterize":
        return (int(share * 4),)
    ranges = {"Shear": 0.3, "Translate": 10.0, "Rotate": 30.0}
    if name.rstrip("XY") not in ranges:
        return ()
    positive = draw >= 0.5 if name == "Rotate" else draw <= 0.5
    size = share * ranges[name.rstrip("XY")]
    return (size if positive else -size, FILL)


def operate(
    name: str, image: np.ndarray, values: Sequence[Any], options: RandAugment
) -> np.ndarray:
    """Apply one operation by its published name, with its arguments."""
    choices: Mapping[str, Mapping[str, str]] = {
        "AutoContrast": {"offset": options.autocontrast_offset},
        "Sharpness": {"overflow": options.sharpness_overflow},
        "Color": {"luma": options.luma_channel_order},
        "Contrast": {"luma": options.luma_channel_order},
    }
    return _FUNCTIONS[name](image, *values, **choices.get(name, {}))


def _identity(image: np.ndarray) -> np.ndarray:
    return image


def _through(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Look pixels up in a table float [256], cut to 0 to 255 and truncated."""
    return np.clip(table, 0, 255).astype(np.uint8)[image]


def auto_contrast(image: np.ndarray, offset: str = "exact") -> np.ndarray:
    """Stretch every channel from its lowest and highest value to 0 and 255.

    offset: "wrap" negates the lowest value as a number from 0 to 255 (-1 is 255), so that a channel
    whose lowest value is not 0 turns white.
    """
    channels = []
    for channel in np.moveaxis(image, -1, 0):
        low, high = int(channel.min()), int(channel.max())
        if high > low:
            scale = 255 / (high - low)
            lift = -low if offset == "exact" else -low % 256
            channel = _through(channel, np.arange(256) * scale + lift * scale)
        channels.append(channel)
    return np.stack(channels, axis=-1)


def equalize(image: np.ndarray) -> np.ndarray:
    """Flatten the histogram of every channel."""
    channels = []
    for channel in np.moveaxis(image, -1, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        filled = counts[counts > 0]
        step = int(filled[:-1].sum()) // 255
        if step:
            before = np.concatenate([[step // 2], counts[:-1]])
            channel = _through(channel, np.cumsum(before) // step)
        channels.append(channel)
    return np.stack(channels, axis=-1)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply by a factor."""
    return _through(image, np.arange(256, dtype=np.float32) * np.float32(factor))


def contrast(image: np.ndarray, factor: float, luma: str = "rgb") -> np.ndarray:
    """Move values from the mean grey of the image by a factor."""
    mean = float(image.mean((0, 1)) @ _weights(image, luma))
    return _through(image, np.arange(256) * factor + mean * (1 - factor))


def color(image: np.ndarray, factor: float, luma: str = "rgb") -> np.ndarray:
    """Move colours from the grey of their pixel by a factor."""
    grey = image.astype(np.float32) @ _weights(image, luma).astype(np.float32)
    moved = factor * image + (1 - factor) * grey[..., None]
    return np.clip(moved, 0, 255).astype(np.uint8)


def _weights(image: np.ndarray, luma: str) -> np.ndarray:
    """Weights of the channels; an image of one channel is its own grey."""
    return np.array(LUMA[luma]) if image.shape[-1] == 3 else np.ones(1)


def sharpness(image: np.ndarray, factor: float, overflow: str = "clip") -> np.ndarray:
    """Move pixels from the mean around them (weight 5 in the centre) by a factor; not at borders.

    overflow: "wrap" begins again beyond 0 and 255.
    """
    wide = image.astype(np.int32)
    height, width = image.shape[:2]
    around = sum(wide[y : y + height - 2, x : x + width - 2] for y in range(3) for x in range(3))
    inner = wide[1:-1, 1:-1]
    blurred = np.rint((around + 4 * inner) / 13).astype(np.float32)
    moved = blurred + np.float32(factor) * (inner - blurred)
    result = image.copy()
    cut = np.clip(moved, 0, 255) if overflow == "clip" else np.trunc(moved).astype(np.int32) & 255
    result[1:-1, 1:-1] = cut.astype(np.uint8)
    return result


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """Invert values from a threshold on."""
    values = np.arange(256)
    return _through(image, np.where(values < threshold, values, 255 - values))


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """Keep the highest bits."""
    return image & np.uint8((255 << (8 - bits)) & 255)


def shear_x(image: np.ndarray, factor: float, fill: Sequence[int] = FILL) -> np.ndarray:
    """Shift rows to the right by a factor of their height."""
    return warp(image, np.array([[1, factor, 0], [0, 1, 0]]), fill)


def shear_y(image: np.ndarray, factor: float, fill: Sequence[int] = FILL) -> np.ndarray:
    """Shift columns down by a factor of their place."""
    return warp(image, np.array([[1, 0, 0], [factor, 1, 0]]), fill)


def translate_x(image: np.ndarray, pixels: float, fill: Sequence[int] = FILL) -> np.ndarray:
    """Shift to the left."""
    return warp(image, np.array([[1, 0, -pixels], [0, 1, 0]]), fill)


def translate_y(image: np.ndarray, pixels: float, fill: Sequence[int] = FILL) -> np.ndarray:
    """Shift up."""
    return warp(image, np.array([[1, 0, 0], [0, 1, -pixels]]), fill)


def rotate(image: np.ndarray, degrees: float, fill: Sequence[int] = FILL) -> np.ndarray:
    """Turn about the centre, counter-clockwise."""
    height, width = image.shape[:2]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    matrix = [[cos, sin, (1 - cos) * x - sin * y], [-sin, cos, sin * x + (1 - cos) * y]]
    return warp(image, np.array(matrix), fill)


def warp(image: np.ndarray, matrix: np.ndarray, fill: Sequence[int]) -> np.ndarray:
    """Move pixels by a matrix [2, 3] from old to new places, bilinear, with a fill outside."""
    height, width, channels = image.shape
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    y, x = np.mgrid[:height, :width]
    places = np.rint((back[:, :2] @ np.stack([x.ravel(), y.ravel()]) + back[:, 2:]) * _STEPS)
    whole, part = np.divmod(places.astype(np.int64), _STEPS)
    colour = np.asarray(fill[:channels], np.int64)
    padded = np.empty((height + 2, width + 2, channels), np.int64)
    padded[:] = colour
    padded[1:-1, 1:-1] = image
    total = np.zeros((height * width, channels), np.int64)
    for down in (0, 1):
        for right in (0, 1):
            share_x = part[0] if right else _STEPS - part[0]
            share_y = part[1] if down else _STEPS - part[1]
            column = np.clip(whole[0] + right + 1, 0, width + 1)
            row = np.clip(whole[1] + down + 1, 0, height + 1)
            total += padded[row, column] * (share_x * share_y)[:, None]
    half = _STEPS * _STEPS // 2
    return ((total + half) // (_STEPS * _STEPS)).astype(np.uint8).reshape(image.shape)


_FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "Identity": _identity,
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
    "Brightness": brightness,
    "Sharpness": sharpness,
    "Color": color,
    "Contrast": contrast,
    "Solarize": solarize,
    "Posterize": posterize,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Rotate": rotate,
}
