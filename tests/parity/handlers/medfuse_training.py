"""MedFuse's optimiser steps, driven through the run layer's own train step."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.run.optim import make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import System, Update
from medjax.systems.medfuse.convert import from_published, to_published
from medjax.systems.medfuse.freezing import encoder_modes, role
from medjax.systems.medfuse.loss import Modes, make_loss
from medjax.systems.medfuse.updates import mmtm_updates
from tests.parity.handlers.medfuse_models import (
    OPTIONS,
    check_plain,
    model_inputs,
    published_model,
)
from tests.parity.harness import Case, handles
from tests.parity.training import double, weight_outputs

TRAINING = {"lr", "steps", "optimizer", "betas", "eps", "weight_decay", "model_mode"}


def published_optimizer(config: dict):
    """The optimiser of a case's options."""
    options = ConfigDict(
        {
            "name": config["optimizer"].lower(),
            "learning_rate": config["lr"],
            "schedule": "constant",
            "b1": config["betas"][0],
            "b2": config["betas"][1],
            "eps": config["eps"],
            "weight_decay": float(config["weight_decay"]),
            "clip_norm": 0.0,
        }
    )
    return make_optimizer(options, config["steps"])


def train(case: Case, updates: tuple[Update, ...]) -> dict[str, np.ndarray]:
    """Make a case's steps; return every loss in the order of the updates, and the weights'.

    In float64: the first updates of Adam keep little but the signs of gradients, so that rounding
    alone parts two right float32 runs as soon as a unit stands near the kink of its ReLU.
    """
    config = case.config
    names = {"backbone": config["vision_backbone"], "layers": config["layers"]}
    system = System(
        **dict.fromkeys(["init", "plan", "collate", "table", "predict", "evaluate"]),
        updates=updates,
    )
    target = "y_cxr" if config["labels_set"] == "radiology" else "y_ehr"
    several = len(updates) > 1
    of_losses = [f"loss/{update.name}" if several else "loss" for update in updates]
    losses = []
    with jax.enable_x64(True):
        variables = double(from_published(case.weights, **names))
        state = init_state(system, variables, jax.random.key(0))
        step = jax.jit(make_train_step(system))
        for index in range(config["steps"]):
            labels = case.inputs[f"{target}_{index}"].astype(np.float64)
            labels = labels.reshape(len(labels), -1)
            inputs = double(model_inputs(config, case.inputs, f"_{index}"))
            state, scalars = step(state, {**inputs, "labels": labels})
            losses += [float(scalars[name]) for name in of_losses]
        after = to_published(jax.device_get(state.variables), **names)
    return {"loss": np.array(losses), **weight_outputs(case.expected, case.weights, after)}


def published_updates(case: Case) -> tuple[Update, ...]:
    """The optimiser steps of a case's options, as published."""
    check_plain(case)
    config = case.config
    assert config["model_mode"].startswith("train") and config["dropout"] == 0
    fusion, layer_after = config["fusion_type"], config["layer_after"]
    model, optimizer = published_model(config, jnp.float64), published_optimizer(config)
    modes = Modes(True, *encoder_modes(fusion, "train", train=True))
    if fusion == "mmtm":
        return mmtm_updates(model, modes, optimizer, config["align"], "visual_copy", layer_after)
    return (
        Update(
            name="fusion",
            loss=make_loss(model, modes, align=config["align"]),
            role=lambda path: role(fusion, path, layer_after),
            optimizer=optimizer,
        ),
    )


@handles("medfuse", "train_fusion", config=OPTIONS | TRAINING)
def train_fusion(case: Case) -> dict[str, np.ndarray]:
    return train(case, published_updates(case))


@handles("medfuse", "train_tokens", config=OPTIONS | TRAINING)
def train_tokens(case: Case) -> dict[str, np.ndarray]:
    return train(case, published_updates(case))


@handles("medfuse", "train_daft", config=OPTIONS | TRAINING)
def train_daft(case: Case) -> dict[str, np.ndarray]:
    return train(case, published_updates(case))


@handles("medfuse", "train_mmtm", config=OPTIONS | TRAINING)
def train_mmtm(case: Case) -> dict[str, np.ndarray]:
    """Three losses a round, in the order of the steps."""
    return train(case, published_updates(case))
