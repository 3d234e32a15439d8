"""Fine-tuning for segmentation: a U-Net (Ronneberger et al. 2015) over a ResNet's three stages."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.conv_transpose import ConvTranspose
from medjax.nn.convolution import Conv
from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear
from medjax.systems.medklip.encoder import make_resnet


class ConvBlock(nn.Module):
    """3x3 convolution with bias, BatchNorm, ReLU."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.conv = Conv(self.features, (3, 3), padding=1, dtype=self.dtype)
        self.norm = BatchNorm(groups=self.groups, dtype=self.dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        return nn.relu(self.norm(self.conv(x), mask, train=train))


class UpBlock(nn.Module):
    """Doubles a map by a transposed convolution, joins a skip and convolves twice."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.up = ConvTranspose(self.features, (2, 2), 2, dtype=self.dtype)
        self.convs = [ConvBlock(self.features, self.groups, self.dtype) for _ in range(2)]

    def __call__(
        self, x: jax.Array, skip: jax.Array, mask: jax.Array | None, *, train: bool
    ) -> jax.Array:
        x = jnp.concatenate([self.up(x), skip.astype(self.dtype)], -1)
        for conv in self.convs:
            x = conv(x, mask, train=train)
        return x


class ResUNet(nn.Module):
    """Films [batch, height, width, 3] -> logits of a mask [batch, height, width, outputs].

    `network` is what the pre-training's encoder has. The skips are the stages' inputs: the third's
    and the second's, the stem's map before pooling, and the film itself.
    """

    backbone: str = "resnet50"
    width: int = 64
    outputs: int = 1
    dropout: float = 0.2
    groups: int = 1
    checkpoint: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        options = (self.groups, self.dtype)
        self.network = make_resnet(self.backbone, 3, self.width, *options, self.checkpoint)
        channels = self.network.features
        self.bridge = [ConvBlock(channels, *options) for _ in range(2)]
        self.ups = [UpBlock(channels // 2**index, *options) for index in range(1, 5)]
        self.head = Linear(self.outputs, dtype=self.dtype)
        self.drop = Dropout(self.dropout)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Raise ValueError for sides that are no multiple of 16."""
        if images.shape[1] % 16 or images.shape[2] % 16:
            raise ValueError(
                f"films of {images.shape[1]} x {images.shape[2]}: both must be multiples of 16"
            )
        stem, *stages = self.network.parts
        skips = [images, stem.before_pooling(images, mask, train=train)]
        x = stem.pool(skips[1])
        for stage in stages:
            x = stage(x, mask, train=train)
            skips.append(x)
        for conv in self.bridge:
            x = conv(x, mask, train=train)
        # The last stage's own map is what the bridge reads, and no skip.
        for up, skip in zip(self.ups, reversed(skips[:-1]), strict=True):
            x = up(x, skip, mask, train=train)
        return self.head(self.drop(x, train=train))
