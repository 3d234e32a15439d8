"""Dice: over a batch, over images, and with padding rows."""

import numpy as np
import pytest

from medjax.losses.segmentation import dice_cross_entropy, dice_loss

GENERATOR = np.random.default_rng(5)
PROBABILITIES = GENERATOR.uniform(size=(3, 4, 4)).astype(np.float32)
TARGET = (GENERATOR.uniform(size=(3, 4, 4)) > 0.7).astype(np.float32)


def by_hand(p: np.ndarray, t: np.ndarray) -> float:
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def test_scopes() -> None:
    assert dice_loss(PROBABILITIES, TARGET) == pytest.approx(by_hand(PROBABILITIES, TARGET))
    each = np.mean([by_hand(p, t) for p, t in zip(PROBABILITIES, TARGET)])
    assert dice_loss(PROBABILITIES, TARGET, scope="image") == pytest.approx(each, rel=1e-6)


@pytest.mark.parametrize("scope", ["batch", "image"])
def test_padding_rows_do_not_count(scope) -> None:
    mask = np.array([True, True, False])
    logits = GENERATOR.normal(size=(3, 4, 4)).astype(np.float32)
    padded = dice_cross_entropy(logits, TARGET, mask, scope)
    alone = dice_cross_entropy(logits[:2], TARGET[:2], scope=scope)
    assert padded == pytest.approx(float(alone), rel=1e-6)
