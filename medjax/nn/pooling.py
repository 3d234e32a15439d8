"""Pooling and upsampling, with gradients fast on CPU."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def max_pool(x: jax.Array) -> jax.Array:
    """Max-pool x [batch, height, width, channels] by 3x3 windows with stride 2 and padding 1.

    Equal to `flax.linen.max_pool`, gradients too: where values tie, the first in row-major order
    gets the gradient, as in PyTorch. Pooling one axis after the other by elementwise maxima keeps
    clear of XLA's select-and-scatter, whose gradient on CPU takes four to ten times as long.
    """
    return _pool(_pool(x, 2), 1)


def _pool(x: jax.Array, axis: int) -> jax.Array:
    """Max-pool one axis by windows of 3 with stride 2 and padding 1."""
    size = x.shape[axis]
    out = (size + 1) // 2
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 2 * out + 1 - size)
    padded = jnp.pad(x, padding, constant_values=-jnp.inf)
    pairs = padded.reshape(*x.shape[:axis], out + 1, 2, *x.shape[axis + 1 :])
    even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    left, right = (jax.lax.slice_in_dim(even, i, i + out, axis=axis) for i in (0, 1))
    middle = jax.lax.slice_in_dim(odd, 0, out, axis=axis)
    return _first_maximum(_first_maximum(left, middle), right)


def _first_maximum(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the larger; ties go to a wholly, where `jnp.maximum` would halve the gradient."""
    return jnp.where((b > a) | jnp.isnan(b), b, a)


def pool(x: jax.Array, factors: Sequence[int], kind: str) -> jax.Array:
    """Pool x [batch, *spatial, channels] by windows side by side, one factor for each axis.

    What is left over at the end of an axis is dropped ("valid" padding). `kind` is "max" (where
    values tie, the first in row-major order gets the gradient) or "average".
    """
    for axis in reversed(range(1, x.ndim - 1)):
        factor = factors[axis - 1]
        size = x.shape[axis] // factor
        x = jax.lax.slice_in_dim(x, 0, size * factor, axis=axis)
        windows = x.reshape(*x.shape[:axis], size, factor, *x.shape[axis + 1 :])
        if kind == "average":
            x = windows.mean(axis + 1)
        else:
            x, *others = (
                jax.lax.index_in_dim(windows, i, axis + 1, keepdims=False) for i in range(factor)
            )
            for other in others:
                x = _first_maximum(x, other)
    return x


def upsample(x: jax.Array, factors: Sequence[int]) -> jax.Array:
    """Repeat every element of x [batch, *spatial, channels], one factor for each axis."""
    for axis, factor in enumerate(factors, start=1):
        if factor > 1:
            x = jnp.repeat(x, factor, axis=axis)
    return x
