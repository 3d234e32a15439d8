"""Where a computation in a narrow type goes on in a wide one."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def at_least_float32(x: ArrayLike) -> jax.Array:
    """Return x in float32; in float64 where it is that already."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
