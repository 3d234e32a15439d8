"""MedKLIP's network: descriptions of entities question the patches of a film."""

import math
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer

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
    patch_positions: str = "none"
    """"sine": a code of its row and column is added to every patch."""
    position_scale: float = 1.0
    """Of the vectors that are held against those of positions."""
    kernel_init: Initializer = small_normal
    """Of every linear layer outside of encoder and decoder."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        linear = partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
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
        if self.patch_positions == "sine":
            patches = patches + position_code(*patches.shape[1:]).astype(patches.dtype)
        queries = self.query(book)
        queries = jnp.broadcast_to(queries, (len(patches), *queries.shape))
        found, attention = self.decoder(queries, patches, train=train)
        found = self.drop(found, train=train)
        position = self.position_scale * self.position(found)
        return Reading(self.classifier(found), position, attention)


def position_code(patches: int, width: int) -> np.ndarray:
    """Return sines and cosines of row and column (Vaswani et al. 2017), [patches, width].

    Raises:
        ValueError: the patches make no square, or the width is no multiple of 4.
    """
    side = math.isqrt(patches)
    if side * side != patches or width % 4:
        raise ValueError(f"no code of rows and columns for {patches} patches of width {width}")
    angles = np.arange(side)[:, None] * 10000.0 ** (-np.arange(width // 4) * 4 / width)
    axis = np.concatenate([np.sin(angles), np.cos(angles)], 1)
    rows, columns = np.repeat(axis, side, 0), np.tile(axis, (side, 1))
    return np.concatenate([rows, columns], 1).astype(np.float32)
