"""The loss of the pre-training as an update of the run layer takes it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from medjax.run.system import Aux, Batch, Variables
from medjax.systems.medklip.encoder import standardise
from medjax.systems.medklip.loss import (
    existence_terms,
    mean_over,
    position_logits,
    position_terms,
)
from medjax.systems.medklip.model import MedKLIP, Reading


class Weights(NamedTuple):
    """What of the loss counts how much."""

    existence: float = 1.0
    position: float = 1.0
    """0: positions are not contrasted at all ("no_cl")."""
    excluded: tuple[int, ...] = ()
    """Entities that both parts leave out ("exclude_class")."""
    empty: str = "zero"
    """What a part is where nothing is known: "zero", or "nan" as published."""


def read(
    model: MedKLIP, variables: Variables, batch: Batch, key: jax.Array, *, train: bool
) -> tuple[Reading, Mapping[str, Any]]:
    """Run the network on a batch; return (reading, the running statistics after it).

    batch: "image", "mask", and resident "entity_book" [query, text_dim].
    """
    return model.apply(
        variables,
        standardise(batch["image"]),
        batch["entity_book"],
        batch["mask"],
        train=train,
        rngs={"dropout": key},
        mutable=[name for name in variables if name != "params"],
    )


def losses(reading: Reading, batch: Batch, weights: Weights) -> dict[str, jax.Array]:
    """Return "existence" and "position" of a batch with labels and candidates of positions.

    Besides "accuracy", the share of known pairs of film and entity that are called rightly.
    """
    labels, mask = batch["labels"], batch["mask"]
    terms = {"existence": existence_terms(reading.logits, labels, weights.excluded)}
    if weights.position:
        logits = position_logits(reading.position, batch["position_book"], batch["position_index"])
        terms["position"] = position_terms(logits, labels, weights.excluded)
    found = {name: mean_over(pair, mask, weights.empty) for name, pair in terms.items()}
    right = (reading.logits[..., 1] > reading.logits[..., 0]) == (labels > 0.5)
    known = terms["existence"][1]
    return found | {"accuracy": mean_over((right.astype(jnp.float32), known), mask)}


def make_loss(
    model: MedKLIP, weights: Weights, train: bool = True
) -> Callable[[Variables, Batch, jax.Array, jax.Array], tuple[jax.Array, Aux]]:
    """Return the loss of an `Update`; train: False: running statistics, no dropout."""

    def loss(
        variables: Variables, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[jax.Array, Aux]:
        del step
        reading, mutable = read(model, variables, batch, key, train=train)
        found = losses(reading, batch, weights)
        total = weights.existence * found["existence"]
        if "position" in found:
            total = total + weights.position * found["position"]
        return total, Aux(mutable, found)

    return loss
