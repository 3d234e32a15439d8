"""Views of films: sizes, ranges, and agreement of the random view with its parts."""

import numpy as np
import pytest

from medjax.data.image_transforms import (
    Augmentation,
    Crop,
    affine,
    center_crop,
    crop_box,
    eval_view,
    normalise,
    normalise_grey,
    random_resized_crop,
    resize_shorter,
    stretch,
    train_view,
)

FILM = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
STILL = Augmentation(flip=0.0, degrees=0.0, scale=(1.0, 1.0), translate=0.0)


@pytest.mark.parametrize("shape", [(90, 70), (70, 90), (64, 64), (33, 100)])
@pytest.mark.parametrize(("resize", "crop"), [(64, 56), (48, 48), (40, 50)])
def test_views_have_the_size_of_the_crop(shape, resize, crop):
    film = np.resize(FILM, shape)
    generator = np.random.default_rng(0)
    for view in (eval_view(film, resize, crop), train_view(film, generator, resize, crop)):
        assert view.shape == (crop, crop) and view.dtype == np.uint8
    assert min(resize_shorter(film, resize).shape) == resize


def test_without_ranges_the_training_view_is_the_evaluation_view():
    view = train_view(FILM, np.random.default_rng(3), 64, 56, STILL)
    np.testing.assert_array_equal(view, eval_view(FILM, 64, 56))


def test_certain_flip_mirrors():
    view = train_view(FILM, np.random.default_rng(3), 64, 56, STILL._replace(flip=1.0))
    np.testing.assert_array_equal(view, eval_view(FILM[:, ::-1], 64, 56))


def test_same_generator_state_same_view():
    views = [train_view(FILM, np.random.default_rng(5), 64, 56) for _ in range(2)]
    np.testing.assert_array_equal(*views)
    assert (views[0] != train_view(FILM, np.random.default_rng(6), 64, 56)).any()


def test_draws_do_not_depend_on_the_ranges():
    states = []
    for augmentation in (STILL, Augmentation()):
        generator = np.random.default_rng(9)
        train_view(FILM, generator, 64, 56, augmentation)
        states.append(generator.random())
    assert states[0] == states[1]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns):
    square = FILM[:60, :60]
    turned = affine(square, degrees=90.0 * turns, shift=(0, 0), scale=1.0)
    np.testing.assert_array_equal(turned, np.rot90(square, -turns))


def test_shift_moves_right_and_down_and_fills_black():
    moved = affine(FILM, degrees=0.0, shift=(5, 3), scale=1.0)
    np.testing.assert_array_equal(moved[3:, 5:], FILM[:-3, :-5])
    assert not moved[:3].any() and not moved[:, :5].any()


def test_scale_keeps_the_centre():
    disc = np.zeros((101, 101), np.uint8)
    disc[40:61, 40:61] = 255
    grown = affine(disc, degrees=0.0, shift=(0, 0), scale=2.0)
    rows = np.flatnonzero(grown.any(axis=1))
    assert abs(rows.mean() - 50) <= 0.5 and abs(len(rows) - 42) <= 1


@pytest.mark.parametrize(("side", "size", "first"), [(9, 4, 2), (7, 4, 2), (6, 4, 1), (5, 4, 0)])
def test_crop_offsets_round_half_to_even(side, size, first):
    row = np.arange(side, dtype=np.uint8)
    assert center_crop(np.tile(row, (side, 1)), size)[0, 0] == first


def test_crop_larger_than_the_film_pads_with_black():
    cropped = center_crop(np.full((3, 4), 9, np.uint8), 6)
    np.testing.assert_array_equal(cropped[1:4, 1:5], 9)
    assert cropped.sum() == 9 * 12


def test_normalising_undone_gives_the_film():
    channels = normalise_grey(FILM)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    restored = (channels * std + mean) * 255
    np.testing.assert_allclose(restored, np.repeat(FILM[..., None], 3, -1), atol=1e-3)
    assert channels.dtype == np.float32


def test_a_stretched_film_is_square():
    assert stretch(FILM, 32).shape == (32, 32)
    square = FILM[:70]
    assert stretch(square, 70) is square


def test_colours_are_standardised_by_channel():
    grey = FILM[:4, :4]
    assert np.array_equal(normalise(np.repeat(grey[..., None], 3, -1)), normalise_grey(grey))


def test_random_crops_keep_to_area_and_ratio():
    generator, crop = np.random.default_rng(0), Crop()
    boxes = np.array([crop_box(200, 220, generator, crop) for _ in range(300)])
    top, left, height, width = boxes.T
    assert ((top >= 0) & (left >= 0)).all()
    assert ((top + height <= 200) & (left + width <= 220)).all()
    area, ratio = height * width / (200 * 220), width / height
    assert area.min() > 0.19 and area.max() <= 1 and np.ptp(area) > 0.6
    assert ratio.min() > 0.73 and ratio.max() < 1.36
    assert random_resized_crop(FILM, generator, 24, crop).shape == (24, 24)


def test_a_crop_that_never_fits_is_the_middle():
    crop = Crop(area=(1.0, 1.0), ratio=(0.75, 1.3))
    assert crop_box(20, 100, np.random.default_rng(0), crop) == (0, 37, 20, 26)
