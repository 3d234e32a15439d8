"""The loss of time: a sequence of films must lead to that of its reports and back.

Temporal cycle-consistency (Dwibedi et al. 2019) between two modalities: a film is classified among
the reports of its sequence; the mixture of reports that it resembles must find back to its place.
"""

import jax
import jax.numpy as jnp

from medjax.losses.reduction import masked_mean
from medjax.precision import at_least_float32
from medjax.systems.medst.choices import REGRESSIONS, SIMILARITIES

_TINY = 1e-7


def sequence_loss(
    first: jax.Array,
    second: jax.Array,
    sequence: jax.Array,
    step: jax.Array,
    *,
    temperature: float = 0.1,
    similarity: str = "l2",
    regression: str = "mse_var",
    huber_delta: float = 2.0,
    variance_lambda: float = 0.001,
) -> jax.Array:
    """Return the sum of `cycle_loss` in both directions, in float32 or wider."""
    options = (temperature, similarity, regression, huber_delta, variance_lambda)
    forward = cycle_loss(first, second, sequence, step, *options)
    return forward + cycle_loss(second, first, sequence, step, *options)


def cycle_loss(
    first: jax.Array,
    second: jax.Array,
    sequence: jax.Array,
    step: jax.Array,
    temperature: float = 0.1,
    similarity: str = "l2",
    regression: str = "mse_var",
    huber_delta: float = 2.0,
    variance_lambda: float = 0.001,
) -> jax.Array:
    """Return forward classification plus reverse regression, the mean over rows of sequences.

    Args:
        first, second: [row, dim], of two modalities, in any order of rows.
        sequence: int [row], the sequence that a row belongs to, negative: none.
        step: int [row], its place there: 0, 1, 2, ...
        temperature: divides similarities.
        similarity: "l2", minus the squared distance, or "cosine", the product of the vectors.
        regression: "mse_var": the squared error is weighed by the spread of the predicted place;
            "mse".
        huber_delta: from which error on "mse_var" grows linearly.
        variance_lambda: weight of the logarithm of that spread.

    Raises:
        ValueError: an unknown similarity or regression.
    """
    first, second = at_least_float32(first), at_least_float32(second)
    counted = sequence >= 0
    # The diagonal stays, so that the softmax of a row that does not count is defined.
    together = (sequence[:, None] == sequence) & counted | jnp.eye(len(first), dtype=bool)

    def logits_of(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(together, _similarity(a, b, similarity) / temperature, -jnp.inf)

    forward = jax.nn.log_softmax(logits_of(first, second))
    found = jnp.matmul(jnp.exp(forward), second, precision="highest")
    places = jax.nn.softmax(logits_of(found, first))
    length = jnp.where(counted, together.sum(1), 1)
    time = step / (length + _TINY)
    error = _regression(places, time, regression, huber_delta, variance_lambda)
    return masked_mean(error - jnp.diagonal(forward), counted)


def _similarity(a: jax.Array, b: jax.Array, kind: str) -> jax.Array:
    """Return the similarity of every row of a [n, dim] to every row of b [m, dim]."""
    product = jnp.matmul(a, b.T, precision="highest")
    if kind == "cosine":
        return product
    if kind == "l2":
        squares = jnp.square(a).sum(1)[:, None] + jnp.square(b).sum(1)
        return -jnp.maximum(squares - 2 * product, 0)
    raise ValueError(f"similarity {kind!r} is none of {', '.join(SIMILARITIES)}")


def _regression(
    places: jax.Array, time: jax.Array, kind: str, huber_delta: float, variance_lambda: float
) -> jax.Array:
    """Return the error [row] of the place that the probabilities [row, row] expect."""
    expected = jnp.matmul(places, time, precision="highest")
    error = time - expected
    if kind == "mse":
        return jnp.square(error)
    if kind != "mse_var":
        raise ValueError(f"regression {kind!r} is none of {', '.join(REGRESSIONS)}")
    variance = (places * jnp.square(time - expected[:, None])).sum(1)
    spread = jnp.log(variance + _TINY)
    size = jnp.abs(error)
    near = jnp.exp(-spread) * jnp.square(error) + variance_lambda * spread
    return jnp.where(size < huber_delta, near, huber_delta * (size - 0.5 * huber_delta))
