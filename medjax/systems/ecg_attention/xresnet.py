"""xresnet1d101, a deep one-dimensional residual network (He et al. 2019), a baseline's encoder."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv
from medjax.nn.initializers import kaiming_in
from medjax.precision import at_least_float32
from medjax.systems.ecg_attention.encoding import Encoding

WIDTH = 5
STEM = (32, 32, 64)
STAGES = (3, 4, 23, 3)
"""Bottleneck blocks of each stage; all but the first stage halve time."""
EXPANSION = 4


class ConvNorm(nn.Module):
    """Convolution without bias and BatchNorm, over x [batch, time, channel]."""

    features: int
    width: int
    stride: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.conv = Conv(
            self.features,
            (self.width,),
            self.stride,
            self.width // 2,
            use_bias=False,
            kernel_init=kaiming_in,
            dtype=self.dtype,
        )
        self.norm = BatchNorm(dtype=self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        return self.norm(self.conv(x), valid, train=train)


class Bottleneck(nn.Module):
    """Three convolutions of 1, 5 and 1 taps beside a short cut that pools where time is halved."""

    features: int
    """Inner channels; the output has four times as many."""
    stride: int
    project: bool
    """Whether the short cut has a convolution."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        out = EXPANSION * self.features
        shapes = ((self.features, 1, 1), (self.features, WIDTH, self.stride), (out, 1, 1))
        self.convs = [ConvNorm(*shape, self.dtype) for shape in shapes]
        if self.project:
            self.shortcut = ConvNorm(out, 1, 1, self.dtype)

    def __call__(self, x: jax.Array, valid: jax.Array | None, *, train: bool) -> jax.Array:
        y = x
        for index, conv in enumerate(self.convs):
            y = conv(y, valid, train=train)
            y = nn.relu(y) if index < len(self.convs) - 1 else y
        if self.stride == 2:
            x = mean_pairs(x)
        if self.project:
            x = self.shortcut(x, valid, train=train)
        return nn.relu(y + x)


class XResNet1d101(nn.Module):
    """Stem of three convolutions, max-pooling, four stages; z is the mean and maximum over time."""

    latent_dim: int
    """A multiple of 8: the last stage has half as many channels, its blocks an eighth."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.stem = [
            ConvNorm(features, WIDTH, 2 if index == 0 else 1, self.dtype)
            for index, features in enumerate(STEM)
        ]
        inner = self.latent_dim // (2 * EXPANSION)
        stages = []
        for stage, depth in enumerate(STAGES):
            for index in range(depth):
                strided = stage > 0 and index == 0
                projected = stage == 0 and index == 0 and STEM[-1] != EXPANSION * inner
                stages.append(Bottleneck(inner, 2 if strided else 1, projected, self.dtype))
        self.blocks = stages

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
        x = signal.swapaxes(1, 2)
        for conv in self.stem:
            x = nn.relu(conv(x, valid, train=train))
        x = nn.max_pool(x, (3,), (2,), [(1, 1)])
        for block in self.blocks:
            x = block(x, valid, train=train)
        return Encoding(at_least_float32(jnp.concatenate([x.mean(1), x.max(1)], axis=-1)))


def mean_pairs(x: jax.Array) -> jax.Array:
    """Return the mean of every two steps of [batch, time, channel]; an odd last one stays."""
    even = x.shape[1] // 2 * 2
    pairs = x[:, :even].reshape(len(x), -1, 2, x.shape[-1]).mean(2)
    return jnp.concatenate([pairs, x[:, even:]], axis=1)
