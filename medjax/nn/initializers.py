"""Initialisers of PyTorch's layers, and of Keras'.

Numbers are drawn flat and then shaped: the values are the same, and XLA compiles the draw of a
four-dimensional kernel on CPU several times faster.
"""

import math

import jax
import jax.numpy as jnp
from flax.typing import Initializer


def uniform(bound: float) -> Initializer:
    """Return an initialiser that draws from U(-bound, bound)."""

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        flat = jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound)
        return flat.reshape(shape)

    return draw


def _kaiming(fan_axis: int) -> Initializer:
    def draw(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        fan = math.prod(shape[:-2]) * shape[fan_axis]
        flat = jax.random.normal(key, (math.prod(shape),), dtype)
        return flat.reshape(shape) * math.sqrt(2 / fan)

    return draw


kaiming_in: Initializer = _kaiming(-2)
"""N(0, 2 / fan_in) for kernels [*space, in, out] (He et al. 2015)."""
kaiming_out: Initializer = _kaiming(-1)
"""N(0, 2 / fan_out) for kernels [*space, in, out]."""


def glorot_uniform(
    key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
) -> jax.Array:
    """U(-b, b), b = sqrt(6 / (fan_in + fan_out)), for [*space, in, out] (Glorot & Bengio 2010)."""
    fans = math.prod(shape[:-2]) * (shape[-2] + shape[-1])
    return uniform(math.sqrt(6 / fans))(key, shape, dtype)
