"""Batch normalisation with a validity mask, groups and PyTorch's running statistics."""

import math
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over all axes but the last.

    In training the statistics are those of the valid rows of the whole batch: plain reductions,
    global when the batch is sharded over devices. As in PyTorch the biased variance normalises,
    the unbiased one enters the running variance (in Keras the biased one too). Statistics are
    float32 whatever `dtype` is. Where no row is valid, nothing moves.
    """

    momentum: float = 0.1
    """Weight of the batch in the running statistics."""
    epsilon: float = 1e-5
    groups: int = 1
    """Number of consecutive equal parts of the batch that are normalised each by its own
    statistics; the running statistics move by the mean over the groups that have valid rows."""
    dtype: jnp.dtype = jnp.float32
    unbiased: bool = True
    """Whether it is the unbiased variance that enters the running one."""
    affine: bool = True
    """Whether a trained scale and bias follow."""

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Normalise x [batch, ..., channels]; mask [batch] is False where a row does not count.

        Raises:
            ValueError: the batch cannot be divided into `groups` equal parts.
        """
        channels = (x.shape[-1],)
        scale, bias = jnp.ones(channels), jnp.zeros(channels)
        if self.affine:
            scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
            bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        if not train:
            factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
            y = (at_least_float32(x) - running_mean.value) * factor + bias
            return y.astype(self.dtype)

        if x.shape[0] % self.groups:
            raise ValueError(f"a batch of {x.shape[0]} rows has no {self.groups} equal groups")
        grouped = x.reshape(self.groups, -1, *x.shape[1:])
        valid = None if mask is None else mask.reshape(self.groups, -1)
        y, mean, var, count = _normalise(grouped, valid, scale, bias, self.epsilon)
        if not self.is_initializing():
            self._move(running_mean, mean, count)
            if self.unbiased:
                var = var * (count / jnp.maximum(count - 1, 1))[:, None]
            self._move(running_var, var, count)
        return y.reshape(x.shape).astype(self.dtype)

    def _move(self, running: nn.Variable, values: jax.Array, count: jax.Array) -> None:
        """Move a running statistic towards the mean of values [groups, channels]."""
        full = (count > 0).astype(jnp.float32)
        batch = (values * full[:, None]).sum(0) / jnp.maximum(full.sum(), 1)
        weight = self.momentum * full.max()
        moved = (1 - weight) * running.value + weight * batch
        running.value = jax.lax.stop_gradient(moved)


class _Normalised(NamedTuple):
    """Of the statistics, [groups, channels] and [groups], no gradient flows on."""

    y: jax.Array
    mean: jax.Array
    var: jax.Array
    """Biased."""
    size: jax.Array
    """Number of valid values of a channel."""


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _normalise(
    x: jax.Array, valid: jax.Array | None, scale: jax.Array, bias: jax.Array, epsilon: float
) -> _Normalised:
    """Normalise x [groups, rows, ..., channels] by each group's valid [groups, rows] rows.

    The gradient is the closed form (two sums over the batch): automatic differentiation goes back
    through both passes of the variance and takes twice as long.
    """
    x = at_least_float32(x)
    mean, var, count = _moments(x, valid)
    factor = scale * jax.lax.rsqrt(var + epsilon)
    return _Normalised((x - _spread(mean, x)) * _spread(factor, x) + bias, mean, var, count)


def _normalise_forward(
    x: jax.Array, valid: jax.Array | None, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[_Normalised, tuple]:
    out = _normalise(x, valid, scale, bias, epsilon)
    return out, (x, valid, scale, out.mean, out.var, out.size)


def _normalise_backward(epsilon: float, residuals: tuple, cotangents: _Normalised) -> tuple:
    x, valid, scale, mean, var, count = residuals
    dy = cotangents.y
    axes = tuple(range(1, x.ndim - 1))
    inverse = jax.lax.rsqrt(var + epsilon)
    unit = (at_least_float32(x) - _spread(mean, x)) * _spread(inverse, x)
    d_bias, d_scale = dy.sum(axes), (dy * unit).sum(axes)
    divisor = jnp.maximum(count, 1)[:, None]
    through = _spread(d_bias / divisor, x) + unit * _spread(d_scale / divisor, x)
    if valid is not None:
        through = jnp.where(_rows(valid, x), through, 0)
    dx = _spread(scale * inverse, x) * (dy - through)
    return dx.astype(x.dtype), None, d_scale.sum(0), d_bias.sum(0)


_normalise.defvjp(_normalise_forward, _normalise_backward)


def _spread(values: jax.Array, x: jax.Array) -> jax.Array:
    """Shape values [groups, channels] to broadcast with x."""
    return values.reshape(values.shape[0], *(1,) * (x.ndim - 2), -1)


def _rows(valid: jax.Array, x: jax.Array) -> jax.Array:
    """Shape valid [groups, rows] to broadcast with x."""
    return valid.reshape(*valid.shape, *(1,) * (x.ndim - 2))


def _moments(x: jax.Array, valid: jax.Array | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return mean and biased variance [groups, channels] and the number of values [groups].

    Two passes: subtracting the mean first keeps the variance exact where the mean is large.
    """
    groups, axes = x.shape[0], tuple(range(1, x.ndim - 1))
    positions = math.prod(x.shape[2:-1])
    if valid is None:
        count = jnp.full((groups,), float(x.shape[1] * positions))
        mean = x.mean(axes)
        return mean, jnp.square(x - _spread(mean, x)).mean(axes), count
    count = valid.sum(1).astype(jnp.float32) * positions
    keep, divisor = _rows(valid, x), jnp.maximum(count, 1)[:, None]
    mean = jnp.where(keep, x, 0).sum(axes) / divisor
    deviation = jnp.where(keep, x - _spread(mean, x), 0)
    return mean, jnp.square(deviation).sum(axes) / divisor, count
