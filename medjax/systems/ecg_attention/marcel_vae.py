"""A small variational autoencoder of two convolutions each way (ECGMarcelVAE), a baseline."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.conv_transpose import ConvTranspose
from medjax.nn.convolution import Conv
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32
from medjax.systems.ecg_attention.encoding import Encoding, latent_code

CHANNELS = 5
WIDTH = 40
"""Samples under the encoder's kernel; the decoder's is one wider."""


class MarcelEncoder(nn.Module):
    """A convolution along time, one across all leads, pooling of pairs, mean and log variance."""

    leads: int
    latent_dim: int
    latent_sample_in_eval: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        conv = partial(Conv, CHANNELS, use_bias=False, dtype=self.dtype)
        self.conv1 = conv((1, WIDTH), padding=[(0, 0), ((WIDTH - 1) // 2, WIDTH // 2)])
        self.conv2 = conv((self.leads, 1), padding="VALID")
        self.norm1, self.norm2 = BatchNorm(dtype=self.dtype), BatchNorm(dtype=self.dtype)
        self.mean = Linear(self.latent_dim, dtype=self.dtype)
        self.log_variance = Linear(self.latent_dim, dtype=self.dtype)

    def __call__(
        self,
        signal: jax.Array,
        visible: jax.Array | None,
        valid: jax.Array | None,
        *,
        train: bool,
    ) -> Encoding:
        """Encode signals [batch, lead, time]; `visible` is not read."""
        del visible
        x = nn.elu(self.norm1(self.conv1(signal[..., None]), valid, train=train))
        x = nn.elu(self.norm2(self.conv2(x), valid, train=train))[:, 0]
        x = x.reshape(len(x), -1, 2, CHANNELS).mean(2)
        x = x.swapaxes(1, 2).reshape(len(x), -1)
        draw = train or self.latent_sample_in_eval
        return latent_code(self, self.mean(x), self.log_variance(x), draw)


class MarcelDecoder(nn.Module):
    """Two linear layers, a transposed convolution across the leads, one along time."""

    leads: int
    time_steps: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        half = CHANNELS * self.time_steps // 2
        self.dense1 = Linear(half, dtype=self.dtype)
        self.dense2 = Linear(2 * half, dtype=self.dtype)
        transposed = partial(ConvTranspose, strides=1, use_bias=False, dtype=self.dtype)
        self.conv1 = transposed(CHANNELS, (self.leads, 1))
        self.conv2 = transposed(1, (1, WIDTH + 1), padding=(0, WIDTH // 2))
        self.norm1, self.norm2 = BatchNorm(dtype=self.dtype), BatchNorm(dtype=self.dtype)

    def __call__(self, z: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map z [batch, latent] to float32 [batch, lead, time]."""
        x = self.dense2(self.dense1(z))
        x = x.reshape(len(x), CHANNELS, 1, self.time_steps).transpose(0, 2, 3, 1)
        x = nn.elu(self.norm1(self.conv1(x), valid, train=train))
        x = nn.elu(self.norm2(self.conv2(x), valid, train=train))
        return at_least_float32(x[..., 0])
