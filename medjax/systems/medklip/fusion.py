"""The replication's network: entities question the last map of a ResNet-50."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.linear import Linear
from medjax.precision import at_least_float32
from medjax.systems.medklip.decoder import Decoder
from medjax.systems.medklip.encoder import ImageEncoder


class FusionReading(NamedTuple):
    """What the replication's network says of a batch of films."""

    logits: jax.Array
    """[batch, entity] of existence."""
    attention: jax.Array
    """[batch, entity, patch]."""
    position: jax.Array | None
    """[batch, entity, text width], to be held against the vectors of positions."""
    semantic: jax.Array | None
    """[batch, text width], to be held against the vector of the report."""


class Fusion(nn.Module):
    """Films and a book of queries -> existence and attention of every entity.

    The notebook has neither the head of positions nor that of reports: they are what the README's
    losses ask for.
    """

    encoder: ImageEncoder
    decoder: Decoder
    text_dim: int = 768
    heads: bool = True
    """Whether there are the heads of the README's losses."""
    attention_map: str = "cross_attention"
    """The last layer's attention; or "output_dot_patches", as in the notebook: the softmax over
    patches of (decoder output . patch)."""
    backbone_statistics: str = "batch_in_training"
    """Of the image network's BatchNorm; or "batch_always", as in the notebook: of the batch at
    hand, in evaluation too."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        linear = partial(Linear, dtype=self.dtype)
        self.query = linear(self.decoder.width)
        self.existence = linear(1)
        if self.heads:
            self.position, self.semantic = linear(self.text_dim), linear(self.text_dim)

    def patches(
        self, images: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> jax.Array:
        """Return projected patches [batch, patch, width] of standardised images."""
        by_batch = train or self.backbone_statistics == "batch_always"
        return self.encoder(images, mask, train=by_batch)

    def read(self, patches: jax.Array, book: jax.Array, *, train: bool) -> FusionReading:
        """Read patches [batch, patch, width]; book [entity, text_dim]: a vector of each query."""
        queries = self.query(book)
        queries = jnp.broadcast_to(queries, (len(patches), *queries.shape))
        found, maps = self.decoder(queries, patches, train=train)
        attention = maps[-1]
        if self.attention_map == "output_dot_patches":
            products = jnp.einsum("beq,bpq->bep", found, patches)
            attention = jax.nn.softmax(at_least_float32(products))
        return FusionReading(
            self.existence(found)[..., 0],
            attention,
            self.position(found) if self.heads else None,
            self.semantic(found.mean(1)) if self.heads else None,
        )

    def __call__(
        self, images: jax.Array, book: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> FusionReading:
        """Read films [batch, height, width, 3]; mask [batch] is False for padding rows."""
        return self.read(self.patches(images, mask, train=train), book, train=train)
