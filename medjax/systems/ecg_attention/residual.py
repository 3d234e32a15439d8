"""Stem and residual blocks: they see every lead by itself but for the stem's second convolution.

Arrays between blocks are [batch, lead, time, channel]. Kernels reach along time only.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer

from medjax.nn.activations import gelu
from medjax.nn.batch_norm import BatchNorm
from medjax.nn.conv_transpose import ConvTranspose
from medjax.nn.convolution import Conv
from medjax.nn.initializers import kaiming_in

WIDTH = 5
"""Taps of every kernel along time."""


def time_code(leads: int, steps: int, width: int) -> np.ndarray:
    """Return the code of position s * leads + l for sample s of lead l, [lead, time, width].

    The first half of the columns are sines, the second cosines (Vaswani et al. 2017).
    """
    position = np.arange(steps) * leads + np.arange(leads)[:, None]
    angle = position[..., None] * 10000.0 ** (-np.arange(width // 2) / (width // 2))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


class Stem(nn.Module):
    """A convolution of each lead into features of its own, then one that mixes all leads.

    Each is followed by GroupNorm with a group a lead, and GELU.
    """

    leads: int
    features: int
    """Of one lead."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, signal: jax.Array) -> jax.Array:
        """Map [batch, lead, time] to [batch, time, lead * features], lead after lead."""
        channels = self.leads * self.features
        x = signal.swapaxes(1, 2).astype(self.dtype)
        conv = partial(Conv, channels, (WIDTH,), padding=WIDTH // 2, kernel_init=kaiming_in)
        x = conv(groups=self.leads, dtype=self.dtype, name="conv1")(x)
        x = gelu(self._norm("norm1")(x).astype(self.dtype))
        x = conv(dtype=self.dtype, name="conv2")(x)
        return gelu(self._norm("norm2")(x).astype(self.dtype))

    def _norm(self, name: str) -> nn.Module:
        return nn.GroupNorm(self.leads, epsilon=1e-5, use_fast_variance=False, name=name)


def by_lead(x: jax.Array, leads: int, order: str) -> jax.Array:
    """Read a stem's output [batch, time, channel] as [batch, lead, time, feature].

    order: "lead_major", a lead's features one after the other, as the stem writes them;
    "feature_major" (published) takes the channels for a feature of all leads after the other, so
    that row l does not hold lead l.
    """
    batch, steps, channels = x.shape
    if order == "feature_major":
        return x.reshape(batch, steps, channels // leads, leads).transpose(0, 3, 1, 2)
    return x.reshape(batch, steps, leads, channels // leads).transpose(0, 2, 1, 3)


def pool_pairs(x: jax.Array) -> jax.Array:
    """Return the larger of every two steps of [batch, lead, time, channel].

    Where they tie the first gets the gradient, as in PyTorch.
    """
    first, second = x[:, :, 0::2], x[:, :, 1::2]
    return jnp.where(second > first, second, first)


class TwoConvolutions(nn.Module):
    """Twice: convolution without bias, BatchNorm, leaky ReLU."""

    features: int
    stride: int = 1
    kernel_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        for index, stride in enumerate((self.stride, 1), start=1):
            x = Conv(
                self.features,
                (1, WIDTH),
                (1, stride),
                [(0, 0), (WIDTH // 2, WIDTH // 2)],
                use_bias=False,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=f"conv{index}",
            )(x)
            x = BatchNorm(dtype=self.dtype, name=f"norm{index}")(x, valid, train=train)
            x = nn.leaky_relu(x, 0.01)
        return x


class DownBlock(nn.Module):
    """A residual block that halves time."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.main = TwoConvolutions(self.features, 2, kaiming_in, self.dtype)
        self.shortcut = Conv(self.features, (1, 1), kernel_init=kaiming_in, dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, in] to [batch, lead, time / 2, features]."""
        return gelu(self.main(x, valid, train=train) + self.shortcut(pool_pairs(x)))


class UpBlock(nn.Module):
    """A residual block that doubles time by a transposed convolution."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.up = ConvTranspose(self.features, (1, 4), (1, 2), (0, 1), dtype=self.dtype)
        self.mix = Conv(self.features, (1, 1), use_bias=False, dtype=self.dtype)
        self.main = TwoConvolutions(self.features, dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, in] to [batch, lead, 2 * time, features]."""
        x = self.mix(self.up(x))
        return gelu(self.main(x, valid, train=train) + x)


class PlainBlock(nn.Module):
    """A residual block that keeps time."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.main = TwoConvolutions(self.features, dtype=self.dtype)
        self.shortcut = Conv(self.features, (1, 1), dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, in] to [batch, lead, time, features]."""
        return gelu(self.main(x, valid, train=train) + self.shortcut(x))
