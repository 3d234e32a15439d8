"""What MedKLIP and its replication minimise, as pure functions of one batch.

Of labels [batch, query], 1 is present, 0 absent, -1 not mentioned, 2 uncertain; numbers between 0
and 1 are soft. Only those from 0 to 1 count.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from medjax.losses import binary_cross_entropy, cosine_alignment, masked_mean
from medjax.precision import at_least_float32


def mean_over(
    terms: tuple[jax.Array, jax.Array], mask: jax.Array | None = None, empty: str = "zero"
) -> jax.Array:
    """Return the mean of the terms that count.

    Args:
        terms: (values, whether each counts), [batch, query].
        mask: bool [batch], False for padding rows.
        empty: what it is where none counts: 0 with "zero", NaN with "nan", as the mean of nothing
            is in PyTorch.
    """
    values, counts = terms
    if mask is not None:
        counts = counts & mask[:, None]
    total, number = jnp.where(counts, values, 0).sum(), counts.sum()
    return total / (number if empty == "nan" else jnp.maximum(number, 1))


def kept_queries(queries: int, excluded: Sequence[int]) -> jax.Array:
    """Return bool [query]: False for the entities that both losses leave out."""
    kept = jnp.ones(queries, bool)
    return kept.at[jnp.array(excluded)].set(False) if len(excluded) else kept


def existence_terms(
    logits: jax.Array, labels: jax.Array, excluded: Sequence[int] = ()
) -> tuple[jax.Array, jax.Array]:
    """Return the cross entropy of existence [batch, query], and which terms count.

    Args:
        logits: [batch, query, attribute]: absent, present (others are never the truth).
        labels: [batch, query].
        excluded: entities that are left out.
    """
    log_p = jax.nn.log_softmax(at_least_float32(logits))
    known = (labels >= 0) & (labels <= 1) & kept_queries(labels.shape[1], excluded)
    entropy = -((1 - labels) * log_p[..., 0] + labels * log_p[..., 1])
    return jnp.where(known, entropy, 0), known


def position_logits(vectors: jax.Array, book: jax.Array, index: jax.Array) -> jax.Array:
    """Return inner products [batch, query, candidate] of what was found with positions.

    Args:
        vectors: [batch, query, text width].
        book: [position, text width].
        index: int [batch, query, candidate], rows of the book; -1 for no candidate, which gets
            the least number there is.
    """
    # Products with the whole book, then a choice: candidates' vectors would be a large array.
    products = at_least_float32(jnp.einsum("bqt,pt->bqp", vectors, book.astype(vectors.dtype)))
    chosen = jnp.take_along_axis(products, jnp.maximum(index, 0), axis=-1)
    return jnp.where(index < 0, jnp.finfo(chosen.dtype).min, chosen)


def position_terms(
    logits: jax.Array, labels: jax.Array, excluded: Sequence[int] = ()
) -> tuple[jax.Array, jax.Array]:
    """Return the cross entropy of the true position [batch, query], and which terms count.

    logits: of `position_logits`, the true position first; only what is present has a position.
    """
    present = (labels == 1) & kept_queries(labels.shape[1], excluded)
    entropy = -jax.nn.log_softmax(logits)[..., 0]
    return jnp.where(present, entropy, 0), present


class Terms(NamedTuple):
    """Of the replication's README: L_cls, L_pos, L_sem and their weighted sum."""

    existence: jax.Array
    position: jax.Array
    semantic: jax.Array
    total: jax.Array


def readme_terms(
    existence: jax.Array,
    position: jax.Array,
    semantic: jax.Array,
    alpha_position: float,
    alpha_semantic: float,
) -> Terms:
    """Return L_total = L_cls + alpha1 L_pos + alpha2 L_sem with its terms."""
    total = existence + alpha_position * position + alpha_semantic * semantic
    return Terms(existence, position, semantic, total)


def readme_losses(
    probability: jax.Array,
    labels: jax.Array,
    anchor: jax.Array,
    positions: jax.Array,
    positive: jax.Array,
    image: jax.Array,
    text: jax.Array,
    alpha_position: float = 1.0,
    alpha_semantic: float = 1.0,
) -> Terms:
    """Return the three losses as the README of the replication writes them.

    Args:
        probability, labels: of existence, [batch, entity].
        anchor: [row, width] of entities found.
        positions: [row, candidate, width].
        positive: int [row], the true candidate.
        image, text: [batch, width], of a film and its report.
        alpha_position, alpha_semantic: weights, of which the README gives no values.
    """
    logits = jnp.einsum("rw,rcw->rc", anchor, positions)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), positive[:, None], axis=1)
    return readme_terms(
        masked_mean(binary_cross_entropy(probability, labels)),
        -chosen.mean(),
        cosine_alignment(image, text),
        alpha_position,
        alpha_semantic,
    )
