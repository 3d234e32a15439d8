"""Cox's partial likelihood as a loss of risk scores."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from medjax.precision import at_least_float32

Normaliser = Literal["risk_set", "batch_max"]
Ties = Literal["breslow", "efron"]

EPSILON = 1e-8
"""Stands inside the logarithm of "batch_max"."""


def cox_loss(
    scores: jax.Array,
    event: jax.Array,
    time: jax.Array,
    mask: jax.Array | None = None,
    *,
    normaliser: Normaliser = "risk_set",
    ties: Ties = "breslow",
) -> jax.Array:
    """Return the negative log partial likelihood of log risks, divided by the number of events.

    The risk set of an event are the rows under observation at its time, its own and tied ones
    among them. 0, without gradient, where no event has another row in its risk set.

    Args:
        scores: [batch] logarithm of the relative risk.
        event: [batch] 1 where the event was seen at `time`, 0 where the row was censored then. A
            row whose event or time is NaN is left out.
        time: [batch] in any unit.
        mask: [batch] True for the rows that count; None: all.
        normaliser: "risk_set" is the exact log-sum-exp over each risk set; "batch_max" shifts all
            of them by the highest score of the batch and adds 1e-8 inside the logarithm, which is
            wrong for a risk set whose scores all lie more than about 18 below it.
        ties: Breslow 1974, or Efron 1977, who takes events at one time for a sequence: the later
            ones see less of the earlier ones' risk. Efron needs "risk_set".
    """
    scores = at_least_float32(scores)
    known = _known(event, time, mask)
    event, time = (jnp.where(known, x, 0).astype(scores.dtype) for x in (event, time))
    at_risk = _at_risk(time, known)
    scores = jnp.where(known, scores, 0)
    if normaliser == "risk_set":
        shares = _efron_shares(event, time) if ties == "efron" else None
        log_total = logsumexp(jnp.broadcast_to(scores, at_risk.shape), 1, shares, where=at_risk)
    elif ties == "breslow":
        highest = jnp.max(scores, where=known, initial=-jnp.inf)
        shift = jnp.where(known.any(), highest, 0)
        # Rows left out must not overflow: a gradient of zero times infinity is NaN.
        total = jnp.where(at_risk, jnp.exp(jnp.where(known, scores, shift) - shift), 0).sum(1)
        log_total = jnp.log(total + EPSILON) + shift
    else:
        raise ValueError('the normaliser "batch_max" knows no ties but "breslow"')
    mean = -(event * (scores - log_total)).sum() / jnp.maximum(event.sum(), 1)
    return jnp.where(_comparable(event, at_risk), mean, 0)


def has_comparable_event(
    event: jax.Array, time: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Tell whether some event [batch] has another row in its risk set, so that scores matter."""
    known = _known(event, time, mask)
    event, time = (jnp.where(known, x, 0) for x in (event, time))
    return _comparable(event, _at_risk(time, known))


def _known(event: jax.Array, time: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Which rows [batch] count."""
    known = ~(jnp.isnan(event) | jnp.isnan(time))
    return known if mask is None else known & mask


def _at_risk(time: jax.Array, known: jax.Array) -> jax.Array:
    """[row, other]: the other is under observation at the row's time; a row is so at its own."""
    later = (time[None, :] >= time[:, None]) & known[None, :]
    return later | jnp.eye(len(time), dtype=bool)


def _comparable(event: jax.Array, at_risk: jax.Array) -> jax.Array:
    return ((event > 0) & (at_risk.sum(1) > 1)).any()


def _efron_shares(event: jax.Array, time: jax.Array) -> jax.Array:
    """[row, other]: how much of the other's risk the row's denominator holds.

    Of d events at one time the k-th (from 0) sees (d - k) / d of the risk of all d.
    """
    tied = (time[None, :] == time[:, None]) & (event[None, :] > 0) & (event[:, None] > 0)
    rank = jnp.tril(tied, -1).sum(1)
    share = 1 - rank / jnp.maximum(tied.sum(1), 1)
    return jnp.where(tied, share[:, None], 1)
