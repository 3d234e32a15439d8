"""How elementwise losses become one number."""

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
