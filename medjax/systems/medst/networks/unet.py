"""Segmentation from a ResNet's maps: a U-Net (Ronneberger et al. 2015) on a frozen encoder.

The decoder is that of segmentation_models_pytorch.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv, Convolution
from medjax.nn.initializers import kaiming_in
from medjax.nn.pooling import upsample
from medjax.nn.resnet import RESNETS, SMALL_RESNETS, ResNet, ResNetSize

FEATURES = (256, 128, 64, 32, 16)
"""Channels of the decoder's blocks."""


class ConvBlock(nn.Module):
    """3x3 convolution without bias, BatchNorm, ReLU."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.conv = Convolution(self.features, 3, 1, kaiming_in, self.dtype)
        self.norm = BatchNorm(groups=self.groups, dtype=self.dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        return nn.relu(self.norm(self.conv(x), mask, train=train))


class UpBlock(nn.Module):
    """A map twice as high and wide, joined with a skip where there is one, convolved twice."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.convs = [ConvBlock(self.features, self.groups, self.dtype) for _ in range(2)]

    def __call__(
        self, x: jax.Array, skip: jax.Array | None, mask: jax.Array | None, *, train: bool
    ) -> jax.Array:
        x = upsample(x, (2, 2))
        if skip is not None:
            x = jnp.concatenate([x, skip.astype(x.dtype)], -1)
        for conv in self.convs:
            x = conv(x, mask, train=train)
        return x


class UNet(nn.Module):
    """Films [batch, height, width, 3] -> logits of a mask [batch, height, width, outputs].

    `network` is what the pre-training's image encoder has. The skips are the maps of its stages but
    the last, and the stem's before pooling; the last block has none.
    """

    backbone: str = "resnet50"
    """A name of RESNETS or SMALL_RESNETS."""
    width: int = 64
    features: Sequence[int] = FEATURES
    """One more than the encoder has stages."""
    outputs: int = 1
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        small = SMALL_RESNETS.get(self.backbone)
        size = RESNETS[self.backbone] if small is None else ResNetSize(small)
        options = (self.groups, self.dtype)
        self.network = ResNet(size.stage_sizes, size.bottleneck, self.width, *options)
        self.ups = [UpBlock(features, *options) for features in self.features]
        self.head = Conv(self.outputs, (3, 3), padding=1, dtype=self.dtype)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Encode by the frozen network and decode; mask: bool [batch], rows that count."""
        stem, *stages = self.network.parts
        skips = [stem.before_pooling(images, mask, train=False)]
        x = stem.pool(skips[0])
        for stage in stages:
            x = stage(x, mask, train=False)
            skips.append(x)
        x = skips.pop()
        for up, skip in zip(self.ups, [*reversed(skips), None], strict=True):
            x = up(x, skip, mask, train=train)
        return self.head(x)
