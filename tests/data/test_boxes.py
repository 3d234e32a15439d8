"""Boxes as text, as masks, and films of flat histogram."""

import numpy as np
import pytest

from medjax.data.boxes import Box, box_mask, nearest_mask, read_boxes
from medjax.data.equalize import equalize_histogram
from medjax.errors import UserError


def test_boxes_are_read_and_drawn_cut_to_whole_pixels():
    boxes = read_boxes("1.9;0.0;2.0;3.5|6;6;9;9")
    assert boxes == [Box(1.9, 0, 2, 3.5), Box(6, 6, 9, 9)]
    mask = box_mask(boxes, 8, 8)
    assert mask[:3, 1:3].all() and mask[6:, 6:].all() and mask.sum() == 10
    assert read_boxes("nan") == read_boxes("") == []


@pytest.mark.parametrize("text", ["1;2;3", "a;b;c;d", "1;2;3;4;5"])
def test_a_text_of_another_form_is_refused(text):
    with pytest.raises(UserError, match="x;y;width;height"):
        read_boxes(text)


def test_a_mask_is_brought_to_another_size_by_its_nearest_pixels():
    mask = box_mask([Box(0, 0, 2, 2)], 4, 4)
    assert nearest_mask(mask, (2, 2)).tolist() == [[1, 0], [0, 0]]
    assert nearest_mask(mask, (8, 8)).sum() == 16


def test_an_equalised_film_has_a_flat_histogram():
    dark = (np.random.default_rng(0).random((64, 64)) ** 4 * 255).astype(np.uint8)
    flat = equalize_histogram(dark)
    assert flat.max() == 255
    assert np.abs(np.quantile(flat[dark > 3], 0.5) - 255 * 0.67) < 12
