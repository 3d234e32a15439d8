"""What a network says of a batch of participants: latents, errors by source, and some signals.

An error or a signal is named by what it is of and which encoder it comes from: "mri" is the MRI
from its own latent, "mri_from_ecg" that from the latent of the ECG.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32
from medjax.run.system import Batch, Outputs, Variables
from medjax.systems.crossmodal.loss import (
    ERRORS,
    PairOptions,
    Reconstruction,
    latent_distance,
    modality_masks,
)
from medjax.systems.crossmodal.merge import draw_index
from medjax.systems.crossmodal.model import CrossModal

TRUTH, RECONSTRUCTION = "truth/", "reconstruction/"


class Reading(NamedTuple):
    """What is asked of a network."""

    reconstruction: Mapping[str, Reconstruction]
    pair: PairOptions | None
    merge_eval: str = "each"
    """"each": the loss of a reconstruction is the mean over the encoders, each of which serves
    alone; "as_training": that from the merged latent, with the weights' mask or a draw."""
    pictured: int = 0
    """The first participants of a split whose signals are given back."""


def source_name(target: str, source: str) -> str:
    """Return the name of a reconstruction of `target` from the encoder of `source`."""
    return target if target == source else f"{target}_from_{source}"


def predictions(
    model: CrossModal,
    variables: Variables,
    batch: Batch,
    key: jax.Array,
    reading: Reading,
    means: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
    """Return what `read` gives, of a batch with "mask", "number" and the signals.

    means: {modality: mean signal of the train split}, for the error of the best constant guess;
    {} where it is not known.
    """
    index = draw_index(key, model.merge, len(model.modalities), len(batch["mask"]), model.width)
    method = partial(read, batch=batch, index=index, reading=reading, means=means)
    found: Any = model.apply(dict(variables), method=method)
    return found


def read(
    bound: CrossModal,
    batch: Batch,
    index: jax.Array | None,
    reading: Reading,
    means: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
    """Return, each with one row a participant:

    latent/<modality> [batch, width], has_<modality> bool; and of a network with decoders
    squared_error/<name> and, of the train mean, squared_error/<modality>_from_mean; loss/<modality>
    (unweighted), loss/pair (weighted, of the whole batch); and truth/<modality>,
    reconstruction/<name> [batch, *shape], to be kept where "kept" is True.
    """
    masks = modality_masks(bound, batch)
    latents = {n: bound.encode(n, batch[n], masks[n], train=False) for n in masks}
    out = {f"latent/{n}": z for n, z in latents.items()}
    out |= {f"has_{n}": mask for n, mask in masks.items()}
    if not bound.decoders:
        return out
    made = {
        (target, source): bound.decode(target, alone(bound, latents, source, index), train=False)
        for source in masks
        for target in masks
    }
    truth = {n: at_least_float32(batch[n]) for n in masks}
    for (target, source), signal in made.items():
        name = source_name(target, source)
        out[f"squared_error/{name}"] = row_mean(jnp.square(signal - truth[target]))
        out[RECONSTRUCTION + name] = signal
    for n, mean in means.items():
        out[f"squared_error/{n}_from_mean"] = row_mean(jnp.square(mean - truth[n]))
    out |= {TRUTH + n: signal for n, signal in truth.items()}
    out["kept"] = batch["number"] < reading.pictured
    return out | losses(bound, batch, masks, latents, made, index, reading)


def alone(
    bound: CrossModal, latents: Mapping[str, jax.Array], source: str, index: jax.Array | None
) -> jax.Array:
    """Return what the decoders read when one encoder serves for all."""
    if not bound.merge:
        return latents[source]
    rows = len(latents[source])
    present = jnp.stack([jnp.full(rows, name == source) for name in latents])
    return bound.merged(list(latents.values()), index, present)


def losses(
    bound: CrossModal,
    batch: Batch,
    masks: Mapping[str, jax.Array],
    latents: Mapping[str, jax.Array],
    made: Mapping[tuple[str, str], jax.Array],
    index: jax.Array | None,
    reading: Reading,
) -> dict[str, jax.Array]:
    """Return the terms of the loss by row: "loss/ecg", "loss/mri", "loss/pair"."""
    out = {}
    if reading.merge_eval == "as_training" and bound.merge:
        z = bound.merged(list(latents.values()), index, jnp.stack(list(masks.values())))
        signals = {n: {n: bound.decode(n, z, train=False)} for n in masks}
    else:
        signals = {t: {s: made[t, s] for s in masks} for t in masks}
    for target, by_source in signals.items():
        error = ERRORS[reading.reconstruction[target].loss]
        rows = {s: row_mean(error(x - batch[target])) for s, x in by_source.items()}
        total = sum(jnp.where(masks[s], value, 0) for s, value in rows.items())
        count = sum(masks[s].astype(jnp.float32) for s in rows)
        out[f"loss/{target}"] = total / jnp.maximum(count, 1)
    if reading.pair is not None:
        left, right = list(masks)[:2]
        both, pair = masks[left] & masks[right], reading.pair
        scale = bound.log_scale() if bound.temperature is not None else None
        distance = latent_distance(pair, latents[left], latents[right], scale, both)
        out["loss/pair"] = jnp.full(len(both), pair.weight * distance)
    return out


def row_mean(values: jax.Array) -> jax.Array:
    """Return the mean of each row of values [batch, ...], float32 [batch]."""
    return at_least_float32(values).reshape(len(values), -1).mean(1)


def only_kept(outputs: Outputs) -> Outputs:
    """Return the outputs of a batch without the signals of participants that nothing draws."""
    if "kept" not in outputs:
        return outputs
    kept = outputs["kept"]
    return {
        name: array[kept] if name.startswith((TRUTH, RECONSTRUCTION)) else array
        for name, array in outputs.items()
    }
