"""What the fusion LSTM reads: the tokens of every row, in order, and how many it has.

A row without a film has fewer tokens than a row with one; padding follows its last.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Tokens(NamedTuple):
    """Sequences of feature vectors."""

    tokens: jax.Array
    """[batch, tokens, features]."""
    length: jax.Array
    """int [batch]."""


def first_then(first: jax.Array, second: jax.Array, has_second: jax.Array) -> Tokens:
    """Every row reads `first` [batch, features], then `second` where it has one."""
    second = jnp.where(has_second[:, None], second, 0)
    return Tokens(jnp.stack([first, second], axis=1), 1 + has_second)


def film_first(ehr: jax.Array, cxr: jax.Array, has_image: jax.Array, unpaired: str) -> Tokens:
    """The film's token, then the series'; a row without a film has one token.

    unpaired: which one: "ehr_only", the series, or "zero_image", zeros instead of a film, so that
    every such row gets the same prediction (the replication's).
    """
    absent = ehr if unpaired == "ehr_only" else jnp.zeros_like(cxr)
    first = jnp.where(has_image[:, None], cxr, absent)
    return Tokens(jnp.stack([first, ehr], axis=1), 1 + has_image)


def separated(
    ehr: jax.Array,
    separator: jax.Array,
    cxr: jax.Array,
    end: jax.Array,
    has_image: jax.Array,
    unpaired: str,
) -> Tokens:
    """Series, separator, film, end; separator and end [features] are learned.

    unpaired: what a row without a film reads: "ehr_sep_cls", series, separator, end, or "ehr_sep",
    never the end (published).
    """
    rows = [jnp.broadcast_to(token, ehr.shape) for token in (separator, end)]
    absent = rows[1] if unpaired == "ehr_sep_cls" else jnp.zeros_like(cxr)
    third = jnp.where(has_image[:, None], cxr, absent)
    shorter = 3 if unpaired == "ehr_sep_cls" else 2
    return Tokens(
        jnp.stack([ehr, rows[0], third, rows[1]], axis=1), jnp.where(has_image, 4, shorter)
    )
