"""Decoders that the xresnet1d101 baseline may have besides that of dual attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.activations import gelu
from medjax.nn.conv_transpose import ConvTranspose
from medjax.nn.convolution import Conv
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32
from medjax.systems.ecg_attention.encoding import instance_norm
from medjax.systems.ecg_attention.residual import WIDTH

MULTI_SCALE_WIDTHS = (12, 64, 32, 32, 16)


class MultiScaleBlock(nn.Module):
    """A residual block that doubles time, over x [batch, time, channel]; no statistics of rows."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.up = ConvTranspose(self.features, (4,), 2, 1, dtype=self.dtype)
        self.mix = Conv(self.features, (1,), dtype=self.dtype)
        self.convs = [
            Conv(self.features, (WIDTH,), padding=WIDTH // 2, use_bias=False, dtype=self.dtype)
            for _ in range(2)
        ]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, time, in] to [batch, 2 * time, features]."""
        x = y = self.mix(self.up(x))
        for conv in self.convs:
            y = nn.leaky_relu(_over_time(conv(y)), 0.01)
        return gelu(y + x)


class MultiScaleDecoder(nn.Module):
    """Five residual blocks that double time ("ms_resnet"), all leads at once.

    Each lead comes out with zero mean and unit variance over time.
    """

    leads: int
    time_steps: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map z [batch, latent] to float32 [batch, lead, time]; no row sees another."""
        del valid, train
        steps = self.time_steps // 2 ** len(MULTI_SCALE_WIDTHS)
        x = Linear(z.shape[-1] * steps, dtype=self.dtype, name="linear")(z)
        x = x.reshape(len(x), -1, steps).swapaxes(1, 2)
        for index, features in enumerate(MULTI_SCALE_WIDTHS):
            x = MultiScaleBlock(features, self.dtype, name=f"blocks_{index}")(x)
        x = Conv(self.leads, (1,), use_bias=False, dtype=self.dtype, name="output1")(x)
        x = Conv(self.leads, (1,), dtype=self.dtype, name="output2")(gelu(_over_time(x)))
        return instance_norm(x.swapaxes(1, 2))


class LinearDecoder(nn.Module):
    """One linear layer from the latent vector to each lead."""

    leads: int
    time_steps: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map z [batch, latent] to float32 [batch, lead, time]; no row sees another."""
        del valid, train
        x = Linear(self.leads * self.time_steps, dtype=self.dtype, name="linear")(z)
        return at_least_float32(x.reshape(len(x), self.leads, self.time_steps))


def _over_time(x: jax.Array) -> jax.Array:
    """Normalise each channel of [batch, time, channel] over time."""
    return instance_norm(x, axis=1).astype(x.dtype)
