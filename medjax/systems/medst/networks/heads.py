"""Projection heads: two linear layers, each normalised over the batch."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.batch_norm import BatchNorm
from medjax.nn.linear import Linear


class ProjectionHead(nn.Module):
    """Linear, BatchNorm, ReLU, linear, BatchNorm without scale and bias."""

    hidden: int = 2048
    features: int = 128
    groups: int = 1
    """Consecutive equal parts of the rows that BatchNorm takes each by its own statistics."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None = None, *, train: bool) -> jax.Array:
        """x [row, features] -> [row, `features`]; valid bool [row]: rows of the statistics."""
        linear = partial(Linear, dtype=self.dtype)
        norm = partial(BatchNorm, groups=self.groups, dtype=self.dtype)
        x = norm(name="hidden_norm")(linear(self.hidden, name="hidden")(x), valid, train=train)
        x = linear(self.features, name="output")(nn.relu(x))
        return norm(affine=False, name="output_norm")(x, valid, train=train)


def project_tokens(
    head: ProjectionHead,
    sets: list[jax.Array],
    valid: list[jax.Array | None],
    *,
    train: bool,
) -> list[jax.Array]:
    """Project several sets of tokens [batch, token, width] by one head and common statistics.

    valid: bool [batch, token] of each set, None where all of its tokens are in the statistics. The
    sets may differ in batch and tokens, but each batch is `head.groups` equal parts.
    """
    groups = head.groups
    rows = [x.reshape(groups, -1, x.shape[-1]) for x in sets]
    known: jax.Array | None = None
    if any(v is not None for v in valid):
        of_sets = [
            jnp.ones(x.shape[:2], bool) if v is None else v
            for x, v in zip(sets, valid, strict=True)
        ]
        known = jnp.concatenate([v.reshape(groups, -1) for v in of_sets], 1).reshape(-1)
    joined = jnp.concatenate(rows, 1) if len(rows) > 1 else rows[0]
    out = head(joined.reshape(-1, joined.shape[-1]), known, train=train)
    out = out.reshape(groups, -1, out.shape[-1])
    ends = [sum(x.shape[1] for x in rows[: i + 1]) for i in range(len(rows) - 1)]
    parts = jnp.split(out, ends, 1)
    return [part.reshape(*x.shape[:2], -1) for part, x in zip(parts, sets)]
