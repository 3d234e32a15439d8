"""The optimiser steps of the risk stage, driven through the run layer's own train step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from medjax.nn.dropout import Dropout
from medjax.nn.torch_names import from_torch, to_torch, under
from medjax.run.optim import make_optimizer
from medjax.run.step import init_state, make_train_step
from medjax.run.system import Batch, System, Update, Variables
from medjax.systems.ecg_attention.items import Items
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.names import autoencoder_layers, head_layers
from medjax.systems.ecg_attention.risk_loss import RiskLoss, hide_leads, risk_loss
from medjax.systems.ecg_attention.risk_network import RiskNetwork
from tests.parity.handlers.ecg_attention_model import options_of
from tests.parity.handlers.medfuse_training import double, weight_outputs
from tests.parity.harness import Case, handles

OPTIONS = {
    *("network", "optimizer", "lr", "betas", "weight_decay", "eps", "grad_clip_norm", "alpha"),
    *("steps", "batch", "decoder", "head", "head_input_size", "head_hidden_size"),
    *("head_output_size", "head_state_dict_prefix", "freeze_encoder", "warm_up"),
}


@contextmanager
def without_dropout() -> Iterator[None]:
    """Let every dropout layer pass what it is given."""

    def give(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        return args[0] if isinstance(context.module, Dropout) else call(*args, **kwargs)

    with nn.intercept_methods(give):
        yield


def optimizer_options(config: dict[str, Any]) -> ConfigDict:
    """The optimiser of a case's options."""
    b1, b2 = config["betas"]
    return ConfigDict(
        {
            "name": config["optimizer"].lower(),
            "learning_rate": config["lr"],
            "schedule": "warmup_cosine" if config["warm_up"] else "constant",
            **{"warmup_steps": 0, "warmup_fraction": 0.2},
            **{"warmup_learning_rate": 0.0, "final_learning_rate": 0.0},
            **{"b1": b1, "b2": b2, "eps": config["eps"]},
            "weight_decay": config["weight_decay"],
            "clip_norm": config["grad_clip_norm"],
        }
    )


@handles("ecg_attention", "train_risk", config=OPTIONS)
def train_risk(case: Case) -> dict[str, Any]:
    """In float64: rounding parts two right float32 runs at kinks of rectifiers and maxima."""
    config = case.config
    assert config["head"] == "BenchmarkClassifier" and config["head_output_size"] == 1
    options = options_of(config["network"])
    assert config["head_input_size"] == options["latent_dim"]
    table = [
        *autoencoder_layers(options["leads"], options["down_blocks"], options["up_blocks"]),
        *under(head_layers(), config["head_state_dict_prefix"], ("head",)),
    ]
    base = make_network(options, "float64")
    network = RiskNetwork(
        encoder=base.encoder, decoder=base.decoder, hidden=config["head_hidden_size"]
    )
    alpha = config["alpha"] if config["decoder"] else 1.0
    weights = RiskLoss(alpha, "masked_input", "batch_max", "breslow")

    def loss(variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Any:
        whole = Items(batch["signal"], batch["signal"], jnp.ones_like(batch["signal"]))
        items = hide_leads(whole, batch["keep"][0], weights.risk_recon_target)
        return risk_loss(network, variables, items, batch, weights, rngs={})

    def role(path: tuple[str, ...]) -> str:
        return "frozen" if config["freeze_encoder"] and path[0] == "encoder" else "train"

    optimizer = make_optimizer(optimizer_options(config), config["steps"])
    system = System(
        **dict.fromkeys(["init", "plan", "collate", "table", "predict", "evaluate"]),
        updates=(Update("risk", loss, role, optimizer),),
    )
    with jax.enable_x64(True), without_dropout():
        state = init_state(system, double(from_torch(table, case.weights)), jax.random.key(0))
        step = jax.jit(make_train_step(system))
        scalars = []
        for index in range(config["steps"]):
            state, found = step(state, _batch(case, index))
            scalars.append(jax.device_get(found))
        variables = jax.device_get(state.variables)
        score = _score(network, variables, case.inputs["ecg"][0])
    after = to_torch(table, variables)
    return {
        **{ours: np.array([s[name] for s in scalars]) for ours, name in SCALARS.items()},
        "eval_score_after_centred": score - score.mean(),
        **weight_outputs(of_parameters(case.expected), case.weights, after),
        **checks(case.expected, after),
    }


SCALARS = {"loss": "loss", "survival_loss": "cox", "mse": "mse", "grad_norm": "gradient_norm"}


def _batch(case: Case, step: int) -> dict[str, np.ndarray]:
    ecg, keep = case.inputs["ecg"], case.inputs["lead_keep"]
    which = step % len(ecg)
    rows, leads = ecg.shape[1:3]
    return {
        "signal": ecg[which].astype(np.float64),
        "event": case.inputs["event"][which].astype(np.float64),
        "time": case.inputs["time"][which].astype(np.float64),
        "keep": np.tile(keep[step % len(keep)], (rows, 1)),
        "recorded": np.ones((rows, leads), bool),
        "mask": np.ones(rows, bool),
    }


def _score(network: RiskNetwork, variables: Any, ecg: np.ndarray) -> np.ndarray:
    ones = np.ones(ecg.shape)
    output = network.apply(
        variables,
        *(ecg.astype(np.float64), ones, np.ones(len(ecg), bool)),
        train=False,
        method="read",
    )
    return np.asarray(output.log_risk)[:, None]


def of_parameters(expected: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in expected.items() if name.startswith("update_")}


def checks(expected: dict[str, Any], after: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`check:NAME`: the mean and the mean of absolute values after the last step."""
    names = [key.partition(":")[2] for key in expected if key.startswith("check:")]
    tensors = {name: after[name].astype(np.float64) for name in names}
    return {f"check:{name}": np.array([x.mean(), np.abs(x).mean()]) for name, x in tensors.items()}
