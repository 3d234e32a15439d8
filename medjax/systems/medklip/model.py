"""MedKLIP's network: descriptions of entities question the patches of a film."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear
from medjax.systems.medklip.decoder import Decoder, small_normal
from medjax.systems.medklip.encoder import ImageEncoder


class Reading(NamedTuple):
    """What the network says of a batch of films."""

    logits: jax.Array
    """[batch, query, attribute]: absent, present, and others where there are more."""
    position: jax.Array
    """[batch, query, text width], to be held against the vectors of positions."""
    attention: jax.Array
    """[layer, batch, query, patch]: each query's look at the film, the mean over the heads."""


class MedKLIP(nn.Module):
    """Films and a book of descriptions -> existence, position and attention of every entity."""

    encoder: ImageEncoder
    decoder: Decoder
    text_dim: int = 768
    attributes: int = 2
    """Outputs of a query: absent, present."""
    dropout: float = 0.1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        linear = partial(Linear, kernel_init=small_normal, dtype=self.dtype)
        self.query = linear(self.decoder.width)
        self.classifier = linear(self.attributes)
        self.position = linear(self.text_dim)
        self.drop = Dropout(self.dropout)

    def __call__(
        self, images: jax.Array, book: jax.Array, mask: jax.Array | None = None, *, train: bool
    ) -> Reading:
        """Read films.

        Args:
            images: [batch, height, width, 3], standardised.
            book: [query, text_dim], a frozen vector of each description.
            mask: bool [batch], False for padding rows.
            train: apply dropout (rng "dropout") and use the batch's statistics.
        """
        patches = self.encoder(images, mask, train=train)
        queries = self.query(book)
        queries = jnp.broadcast_to(queries, (len(patches), *queries.shape))
        found, attention = self.decoder(queries, patches, train=train)
        found = self.drop(found, train=train)
        return Reading(self.classifier(found), self.position(found), attention)
