"""Residual networks (He et al. 2016) in torchvision's form, channels last."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Convolution
from medjax.nn.initializers import kaiming_out
from medjax.nn.known import RESNETS as RESNETS
from medjax.nn.known import SMALL_RESNETS as SMALL_RESNETS
from medjax.nn.known import ResNetSize as ResNetSize
from medjax.nn.pooling import max_pool


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the channels."""

    features: int
    stride: int
    bottleneck: bool
    project: bool
    """Whether a 1x1 convolution stands on the short cut."""
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        conv = partial(Convolution, dtype=self.dtype, kernel_init=kaiming_out)
        norm = partial(BatchNorm, groups=self.groups, dtype=self.dtype)
        out = self.features * (4 if self.bottleneck else 1)
        if self.bottleneck:
            shapes = [(self.features, 1, 1), (self.features, 3, self.stride), (out, 1, 1)]
        else:
            shapes = [(self.features, 3, self.stride), (self.features, 3, 1)]
        self.convs = [conv(*shape) for shape in shapes]
        self.norms = [norm() for _ in shapes]
        if self.project:
            self.shortcut_conv = conv(out, 1, self.stride)
            self.shortcut_norm = norm()

    def __call__(self, x: jax.Array, mask: jax.Array | None, train: bool) -> jax.Array:
        shortcut = x
        if self.project:
            shortcut = self.shortcut_norm(self.shortcut_conv(x), mask, train=train)
        last = len(self.convs) - 1
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = norm(conv(x), mask, train=train)
            if index < last:
                x = nn.relu(x)
        return nn.relu(x + shortcut)


class Stem(nn.Module):
    """7x7 convolution with stride 2, BatchNorm, ReLU, 3x3 max-pooling with stride 2."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def before_pooling(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        """Return the map [batch, height / 2, width / 2, features] after the ReLU."""
        x = Convolution(self.features, 7, 2, kaiming_out, self.dtype)(x)
        return nn.relu(BatchNorm(groups=self.groups, dtype=self.dtype)(x, mask, train=train))

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        return self.pool(self.before_pooling(x, mask, train=train))

    def pool(self, x: jax.Array) -> jax.Array:
        """Halve the map by the maximum of 3x3 windows."""
        return max_pool(x)


class Stage(nn.Module):
    """Residual blocks of one width; the first may halve the map."""

    depth: int
    features: int
    stride: int
    bottleneck: bool
    project: bool
    groups: int = 1
    dtype: jnp.dtype = jnp.float32
    checkpoint: bool = False

    def setup(self) -> None:
        block = nn.remat(Block, static_argnums=(3,)) if self.checkpoint else Block
        self.blocks = [
            block(
                self.features,
                self.stride if index == 0 else 1,
                self.bottleneck,
                self.project and index == 0,
                self.groups,
                self.dtype,
            )
            for index in range(self.depth)
        ]

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        for block in self.blocks:
            x = block(x, mask, train)
        return x


class ResNet(nn.Module):
    """Stem and stages; `parts` can be called one by one by who acts between them.

    The width doubles and the map halves from one stage to the next.
    """

    stage_sizes: Sequence[int]
    bottleneck: bool = False
    width: int = 64
    """Channels of the stem and of the first stage's blocks."""
    groups: int = 1
    """Groups of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32
    checkpoint: bool = False
    """Whether the gradient computes each block anew instead of keeping its inner maps."""

    def setup(self) -> None:
        self.stem = Stem(self.width, self.groups, self.dtype)
        self.stages = [
            Stage(
                depth,
                self.width * 2**index,
                1 if index == 0 else 2,
                self.bottleneck,
                self.bottleneck or index > 0,
                self.groups,
                self.dtype,
                self.checkpoint,
            )
            for index, depth in enumerate(self.stage_sizes)
        ]

    @property
    def parts(self) -> list[nn.Module]:
        """Stem and stages, each called as `part(x, mask, train=...)`."""
        return [self.stem, *self.stages]

    @property
    def features(self) -> int:
        """Width of the pooled features."""
        expansion = 4 if self.bottleneck else 1
        return self.width * 2 ** (len(self.stage_sizes) - 1) * expansion

    def maps(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> list[jax.Array]:
        """Return the maps [batch, height, width, channels] after the stem and after each stage."""
        out = []
        for part in self.parts:
            x = part(x, mask, train=train)
            out.append(x)
        return out

    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """Return pooled features [batch, features] of images [batch, height, width, channels]."""
        return self.maps(x, mask, train=train)[-1].mean((1, 2))
