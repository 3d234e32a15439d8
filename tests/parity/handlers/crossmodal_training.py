"""The cross-modal autoencoder's optimiser steps, through the run layer's own train step."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.run.optim import make_optimizer
from medjax.run.step import gradients, init_state, make_train_step
from medjax.run.system import Aux, System, Update
from medjax.systems.crossmodal.loss import (
    Loss,
    Reconstruction,
    autoencoder_loss,
    joint_loss,
    run_joint,
)
from medjax.systems.crossmodal.names import from_variables, to_variables
from tests.parity.handlers.crossmodal_networks import (
    AUTOENCODER,
    LOSSES,
    PAIRED,
    autoencoder_of,
    pair_options,
    paired_of,
    stats,
)
from tests.parity.harness import Case, handles

TRAINING = {"optimizer", "learning_rate", "steps"}


def published_update(config: Mapping[str, Any], loss: Loss) -> Update:
    """One update of all weights by the optimiser of a case, in Keras' form."""
    options = {
        "name": {"adam": "keras_adam", "radam": "radam"}[config["optimizer"]],
        "learning_rate": config["learning_rate"],
        "schedule": "constant",
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-7,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
    }
    optimizer = make_optimizer(ConfigDict(options), config["steps"])
    return Update("all", loss, lambda path: "train", optimizer)


def pair_of_means(x: np.ndarray) -> np.ndarray:
    """mean, mean |x|."""
    x = np.asarray(x, np.float64)
    return np.array([x.mean(), np.abs(x).mean()])


def of_weights(
    name: str, grads: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> np.ndarray | None:
    """What a case tells of a tensor: "grad0:", "after:", "update_abs_mean:", "update_signed:"."""
    what, _, tensor = name.partition(":")
    if not tensor:
        return None
    if what == "grad0":
        return pair_of_means(grads[tensor])
    new = after[tensor].astype(np.float64).ravel()
    if what == "after":
        return pair_of_means(new)
    change = new - before[tensor].astype(np.float64).ravel()
    if what == "update_abs_mean":
        return np.abs(change).mean()
    assert what == "update_signed"
    return (change * np.where(np.arange(change.size) % 2 == 0, 1.0, -1.0)).mean()


def train(
    case: Case, loss: Loss, variables: dict[str, Any], batches: list[dict[str, Any]]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Make the steps; return the scalars of all of them with what is asked of the weights, and
    the variables in the end."""
    update = published_update(case.config, loss)
    unused = ("init", "plan", "collate", "table", "predict", "evaluate")
    system = System(**dict.fromkeys(unused), updates=(update,))
    key = jax.random.key(0)
    _, grads, _ = jax.jit(lambda v, b: gradients(update, v, b, {}, key, 0, 1))(
        variables, batches[0]
    )
    state, step, scalars = init_state(system, variables, key), jax.jit(make_train_step(system)), []
    for batch in batches:
        state, found = step(state, batch)
        scalars.append(found)
    after = jax.device_get(state.variables)
    told = {name: np.array([float(s[name]) for s in scalars]) for name in scalars[0]}
    weights = case.weights, from_variables(after)
    told |= {
        name: value
        for name in case.expected
        if (value := of_weights(name, from_variables({"params": grads}), *weights)) is not None
    }
    return told, after


@handles("crossmodal", "train_autoencoder", config=AUTOENCODER | TRAINING)
def train_autoencoder(case: Case) -> dict[str, np.ndarray]:
    config = case.config
    name, model = autoencoder_of(case)
    valid = np.ones(config["batch"], bool)
    batches = [{name: case.inputs[f"step{i}"], "mask": valid} for i in range(config["steps"])]
    loss = autoencoder_loss(model, config["tensor_map"]["loss"])
    told, after = train(case, loss, to_variables(case.weights, name), batches)

    def reconstruct(bound, x):
        return bound.decode(name, bound.encode(name, x))

    first = batches[0][name]
    told["reconstruction_after_stats"] = stats(model.apply(after, first, method=reconstruct))
    return {name: told[name] for name in case.expected}


@handles("crossmodal", "train_paired", config=PAIRED | TRAINING | {"merge"})
def train_paired(case: Case) -> dict[str, np.ndarray]:
    """The modality of every sample, or of every coordinate, is given instead of drawn."""
    config = case.config
    names, pair = list(config["tensor_maps"]), pair_options(config)
    model = paired_of(config, config["merge"])
    kinds = {name: Reconstruction(LOSSES[name]) for name in names}
    variables = to_variables(case.weights)
    if config["merge"] == "coordinate_fixed":
        variables["fixed"] = {"mask": {"coordinate_index": case.inputs["coordinate_index"]}}
    batches = []
    for i in range(config["steps"]):
        batch = {name: case.inputs[f"{name}.step{i}"] for name in names}
        batch["mask"] = np.ones(config["batch"], bool)
        if "sample_index" in case.inputs:
            batch["index"] = case.inputs["sample_index"][i]
        batches.append(batch)

    def loss(variables, batch, key, step):
        masks, index = dict.fromkeys(names, batch["mask"]), batch.get("index")
        joint = model.apply(
            variables, method=lambda bound: run_joint(bound, batch, masks, index, True)
        )
        value, terms = joint_loss(joint, batch, masks, kinds, pair)
        return value, Aux({}, terms)

    told, _ = train(case, loss, variables, batches)
    told |= {f"loss_{name}": told[name] for name in names}
    told |= {"loss_pair_weighted": told["pair"], "loss_total": told["loss"]}
    return {name: told[name] for name in case.expected}
