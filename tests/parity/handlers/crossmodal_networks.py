"""The cross-modal autoencoder's networks, merges and losses."""

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np

from medjax.systems.crossmodal.architecture import Architecture, make_architecture
from medjax.systems.crossmodal.blocks import Decoder, Encoder, Merger
from medjax.systems.crossmodal.loss import (
    ERRORS,
    PairOptions,
    Reconstruction,
    joint_loss,
    latent_distance,
    reconstruction_loss,
    run_joint,
)
from medjax.systems.crossmodal.model import CrossModal
from medjax.systems.crossmodal.names import TENSOR_MAPS, to_variables
from tests.parity.harness import Case, handles

MODALITIES = {tensor_map: modality for modality, tensor_map in TENSOR_MAPS.items()}
AUTOENCODER = {"tensor_map", "gelu_approximate", "hyperparameters", "batch", "merge"}
PAIRED = {"tensor_maps", "ecg_hyperparameters", "mri_hyperparameters", "pair", "batch"}
PAIRED |= {"gelu_approximate", "contrastive_form"}
LOSSES = {"ecg": "log_cosh", "mri": "mse"}


def architecture(options: Mapping[str, Any], shape: list[int], gelu: bool) -> Architecture:
    """The architecture of a case's hyperparameters."""
    assert options["conv_type"] == "conv"
    options = {name: "none" if value is None else value for name, value in options.items()}
    options = {n: tuple(v) if isinstance(v, list) else v for n, v in options.items()}
    return make_architecture({**options, "gelu_approximate": gelu}, tuple(shape))


def autoencoder_of(case: Case) -> tuple[str, CrossModal]:
    """The modality of a case and its network."""
    config = case.config
    assert config["merge"] == "concat"
    tensor_map = config["tensor_map"]
    assert tensor_map.get("activation", "linear") == "linear"
    name = MODALITIES[tensor_map["name"]]
    options = architecture(
        config["hyperparameters"], tensor_map["shape"], config["gelu_approximate"]
    )
    return name, CrossModal(((name, options),), mergers=(name,))


def pair_options(config: Mapping[str, Any]) -> PairOptions:
    """The published pair loss of a case."""
    return PairOptions(
        loss=config["pair"]["pair_loss"],
        weight=config["pair"]["pair_loss_weight"],
        contrastive_form=config.get("contrastive_form", "swapped"),
        cosine_clip=0.0,
        euclid_reduction="frobenius",
    )


def paired_of(config: Mapping[str, Any], merge: str) -> CrossModal:
    """The paired network of a case."""
    modalities = tuple(
        (name, architecture(config[f"{name}_hyperparameters"], shape, config["gelu_approximate"]))
        for name, shape in config["tensor_maps"].items()
    )
    temperature = 0.0 if config["pair"]["pair_loss"] == "contrastive" else None
    return CrossModal(modalities, merge, temperature=temperature)


def part(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The variables of one part."""
    return {collection: tree[name] for collection, tree in variables.items() if name in tree}


def stats(x: np.ndarray) -> np.ndarray:
    """mean, mean |x|, std, min, max."""
    x = np.asarray(x, np.float64)
    return np.array([x.mean(), np.abs(x).mean(), x.std(), x.min(), x.max()])


def asked(case: Case, outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs by the names of the case: whole, as `stats`, or "_s8", every eighth position and
    every seventh channel."""
    found = {}
    for name in case.expected:
        stem, _, form = name.rpartition("_")
        if name in outputs:
            found[name] = outputs[name]
        elif form == "stats":
            found[name] = stats(outputs[stem])
        elif form[:1] == "s" and form[1:].isdigit():
            step = int(form[1:])
            found[name] = outputs[stem][:, ::step, ::step, ::7]
    return found


@handles("crossmodal", "autoencoder", config=AUTOENCODER | {"parameters"})
def autoencoder(case: Case) -> dict[str, Any]:
    name, model = autoencoder_of(case)
    options = dict(model.modalities)[name]
    variables = to_variables(case.weights, name)
    count = sum(x.size for x in jax.tree.leaves(variables["params"]))
    count += sum(x.size for x in jax.tree.leaves(variables.get("batch_stats", {})))
    assert count == case.config["parameters"]

    @jax.jit
    def run(variables, x):
        encoded = Encoder(options).apply(part(variables, f"encoder_{name}"), x, train=False)
        merged = Merger(options).apply(part(variables, f"merger_{name}"), encoded[-1], train=False)
        decoder = part(variables, f"decoder_{name}")
        decoded = Decoder(options).apply(decoder, merged, train=False)
        direct = Decoder(options).apply(decoder, encoded[-1], train=False)[-1]
        return encoded, merged, decoded, direct

    x = case.inputs["x"]
    encoded, merged, decoded, direct = run(variables, x)
    return asked(
        case,
        {
            **{f"enc_{i}": y for i, y in enumerate(encoded)},
            **{f"dec_{i}": y for i, y in enumerate(decoded)},
            "latent": encoded[-1],
            "merged": merged,
            "reconstruction": decoded[-1],
            "direct": direct,
            "loss": reconstruction_loss(case.config["tensor_map"]["loss"], decoded[-1], x),
        },
    )


@handles(
    "crossmodal", "losses", config={"batch", "dim", "temperatures", "weight", "contrastive_form"}
)
def losses(case: Case) -> dict[str, Any]:
    config = case.config
    left, right, truth = (case.inputs[name] for name in ("left", "right", "y_true"))
    left = left.copy()
    left[0] = 0
    prediction = case.inputs["y_pred"] * 3
    options = PairOptions(
        contrastive_form=config["contrastive_form"], cosine_clip=0.0, euclid_reduction="frobenius"
    )
    outputs = {}
    for i, log_scale in enumerate(config["temperatures"]):
        of_all = jax.value_and_grad(
            lambda left, right, t: latent_distance(options, left, right, t[0]), (0, 1, 2)
        )
        value, grads = of_all(left, right, np.array([log_scale], np.float32))
        outputs[f"contrastive_t{i}"] = value
        for which, grad in zip(("left", "right", "temperature"), grads):
            outputs[f"contrastive_t{i}_d{which}"] = grad
        outputs["contrastive_layer_weighted"] = config["weight"] * value
    for name in ("cosine", "euclid"):
        chosen = options._replace(loss=name)
        of_pair = jax.value_and_grad(lambda a, b, o=chosen: latent_distance(o, a, b), (0, 1))
        outputs[name], grads = of_pair(left[1:], right[1:])
        outputs |= {f"{name}_d{side}": grad for side, grad in zip(("left", "right"), grads)}
        outputs[f"{name}_layer_weighted"] = config["weight"] * latent_distance(chosen, left, right)
    for name in ERRORS:
        of_error = jax.value_and_grad(lambda p, n=name: reconstruction_loss(n, p, truth))
        outputs[name], outputs[f"{name}_dpred"] = of_error(prediction)
    return outputs


@handles("crossmodal", "paired", config=PAIRED | {"merge", "merge_of_outputs", "pairs"})
def paired(case: Case) -> dict[str, Any]:
    """Every merge that the case asks for; the losses belong to that of its options."""
    config, variables = case.config, to_variables(case.weights)
    names = list(config["tensor_maps"])
    assert config["pairs"] == [[TENSOR_MAPS[name] for name in names]]
    batch = {name: case.inputs[name] for name in names}
    batch["mask"] = np.ones(config["batch"], bool)
    masks = dict.fromkeys(names, batch["mask"])
    kinds = {name: Reconstruction(LOSSES[name]) for name in names}
    outputs: dict[str, Any] = {}
    for merge in config["merge_of_outputs"]:
        model = paired_of(config, merge)
        method = partial(run_joint, batch=batch, masks=masks, train=False)
        index = case.inputs.get(f"{merge}_index")
        joint = model.apply(variables, index=index, method=method)
        decoded = joint.reconstructions
        outputs[f"merged_{merge}"] = joint.merged
        outputs |= {f"{merge}_reconstruction_{name}": y for name, y in decoded.items()}
        if merge == config["merge"]:
            total, terms = joint_loss(joint, batch, masks, kinds, pair_options(config))
            outputs |= {f"latent_{name}": z for name, z in joint.latents.items()}
            outputs |= {f"reconstruction_{name}": y for name, y in decoded.items()}
            outputs |= {f"loss_{name}": terms[name] for name in names}
            outputs |= {"loss_pair_weighted": terms["pair"], "loss_total": total}
    for target, source in product(names, names):
        method = partial(CrossModal.decode, name=target, z=outputs[f"latent_{source}"])
        outputs[f"{target}_from_{source}"] = model.apply(variables, method=method)
    return asked(case, outputs)
