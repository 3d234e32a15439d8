"""MedKLIP's optimiser steps and the replication's, through the run layer's own train step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax import losses
from medjax.losses.segmentation import dice_cross_entropy
from medjax.nn.torch_names import Layer, from_torch, to_torch
from medjax.run.optim import make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import Aux, System, Update
from medjax.systems.medklip import names
from medjax.systems.medklip.classifier import Classifier
from medjax.systems.medklip.clip import ClipHead
from medjax.systems.medklip.pretraining_loss import make_loss
from medjax.systems.medklip.schedule import EpochClock
from medjax.systems.medklip.segmentation import ResUNet
from tests.parity.handlers.medklip_networks import (
    MODEL,
    batch_of,
    channels_last,
    fusion_of,
    fusion_table,
    published_layers,
    published_model,
    published_weights,
    read_maps,
)
from tests.parity.harness import Case, handles
from tests.parity.training import double, weight_outputs

WHOLE_RUN = 10**6
"""Steps of an epoch that no case reaches the end of."""


def optimizer_of(options: Mapping[str, Any], steps: int, clock: EpochClock | None = None) -> Any:
    """torch's AdamW on matrices alone, or Adam, at a constant rate or by the clock."""
    section = {
        "name": options.get("opt", "adam").lower(),
        "learning_rate": options["lr"],
        "schedule": "constant",
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-8,
        "weight_decay": options.get("weight_decay", 0.0),
        "decay_rule": options.get("decay_rule", "matrices"),
        "clip_norm": 0.0,
    }
    return make_optimizer(ConfigDict(section), steps, clock and clock.schedule(WHOLE_RUN))


def clock_of(config: Mapping[str, Any]) -> EpochClock:
    """The published clock of a case's options."""
    s = config["schedular"]
    assert s["sched"] == "cosine" and s["decay_rate"] == 1
    assert s["lr"] == config["optimizer"]["lr"]
    return EpochClock(
        s["lr"],
        s["min_lr"],
        s["warmup_lr"],
        s["warmup_epochs"],
        s["epochs"],
        config.get("step_size", 100),
        s["cooldown_epochs"],
    )


Told = list[dict[str, np.ndarray]]


def train_on(
    expected: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    table: list[Layer],
    loss: Callable,
    batches: Sequence[Mapping[str, Any]],
    optimizer: Any,
    frozen: str = "",
) -> tuple[Told, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Make steps; return each one's scalars, what is asked of the weights, and the weights.

    frozen: the part of the model that does not train.

    In float64: the first updates of Adam keep little but the signs of gradients, so that rounding
    alone parts two right float32 runs as soon as a unit stands near the kink of its ReLU.
    """
    unused = ("init", "plan", "collate", "table", "predict", "evaluate")

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if path[0] == frozen else "train"

    update = Update("all", loss, role, optimizer)
    system, scalars = System(**dict.fromkeys(unused), updates=(update,)), []
    with jax.enable_x64(True):
        variables = double(from_torch(table, weights))
        state = init_state(system, variables, jax.random.key(0))
        step = jax.jit(make_train_step(system))
        for batch in batches:
            state, found = step(state, double(dict(batch)))
            scalars.append(jax.device_get(found))
        after = to_torch(table, jax.device_get(state.variables))
    return scalars, weight_outputs(expected, weights, after), after


def train(
    case: Case,
    table: list[Layer],
    loss: Callable,
    batches: Sequence[Mapping[str, Any]],
    optimizer: Any,
    frozen: str = "",
) -> tuple[Told, dict[str, np.ndarray]]:
    """Make a case's steps; return each one's scalars, and what is asked of the weights."""
    return train_on(case.expected, case.weights, table, loss, batches, optimizer, frozen)[:2]


def losses_of(scalars: Told, name: str = "loss") -> np.ndarray:
    return np.array([found[name] for found in scalars])


@handles(
    "medklip",
    "train_steps",
    config=MODEL | {"steps", "optimizer", "schedular", "step_size", "no_cl", "exclude_class"},
)
def train_steps(case: Case) -> dict[str, np.ndarray]:
    config = case.config
    clock, steps = clock_of(config), config["steps"]
    loss = make_loss(published_model(case, jnp.float64), published_weights(config))
    scalars, told = train(
        case,
        published_layers(config),
        loss,
        [batch_of(case.inputs, step) for step in range(steps)],
        optimizer_of(config["optimizer"], steps, clock),
    )
    parts = [losses_of(scalars, "loss"), losses_of(scalars, "existence")]
    parts.append(np.zeros(steps) if config["no_cl"] else losses_of(scalars, "position"))
    rate = clock.schedule(WHOLE_RUN)
    return {
        "losses": np.stack(parts, 1),
        "lr": np.array([rate(step) for step in range(steps)]),
        **told,
    }


@handles(
    "medklip",
    "schedule",
    config={"optimizer", "schedular", "run_epochs", "steps_per_epoch", "table", "step_size"},
)
def schedule(case: Case) -> dict[str, np.ndarray]:
    config, clock = case.config, clock_of(case.config)
    epochs, steps = config["run_epochs"], config["steps_per_epoch"]
    rates = jax.vmap(clock.schedule(steps))(jnp.arange(epochs * steps))
    return {
        "lr_used": rates.reshape(epochs, steps),
        "lr_logged": np.array([clock.logged(epoch) for epoch in range(epochs)]),
        "get_lr": np.array([clock.at(tick) for tick in range(config["table"])]),
        "num_epochs": np.array(clock.run_epochs),
    }


def supervised(
    case: Case, table: list[Layer], model: Any, target: str, loss_of: Callable
) -> dict[str, np.ndarray]:
    """Steps of a network that reads images alone."""

    def loss(variables, batch, key, step):
        del key, step
        out, mutable = model.apply(
            variables, batch["image"], batch["mask"], train=True, mutable=["batch_stats"]
        )
        return loss_of(out, batch["target"]), Aux(mutable, {})

    steps = case.config["steps"]
    batches = [
        {
            "image": channels_last(case.inputs["images"][step]),
            "target": case.inputs[target][step],
            "mask": np.ones(case.inputs["images"].shape[1], bool),
        }
        for step in range(steps)
    ]
    optimizer = optimizer_of(case.config["optimizer"], steps)
    scalars, told = train(case, table, loss, batches, optimizer)
    return {"losses": losses_of(scalars), **told}


@handles(
    "medklip",
    "classification_finetune_train",
    config={"res_base_model", "out_size", "train", "steps", "optimizer"},
)
def classification_finetune_train(case: Case) -> dict[str, np.ndarray]:
    backbone = case.config["res_base_model"]
    assert case.config["train"]
    model = Classifier(backbone, outputs=case.config["out_size"], dtype=jnp.float64)

    def loss_of(out, labels):
        return losses.masked_mean(losses.sigmoid_cross_entropy(out[0], labels))

    return supervised(case, names.classifier_layers(backbone), model, "labels", loss_of)


@handles("medklip", "resunet_train", config={"out_size", "steps", "optimizer", "schedular"})
def resunet_train(case: Case) -> dict[str, np.ndarray]:
    """The rate is that of the clock, which does not move."""
    clock = clock_of(case.config)
    assert clock.rate == clock.final_rate == clock.warmup_rate
    model = ResUNet(outputs=case.config["out_size"], dropout=0.0, dtype=jnp.float64)

    def loss_of(logits, mask):
        return dice_cross_entropy(logits, mask.transpose(0, 2, 3, 1))

    return supervised(case, names.segmentation_layers(), model, "mask", loss_of)


@handles("medklip", "cmtalha_train", config={"lr", "steps"})
def cmtalha_train(case: Case) -> dict[str, np.ndarray]:
    """The image network is left out: its maps are given. No gradient reaches their projection."""
    config, model = case.config, fusion_of(case, heads=8, dtype=jnp.float64)

    def loss(variables, batch, key, step):
        del key, step
        maps, hidden = batch["maps"], batch["hidden"]
        reading = model.apply(variables, maps, hidden, method=read_maps)[-1]
        labels = batch["labels"]
        right = ((jax.nn.sigmoid(reading.logits) > 0.5) == labels).mean()
        entropy = losses.sigmoid_cross_entropy(reading.logits, labels)
        return losses.masked_mean(entropy), Aux({}, {"accuracy": right})

    batches = [
        {
            "maps": case.inputs["feature_map"][step],
            "hidden": case.inputs["text_hidden"],
            "labels": case.inputs["labels"][step],
            "mask": np.ones(case.inputs["labels"].shape[1], bool),
        }
        for step in range(config["steps"])
    ]
    optimizer = optimizer_of(config, config["steps"])
    scalars, told = train(case, fusion_table(case), loss, batches, optimizer, frozen="encoder")
    return {"losses": losses_of(scalars), "accuracy": losses_of(scalars, "accuracy"), **told}


@handles(
    "medklip",
    "cmtalha_clip_head",
    config={"img_dim", "txt_dim", "proj_dim", "lr", "steps", "weight_decay", "logit_scale_init"},
)
def cmtalha_clip_head(case: Case) -> dict[str, np.ndarray]:
    """AdamW decays everything here, the scale too."""
    config, table = case.config, names.clip_layers()
    image, text = case.inputs["img_cls"], case.inputs["txt_cls"]
    assert (image.shape[-1], text.shape[-1]) == (config["img_dim"], config["txt_dim"])
    model = ClipHead(config["proj_dim"], dtype=jnp.float64)
    weights = {**case.weights, "logit_scale": np.float64(config["logit_scale_init"])}

    def loss(variables, batch, key, step):
        del key, step
        image, text, scale = model.apply(variables, batch["image"], batch["text"])
        return losses.info_nce(image, text, scale), Aux({}, {})

    mask = np.ones(image.shape[1], bool)
    batches = [
        {"image": image[step], "text": text[step], "mask": mask} for step in range(config["steps"])
    ]
    optimizer = optimizer_of({**config, "opt": "adamw", "decay_rule": "all"}, config["steps"])
    scalars, told, after = train_on(case.expected, weights, table, loss, batches, optimizer)
    first = ClipHead(config["proj_dim"]).apply(from_torch(table, weights), image[0], text[0])
    told |= {"img_z": first[0], "txt_z": first[1], "logits": first[2] * first[0] @ first[1].T}
    told |= {"losses": losses_of(scalars), "info_nce": losses_of(scalars)[0]}
    return told | {"logit_scale_after": after["logit_scale"]}
