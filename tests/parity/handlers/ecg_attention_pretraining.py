"""The optimiser steps of the pre-training, driven through the run layer's own train step."""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.nn.torch_names import from_torch, to_torch, under
from medjax.run.optim import learning_rate, make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import Batch, System, Update, Variables
from medjax.systems.ecg_attention.encoding import Encoding, sample_latent
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.names import autoencoder_layers, head_layers, projector_layers
from medjax.systems.ecg_attention.pretraining_loss import Weights, make_loss
from medjax.systems.ecg_attention.pretraining_network import PretrainingNetwork
from tests.parity.handlers.ecg_attention_model import options_of
from tests.parity.handlers.ecg_attention_risk import checks, of_parameters, without_dropout
from tests.parity.handlers.medfuse_training import double, weight_outputs
from tests.parity.harness import Case, handles

OPTIONS = {
    *("network", "optimizer", "lr", "betas", "weight_decay", "eps", "schedule", "max_iters"),
    *("warmup_steps", "steps", "batch", "latent_code_dim", "ecg2text", "no_recon"),
    *("recon_classification", "vae_beta"),
}
PARTS = {"mse": "mse", "align": "alignment", "bce": "bce", "kl": "kl"}
"""What the original calls the parts of the loss."""


def optimizer_options(config: dict[str, Any]) -> ConfigDict:
    """The optimiser of a case's options."""
    b1, b2 = config["betas"]
    return ConfigDict(
        {
            "name": config["optimizer"].lower(),
            "learning_rate": config["lr"],
            "schedule": "constant" if config["schedule"] == "constant" else "warmup_cosine",
            **{"warmup_steps": config["warmup_steps"], "warmup_learning_rate": 0.0},
            **{"final_learning_rate": 0.0, "clip_norm": 0.0},
            **{"b1": b1, "b2": b2, "eps": config["eps"]},
            "weight_decay": config["weight_decay"],
        }
    )


def layers_of(config: dict[str, Any], options: dict[str, Any]) -> list:
    """The published names of everything that a case trains."""
    table = autoencoder_layers(options["leads"], options["down_blocks"], options["up_blocks"])
    table = [*under(table, "network", ())]
    if config["ecg2text"]:
        for name in ("ecg_projector", "text_projector"):
            table += under(projector_layers(), name, (name,))
    if config["recon_classification"]:
        table += under(head_layers(), "classifier", ("classifier",))
    return table


def with_noise(noise: jax.Array | None) -> Any:
    """An interceptor that gives a variational encoder these draws [batch, latent]."""

    def give(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if noise is None or context.method_name != "_code":
            return call(*args, **kwargs)
        encoder = context.module
        mean, log_variance = encoder.mean(args[0]), encoder.log_variance(args[0])
        return Encoding(sample_latent(mean, log_variance, noise), mean, log_variance)

    return nn.intercept_methods(give)


@handles("ecg_attention", "train_pretrain", config=OPTIONS)
def train_pretrain(case: Case) -> dict[str, Any]:
    """In float64: rounding parts two right float32 runs at kinks of rectifiers and maxima."""
    config = case.config
    options = options_of(config["network"])
    assert config["latent_code_dim"] == options["latent_dim"]
    base = make_network(options, "float64")
    weights = Weights(
        reconstruction=0.0 if config["no_recon"] else 1.0,
        kl=float(config["vae_beta"]),
        alignment=float(config["ecg2text"]),
        superclass=float(config["recon_classification"]),
    )
    classes = case.inputs["superclass"].shape[-1] if weights.superclass else 0
    network = PretrainingNetwork(
        encoder=base.encoder,
        decoder=base.decoder,
        latent_dim=options["latent_dim"],
        alignment_loss="cosine" if weights.alignment else "none",
        classes=classes,
    )
    of_items = make_loss(
        network,
        weights,
        lambda batch, key: Items(batch["target"], batch["signal"], batch["visible"]),
    )

    def loss(variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Any:
        with with_noise(batch.get("noise")):
            return of_items(variables, batch, key, step)

    def role(path: tuple[str, ...]) -> str:
        return "train" if weights.reconstruction or path[0] != "decoder" else "unused"

    optimizer = optimizer_options(config)
    update = Update("pretrain", loss, role, make_optimizer(optimizer, config["max_iters"]))
    system = System(
        **dict.fromkeys(["init", "plan", "collate", "table", "predict", "evaluate"]),
        updates=(update,),
    )
    table = layers_of(config, options)
    with jax.enable_x64(True), without_dropout():
        state = init_state(system, double(from_torch(table, case.weights)), jax.random.key(0))
        step = jax.jit(make_train_step(system))
        scalars = []
        for index in range(config["steps"]):
            state, found = step(state, batch_of(case, index))
            scalars.append(jax.device_get(found))
        variables = jax.device_get(state.variables)
    after = to_torch(table, variables)
    rate = learning_rate(optimizer, config["max_iters"])
    return {
        "loss": np.array([s["loss"] for s in scalars]),
        **{
            name: np.array([s[ours] for s in scalars])
            for name, ours in PARTS.items()
            if ours in scalars[0]
        },
        "lr": np.array([rate(s) for s in range(config["steps"])], np.float64),
        **weight_outputs(of_parameters(case.expected), case.weights, after),
        **checks(case.expected, after),
    }


def batch_of(case: Case, step: int) -> dict[str, np.ndarray]:
    """The batch of a step, in float64."""
    inputs = case.inputs
    which = step % len(inputs["clean"])
    rows, leads = inputs["clean"].shape[1:3]
    batch = {
        "target": inputs["clean"][which].astype(np.float64),
        "signal": inputs["input"][which].astype(np.float64),
        "visible": inputs["mask"][which].astype(np.float64),
        "texts": inputs["text_embedding"][which].astype(np.float64),
        "text_group": np.arange(rows),
        "recorded": np.ones((rows, leads), bool),
        "mask": np.ones(rows, bool),
    }
    if "superclass" in inputs:
        batch["labels"] = inputs["superclass"][which].astype(np.float64)
    if "eps" in inputs:
        batch["noise"] = inputs["eps"][step].astype(np.float64)
    return batch
