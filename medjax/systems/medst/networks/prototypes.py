"""MGCA's prototypes: film and report must fall to the same clusters (SwAV; Caron et al. 2020)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32


class Prototypes(nn.Module):
    """Scores of vectors [batch, dim] against prototypes of length 1: [batch, count]."""

    count: int = 500

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.count)
        kernel = self.param("kernel", nn.initializers.lecun_uniform(), shape, jnp.float32)
        # The length is set aside, not trained: `normalised` puts it to 1 before every step.
        length = jax.lax.stop_gradient(jnp.linalg.norm(kernel, axis=0))
        return at_least_float32(x) @ (kernel / length)


def normalised(kernel: jax.Array) -> jax.Array:
    """Return prototypes [dim, count] at length 1."""
    return kernel / jnp.maximum(jnp.linalg.norm(kernel, axis=0), 1e-12)


def sinkhorn(
    scores: jax.Array,
    epsilon: float = 0.05,
    iterations: int = 3,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return soft codes [batch, prototype] of scores, every prototype used about as often.

    Rows sum to 1. The plan exp(scores / epsilon) is scaled in turns to equal sums of prototypes
    and of rows (Cuturi 2013); mask: bool [batch], the rows that take part.
    """
    scores = at_least_float32(scores)
    mask = jnp.ones(len(scores), bool) if mask is None else mask
    rows, count = jnp.maximum(mask.sum(), 1), scores.shape[1]
    highest = jnp.where(mask[:, None], scores, -jnp.inf).max()
    plan = jnp.where(mask[:, None], jnp.exp((scores - highest) / epsilon), 0)
    plan = plan / _sum(plan, None)
    for _ in range(iterations):
        plan = plan / (_sum(plan, 0) * count)
        plan = plan / (_sum(plan, 1) * rows)
    return plan / _sum(plan, 1)


def _sum(plan: jax.Array, axis: int | None) -> jax.Array:
    """Sum along an axis that stays; never 0, so that it divides."""
    return jnp.maximum(plan.sum(axis, keepdims=True), jnp.finfo(plan.dtype).tiny)


def prototype_loss(
    image: jax.Array,
    text: jax.Array,
    image_code: jax.Array,
    text_code: jax.Array,
    temperature: float = 0.2,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the cross entropy of each modality's scores with the code of the other, halved.

    All are [batch, prototype]; no gradient reaches the codes.
    """

    def entropy(code: jax.Array, scores: jax.Array) -> jax.Array:
        log_p = jax.nn.log_softmax(at_least_float32(scores) / temperature)
        return -(jax.lax.stop_gradient(code) * log_p).sum(-1)

    return masked_mean(entropy(image_code, text) + entropy(text_code, image), mask) / 2
