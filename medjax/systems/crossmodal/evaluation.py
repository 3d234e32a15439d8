"""Metrics, tables and pictures of what a stage predicted for a split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medjax.data.ml4h_cohort.records import Participants
from medjax.metrics.metric import Metric
from medjax.run.system import Outputs
from medjax.systems.crossmodal.imputation import imputation_metrics
from medjax.systems.crossmodal.latents import latents_of
from medjax.systems.crossmodal.predicting import RECONSTRUCTION, TRUTH
from medjax.systems.crossmodal.retrieval import paired_retrieval


def loss_metrics(outputs: Outputs, weights: Mapping[str, float]) -> dict[str, Metric]:
    """Return "loss" and its terms, each over the participants that have what it is of.

    weights: of the reconstruction loss of each modality.
    """
    found: dict[str, Metric] = {}
    total = 0.0
    for name, weight in weights.items():
        term = _mean(outputs[f"loss/{name}"], outputs[f"has_{name}"])
        found[f"loss/{name}"] = term
        total += weight * (term.value or 0.0)
    if "loss/pair" in outputs:
        both = np.logical_and.reduce([outputs[f"has_{name}"] for name in weights])
        found["loss/pair"] = _mean(outputs["loss/pair"], both)
        total += found["loss/pair"].value or 0.0
    return found | {"loss": Metric(total, n=len(outputs["position"]))}


def _mean(values: np.ndarray, mask: np.ndarray) -> Metric:
    if not mask.any():
        return Metric(None, reason="no participant has it")
    return Metric(float(np.mean(values[mask], dtype=np.float64)), n=int(mask.sum()))


def table_columns(
    participants: Participants,
    phenotypes: Sequence[str],
    positions: np.ndarray,
    outputs: Outputs,
    modalities: Sequence[str],
) -> dict[str, Any]:
    """Return the columns of the predictions table.

    Latents (`<modality>_latent_<i>`) and errors of a modality that a participant lacks are NaN.
    """
    columns: dict[str, Any] = {"sample_id": participants.sample_id[positions].astype(object)}
    columns |= {f"has_{name}": outputs[f"has_{name}"] for name in modalities}
    for name, values in outputs.items():
        kind, _, of = name.partition("/")
        if kind == "squared_error":
            target, _, source = of.partition("_from_")
            needed = {target, source or target} & set(modalities)
            there = np.logical_and.reduce([outputs[f"has_{m}"] for m in needed])
            columns[f"mse_{of}"] = np.where(there, values, np.nan)
    for name in modalities:
        there = outputs[f"has_{name}"][:, None]
        latent = np.where(there, outputs[f"latent/{name}"], np.nan).astype(np.float32)
        columns |= {f"{name}_latent_{i}": latent[:, i] for i in range(latent.shape[1])}
    known = participants.phenotypes[positions]
    return columns | {f"label/{name}": known[:, i] for i, name in enumerate(phenotypes)}


def pictured(outputs: Outputs, modalities: Sequence[str], count: int) -> np.ndarray:
    """Return which of the kept signals to draw: the first that have every modality."""
    if f"{TRUTH}{modalities[0]}" not in outputs:
        return np.zeros(0, int)
    kept = len(outputs[f"{TRUTH}{modalities[0]}"])
    have = np.logical_and.reduce([outputs[f"has_{name}"][:kept] for name in modalities])
    return np.flatnonzero(have)[:count]


def signals_of(outputs: Outputs, modality: str, row: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the truth of a kept participant and {reconstruction's name: signal}."""
    made = {
        name.removeprefix(RECONSTRUCTION): values[row]
        for name, values in outputs.items()
        if name.startswith(RECONSTRUCTION)
        and name.removeprefix(RECONSTRUCTION).partition("_from_")[0] == modality
    }
    return outputs[TRUTH + modality][row], made


def metrics(
    outputs: Outputs,
    weights: Mapping[str, float],
    modalities: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, Metric]:
    """Return the metrics of one split: losses, errors by source, and retrieval in a pair.

    weights: of the reconstruction losses; {} for encoders alone.
    """
    found = loss_metrics(outputs, weights) if weights else {}
    found |= imputation_metrics(outputs, resamples, seed)
    if len(modalities) > 1:
        found |= paired_retrieval(latents_of(outputs["position"], outputs))
    return found or {"participants": Metric(float(len(outputs["position"])))}
