"""RandomAugment: what each operation does, on images small enough to know the answer."""

import numpy as np
import pytest

from medjax.data.randaugment import (
    OPERATIONS,
    RandAugment,
    arguments,
    operate,
    random_augment,
)

OURS = RandAugment()
PUBLISHED = RandAugment(
    sharpness_overflow="wrap", autocontrast_offset="wrap", luma_channel_order="bgr"
)
FILM = np.random.default_rng(0).integers(20, 200, (40, 30, 1), dtype=np.uint8)


@pytest.mark.parametrize("name", [*OPERATIONS, "Color", "Contrast", "Solarize", "Posterize"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_operation_keeps_the_shape(name, channels):
    image = np.repeat(FILM, channels, axis=-1)
    changed = operate(name, image, arguments(name, 7, 0.2), OURS)
    assert changed.shape == image.shape and changed.dtype == np.uint8
    if channels == 3:
        grey = operate(name, FILM, arguments(name, 7, 0.2), OURS)
        assert np.abs(changed.astype(int) - grey).max() <= 1


def test_autocontrast_spans_all_values_but_as_published_turns_white():
    spread = operate("AutoContrast", FILM, (), OURS)
    assert (spread.min(), spread.max()) == (0, 255)
    assert (operate("AutoContrast", FILM, (), PUBLISHED) == 255).all()


def test_sharpness_cuts_what_the_published_one_wraps():
    image = np.full((5, 5, 1), 200, np.uint8)
    image[2, 2] = 255
    factor = (2.0,)
    assert operate("Sharpness", image, factor, OURS)[2, 2] == 255
    assert operate("Sharpness", image, factor, PUBLISHED)[2, 2] < 100


def test_equalize_flattens_the_histogram():
    image = np.repeat(np.arange(64, dtype=np.uint8), 16).reshape(32, 32, 1)
    flat = operate("Equalize", image, (), OURS)
    # 1,008 pixels below the last shade in whole steps of 3: shades of 16 lie 16 / 3 apart.
    assert np.abs(np.diff(np.unique(flat)[:-1].astype(int)) - 16 / 3).max() < 1


def test_warps_move_pixels_and_fill_with_grey():
    image = np.zeros((9, 9, 1), np.uint8)
    image[4, 6] = 200
    moved = operate("TranslateX", image, (3.0, (128, 128, 128)), OURS)
    assert moved[4, 3] == 200 and (moved[:, 6:] == 128).all()
    quarter = operate("Rotate", image[:, :, :], (90.0, (7, 7, 7)), OURS)
    assert quarter[3, 4, 0] == 200  # about the point (4.5, 4.5), counter-clockwise


def test_levels_give_the_published_arguments():
    grey = (128, 128, 128)
    assert arguments("Brightness", 7, 0.9) == (pytest.approx(1.36),)
    assert arguments("ShearX", 7, 0.9) == (pytest.approx(-0.21), grey)
    assert arguments("TranslateY", 7, 0.1) == (pytest.approx(7), grey)
    assert arguments("Rotate", 7, 0.1) == (pytest.approx(-21), grey)
    assert arguments("Posterize", 7, 0.1) == (2,)
    assert arguments("Solarize", 7, 0.1) == (pytest.approx(179.2),)


def test_half_of_the_drawn_operations_are_applied():
    options = RandAugment(number=1, operations=("Brightness",))
    generator = np.random.default_rng(0)
    changed = [np.any(random_augment(FILM, generator, options) != FILM) for _ in range(400)]
    assert 0.42 < np.mean(changed) < 0.58
