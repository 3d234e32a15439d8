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
from medjax.nn.initializers import kaiming_in, uniform
from medjax.precision import at_least_float32

WIDTH = 5
"""Taps of every kernel along time."""


def time_code(leads: int, steps: int, width: int) -> np.ndarray:
    """Return the code of position s * leads + l for sample s of lead l, [lead, time, width].

    The first half of the columns are sines, the second cosines (Vaswani et al. 2017).
    """
    position = np.arange(steps) * leads + np.arange(leads)[:, None]
    angle = position[..., None] * 10000.0 ** (-np.arange(width // 2) / (width // 2))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


class Parameters(nn.Module):
    """A kernel and, with an initialiser of it, a bias of as many numbers as the last axis."""

    shape: tuple[int, ...]
    kernel_init: Initializer
    bias_init: Initializer | None = None

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        kernel = self.param("kernel", self.kernel_init, self.shape, jnp.float32)
        if self.bias_init is None:
            return kernel, jnp.zeros(())
        return kernel, self.param("bias", self.bias_init, self.shape[-1:], jnp.float32)


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
        kernel, bias = self._parameters("conv1", 1, channels)
        x = _convolve(x, own_features(kernel, self.leads)) + bias
        x = gelu(LeadNorm(self.leads, self.dtype, name="norm1")(x))
        kernel, bias = self._parameters("conv2", channels, channels)
        x = _convolve(x, kernel) + bias
        return gelu(LeadNorm(self.leads, self.dtype, name="norm2")(x))

    def _parameters(self, name: str, inputs: int, outputs: int) -> tuple[jax.Array, jax.Array]:
        bound = (WIDTH * inputs) ** -0.5
        layer = Parameters((WIDTH, inputs, outputs), kaiming_in, uniform(bound), name=name)
        kernel, bias = layer()
        return kernel.astype(self.dtype), bias.astype(self.dtype)


def own_features(kernel: jax.Array, leads: int) -> jax.Array:
    """Return a grouped kernel [taps, 1, channel] as a plain one [taps, lead, channel].

    A lead's own channels see no other lead: zeros stand there. As a plain convolution it runs in
    less than half the time of a grouped one on CPU.
    """
    taps, _, channels = kernel.shape
    own = jnp.eye(leads, dtype=kernel.dtype)[:, :, None]
    return (kernel.reshape(taps, 1, leads, -1) * own).reshape(taps, leads, channels)


class LeadNorm(nn.Module):
    """GroupNorm (Wu & He 2018) of [batch, time, lead * features] with a group a lead."""

    leads: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        x = at_least_float32(x)
        deviation = x - self._mean(x)
        inverse = jax.lax.rsqrt(self._mean(jnp.square(deviation)) + 1e-5)
        return (deviation * (inverse * scale) + bias).astype(self.dtype)

    def _mean(self, x: jax.Array) -> jax.Array:
        """Return each lead's mean, at each of its channels: [batch, 1, lead * features]."""
        leads = x.mean(1).reshape(len(x), self.leads, -1)
        return jnp.repeat(leads.mean(-1), leads.shape[-1], axis=-1)[:, None]


def _convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolve x [..., time, in] along time, padded by half the taps of [taps, in, out].

    XLA's own gradients are the fast ones for kernels of one axis and few channels.
    """
    rows = x.reshape(-1, *x.shape[-2:])
    padding = [(kernel.shape[0] // 2,) * 2]
    axes = ("NWC", "WIO", "NWC")
    y = jax.lax.conv_general_dilated(rows, kernel, (stride,), padding, dimension_numbers=axes)
    return y.reshape(*x.shape[:-2], *y.shape[1:])


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
    pairs = x.reshape(*x.shape[:2], -1, 2, x.shape[-1])
    first, second = pairs[..., 0, :], pairs[..., 1, :]
    return jnp.where(second > first, second, first)


class TimeConv(nn.Module):
    """A convolution along the time of [batch, lead, time, in]; PyTorch's initial values by default.

    The kernel has PyTorch's two axes, [1, taps, in, out].
    """

    features: int
    width: int
    stride: int = 1
    use_bias: bool = False
    kernel_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (1, self.width, x.shape[-1], self.features)
        default = uniform((self.width * x.shape[-1]) ** -0.5)
        kernel = self.param("kernel", self.kernel_init or default, shape, jnp.float32)
        x = _convolve(x, kernel[0].astype(self.dtype), self.stride)
        if not self.use_bias:
            return x
        return x + self.param("bias", default, (self.features,), jnp.float32).astype(self.dtype)


class TwoConvolutions(nn.Module):
    """Twice: convolution without bias, BatchNorm, leaky ReLU."""

    features: int
    stride: int = 1
    kernel_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        layer = partial(TimeConv, self.features, WIDTH, kernel_init=self.kernel_init)
        for index, stride in enumerate((self.stride, 1), start=1):
            x = layer(stride, dtype=self.dtype, name=f"conv{index}")(x)
            x = BatchNorm(dtype=self.dtype, name=f"norm{index}")(x, valid, train=train)
            x = nn.leaky_relu(x, 0.01)
        return x


def double_time(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution of x [..., time, in], stride 2 and padding 1, kernel [4, in, out].

    Position t adds x[t] @ kernel[j] to 2 * t + j - 1: even and odd positions are two sets of
    channels of one plain convolution of three taps.
    """
    nothing = jnp.zeros_like(kernel[0])
    even = jnp.stack([kernel[3], kernel[1], nothing])
    odd = jnp.stack([nothing, kernel[2], kernel[0]])
    y = _convolve(x, jnp.concatenate([even, odd], axis=-1))
    return y.reshape(*x.shape[:-2], 2 * x.shape[-2], kernel.shape[-1])


class DownBlock(nn.Module):
    """A residual block that halves time."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.main = TwoConvolutions(self.features, 2, kaiming_in, self.dtype)
        self.shortcut = TimeConv(self.features, 1, 1, True, kaiming_in, self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, in] to [batch, lead, time / 2, features]."""
        return gelu(self.main(x, valid, train=train) + self.shortcut(pool_pairs(x)))


class UpBlock(nn.Module):
    """A residual block that doubles time by a transposed convolution."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        taps, square = 4, (self.features, self.features)
        bound = uniform((taps * self.features) ** -0.5)
        self.up = Parameters((1, taps, *square), bound, bound)
        self.mix = Parameters((1, 1, *square), uniform(self.features**-0.5))
        self.main = TwoConvolutions(self.features, dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, features] to [batch, lead, 2 * time, features].

        Nothing stands between the transposed convolution and the mixing of channels after it: both
        are one, with the product of their kernels.
        """
        (up, bias), (mix, _) = self.up(), self.mix()
        x = double_time(x, (up[0] @ mix[0, 0]).astype(self.dtype))
        x = x + (bias @ mix[0, 0]).astype(self.dtype)
        return gelu(self.main(x, valid, train=train) + x)


class PlainBlock(nn.Module):
    """A residual block that keeps time."""

    features: int
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.main = TwoConvolutions(self.features, dtype=self.dtype)
        self.shortcut = TimeConv(self.features, 1, use_bias=True, dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        """Map [batch, lead, time, in] to [batch, lead, time, features]."""
        return gelu(self.main(x, valid, train=train) + self.shortcut(x))
