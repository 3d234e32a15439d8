"""Losses of masks, given logits or probabilities."""

import jax
import jax.numpy as jnp

from medjax.losses.classification import binary_cross_entropy, sigmoid_cross_entropy
from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32


def dice_loss(
    probabilities: jax.Array,
    target: jax.Array,
    mask: jax.Array | None = None,
    smooth: float = 1.0,
    scope: str = "batch",
) -> jax.Array:
    """Return 1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth) (Milletari et al. 2016).

    Args:
        probabilities: [batch, ...].
        target: the same shape, 0 or 1.
        mask: bool [batch], False for rows that do not count.
        smooth: keeps the ratio of two empty masks at 1.
        scope: sums over the whole "batch", or over each "image", whose losses are averaged.
    """
    probabilities = at_least_float32(probabilities)
    axes = tuple(range(1, probabilities.ndim))
    if mask is not None:
        keep = mask.reshape(-1, *(1,) * len(axes))
        probabilities, target = probabilities * keep, target * keep
    both = (probabilities * target).sum(axes)
    each = (probabilities + target).sum(axes)
    if scope == "batch":
        return 1 - (2 * both.sum() + smooth) / (each.sum() + smooth)
    return masked_mean(1 - (2 * both + smooth) / (each + smooth), mask)


def dice_cross_entropy(
    logits: jax.Array, target: jax.Array, mask: jax.Array | None = None, scope: str = "batch"
) -> jax.Array:
    """Return the Dice loss plus the mean binary cross entropy of logits [batch, ...].

    The entropy is that of the probabilities, each logarithm clamped at -100.
    """
    probabilities = jax.nn.sigmoid(at_least_float32(logits))
    entropy = masked_mean(binary_cross_entropy(probabilities, target), mask)
    return entropy + dice_loss(probabilities, target, mask, scope=scope)


def focal_loss(
    logits: jax.Array, target: jax.Array, mask: jax.Array | None = None, gamma: float = 2.0
) -> jax.Array:
    """Return the mean of (1 - p)^gamma times the cross entropy (Lin et al. 2017).

    p is the probability that logits [batch, ...] give the truth; mask bool [batch].
    """
    logits = at_least_float32(logits)
    wrong = jax.nn.sigmoid(logits * (1 - 2 * target))
    return masked_mean(wrong**gamma * sigmoid_cross_entropy(logits, target), mask)


def focal_dice(
    logits: jax.Array,
    target: jax.Array,
    mask: jax.Array | None = None,
    weight: float = 10.0,
    gamma: float = 2.0,
    smooth: float = 1.0,
) -> jax.Array:
    """Return `weight` times the focal loss, minus the logarithm of the whole batch's soft Dice."""
    probabilities = jax.nn.sigmoid(at_least_float32(logits))
    dice = 1 - dice_loss(probabilities, target, mask, smooth)
    return weight * focal_loss(logits, target, mask, gamma) - jnp.log(dice)
