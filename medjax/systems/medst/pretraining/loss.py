"""The losses of pre-training, from what a network gives for a batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from medjax.losses import info_nce, masked_mean
from medjax.losses.alignment import different_pairs
from medjax.systems.medst.networks.model import Aligned
from medjax.systems.medst.networks.prototypes import prototype_loss, sinkhorn
from medjax.systems.medst.pretraining.temporal_loss import sequence_loss

Losses = dict[str, jax.Array]
"""By name: "ita" (films against reports), "local", then "temporal" (MedST) or "proto" (MGCA)."""


class Rows(NamedTuple):
    """What the losses know of the rows of a batch beside films and reports."""

    study: jax.Array | None = None
    """int [batch]; rows of one study are no negatives of each other. None: all rows are."""
    mask: jax.Array | None = None
    """bool [batch], False for padding; None: all rows count."""
    sequence: jax.Array | None = None
    """int [batch], the sequence that a row belongs to, negative: none."""
    step: jax.Array | None = None
    """int [batch], its place there."""


class PretrainingOptions(NamedTuple):
    """Temperatures and forms of the losses, the published ones by default."""

    temperature: float = 0.07
    groups: int = 1
    """Consecutive equal parts of the batch, each with negatives of its own."""
    bidirectional: bool = True
    """Whether patches are matched as well as words."""
    temporal_temperature: float = 0.1
    similarity: str = "l2"
    regression: str = "mse_var"
    huber_delta: float = 2.0
    variance_lambda: float = 0.001
    prototype_temperature: float = 0.2
    epsilon: float = 0.05
    """Of Sinkhorn's plan."""
    sinkhorn_iterations: int = 3
    sinkhorn_groups: int = 1
    """Parts of the batch over which the plan is balanced each by itself."""


def global_loss(
    image: jax.Array, text: jax.Array, rows: Rows, temperature: float, groups: int = 1
) -> jax.Array:
    """Return the cross entropies of films among reports and of reports among films, summed."""

    def of_group(image, text, study, mask):
        return 2 * info_nce(image, text, 1 / temperature, study, mask)

    grouped = [_grouped(x, groups) for x in (image, text, rows.study, rows.mask)]
    losses = jax.vmap(of_group)(*grouped)
    if rows.mask is None:
        return losses.mean()
    counts = rows.mask.reshape(groups, -1).sum(1)
    return (losses * counts).sum() / jnp.maximum(counts.sum(), 1)


def retrieval_accuracy(
    image: jax.Array, text: jax.Array, rows: Rows, temperature: float, top: int
) -> jax.Array:
    """Return the percentage of rows found among the `top` nearest, the mean of both directions.

    Of fewer rows than `top` all are found.
    """
    logits = jnp.matmul(image, text.T, precision="highest") / temperature
    pairs = different_pairs(len(image), rows.study, rows.mask)
    better = pairs & (logits > jnp.diagonal(logits)[:, None])
    better_back = pairs & (logits > jnp.diagonal(logits)[None, :])
    found = (better.sum(1) < top).astype(jnp.float32) + (better_back.sum(0) < top)
    return 50 * masked_mean(found, rows.mask)


def shared_losses(out: Aligned, rows: Rows, options: PretrainingOptions) -> Losses:
    """Return the losses that MedST and MGCA have in common, "ita" and "local"."""
    local = out.local.words + (out.local.patches if options.bidirectional else 0)
    return {
        "ita": global_loss(out.image, out.text, rows, options.temperature, options.groups),
        "local": masked_mean(local, rows.mask),
    }


def medst_losses(out: Aligned, rows: Rows, options: PretrainingOptions) -> Losses:
    """Return the three losses of MedST, unweighted."""
    losses = shared_losses(out, rows, options)
    losses["temporal"] = jnp.zeros((), jnp.float32)
    if rows.sequence is not None and rows.step is not None:
        mask = True if rows.mask is None else rows.mask
        losses["temporal"] = sequence_loss(
            out.image,
            out.text,
            jnp.where(mask, rows.sequence, -1),
            rows.step,
            temperature=options.temporal_temperature,
            similarity=options.similarity,
            regression=options.regression,
            huber_delta=options.huber_delta,
            variance_lambda=options.variance_lambda,
        )
    return losses


def codes(scores: jax.Array, rows: Rows, options: PretrainingOptions) -> jax.Array:
    """Return the codes [batch, prototype] of scores, without gradient."""
    groups = options.sinkhorn_groups
    grouped, mask = _grouped(jax.lax.stop_gradient(scores), groups), _grouped(rows.mask, groups)

    def of_group(scores, mask):
        return sinkhorn(scores, options.epsilon, options.sinkhorn_iterations, mask)

    return jax.vmap(of_group)(grouped, mask).reshape(scores.shape)


def mgca_losses(out: Aligned, rows: Rows, options: PretrainingOptions) -> Losses:
    """Return the three losses of MGCA, unweighted."""
    assert out.image_scores is not None and out.text_scores is not None
    image, text = out.image_scores, out.text_scores
    image_code, text_code = codes(image, rows, options), codes(text, rows, options)
    proto = prototype_loss(
        image, text, image_code, text_code, options.prototype_temperature, rows.mask
    )
    return {**shared_losses(out, rows, options), "proto": proto}


def total(losses: Losses, weights: tuple[float, float, float]) -> jax.Array:
    """Return the weighted sum of the three losses, in their order."""
    first, second, third = (w * x for w, x in zip(weights, losses.values(), strict=True))
    return first + second + third


def _grouped(x: jax.Array | None, groups: int) -> jax.Array | None:
    """Shape [batch, ...] to [groups, rows, ...]."""
    return None if x is None else x.reshape(groups, -1, *x.shape[1:])
