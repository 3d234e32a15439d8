"""Stored sizes: right shapes, exact resizes, nothing enlarged."""

import numpy as np
import pytest
from PIL import Image

from medjax.data.film_sizes import (
    RULES,
    FilmSize,
    area_means,
    resize_area,
    resize_longer,
    resize_to_width,
    square_canvas,
)

SHAPES = [(700, 640), (300, 900), (100, 1), (64, 64), (333, 127)]


def film(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def shrink(size, pixels, whole):
    return np.asarray(size.shrink(Image.fromarray(pixels), whole))


@pytest.mark.parametrize("shape", SHAPES)
def test_offline_resize_truncates_the_height(shape):
    height, width = shape
    assert resize_to_width(film(shape), 128).shape == (int(height * 128 / width), 128)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pixels", [17, 64, 2000])
def test_sizes_follow_their_rule_and_never_enlarge(shape, rule, pixels):
    height, width = shape
    stored = shrink(FilmSize(rule, pixels), film(shape), (width, height))
    assert stored.dtype == np.uint8
    side = {"width": width, "long": max(shape), "short": min(shape), "square": min(shape)}[rule]
    if side < pixels:
        assert stored.shape == shape
    elif rule == "square":
        assert stored.shape == (pixels, pixels)
    else:
        expected = tuple(max(int(length * pixels / side), 1) for length in shape)
        assert stored.shape == expected


def test_width_is_the_published_resize():
    pixels = film((700, 640))
    stored = shrink(FilmSize("width", 128), pixels, (640, 700))
    np.testing.assert_array_equal(stored, resize_to_width(pixels, 128))


@pytest.mark.parametrize("factors", [(2, 3), (5, 1), (4, 4)])
def test_area_averages_of_whole_blocks(factors):
    down, across = factors
    pixels = film((12 * down, 9 * across))
    means = pixels.reshape(12, down, 9, across).mean((1, 3))
    assert np.abs(resize_area(pixels, (9, 12)) - means).max() <= 0.5


@pytest.mark.parametrize(("source", "target"), [(97, 48), (3056, 256), (5, 5), (7, 3)])
def test_area_means_share_every_value_evenly(source, target):
    shares = area_means(np.eye(source), target)
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(shares.sum(0), target / source)
    assert (np.diff(shares.argmax(1)) > 0).all()


def test_a_film_decoded_smaller_is_brought_to_the_same_size():
    smooth = np.asarray(Image.fromarray(film((9, 8))).resize((640, 700), Image.Resampling.BICUBIC))
    half = np.asarray(Image.fromarray(smooth).reduce(2))
    for rule in RULES:
        size = FilmSize(rule, 64)
        whole, scaled = (shrink(size, pixels, (640, 700)) for pixels in (smooth, half))
        assert whole.shape == scaled.shape
        assert np.abs(whole.astype(int) - scaled).mean() < 1


def test_names_of_sizes():
    assert FilmSize.parse("512") == FilmSize.parse("width512") == FilmSize()
    assert str(FilmSize.parse("long256")) == "long256"
    for wrong in ("", "0", "big256", "long", "long-3", "long2.5"):
        with pytest.raises(ValueError):
            FilmSize.parse(wrong)


def test_square_canvas_keeps_proportions_and_centres() -> None:
    canvas = square_canvas(np.full((90, 70), 200, np.uint8), 48)
    assert canvas.shape == (48, 48)
    assert not canvas[:, :5].any() and not canvas[:, -6:].any() and (canvas[:, 5:-6] == 200).all()
    wide = square_canvas(np.full((30, 40), 9, np.uint8), 64)
    assert (wide[8:56] == 9).all() and not wide[:8].any() and not wide[56:].any()
    same = film((32, 32))
    np.testing.assert_array_equal(square_canvas(same, 32), same)


def test_a_small_film_is_enlarged_by_whole_pixels_with_blended_borders() -> None:
    pixels = np.array([[0, 100], [200, 40]], np.uint8)
    twice = resize_longer(pixels, 4)
    np.testing.assert_array_equal(twice, np.repeat(np.repeat(pixels, 2, 0), 2, 1))
    np.testing.assert_array_equal(resize_longer(pixels[:1], 3), [[0, 50, 100]])
