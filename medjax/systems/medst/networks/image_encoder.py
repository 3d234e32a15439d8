"""The image encoder: a vision transformer or a ResNet, and heads for the film and its patches."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.resize import resize_bilinear
from medjax.nn.resnet import RESNETS, SMALL_RESNETS, ResNet, ResNetSize
from medjax.nn.vit import VITS, ViTConfig
from medjax.systems.medst.networks.heads import ProjectionHead, project_tokens
from medjax.systems.medst.networks.vit import ViewViT

RESNET_SIDE = 299
"""The published one."""


class ImageFeatures(NamedTuple):
    """What the encoder gives for a batch of films, before the heads."""

    image: jax.Array
    """[batch, width]"""
    patches: jax.Array
    """Of the frontal films, [batch, patch, width], row by row."""
    lateral: jax.Array | None
    """Of the lateral films, [lateral, patch, width]."""
    attention: jax.Array | None
    """What the class token of the last block attends to among the patches, mean over the heads,
    [batch, patch]; of a transformer without lateral films only."""


class Embeddings(NamedTuple):
    """The same in the common space, not normalised."""

    image: jax.Array
    """[batch, dim]"""
    patches: jax.Array
    """[batch, patch, dim]"""
    lateral: jax.Array | None
    """[lateral, patch, dim]"""


class ImageEncoder(nn.Module):
    """Films [batch, height, width, 3] -> features and their embeddings."""

    backbone: str | ViTConfig = "vit_base_patch16_224"
    """A name of VITS, RESNETS or SMALL_RESNETS, or the sizes of a transformer."""
    width: int = 64
    """Channels of a ResNet's first stage."""
    experts: bool = True
    """Of a transformer: `ViewViT.experts`."""
    hidden: int = 2048
    dim: int = 128
    groups: int = 1
    """Of BatchNorm statistics."""
    dtype: jnp.dtype = jnp.float32
    resnet_side: int = RESNET_SIDE
    """Pixels to which a ResNet's films are brought."""

    def setup(self) -> None:
        self.network = self._network()
        head = (self.hidden, self.dim, self.groups, self.dtype)
        self.global_head, self.local_head = ProjectionHead(*head), ProjectionHead(*head)

    def _network(self) -> Any:
        if isinstance(self.backbone, ViTConfig):
            return ViewViT(self.backbone, self.dtype, self.experts)
        if self.backbone in VITS:
            return ViewViT(VITS[self.backbone], self.dtype, self.experts)
        small = SMALL_RESNETS.get(self.backbone)
        size = RESNETS[self.backbone] if small is None else ResNetSize(small)
        return ResNet(size.stage_sizes, size.bottleneck, self.width, self.groups, self.dtype)

    @property
    def is_vit(self) -> bool:
        """Whether the network is a transformer."""
        return isinstance(self.backbone, ViTConfig) or self.backbone in VITS

    def features(
        self,
        images: jax.Array,
        lateral: jax.Array | None = None,
        has_lateral: jax.Array | None = None,
        parts: int = 1,
        mask: jax.Array | None = None,
        *,
        train: bool,
    ) -> ImageFeatures:
        """Encode films; arguments as of `ViewViT.views`.

        mask: bool [batch], rows in a ResNet's statistics.

        Raises:
            ValueError: lateral films for a network without an expert for them.
        """
        if lateral is not None and not (self.is_vit and self.experts):
            raise ValueError("this image encoder reads frontal films alone")
        if not self.is_vit:
            return self._resnet_features(images, mask, train=train)
        if lateral is None:
            tokens, seen = self.network.one_view(images, train=train)
            attention = seen[-1][:, :, 1:].mean(1)
            return ImageFeatures(tokens[:, 0], tokens[:, 1:], None, attention)
        tokens, other = self.network.views(images, lateral, has_lateral, parts, train=train)
        return ImageFeatures(tokens[:, 0], tokens[:, 1:], other, None)

    def _resnet_features(
        self, images: jax.Array, mask: jax.Array | None, *, train: bool
    ) -> ImageFeatures:
        """Patches of the third stage, the film's vector from the fourth."""
        images = resize_bilinear(images, (self.resnet_side, self.resnet_side))
        *_, third, fourth = self.network.maps(images, mask, train=train)
        patches = third.reshape(len(third), -1, third.shape[-1])
        return ImageFeatures(fourth.mean((1, 2)), patches, None, None)

    def embed(
        self,
        features: ImageFeatures,
        mask: jax.Array | None = None,
        lateral_mask: jax.Array | None = None,
        *,
        train: bool,
    ) -> Embeddings:
        """Project features.

        mask: bool [batch], rows in the statistics; lateral_mask: bool [lateral], the same of the
        lateral films. None: all.
        """
        image = self.global_head(features.image, mask, train=train)
        sets, valid = [features.patches], [_every_token(mask, features.patches)]
        if features.lateral is not None:
            sets.append(features.lateral)
            valid.append(_every_token(lateral_mask, features.lateral))
        patches, *lateral = project_tokens(self.local_head, sets, valid, train=train)
        return Embeddings(image, patches, lateral[0] if lateral else None)

    def __call__(
        self,
        images: jax.Array,
        lateral: jax.Array | None = None,
        has_lateral: jax.Array | None = None,
        *,
        train: bool,
    ) -> tuple[ImageFeatures, Embeddings]:
        """Encode and project, all rows in the statistics."""
        features = self.features(images, lateral, has_lateral, train=train)
        return features, self.embed(features, train=train)


def _every_token(mask: jax.Array | None, tokens: jax.Array) -> jax.Array | None:
    """Give every token its row's mask, bool [batch, token]."""
    return None if mask is None else jnp.broadcast_to(mask[:, None], tokens.shape[:2])
