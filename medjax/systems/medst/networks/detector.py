"""Detection: a ResNet's last three maps, a neck of three scales (YOLOv3; Redmon & Farhadi 2018)."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv, Convolution
from medjax.nn.initializers import kaiming_in
from medjax.nn.pooling import upsample
from medjax.nn.resnet import RESNETS, SMALL_RESNETS, ResNet, ResNetSize

WIDTHS = (512, 256, 128)
"""Channels of the narrow convolutions of each scale, the coarsest first."""
ANCHORS = 3
"""Of every cell."""
BOX = 5
"""Numbers that an anchor has beside its classes: x, y, width, height, confidence."""
SLOPE = 0.1


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, leaky ReLU."""

    features: int
    size: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.conv = Convolution(self.features, self.size, 1, kaiming_in, self.dtype)
        self.norm = BatchNorm(groups=self.groups, dtype=self.dtype)

    def __call__(self, x: jax.Array, mask: jax.Array | None, *, train: bool) -> jax.Array:
        return nn.leaky_relu(self.norm(self.conv(x), mask, train=train), SLOPE)


class Scale(nn.Module):
    """Six convolutions, by turns 1x1 and 3x3 with twice the channels, and the map of boxes."""

    width: int
    outputs: int
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.blocks = [
            ConvBlock(self.width * (1 + i % 2), 1 + 2 * (i % 2), self.groups, self.dtype)
            for i in range(6)
        ]
        self.head = Conv(self.outputs, (1, 1), dtype=self.dtype)

    def __call__(
        self, x: jax.Array, mask: jax.Array | None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Return (map of boxes, what the next finer scale reads)."""
        branch = x
        for index, block in enumerate(self.blocks):
            x = block(x, mask, train=train)
            branch = x if index == 4 else branch
        return self.head(x), branch


class Neck(nn.Module):
    """Maps of three strides -> raw boxes of three scales."""

    classes: int = 1
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32
    widths: Sequence[int] = WIDTHS

    def setup(self) -> None:
        options = (self.groups, self.dtype)
        outputs = ANCHORS * (BOX + self.classes)
        self.scales = [Scale(width, outputs, *options) for width in self.widths]
        self.links = [ConvBlock(width, 1, *options) for width in self.widths[1:]]

    def __call__(
        self, maps: list[jax.Array], mask: jax.Array | None = None, *, train: bool
    ) -> list[jax.Array]:
        """Read maps [batch, height, width, channels], the coarsest first.

        Returns:
            [batch, height, width, anchor * (5 + class)] of every scale, the coarsest first.
        """
        raw, branch = self.scales[0](maps[0], mask, train=train)
        found = [raw]
        for scale, link, finer in zip(self.scales[1:], self.links, maps[1:], strict=True):
            coarse = upsample(link(branch, mask, train=train), (2, 2))
            joined = jnp.concatenate([coarse, finer.astype(coarse.dtype)], -1)
            raw, branch = scale(joined, mask, train=train)
            found.append(raw)
        return found


class Detector(nn.Module):
    """Films [batch, height, width, 3] -> raw boxes of three scales (`Neck`).

    `network` is what the pre-training's image encoder has.
    """

    backbone: str = "resnet50"
    """A name of RESNETS or SMALL_RESNETS."""
    width: int = 64
    classes: int = 1
    groups: int = 1
    dtype: jnp.dtype = jnp.float32
    widths: Sequence[int] = WIDTHS
    """Of the neck."""

    def setup(self) -> None:
        small = SMALL_RESNETS.get(self.backbone)
        size = RESNETS[self.backbone] if small is None else ResNetSize(small)
        options = (self.width, self.groups, self.dtype)
        self.network = ResNet(size.stage_sizes, size.bottleneck, *options)
        self.neck = Neck(self.classes, self.groups, self.dtype, self.widths)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> list[jax.Array]:
        """Encode by the frozen network and find boxes; mask: bool [batch], rows that count."""
        *_, second, third, fourth = self.network.maps(images, mask, train=False)
        return self.neck([fourth, third, second], mask, train=train)
