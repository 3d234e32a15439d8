"""Batch normalisation with a validity mask, groups and PyTorch's running statistics."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) over all axes but the last.

    In training the statistics are those of the valid rows of the whole batch: plain reductions,
    global when the batch is sharded over devices. As in PyTorch the biased variance normalises,
    the unbiased one enters the running variance. Statistics are float32 whatever `dtype` is.
    Where no row is valid, nothing moves.
    """

    momentum: float = 0.1
    """Weight of the batch in the running statistics."""
    epsilon: float = 1e-5
    groups: int = 1
    """Number of consecutive equal parts of the batch that are normalised each by its own
    statistics; the running statistics move by the mean over the groups that have valid rows."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Normalise x [batch, ..., channels]; mask [batch] is False where a row does not count.

        Raises:
            ValueError: the batch cannot be divided into `groups` equal parts.
        """
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        if not train:
            factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
            y = (x.astype(jnp.float32) - running_mean.value) * factor + bias
            return y.astype(self.dtype)

        if x.shape[0] % self.groups:
            raise ValueError(f"a batch of {x.shape[0]} rows has no {self.groups} equal groups")
        valid = jnp.ones(x.shape[0], bool) if mask is None else mask
        grouped = x.astype(jnp.float32).reshape(self.groups, -1, *x.shape[1:])
        valid = valid.reshape(self.groups, -1)
        mean, var, count = _moments(grouped, None if mask is None else valid, self.groups)
        if not self.is_initializing():
            unbiased = var * (count / jnp.maximum(count - 1, 1))[:, None]
            self._move(running_mean, mean, count)
            self._move(running_var, unbiased, count)
        shape = (self.groups, *(1,) * (x.ndim - 1), *channels)
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        y = (grouped - mean.reshape(shape)) * factor.reshape(shape) + bias
        return y.reshape(x.shape).astype(self.dtype)

    def _move(self, running: nn.Variable, values: jax.Array, count: jax.Array) -> None:
        """Move a running statistic towards the mean of values [groups, channels]."""
        full = (count > 0).astype(jnp.float32)
        batch = (values * full[:, None]).sum(0) / jnp.maximum(full.sum(), 1)
        moved = (1 - self.momentum) * running.value + self.momentum * batch
        running.value = jax.lax.stop_gradient(jnp.where(full.any(), moved, running.value))


def _moments(
    x: jax.Array, valid: jax.Array | None, groups: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return mean and biased variance [groups, channels] and the number of values [groups].

    x is [groups, rows, ..., channels], valid [groups, rows]. Two passes: subtracting the mean
    first keeps the variance exact where the mean is large.
    """
    axes = tuple(range(1, x.ndim - 1))
    positions = math.prod(x.shape[2:-1])
    if valid is None:
        count = jnp.full((groups,), float(x.shape[1] * positions))
        mean = x.mean(axes)
        deviation = x - mean.reshape(groups, *(1,) * len(axes), -1)
        return mean, jnp.square(deviation).mean(axes), count
    count = valid.sum(1).astype(jnp.float32) * positions
    keep = valid.reshape(*valid.shape, *(1,) * (x.ndim - 2))
    divisor = jnp.maximum(count, 1)[:, None]
    mean = jnp.where(keep, x, 0).sum(axes) / divisor
    deviation = jnp.where(keep, x - mean.reshape(groups, *(1,) * len(axes), -1), 0)
    return mean, jnp.square(deviation).sum(axes) / divisor, count
