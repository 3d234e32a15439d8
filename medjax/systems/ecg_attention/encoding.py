"""What every ECG network of this system gives, and the latent vector of a variational one."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32


class Encoding(NamedTuple):
    """The code of a batch of ECGs; what a network has not is None."""

    z: jax.Array
    """float32 [batch, latent]: what the decoder and the heads read."""
    mean: jax.Array | None = None
    """Of a variational network [batch, latent]; z itself is drawn, or the mean."""
    log_variance: jax.Array | None = None
    """Of a variational network [batch, latent]."""
    lead_attention: jax.Array | None = None
    """[batch, lead, lead]: rows are queries, columns keys, mean of the heads."""
    time_attention: jax.Array | None = None
    """[batch, lead, time, time], at the resolution of the features, mean of the heads."""
    features: jax.Array | None = None
    """[batch, channel, lead, time]: the residual encoder's output, before attention."""


def sample_latent(mean: jax.Array, log_variance: jax.Array, noise: jax.Array) -> jax.Array:
    """Return mean + noise * standard deviation (Kingma & Welling 2014), all [batch, latent]."""
    return mean + noise * jnp.exp(0.5 * log_variance)


def latent_code(
    module: nn.Module, mean: jax.Array, log_variance: jax.Array, draw: bool
) -> Encoding:
    """Return z and its distribution: drawn with the module's rng "latent", or the mean."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    z = mean
    if draw:
        noise = jax.random.normal(module.make_rng("latent"), (mean.size,), mean.dtype)
        noise = noise.reshape(mean.shape)  # Drawn flat: compiled much faster.
        z = sample_latent(mean, log_variance, noise)
    return Encoding(z, mean, log_variance)


def instance_norm(x: jax.Array, axis: int = -1) -> jax.Array:
    """Give x zero mean and unit variance along time, by default of [batch, lead, time]."""
    x = at_least_float32(x)
    deviation = x - x.mean(axis, keepdims=True)
    return deviation * jax.lax.rsqrt(jnp.square(deviation).mean(axis, keepdims=True) + 1e-5)
