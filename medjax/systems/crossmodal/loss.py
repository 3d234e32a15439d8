"""What the stages minimise: reconstruction errors, and in pairs the distance of the latents."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from medjax.losses import masked_mean
from medjax.precision import at_least_float32
from medjax.run.system import Aux, Batch, Variables
from medjax.systems.crossmodal import pair_loss
from medjax.systems.crossmodal.merge import draw_index
from medjax.systems.crossmodal.model import CrossModal

Loss = Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]


def log_cosh(error: jax.Array) -> jax.Array:
    """Return log(cosh(error)), which overflows nowhere."""
    return error + jax.nn.softplus(-2 * error) - jnp.log(2.0)


ERRORS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "log_cosh": log_cosh,
    "mse": jnp.square,
    "mae": jnp.abs,
}
"""Elementwise losses of prediction - truth."""


def reconstruction_loss(
    kind: str, prediction: jax.Array, truth: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Return the mean over the elements of the rows in mask [batch] of a loss of `ERRORS`."""
    error = at_least_float32(prediction) - at_least_float32(truth)
    return masked_mean(ERRORS[kind](error), mask)


class PairOptions(NamedTuple):
    """How two latents are held together."""

    loss: str = "contrastive"
    """"contrastive", "cosine" or "euclid"."""
    weight: float = 0.1
    contrastive_form: str = "infonce"
    cosine_clip: float = 1e-6
    euclid_reduction: str = "row_mean"


def latent_distance(
    options: PairOptions,
    left: jax.Array,
    right: jax.Array,
    log_scale: jax.Array | None = None,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Return the unweighted pair loss of latents [batch, width] over the rows in mask [batch]."""
    if options.loss == "contrastive":
        assert log_scale is not None
        form = options.contrastive_form
        return pair_loss.contrastive(left, right, log_scale, form, mask)
    if options.loss == "cosine":
        return pair_loss.cosine(left, right, options.cosine_clip, mask)
    return pair_loss.euclid(left, right, options.euclid_reduction, mask)


class Reconstruction(NamedTuple):
    """How a modality's reconstruction counts."""

    loss: str
    """A name of `ERRORS`."""
    weight: float = 1.0


def modality_masks(model: CrossModal, batch: Batch) -> dict[str, jax.Array]:
    """Return {modality: bool [batch]}, the valid rows that have it ("has_<modality>")."""
    mask = batch["mask"]
    return {
        n: mask & batch[f"has_{n}"] if f"has_{n}" in batch else mask for n, _ in model.modalities
    }


class Joint(NamedTuple):
    """What a paired network makes of a batch."""

    latents: Mapping[str, jax.Array]
    merged: jax.Array
    reconstructions: Mapping[str, jax.Array]
    log_scale: jax.Array | None


def run_joint(
    model: CrossModal,
    batch: Batch,
    masks: Mapping[str, jax.Array],
    index: jax.Array | None,
    train: bool,
) -> Joint:
    """Encode all modalities, merge the latents and decode every modality from the one they make.

    To be called with a bound model (`nn.apply`); `index` is of `merge.draw_index`.
    """
    latents = {name: model.encode(name, batch[name], masks[name], train=train) for name in masks}
    whole = all(mask is batch["mask"] for mask in masks.values())
    present = None if whole else jnp.stack(list(masks.values()))
    merged = model.merged(list(latents.values()), index, present)
    decoded = {name: model.decode(name, merged, batch["mask"], train=train) for name in masks}
    log_scale = model.log_scale() if model.temperature is not None else None
    return Joint(latents, merged, decoded, log_scale)


def _apply(
    model: CrossModal, variables: Variables, key: jax.Array, train: bool, method: Callable
) -> tuple[Any, dict[str, Any]]:
    """Call method(bound model); return what it gives, and running statistics where they move."""
    mutable = ["batch_stats"] if train and "batch_stats" in variables else []
    rngs = {"dropout": key} if train else {}
    out, moved = model.apply(dict(variables), rngs=rngs, mutable=mutable, method=method)
    return out, dict(moved)


def autoencoder_loss(model: CrossModal, kind: str, *, train: bool = True) -> Loss:
    """Return the loss of a stage of one modality: a name of `ERRORS` of its reconstruction."""
    ((name, _),) = model.modalities

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        mask = modality_masks(model, batch)[name]

        def run(bound: CrossModal) -> jax.Array:
            z = bound.encode(name, batch[name], mask, train=train)
            return bound.decode(name, z, mask, train=train)

        prediction, moved = _apply(model, variables, key, train, run)
        return reconstruction_loss(kind, prediction, batch[name], mask), Aux(moved, {})

    return loss


def paired_loss(
    model: CrossModal,
    reconstruction: Mapping[str, Reconstruction],
    pair: PairOptions,
    *,
    train: bool = True,
) -> Loss:
    """Return the loss of the paired stage.

    It is the weighted sum of every modality's reconstruction loss, over the rows that have the
    modality, and the pair loss of the first two, over the rows that have both.
    """

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        masks = modality_masks(model, batch)
        index_key, dropout_key = jax.random.split(key)
        rows, count = len(batch["mask"]), len(masks)
        index = draw_index(index_key, model.merge, count, rows, model.width)
        joint, moved = _apply(
            model, variables, dropout_key, train, lambda m: run_joint(m, batch, masks, index, train)
        )
        value, metrics = joint_loss(joint, batch, masks, reconstruction, pair)
        return value, Aux(moved, metrics)

    return loss


def joint_loss(
    joint: Joint,
    batch: Batch,
    masks: Mapping[str, jax.Array],
    reconstruction: Mapping[str, Reconstruction],
    pair: PairOptions,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the sum that `paired_loss` describes, and its terms: "ecg", "mri", "pair"."""
    terms, total = {}, jnp.float32(0)
    for name, (kind, weight) in reconstruction.items():
        terms[name] = reconstruction_loss(
            kind, joint.reconstructions[name], batch[name], masks[name]
        )
        total += weight * terms[name]
    left, right = list(joint.latents)[:2]
    both = masks[left] & masks[right]
    distance = latent_distance(
        pair, joint.latents[left], joint.latents[right], joint.log_scale, both
    )
    terms["pair"] = pair.weight * distance
    return total + terms["pair"], terms
