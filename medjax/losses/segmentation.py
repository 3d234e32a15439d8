"""Losses of masks, given logits or probabilities."""

import jax

from medjax.losses.classification import binary_cross_entropy
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
