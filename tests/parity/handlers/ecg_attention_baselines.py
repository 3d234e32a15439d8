"""Baseline networks, heads and dropout of the ECG system."""

from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from medjax.nn.dropout import Dropout, drop
from medjax.nn.torch_names import Layer, from_torch
from medjax.systems.ecg_attention.attention import Perceptron, dropout_axes
from medjax.systems.ecg_attention.encoding import sample_latent
from medjax.systems.ecg_attention.heads import Head
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.names import (
    head_layers,
    marcel_layers,
    multi_scale_decoder_layers,
    xresnet_layers,
)
from tests.parity.handlers.ecg_attention_model import PUBLISHED
from tests.parity.harness import Case, handles


@handles("ecg_attention", "marcel_vae", config={"num_leads", "time_steps", "z_dims"})
def marcel_vae(case: Case) -> dict[str, Any]:
    config = case.config
    sizes = {"leads": config["num_leads"], "time_steps": config["time_steps"]}
    options = PUBLISHED | sizes | {"network": "marcel_vae", "latent_dim": config["z_dims"]}
    network = make_network(options)
    variables = from_torch(marcel_layers(), case.weights)
    code = network.apply(variables, case.inputs["ecg"], method="encode")
    z = sample_latent(code.mean, code.log_variance, case.inputs["eps"])
    reconstruction = network.apply(variables, z, method="decode")
    return {"recon": reconstruction, "z_mu": code.mean, "z_log_var": code.log_variance, "z": z}


XRESNET = {
    *("encoder_type", "in_channels", "ECG_length", "decoder_type", "embedding_dim"),
    *("latent_code_dim", "add_time", "encoder_mha", "apply_method", "decoder_outdim"),
}


@handles("ecg_attention", "xresnet_autoencoder", config=XRESNET)
def xresnet_autoencoder(case: Case) -> dict[str, Any]:
    config = case.config
    assert config["encoder_type"] == "resnet1d101" and config["decoder_type"] == "ms_resnet"
    assert not config["add_time"] and not config["encoder_mha"] and not config["apply_method"]
    assert config["latent_code_dim"] == 2 * config["embedding_dim"]
    options = PUBLISHED | {
        "network": "xresnet1d101",
        "decoder": config["decoder_type"],
        "leads": config["decoder_outdim"],
        "time_steps": config["ECG_length"],
        "latent_dim": config["latent_code_dim"],
    }
    table = [*xresnet_layers(), *multi_scale_decoder_layers()]
    variables = from_torch(table, case.weights)
    reconstruction, code = make_network(options).apply(variables, case.inputs["ecg"])
    return {"recon": reconstruction, "z": code.z}


def with_masks(masks: dict[str, np.ndarray]) -> AbstractContextManager[None]:
    """Let the dropout layers of these names keep what their mask tells, in place of a drawn one."""

    def give(next_call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        if isinstance(layer, Dropout) and layer.name in masks:
            shape = [1 if i in layer.shared else n for i, n in enumerate(args[0].shape)]
            assert masks[layer.name].shape == tuple(shape)
            return drop(args[0], masks[layer.name], layer.rate)
        return next_call(*args, **kwargs)

    return nn.intercept_methods(give)


@handles("ecg_attention", "batchwise_dropout", config={"p"})
def batchwise_dropout(case: Case) -> dict[str, Any]:
    outputs = {}
    for name, x in case.inputs.items():
        if not name.endswith("_x"):
            continue
        layout = name.removesuffix("_x")
        shared = (0,) if layout.startswith("batch_first") else (1,)
        mask = case.inputs[f"{layout}_mask"]
        assert mask.shape == tuple(1 if i in shared else n for i, n in enumerate(x.shape))
        layer = Dropout(case.config["p"], shared, name="dropout")
        with with_masks({"dropout": mask}):
            outputs[f"{layout}_y"] = layer.apply({}, x, train=True)
    return outputs


@handles(
    "ecg_attention",
    "time_mlp",
    config={"in_features", "hidden_features", "out_features", "drop", "apply_batchwise_dropout"},
)
def time_mlp(case: Case) -> dict[str, Any]:
    config = case.config
    assert config["hidden_features"] == 4 * config["in_features"]
    assert config["out_features"] == config["in_features"]
    table = [Layer(name, (name,), "linear") for name in ("fc1", "fc2")]
    variables = from_torch(table, case.weights)
    stacked = jax.tree.map(lambda leaf: leaf[None], variables)
    shared = dropout_axes("published", config["apply_batchwise_dropout"]).time_mlp
    layer = Perceptron(config["drop"], shared, stack=1)
    # The case has [time, batch, feature], ours [batch, lead, time, feature].
    turn = {"hidden_dropout": "mask1", "output_dropout": "mask2"}
    masks = {k: case.inputs[v].transpose(1, 0, 2)[:, None] for k, v in turn.items()}
    x = case.inputs["x"].transpose(1, 0, 2)[:, None]
    with with_masks(masks):
        y = layer.apply(stacked, x, train=True)
    return {"y": y[:, 0].swapaxes(0, 1)}


@handles(
    "ecg_attention",
    "risk_head",
    config={"input_size", "hidden_size", "output_size", "batchwise_dropout", "dropout_rate"},
)
def risk_head(case: Case) -> dict[str, Any]:
    config, x = case.config, case.inputs["x"]
    head = Head(
        config["hidden_size"],
        config["output_size"],
        config["dropout_rate"],
        config["batchwise_dropout"],
    )
    variables = from_torch(head_layers(), case.weights)
    with with_masks({"input_dropout": case.inputs["mask"]}):
        score, moved = head.apply(variables, x, None, train=True, mutable="batch_stats")
    statistics = {
        f"bn{number}_running_{published}": moved["batch_stats"][name][ours]
        for number, name in ((0, "norm1"), (4, "norm2"))
        for published, ours in (("mean", "mean"), ("var", "var"))
    }
    return {
        "eval_score": head.apply(variables, x, None, train=False),
        "eval_features": head.apply(variables, x, None, train=False, method="features"),
        "train_score": score,
        **statistics,
    }


@handles("ecg_attention", "superclass_head", config={"input_size", "hidden_size", "output_size"})
def superclass_head(case: Case) -> dict[str, Any]:
    head = Head(case.config["hidden_size"], case.config["output_size"])
    variables = from_torch(head_layers(), case.weights)
    logits = head.apply(variables, case.inputs["x"], None, train=False)
    entropy = optax.sigmoid_binary_cross_entropy(logits, case.inputs["target"]).mean()
    return {"logits": logits, "bce": entropy}
