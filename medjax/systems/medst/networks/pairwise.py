"""A classifier of change that sees a film beside the patient's film before (BioViL-T's idea).

Bannur and others (2023) let the patches of both films attend to each other; here on the same
transformer as the pre-training's, which encodes each film alone, with a few blocks over both.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.dropout import Dropout
from medjax.nn.linear import Linear
from medjax.nn.vit import Block, ViTConfig, layer_norm
from medjax.systems.medst.networks.vit import ViewViT

_normal = nn.initializers.normal(0.02)


class Pairwise(nn.Module):
    """Pairs of films [batch, height, width, 3] -> logits [batch, finding, change].

    `network` is what the pre-training's image encoder has.
    """

    vit: ViTConfig = ViTConfig()
    findings: int = 5
    changes: int = 3
    blocks: int = 2
    """Over the tokens of both films."""
    dropout: float = 0.1
    """Before the last layer."""
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        config = self.vit
        self.network = ViewViT(config, self.dtype, experts=False)
        shape = (1, config.patches, config.width)
        self.positions = self.param("positions", _normal, shape, jnp.float32)
        self.types = self.param("types", _normal, (2, config.width), jnp.float32)
        self.missing_prior = self.param("missing_prior", _normal, (config.width,), jnp.float32)
        self.fusion = [Block(config, dtype=self.dtype) for _ in range(self.blocks)]
        self.norm = layer_norm(self.dtype)
        self.drop = Dropout(self.dropout)
        self.head = Linear(self.findings * self.changes, dtype=self.dtype)

    def __call__(
        self, current: jax.Array, prior: jax.Array, has_prior: jax.Array, *, train: bool
    ) -> jax.Array:
        """Classify pairs.

        Args:
            current: films.
            prior: the films before; anything finite where there is none.
            has_prior: bool [batch]; one learned token stands for the patches of a missing film.
            train: dropout (rng "dropout").
        """
        both = self.network(jnp.concatenate([current, prior]), train=train)
        first, before = jnp.split(both, 2)
        # What the films differ in as wholes: from the first step on there is something to learn by.
        change = jnp.where(has_prior[:, None], first[:, 0] - before[:, 0], 0)
        absent = self.missing_prior.astype(before.dtype)
        before = jnp.where(has_prior[:, None, None], before[:, 1:], absent)
        types = self.types.astype(first.dtype)
        places = self.positions.astype(first.dtype)
        tokens = jnp.concatenate(
            [
                first[:, :1] + types[0],
                first[:, 1:] + types[0] + places,
                before + types[1] + places,
            ],
            1,
        )
        for block in self.fusion:
            tokens, _ = block(tokens, train=train)
        tokens = self.norm(tokens)
        patches = tokens[:, 1 : first.shape[1]].mean(1)
        seen = [tokens[:, 0], patches, change]
        pooled = self.drop(jnp.concatenate(seen, -1), train=train)
        return self.head(pooled).reshape(len(current), self.findings, self.changes)


def swap_some(
    key: jax.Array, current: jax.Array, prior: jax.Array, labels: jax.Array, swapped: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Turn time round for about half of some pairs: what worsened improves.

    Args:
        key: draws the pairs.
        current, prior: [batch, height, width, channels].
        labels: int [batch, finding], codes 0 (improving), 1 (stable), 2 (worsening).
        swapped: bool [batch], the pairs that may be.
    """
    turned = swapped & jax.random.bernoulli(key, 0.5, swapped.shape)
    there = turned[:, None, None, None]
    return (
        jnp.where(there, prior, current),
        jnp.where(there, current, prior),
        jnp.where(turned[:, None], 2 - labels, labels),
    )
