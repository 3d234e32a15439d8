"""The optimiser steps of MedST and MGCA, and of the probe, through the run layer's train step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.nn.torch_names import Layer, from_torch, to_torch
from medjax.run.compilation import compile_quickly
from medjax.run.optim import make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import Aux, System
from medjax.systems.medst.names import probe_layers
from medjax.systems.medst.networks.probe import Probe, probe_loss
from medjax.systems.medst.pretraining.loss import total
from medjax.systems.medst.pretraining.schedule import Cycles, published_cycle
from medjax.systems.medst.pretraining.updates import make_update, project, with_waiting_prototypes
from tests.parity.handlers.medst_pretraining import (
    inputs_of,
    losses_of,
    published,
    rows_of,
)
from tests.parity.harness import Case, handles
from tests.parity.training import double, weight_outputs

PEAK = 2e-5
"""The rate of the class, where hparams name none."""
CHANGE = "mean_abs_change_over_lr:"


def adamw(rate: Callable, steps: int, weight_decay: float, b1: float = 0.9):
    """torch's AdamW on every parameter."""
    section = {
        "name": "adamw",
        "learning_rate": 0.0,
        "schedule": "constant",
        "b1": b1,
        "b2": 0.999,
        "eps": 1e-8,
        "weight_decay": weight_decay,
        "clip_norm": 0.0,
    }
    return make_optimizer(ConfigDict(section), steps, rate)


def bare_system(*updates, **functions) -> System:
    """A system of which only the steps are asked for."""
    unused = ("init", "plan", "collate", "table", "predict", "evaluate")
    return System(**dict.fromkeys(unused), updates=updates, **functions)


def told_of_weights(
    case: Case, layers: list[Layer], variables: dict[str, Any], peak: float = 1.0
) -> dict[str, np.ndarray]:
    """What the case tells of weights; those that we do not hold have not moved."""
    after = {**case.weights, **to_torch(layers, jax.device_get(variables))}
    changes = [name for name in case.expected if name.startswith(CHANGE)]
    rest = {name: value for name, value in case.expected.items() if name not in changes}
    told = weight_outputs(rest, case.weights, after)
    means = {name: f"update_abs_mean:{name.removeprefix(CHANGE)}" for name in changes}
    of_changes = weight_outputs(dict.fromkeys(means.values()), case.weights, after)
    return told | {name: of_changes[mean] / peak for name, mean in means.items()}


TRAINING = {"arch", "hparams", "training_steps", "steps", "n_batches", "s_lens", "epoch_of_step"}


def train(case: Case, system: str) -> dict[str, np.ndarray]:
    """Make the steps, in float64: see the training cases of MedFuse."""
    config = case.config
    hparams, steps = config.get("hparams", {}), config["steps"]
    peak = hparams.get("learning_rate", PEAK)
    rate = published_cycle(peak, config["training_steps"])
    optimizer = partial(
        adamw,
        steps=steps,
        weight_decay=hparams.get("weight_decay", 0.05),
        b1=hparams.get("momentum", 0.9),
    )
    waits = 0
    if system == "mgca":
        epochs = hparams.get("freeze_prototypes_epochs", 1)
        waits = sum(epoch < epochs for epoch in config["epoch_of_step"])
    with jax.enable_x64(True), compile_quickly(True):
        run = published(case, system)
        run = run._replace(model=run.model.clone(dtype=jnp.float64))

        def loss(variables, batch, key, step):
            rows = rows_of(batch, 0)._replace(sequence=batch["sequence"], step=batch["step"])
            run_model = partial(run.model.apply, train=True, mutable=["batch_stats"])
            out, moved = run_model(variables, batch["films"], batch["tokens"])
            losses = losses_of(run, out, rows)
            return total(losses, run.weights), Aux(moved, losses)

        optimizer = with_waiting_prototypes(optimizer, rate, waits)
        update = make_update(loss, optimizer, hparams.get("freeze_bert", False))
        state = init_state(
            bare_system(update, project=project), double(run.variables), jax.random.key(0)
        )
        step = jax.jit(make_train_step(bare_system(update, project=project)))
        scalars = []
        for index in range(steps):
            which = index % config["n_batches"]
            batch = double(inputs_of(case, system, f"b{which}:"))
            rows = rows_of(batch, config["s_lens"][which])
            mask = np.ones(len(batch["films"].frontal), bool)
            named = {"sequence": rows.sequence, "step": rows.step, "mask": mask}
            state, found = step(state, {**batch, **named})
            scalars.append(found)
        told = told_of_weights(case, run.layers, state.variables, peak)
        told["lr"] = np.array([float(rate(index)) for index in range(steps)])
    names = {name: f"loss_{name}" for name in scalars[0]} | {"loss": "loss"}
    return told | {names[n]: np.array([float(s[n]) for s in scalars]) for n in scalars[0]}


@handles("medst", "medst_train", config=TRAINING | {"runner"})
def medst_train(case: Case) -> dict[str, np.ndarray]:
    return train(case, "medst")


@handles("medst", "mgca_train", config=TRAINING | {"runner"})
def mgca_train(case: Case) -> dict[str, np.ndarray]:
    return train(case, "mgca")


CYCLES = {"learning_rate", "first_cycle_steps", "cycle_mult", "min_lr", "warmup_steps", "gamma"}


@handles("medst", "lr_schedule", config=CYCLES | {"n", "runner"})
def lr_schedule(case: Case) -> dict[str, np.ndarray]:
    config = case.config
    cycles = Cycles(
        config["learning_rate"],
        config["first_cycle_steps"],
        config["warmup_steps"],
        config["min_lr"],
        config["cycle_mult"],
        config["gamma"],
    )
    return {"lr_used_at_step": cycles.schedule(config["n"])(np.arange(config["n"]))}


PROBE = {"in_features", "num_classes", "hidden_dim", "multilabel", "steps", "runner"}


@handles("medst", "ssl", config=PROBE)
def ssl(case: Case) -> dict[str, np.ndarray]:
    """A probe on given features: one forward pass, the steps, another pass."""
    config = case.config
    features, labels = case.inputs["features"], case.inputs["labels"]
    assert features.shape[1] == config["in_features"]
    model = Probe(config["num_classes"], config["hidden_dim"] or 0)
    layers = probe_layers(bool(config["hidden_dim"]))
    labels = labels if config["multilabel"] else labels[:, 0].astype(np.int32)

    def apply(variables, batch, train):
        mutable = ["batch_stats"] if train else False
        out = model.apply(variables, batch["features"], train=train, mutable=mutable)
        logits, moved = out if train else (out, {})
        return logits, probe_loss(logits, batch["labels"], config["multilabel"]), moved

    def loss(variables, batch, key, step):
        _, value, moved = apply(variables, batch, True)
        return value, Aux(moved, {})

    system = bare_system(make_update(loss, adamw(lambda step: 5e-4, config["steps"], 1e-6)))
    batch = {"features": features, "labels": labels, "mask": np.ones(len(features), bool)}
    variables = from_torch(layers, case.weights)
    variables.setdefault("batch_stats", {})
    before = jax.jit(partial(apply, train=False))(variables, batch)
    state = init_state(system, variables, jax.random.key(0))
    step, losses = jax.jit(make_train_step(system)), []
    for _ in range(config["steps"]):
        state, found = step(state, batch)
        losses.append(float(found["loss"]))
    return {
        "eval_logits": before[0],
        "eval_loss": before[1],
        "train_losses": np.array(losses),
        "final_logits": apply(state.variables, batch, False)[0],
        **told_of_weights(case, layers, state.variables),
    }
