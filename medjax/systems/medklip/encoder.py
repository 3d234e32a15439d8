"""Image encoders: a network's last map, projected patch by patch."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.data.image_transforms import IMAGENET_MEAN, IMAGENET_STD
from medjax.nn.linear import Linear
from medjax.nn.resnet import ResNet
from medjax.nn.vit import VITS, ViT
from medjax.systems.medklip.backbones import SMALL_VITS, resnet_size
from medjax.systems.medklip.decoder import small_normal


class ImageEncoder(nn.Module):
    """Images [batch, height, width, 3] -> patches [batch, patch, dim], row by row."""

    backbone: str = "resnet50"
    """A name of BACKBONES."""
    stages: int = 3
    """Of a ResNet: patches of 16 pixels after the third, of 32 after the fourth."""
    width: int = 64
    """Channels of a ResNet's first stage."""
    image_size: int = 224
    """Read by transformers alone, whose positions are for one size."""
    dim: int = 256
    projection: str = "two_layers"
    """"two_layers" with ReLU between, one "linear" layer, or "none"."""
    groups: int = 1
    """Groups of BatchNorm statistics."""
    checkpoint: bool = False
    """Whether gradients recompute a ResNet's inner maps."""
    kernel_init: Initializer | None = small_normal
    """Of the projection; None: PyTorch's default."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        linear = partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        vits = VITS | SMALL_VITS
        if self.backbone in vits:
            config = vits[self.backbone]._replace(image_size=self.image_size)
            self.network: ResNet | ViT = ViT(config, self.dtype)
            channels = config.width
        else:
            options = (self.stages, self.width, self.groups, self.dtype, self.checkpoint)
            resnet = make_resnet(self.backbone, *options)
            self.network, channels = resnet, resnet.features
        if self.projection == "two_layers":
            self.hidden = linear(channels)
        if self.projection != "none":
            self.output = linear(self.dim)

    def features(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Return the network's last map, [batch, patch, channels]."""
        if isinstance(self.network, ViT):
            return self.network(images, train=train)[:, 1:]
        last = self.network.maps(images, mask, train=train)[-1]
        return last.reshape(len(last), -1, last.shape[-1])

    def summary(self, images: jax.Array) -> jax.Array:
        """Return one vector of each image, in evaluation: the class token, or the map's mean."""
        if isinstance(self.network, ViT):
            return self.network(images, train=False)[:, 0]
        return self.network(images, train=False)

    def project(self, features: jax.Array) -> jax.Array:
        """Project [batch, patch, channels] to [batch, patch, dim]."""
        if self.projection == "two_layers":
            features = nn.relu(self.hidden(features))
        return self.output(features)

    def __call__(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Return patches; mask [batch] is False for padding rows.

        Raises:
            ValueError: a transformer and images of another size than `image_size`.
        """
        return self.project(self.features(images, mask, train=train))


def make_resnet(
    backbone: str,
    stages: int,
    width: int = 64,
    groups: int = 1,
    dtype: jnp.dtype = jnp.float32,
    checkpoint: bool = False,
) -> ResNet:
    """Return a ResNet up to and including one of its stages."""
    sizes, bottleneck = resnet_size(backbone)
    return ResNet(
        sizes[:stages],
        bottleneck,
        width=width,
        groups=groups,
        dtype=dtype,
        checkpoint=checkpoint,
    )


def standardise(images: jax.Array) -> jax.Array:
    """Return float32 [batch, height, width, 3] by ImageNet's mean and deviation.

    images: uint8 [batch, height, width, 1 or 3]; floats are taken as standardised already.
    """
    if images.dtype != jnp.uint8:
        return images
    scaled = images.astype(jnp.float32) / 255
    return (scaled - jnp.array(IMAGENET_MEAN)) / jnp.array(IMAGENET_STD)
