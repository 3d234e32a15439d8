"""A linear probe: how much of the labels a frozen encoder's latent vector tells.

Nothing is trained. Each label has a logistic regression on the standardised latent vector, fitted
on the train split; how strongly it is regularised is chosen by the macro AUROC of the validation
split.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from medjax.data.ecg.leads import leads_of
from medjax.errors import UserError
from medjax.metrics.classification import classification_metrics
from medjax.metrics.figures import Predictions, classification_figures
from medjax.metrics.metric import Metric
from medjax.metrics.tables import result_tables
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.ecg_attention.batches import identity_columns
from medjax.systems.ecg_attention.data import Data
from medjax.systems.ecg_attention.items import InputOptions, make_items
from medjax.systems.ecg_attention.model import make_network
from medjax.systems.ecg_attention.pretraining import stage_batches

MOST_STEPS = 500


def probe_stage(
    config: ConfigDict, name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of a stage of kind "probe" (see `medjax.run.system`).

    Raises:
        UserError: the recordings that are to be fitted have no labels.
    """
    stage, ecg = config[name], data.recordings(name)
    labels = tuple(artefacts["labels"]) if artefacts else ecg.label_names
    if not labels:
        raise UserError(f"stage {name} fits labels and the recordings have none: prepare them anew")
    batches = stage_batches(config, stage, ecg)
    network = make_network(stage.model, config.precision)
    fitted = (artefacts or {}).get("fitted") or {}
    leads, inputs = leads_of(config.data.leads), InputOptions(**stage.input)

    def signal_of(batch: Batch) -> tuple[jax.Array, jax.Array]:
        batch = batches.with_samples(batch)
        items = make_items(batch, stage.model.time_steps, inputs, leads=leads)
        return items.signal, items.visible

    def init(key: jax.Array, batch: Batch) -> Variables:
        keys = dict(zip(("params", "latent"), jax.random.split(key)))
        return network.init(keys, *signal_of(batch), batch["mask"], method="encode")

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        arguments = (*signal_of(batch), batch["mask"])
        code: Any = network.apply(variables, *arguments, rngs={"latent": key}, method="encode")
        outputs = {"z": code.z}
        return outputs | ({"labels": batch["labels"]} if "labels" in batch else {})

    def fit(outputs: Mapping[str, Outputs]) -> Mapping[str, np.ndarray]:
        return fit_probe(outputs["train"], outputs["validation"], stage.probe.inverse_penalties)

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        columns: dict[str, Any] = dict(identity_columns(ecg.splits[split], positions))
        probability = probabilities(fitted, outputs["z"])
        for i, label in enumerate(labels):
            columns[f"probability/{label}"] = probability[:, i]
        return columns

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        if "labels" not in outputs[split]:
            return {"labels": Metric(None, reason="the recordings have no labels")}
        pair = outputs[split]["labels"], probabilities(fitted, outputs[split]["z"])
        resamples = config.evaluation.resamples if final else 0
        options: dict[str, Any] = {"resamples": resamples, "seed": config.seed}
        metrics = classification_metrics(*pair, list(labels), **options)
        return metrics | {"inverse_penalty": Metric(float(fitted["inverse_penalty"]))}

    def draw(split: str, outputs: Mapping[str, Outputs], metrics: Mapping[str, Metric]) -> Any:
        if "labels" not in outputs[split]:
            return {}
        pair = outputs[split]["labels"], probabilities(fitted, outputs[split]["z"])
        return classification_figures(Predictions(*pair, labels, metrics, title(split)), {})

    def title(split: str) -> str:
        return f"linear probe{', invented patients' if data.invented else ''}, {split} split"

    return System(
        init=init,
        updates=(),
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=draw,
        tables=lambda split, metrics: (
            result_tables(metrics, labels, title(split)) if "auroc/macro" in metrics else {}
        ),
        fit=fit,
        splits=batches.splits,
        resident=batches.resident(),
        artefacts={"labels": list(labels)},
    )


def fit_probe(
    train: Outputs, validation: Outputs, inverse_penalties: Sequence[float]
) -> dict[str, np.ndarray]:
    """Return mean, scale [latent], weight [latent, labels], bias [labels] and inverse_penalty.

    A label of one class in the train split keeps weights of 0 and the logit of its frequency.

    Raises:
        UserError: the recordings have no labels.
    """
    if "labels" not in train:
        raise UserError("the probe fits labels and the recordings have none: prepare them anew")
    z = train["z"].astype(np.float64)
    mean, scale = z.mean(0), np.maximum(z.std(0), 1e-6)
    best: tuple[float, dict[str, np.ndarray]] | None = None
    for strength in inverse_penalties:
        weight, bias = _regressions((z - mean) / scale, train["labels"], strength)
        fitted = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
        fitted["inverse_penalty"] = np.asarray(strength)
        names = [str(i) for i in range(weight.shape[1])]
        probability = probabilities(fitted, validation["z"])
        metrics = classification_metrics(validation["labels"], probability, names, resamples=0)
        score = metrics["auroc/macro"].value
        value = -np.inf if score is None else score
        if best is None or value > best[0]:
            best = value, fitted
    assert best is not None
    return best[1]


def _regressions(
    x: np.ndarray, labels: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit one logistic regression a label; rows where it is not known are left out."""
    weight, bias = np.zeros((x.shape[1], labels.shape[1])), np.zeros(labels.shape[1])
    for i, label in enumerate(labels.T):
        known = ~np.isnan(label)
        positive = label[known] > 0.5
        if len(np.unique(positive)) < 2:
            share = (positive.sum() + 0.5) / (len(positive) + 1)
            bias[i] = np.log(share / (1 - share))
            continue
        model = LogisticRegression(C=strength, max_iter=MOST_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # The best so far serves as well.
            model.fit(x[known], positive)
        weight[:, i], bias[i] = model.coef_[0], model.intercept_[0]
    return weight, bias


def probabilities(fitted: Mapping[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """Return the probability of each label, float64 [n, labels]."""
    x = (z.astype(np.float64) - fitted["mean"]) / fitted["scale"]
    return expit(x @ fitted["weight"] + fitted["bias"])
