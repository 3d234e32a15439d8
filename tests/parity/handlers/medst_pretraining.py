"""The losses of MedST and MGCA, and both networks on a batch."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medjax.nn.torch_names import Layer, from_torch
from medjax.systems.medst.names import network_layers
from medjax.systems.medst.networks.model import MGCA, Aligned, Films, FilmsAndReports, MedST
from medjax.systems.medst.networks.prototypes import normalised, sinkhorn
from medjax.systems.medst.pretraining.loss import (
    Losses,
    PretrainingOptions,
    Rows,
    codes,
    medst_losses,
    mgca_losses,
    retrieval_accuracy,
    total,
)
from medjax.systems.medst.pretraining.temporal_loss import cycle_loss
from medjax.systems.medst.published import network_fields
from tests.parity.handlers.medst_networks import (
    all_patches,
    bert_config,
    buffers,
    channels_last,
    in_use,
    tokens_of,
    vit_config,
    wordpiece_of,
)
from tests.parity.harness import Case, handles

STEPS = 4
"""Films of a published sequence."""
NETWORK = {"num_heads", "use_local_atten", "num_prototypes", "local_temperature"}
LOSSES = {
    "softmax_temperature": "temperature",
    "bidirectional": "bidirectional",
    "huber_delta": "huber_delta",
    "proto_temperature": "prototype_temperature",
    "epsilon": "epsilon",
    "sinkhorn_iterations": "sinkhorn_iterations",
}
"""Ours by the name of an option among the hparams of a case."""
WEIGHTS = {"medst": (1.0, 1.0, 1.0), "mgca": (1.0, 0.7, 0.5)}
LAMBDAS = ("lambda_1", "lambda_2", "lambda_3")
OPTIMISER = {"learning_rate", "weight_decay", "momentum", "freeze_prototypes_epochs", "freeze_bert"}


@handles("medst", "sinkhorn", config={"iterations", "epsilon", "runner"})
def sinkhorn_codes(case: Case) -> dict[str, np.ndarray]:
    scores = case.inputs["proto_scores"]
    epsilon = case.config["epsilon"]
    return {f"code_iter{n}": sinkhorn(scores, epsilon, n) for n in case.config["iterations"]}


def sequences(rows: int, of_sequences: int, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Sequence and place of `rows` rows, of which the first ones are sequences end to end."""
    place = np.arange(rows)
    inside = place < of_sequences // steps * steps
    return np.where(inside, place // steps, -1), np.where(inside, place % steps, 0)


TEMPORAL = {"loss_types", "similarities", "huber_deltas", "num_steps", "temperature"}


@handles("medst", "temporal_losses", config=TEMPORAL | {"variance_lambda", "runner"})
def temporal_losses(case: Case) -> dict[str, np.ndarray]:
    """One direction, its value and gradients, for every combination of the options."""
    config = case.config
    films, reports = (case.inputs[name] for name in ("embs1", "embs2"))
    steps = config["num_steps"]
    assert films.shape[1] == steps
    sequence, step = sequences(films.shape[0] * steps, films.shape[0] * steps, steps)

    @partial(jax.jit, static_argnames=("similarity", "regression"))
    def run(films, reports, **options):
        def loss(films, reports):
            flat = (x.reshape(-1, x.shape[-1]) for x in (films, reports))
            fixed = config["temperature"], config["variance_lambda"]
            return cycle_loss(*flat, sequence, step, fixed[0], variance_lambda=fixed[1], **options)

        return jax.value_and_grad(loss, (0, 1))(films, reports)

    outputs: dict[str, Any] = {}
    for kind in config["loss_types"]:
        for similarity in config["similarities"]:
            for delta in config["huber_deltas"]:
                key = f"{kind}|{similarity}|huber{delta}"
                regression = kind.removeprefix("regression_")
                options = {"similarity": similarity, "regression": regression}
                value, grads = run(films, reports, huber_delta=float(delta), **options)
                outputs[key] = value
                outputs |= {f"grad{i + 1}:{key}": grad for i, grad in enumerate(grads)}
    for name in case.expected:
        what, _, similarity = name.rpartition("_")
        if what == "forward_classification":
            outputs[name] = classification(films, reports, similarity, config["temperature"])
    return outputs


def classification(films, reports, similarity: str, temperature: float) -> float:
    """The part that classifies alone: the rest of a loss of "mse" whose places all coincide."""
    count, steps = films.shape[:2]
    sequence, _ = sequences(count * steps, count * steps, steps)
    flat = (x.reshape(count * steps, -1) for x in (films, reports))
    still = np.zeros(count * steps)
    return cycle_loss(*flat, sequence, still, temperature, similarity, "mse")


class Published(NamedTuple):
    """A case's network with its options."""

    model: FilmsAndReports
    layers: list[Layer]
    variables: dict[str, Any]
    options: PretrainingOptions
    weights: tuple[float, float, float]
    system: str


def published(case: Case, system: str) -> Published:
    """The network of a case, as published."""
    config = case.config
    arch, hparams = config["arch"], config.get("hparams", {})
    unknown = set(hparams) - NETWORK - set(LOSSES) - set(LAMBDAS) - OPTIMISER
    assert not unknown, f"options unknown to the handler: {unknown}"
    layered = hparams.get("use_local_atten", False)
    network = {
        "backbone": vit_config(arch),
        "bert_config": bert_config(arch, len(wordpiece_of(case).ids)),
        **network_fields(),
        "hidden": arch["hid"],
        "dim": arch["emb"],
        "local_temperature": hparams.get("local_temperature", 0.1),
        "heads": hparams.get("num_heads", 1),
        "attention_layers": layered,
    }
    if system == "mgca":
        model = MGCA(**network, prototypes=hparams.get("num_prototypes", 500))
    else:
        model = MedST(**network)
    layers = network_layers(network["backbone"], arch["bert"]["layers"])
    options = PretrainingOptions(
        **{ours: hparams[name] for name, ours in LOSSES.items() if name in hparams}
    )
    weights = tuple(hparams.get(n, w) for n, w in zip(LAMBDAS, WEIGHTS[system]))
    variables = from_torch(layers, in_use(case.weights, layered))
    return Published(model, layers, variables, options, weights, system)


def inputs_of(case: Case, system: str, prefix: str = "") -> dict[str, Any]:
    """Films and tokens of a batch."""
    inputs = case.inputs
    frontal = channels_last(inputs[f"{prefix}imgs"])
    films = Films(frontal)
    if system == "medst":
        lateral = channels_last(inputs[f"{prefix}ces"])
        films = Films(frontal, lateral, inputs[f"{prefix}index_ce"] == 1)
    assert not inputs[f"{prefix}token_type_ids"].any()
    return {"films": films, "tokens": tokens_of(case, prefix)}


def rows_of(batch: Mapping[str, Any], of_sequences: int) -> Rows:
    """The rows of a batch, of which the first ones are in sequences."""
    sequence, step = sequences(len(batch["films"].frontal), of_sequences)
    return Rows(sequence=jnp.asarray(sequence), step=jnp.asarray(step))


def losses_of(run: Published, out: Aligned, rows: Rows) -> Losses:
    """The three losses, unweighted."""
    of = {"medst": medst_losses, "mgca": mgca_losses}[run.system]
    return of(out, rows, run.options)


def forward(case: Case, system: str) -> dict[str, Any]:
    """One batch through the network and its losses."""
    run, train = published(case, system), case.config["mode"] == "train"
    batch = inputs_of(case, system)

    @jax.jit
    def apply(variables, films, tokens):
        mutable = ["batch_stats"] if train else False
        out = run.model.apply(variables, films, tokens, train=train, mutable=mutable)
        out, moved = out if train else (out, {})
        rows = rows_of({"films": films}, case.config["s_len"])
        one = run._replace(options=run.options._replace(bidirectional=False))
        losses = losses_of(run, out, rows)
        accuracy = {
            f"acc{top}": retrieval_accuracy(out.image, out.text, rows, 1.0, top)[None]
            for top in (1, 5)
        }
        extra = {f"loss_{name}": value for name, value in losses.items()}
        extra["loss_word"] = losses_of(one, out, rows)["local"]
        extra["loss_patch"] = losses["local"] - extra["loss_word"]
        extra["loss"] = total(losses, run.weights)
        if system == "mgca":
            found = {"img_code": out.image_scores, "report_code": out.text_scores}
            extra |= {name: codes(x, rows, run.options) for name, x in found.items()}
        return out, moved, {**accuracy, **extra}

    out, moved, outputs = apply(run.variables, **batch)
    patches = all_patches(out.patches.patches, out.patches.lateral)
    outputs |= {"img_emb": out.image, "report_emb": out.text, "word_emb_head": out.words[:, :8]}
    outputs |= buffers(case, run.layers, run.variables, moved)
    outputs["word_attention"] = out.text_features.attention
    for name in case.expected:
        stem, _, numbers = name.partition("patch_emb_")
        if numbers and not stem:
            outputs[name] = patches[:, [int(number) for number in numbers.split("_")]]
    if system == "mgca":
        kernel = run.variables["params"]["prototype_layer"]["kernel"]
        outputs["prototypes_after"] = normalised(kernel).T
    return outputs


FORWARD = {"arch", "mode", "s_len", "hparams", "runner"}


@handles("medst", "medst_forward", config=FORWARD)
def medst_forward(case: Case) -> dict[str, Any]:
    return forward(case, "medst")


@handles("medst", "mgca_forward", config=FORWARD)
def mgca_forward(case: Case) -> dict[str, Any]:
    return forward(case, "mgca")
