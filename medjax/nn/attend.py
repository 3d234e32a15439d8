"""What scaled dot-product attention (Vaswani et al. 2017) does between its linear layers."""

import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    allowed: jax.Array | None = None,
    kept: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Mix values by how well their keys answer the queries.

    Args:
        query: [batch, query, head, features].
        key: [batch, key, head, features].
        value: [batch, key, head, features].
        allowed: bool, broadcasts to [batch, head, query, key]: what may be attended to. Where a
            query may attend to nothing, it attends to all alike, and neither it nor a key learns.
        kept: [batch, head, query, key], what dropout makes of ones; None: ones.

    Returns:
        [batch, query, head, features] of the type of `value`, and the probabilities
        [batch, head, query, key] before dropout, at least float32.
    """
    query, key, value = (x.swapaxes(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value))
    if allowed is not None:
        allowed = jnp.expand_dims(allowed, range(4 - allowed.ndim))
    weights, total = _weigh(query, key, allowed)
    probability = weights / total
    if allowed is not None:
        learns = allowed.any(-1, keepdims=True)
        probability = jnp.where(learns, probability, jax.lax.stop_gradient(probability))
    return _mix(query, key, value, allowed, kept).swapaxes(1, 2), probability


def _weigh(
    query: jax.Array, key: jax.Array, allowed: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Return exp(scores - the highest) [batch, head, query, key] and the sums over the keys."""
    scores = at_least_float32(jnp.einsum("bhqd,bhkd->bhqk", query, key))
    if allowed is not None:
        # Added, it is part of the product's pass on CPU. It is finite: no NaN where nothing is
        # allowed; and so large that it swallows every score.
        scores = scores + jnp.where(allowed, 0, jnp.finfo(scores.dtype).min / 2)
    highest = jax.lax.stop_gradient(scores.max(-1, keepdims=True))
    weights = jnp.exp(scores - highest)
    return weights, weights.sum(-1, keepdims=True)


@jax.custom_vjp
def _mix(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    allowed: jax.Array | None,
    kept: jax.Array | None,
) -> jax.Array:
    """Return the mixed values; all arrays have the heads before the positions.

    The gradient does without the probabilities themselves. A query's sum of probability times
    gradient over all keys is taken over the features of its output instead, where it is the same
    (Dao et al. 2022, appendix B), and the division by the sums happens there too.
    """
    return _mix_forward(query, key, value, allowed, kept)[0]


def _mix_forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    allowed: jax.Array | None,
    kept: jax.Array | None,
) -> tuple[jax.Array, tuple]:
    weights, total = _weigh(query, key, allowed)
    weights = weights.astype(value.dtype)
    mixed = at_least_float32(jnp.einsum("bhqk,bhkd->bhqd", _dropped(weights, kept), value))
    mixed = (mixed / total).astype(value.dtype)
    return mixed, (query, key, value, allowed, kept, weights, total, mixed)


def _mix_backward(residuals: tuple, cotangent: jax.Array) -> tuple:
    query, key, value, allowed, kept, weights, total, mixed = residuals
    cotangent = at_least_float32(cotangent) / total
    of_value = jnp.einsum("bhqk,bhqd->bhkd", _dropped(weights, kept), cotangent.astype(value.dtype))
    if allowed is not None:
        cotangent = jnp.where(allowed.any(-1, keepdims=True), cotangent, 0)
    share = (cotangent * mixed).sum(-1, keepdims=True)
    of_weights = jnp.einsum("bhqd,bhkd->bhqk", cotangent.astype(value.dtype), value)
    of_scores = weights * (at_least_float32(_dropped(of_weights, kept)) - share)
    of_scores = of_scores.astype(query.dtype)
    of_query = jnp.einsum("bhqk,bhkd->bhqd", of_scores, key)
    of_key = jnp.einsum("bhqk,bhqd->bhkd", of_scores, query)
    return of_query, of_key, of_value, None, None


_mix.defvjp(_mix_forward, _mix_backward)


def _dropped(x: jax.Array, kept: jax.Array | None) -> jax.Array:
    return x if kept is None else x * kept.astype(x.dtype)
