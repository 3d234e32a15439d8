"""Losses of tasks of hours: every prediction that is asked for weighs the same within its part."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from medjax.losses import masked_mean, sigmoid_cross_entropy
from medjax.run.system import Aux, Batch, Variables
from medjax.systems.medfuse.base import Prediction
from medjax.systems.medfuse.encoders import standardise_film
from medjax.systems.medfuse.hourly import HourlyMedFuse
from medjax.systems.medfuse.loss import Modes
from medjax.systems.medfuse.parts import Part


def forward(
    model: HourlyMedFuse, variables: Variables, batch: Batch, key: jax.Array, modes: Modes
) -> tuple[Prediction, Mapping[str, Any]]:
    """Run the model on a batch; return (prediction, the running statistics after it)."""
    mutable = [name for name in variables if name != "params"]
    options = {**modes._asdict(), "rngs": {"dropout": key}, "mutable": mutable}
    return model.apply(variables, *inputs(batch), **options)


def inputs(batch: Batch) -> tuple[jax.Array, ...]:
    """Return what the model reads of a batch, films standardised."""
    image = standardise_film(batch["image"])
    return batch["series"], batch["length"], image, batch["film_hour"], batch["mask"]


def probabilities(logits: jax.Array, parts: Sequence[Part]) -> jax.Array:
    """Return probabilities of logits [..., logits]: of each label, or over the bins of a part."""
    return jnp.concatenate(
        [
            jax.nn.softmax(logits[..., p.logits])
            if p.binned
            else jax.nn.sigmoid(logits[..., p.logits])
            for p in parts
        ],
        axis=-1,
    )


def cross_entropies(logits: jax.Array, targets: jax.Array, parts: Sequence[Part]) -> jax.Array:
    """Return the cross entropy of each part [..., parts], a mean over its labels."""
    return jnp.stack([_cross_entropy(logits, targets, part) for part in parts], axis=-1)


def _cross_entropy(logits: jax.Array, targets: jax.Array, part: Part) -> jax.Array:
    of, truth = logits[..., part.logits].astype(jnp.float32), targets[..., part.targets]
    if not part.binned:
        return sigmoid_cross_entropy(of, truth).mean(-1)
    place = truth[..., :1].astype(jnp.int32)
    return -jnp.take_along_axis(jax.nn.log_softmax(of), place, axis=-1)[..., 0]


def make_loss(
    model: HourlyMedFuse, modes: Modes, parts: Sequence[Part]
) -> Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]:
    """Return the loss of an `Update`: the weighted sum of the parts' mean cross entropies.

    The mean of a part is over all pairs of row and hour of the batch (of each accumulated part of
    it) at which it is asked; 0 where there is none.
    """

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        prediction, mutable = forward(model, variables, batch, key, modes)
        entropies = cross_entropies(prediction.logits, batch["targets"], parts)
        wanted = batch["wanted"] & batch["mask"][:, None, None]
        means = {
            part.task: masked_mean(entropies[..., i].ravel(), wanted[..., i].ravel())
            for i, part in enumerate(parts)
        }
        total = sum((part.weight * means[part.task] for part in parts), jnp.float32(0))
        metrics = {f"loss/{task}": value for task, value in means.items()} if parts[1:] else {}
        return total, Aux(mutable, metrics)

    return loss
