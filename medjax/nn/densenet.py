"""Densely connected networks (Huang et al. 2017) in torchvision's form, channels last."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Convolution
from medjax.nn.initializers import kaiming_in
from medjax.nn.pooling import max_pool


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1x1 to four times the growth; BatchNorm, ReLU, 3x3 to the growth."""

    growth: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        norm = partial(BatchNorm, groups=self.groups, dtype=self.dtype)
        self.norms = [norm(), norm()]
        self.convs = [
            Convolution(4 * self.growth, 1, 1, kaiming_in, self.dtype),
            Convolution(self.growth, 3, 1, kaiming_in, self.dtype),
        ]

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        for norm, conv in zip(self.norms, self.convs):
            x = conv(nn.relu(norm(x, mask, train=train)))
        return x


class DenseBlock(nn.Module):
    """Layers that each read the outputs of all before them."""

    depth: int
    growth: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.layers = [DenseLayer(self.growth, self.groups, self.dtype) for _ in range(self.depth)]

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        for layer in self.layers:
            x = jnp.concatenate([x, layer(x, mask, train=train)], axis=-1)
        return x


class Transition(nn.Module):
    """BatchNorm, ReLU, 1x1 to half the channels, 2x2 mean-pooling."""

    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        x = nn.relu(BatchNorm(groups=self.groups, dtype=self.dtype)(x, mask, train=train))
        x = Convolution(x.shape[-1] // 2, 1, 1, kaiming_in, self.dtype)(x)
        return nn.avg_pool(x, (2, 2), (2, 2))


class DenseNet(nn.Module):
    """DenseNet; the default sizes are DenseNet-121's."""

    stage_sizes: Sequence[int] = (6, 12, 24, 16)
    growth: int = 32
    width: int = 64
    """Channels of the stem."""
    groups: int = 1
    """Groups of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        norm = partial(BatchNorm, groups=self.groups, dtype=self.dtype)
        self.stem_conv = Convolution(self.width, 7, 2, kaiming_in, self.dtype)
        self.stem_norm = norm()
        self.blocks = [
            DenseBlock(depth, self.growth, self.groups, self.dtype) for depth in self.stage_sizes
        ]
        self.transitions = [
            Transition(self.groups, self.dtype) for _ in range(len(self.stage_sizes) - 1)
        ]
        self.last_norm = norm()

    @property
    def features(self) -> int:
        """Width of the pooled features."""
        width = self.width
        for index, depth in enumerate(self.stage_sizes):
            width = (width // 2 if index else width) + depth * self.growth
        return width

    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Return pooled features [batch, features] of images [batch, height, width, channels]."""
        x = nn.relu(self.stem_norm(self.stem_conv(x), mask, train=train))
        x = max_pool(x)
        for index, block in enumerate(self.blocks):
            if index:
                x = self.transitions[index - 1](x, mask, train=train)
            x = block(x, mask, train=train)
        return nn.relu(self.last_norm(x, mask, train=train)).mean((1, 2))
