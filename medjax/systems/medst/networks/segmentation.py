"""Segmentation from a transformer's patches: SETR, by upsampling in steps (Zheng et al. 2021)."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv
from medjax.nn.linear import Linear
from medjax.nn.resize import resize_bilinear
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.networks.vit import ViewViT

FEATURES = (512, 256, 128, 64)
"""Channels of the decoder's stages."""


class Up(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, a map twice as high and wide."""

    features: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.conv = Conv(self.features, (3, 3), padding=1, dtype=self.dtype)
        self.norm = BatchNorm(groups=self.groups, dtype=self.dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        x = nn.relu(self.norm(self.conv(x), mask, train=train))
        return resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]))


class Decoder(nn.Module):
    """Grid [batch, height, width, channels] -> logits [batch, 16 height, 16 width, outputs]."""

    features: Sequence[int] = FEATURES
    """Of the stages, each of which doubles the map."""
    outputs: int = 1
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.ups = [Up(features, self.groups, self.dtype) for features in self.features]
        self.head = Conv(self.outputs, (3, 3), padding=1, dtype=self.dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None, *, train: bool) -> jax.Array:
        """mask: bool [batch], rows in BatchNorm's statistics."""
        for up in self.ups:
            x = up(x, mask, train=train)
        return self.head(x)


class Setr(nn.Module):
    """Films [batch, height, width, 3] -> logits of a mask [batch, height, width, outputs].

    `network` is what the pre-training's image encoder has. The decoder has as many stages as make a
    patch of one pixel: 4 for patches of 16.
    """

    vit: ViTConfig = ViTConfig()
    experts: bool = True
    features: Sequence[int] = FEATURES
    outputs: int = 1
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.network = ViewViT(self.vit, self.dtype, self.experts)
        self.embedding = Linear(self.vit.width, dtype=self.dtype)
        self.decoder = Decoder(self.features, self.outputs, self.groups, self.dtype)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Encode by the frozen network and decode; mask: bool [batch], rows that count."""
        patches = self.network(images, train=False)[:, 1:]
        side = self.vit.image_size // self.vit.patch_size
        grid = self.embedding(patches).reshape(len(images), side, side, -1)
        return self.decoder(grid, mask, train=train)
