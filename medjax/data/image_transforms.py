"""Views of a film for training and evaluation, on grey uint8 arrays and numpy generators.

They equal the published transforms on the grey image converted to RGB (three equal channels):
torchvision Resize, RandomHorizontalFlip, RandomAffine, CenterCrop (MedFuse, cxr_dataset.py).
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Augmentation(NamedTuple):
    """Ranges of the random changes; the defaults are the published ones."""

    flip: float = 0.5
    """Probability of a horizontal flip."""
    degrees: float = 45.0
    """Rotation is uniform in [-degrees, degrees]."""
    scale: tuple[float, float] = (0.85, 1.15)
    """Uniform."""
    translate: float = 0.15
    """Shift along each axis, as a share of that side, uniform in [-translate, translate]."""


PUBLISHED = Augmentation()
REPLICATION = Augmentation(degrees=10.0, scale=(0.95, 1.05), translate=0.05)
"""The milder ranges of the replication (prunbun/medfuse)."""


def eval_view(pixels: np.ndarray, resize: int = 256, crop: int = 224) -> np.ndarray:
    """Shorter side to `resize`, then the centre: uint8 [height, width] -> [crop, crop]."""
    return center_crop(resize_shorter(pixels, resize), crop)


def train_view(
    pixels: np.ndarray,
    generator: np.random.Generator,
    resize: int = 256,
    crop: int = 224,
    augmentation: Augmentation = PUBLISHED,
) -> np.ndarray:
    """A random view for training: uint8 [height, width] -> [crop, crop].

    Always takes five draws from `generator`, in the order flip, angle, two shifts, scale, so that
    the ranges do not change what is drawn later.
    """
    resized = resize_shorter(pixels, resize)
    height, width = resized.shape
    flip, angle, dx, dy, grow = generator.random(5)
    if flip < augmentation.flip:
        resized = resized[:, ::-1]
    low, high = augmentation.scale
    moved = affine(
        resized,
        degrees=(2 * angle - 1) * augmentation.degrees,
        shift=(
            round((2 * dx - 1) * augmentation.translate * width),
            round((2 * dy - 1) * augmentation.translate * height),
        ),
        scale=low + (high - low) * grow,
    )
    return center_crop(moved, crop)


def resize_shorter(pixels: np.ndarray, size: int) -> np.ndarray:
    """Bring the shorter side to `size` and truncate the longer; PIL bilinear with antialias."""
    height, width = pixels.shape
    if width <= height:
        target = (size, int(size * height / width))
    else:
        target = (int(size * width / height), size)
    if target == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.BILINEAR))


def center_crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """Cut [size, size] out of the centre; a smaller image is first padded with zeros.

    Offsets are (side - size) / 2 rounded half to even, as torchvision does.
    """
    missing = [max(size - side, 0) for side in pixels.shape]
    if any(missing):
        pixels = np.pad(pixels, [(m // 2, (m + 1) // 2) for m in missing])
    top, left = (round((side - size) / 2) for side in pixels.shape)
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def affine(
    pixels: np.ndarray,
    degrees: float,
    shift: tuple[int, int],
    scale: float,
    resampling: Image.Resampling = Image.Resampling.NEAREST,
) -> np.ndarray:
    """Rotate and scale about the centre, then shift by (right, down) pixels; filled with 0.

    The size stays. PIL wants the inverse map, from output to input coordinates.
    """
    height, width = pixels.shape
    cos = math.cos(math.radians(degrees)) / scale
    sin = math.sin(math.radians(degrees)) / scale
    x, y = width * 0.5, height * 0.5
    back_x, back_y = -x - shift[0], -y - shift[1]
    inverse = (
        cos,
        sin,
        cos * back_x + sin * back_y + x,
        -sin,
        cos,
        -sin * back_x + cos * back_y + y,
    )
    moved = Image.fromarray(pixels).transform(
        (width, height), Image.Transform.AFFINE, inverse, resampling, fillcolor=0
    )
    return np.asarray(moved)


def normalise_grey(
    images: np.ndarray,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> np.ndarray:
    """Scale to [0, 1] and standardise: uint8 [..., h, w] -> float32 [..., h, w, channels].

    The channels are equal before their own `mean` and `std` are applied.
    """
    return normalise(images[..., None], mean, std)


def normalise(
    images: np.ndarray,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> np.ndarray:
    """Scale to [0, 1] and standardise by channel: uint8 [..., channels] -> float32."""
    unit = images.astype(np.float32) / np.float32(255)
    return (unit - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def stretch(pixels: np.ndarray, size: int) -> np.ndarray:
    """Bring both sides to `size`, whatever their proportion; PIL bilinear with antialias."""
    if pixels.shape[:2] == (size, size):
        return pixels
    resized = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


class Crop(NamedTuple):
    """A random part of an image."""

    area: tuple[float, float] = (0.2, 1.0)
    """Share of the area, uniform."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width by height, uniform in its logarithm."""


ATTEMPTS = 10
"""Parts drawn until one lies inside the image; then the middle is taken."""


def random_resized_crop(
    pixels: np.ndarray, generator: np.random.Generator, size: int, crop: Crop
) -> np.ndarray:
    """Cut out a random part and bring it to [size, size], PIL bicubic: torchvision's transform."""
    top, left, height, width = crop_box(pixels.shape[0], pixels.shape[1], generator, crop)
    part = Image.fromarray(pixels[top : top + height, left : left + width])
    return np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))


def crop_box(
    height: int, width: int, generator: np.random.Generator, crop: Crop
) -> tuple[int, int, int, int]:
    """Draw top, left, height and width of a part; always as many draws."""
    draws = generator.random((ATTEMPTS, 4))
    low, high = np.log(crop.ratio[0]), np.log(crop.ratio[1])
    for area, ratio, down, right in draws:
        target = height * width * (crop.area[0] + area * (crop.area[1] - crop.area[0]))
        shape = math.exp(low + ratio * (high - low))
        w, h = round(math.sqrt(target * shape)), round(math.sqrt(target / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
    h, w = height, width
    if width / height < crop.ratio[0]:
        h = round(width / crop.ratio[0])
    elif width / height > crop.ratio[1]:
        w = round(height * crop.ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w
