"""Scores of masks, by images counted by hand."""

import numpy as np

from medjax.metrics.segmentation import mask_scores


def test_images_with_and_without_a_mask() -> None:
    probabilities = np.zeros((3, 2, 2))
    probabilities[0, 0] = 0.9  # two pixels, one of them right
    probabilities[2, 0, 0] = 0.6  # one pixel, where nothing is
    masks = np.zeros((3, 2, 2))
    masks[0, 0, 0] = 1
    scores = mask_scores(probabilities, masks)
    np.testing.assert_allclose(scores.dice, [2 / 3, 1, 0])
    np.testing.assert_allclose(scores.union, [2 / 3, 1, 1 / 2])
    assert scores.positive.tolist() == [True, False, False]
