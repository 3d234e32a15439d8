"""Losses as pure functions; elementwise ones are reduced by `masked_mean`."""

import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32


def masked_mean(values: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Return the float32 mean of values [batch, ...] over the rows where mask [batch] is True.

    0 where no row is valid.
    """
    values = at_least_float32(values)
    if mask is None:
        return values.mean()
    keep = mask.reshape(-1, *(1,) * (values.ndim - 1))
    count = mask.sum() * (values.size // max(values.shape[0], 1))
    return jnp.where(keep, values, 0).sum() / jnp.maximum(count, 1)


def sigmoid_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the elementwise binary cross entropy of sigmoid(logits), stable for any logit.

    0, without gradient, where a target is NaN (not known).
    """
    logits = at_least_float32(logits)
    targets = jnp.asarray(targets, logits.dtype)
    known = ~jnp.isnan(targets)
    targets = jnp.where(known, targets, 0)
    entropy = -(targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits))
    return jnp.where(known, entropy, 0)


def binary_cross_entropy(probabilities: jax.Array, targets: jax.Array) -> jax.Array:
    """Return the elementwise binary cross entropy of probabilities.

    Each logarithm is clamped at -100, as in PyTorch, so that 0 and 1 give finite values.
    """
    log_p = jnp.maximum(jnp.log(probabilities), -100.0)
    log_not_p = jnp.maximum(jnp.log1p(-probabilities), -100.0)
    return -(targets * log_p + (1 - targets) * log_not_p)


def kl_alignment(
    target: jax.Array,
    features: jax.Array,
    temperature: float = 0.2,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the mean over rows of KL(softmax(target / T) || softmax(features / T)).

    Both are [batch, features]; no gradient reaches the target.
    """
    target, features = at_least_float32(target), at_least_float32(features)
    log_p = jax.nn.log_softmax(jax.lax.stop_gradient(target) / temperature)
    log_q = jax.nn.log_softmax(features / temperature)
    return masked_mean((jnp.exp(log_p) * (log_p - log_q)).sum(-1), mask)


def cosine_alignment(
    first: jax.Array, second: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Return 1 - the mean cosine between the rows of two [batch, features] arrays."""

    def unit(x: jax.Array) -> jax.Array:
        x = at_least_float32(x)
        # The floor under the squared norm keeps the gradient of an all-zero row finite.
        square = jnp.square(x).sum(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))

    return masked_mean(1 - (unit(first) * unit(second)).sum(-1), mask)


def ranking(
    scores: jax.Array, labels: jax.Array, margin: float = 0.03, mask: jax.Array | None = None
) -> jax.Array:
    """Return the pairwise ranking loss of scores [batch, classes] with 0/1 labels.

    The sum over pairs (positive i, negative j) of max(0, margin + score_j - score_i) of a row,
    averaged over the rows.
    """
    gap = margin + scores[:, None, :] - scores[:, :, None]
    pair = (labels[:, :, None] > 0) & (labels[:, None, :] <= 0)
    return masked_mean(jnp.where(pair, jnp.maximum(gap, 0), 0).sum((1, 2)), mask)
