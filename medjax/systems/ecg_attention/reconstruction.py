"""How good reconstructions are: squared errors, signal-to-noise ratio, time warping."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from medjax.metrics.metric import Metric
from medjax.metrics.tables import Table
from medjax.metrics.time_warping import dynamic_time_warping
from medjax.systems.ecg_attention.items import Items

WARPED_AT_ONCE = 16
"""Recordings whose warping costs are held at once."""


def errors_of(items: Items, reconstruction: jax.Array) -> dict[str, jax.Array]:
    """Return sums over visible samples, each [batch, lead]: of squares, and how many they are."""
    shown = items.visible
    return {
        "squared_error": (jnp.square(items.target - reconstruction) * shown).sum(-1),
        "squared_target": (jnp.square(items.target) * shown).sum(-1),
        "samples": shown.sum(-1),
    }


def record_scores(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return root mean squared error and signal-to-noise ratio in dB of each recording, [n]."""
    error, target, samples = (
        outputs[name].astype(np.float64).sum(1)
        for name in ("squared_error", "squared_target", "samples")
    )
    tiny = np.finfo(np.float32).tiny
    ratio = np.maximum(target, tiny) / np.maximum(error, tiny)
    return {"rmse": np.sqrt(error / np.maximum(samples, 1)), "snr_db": 10 * np.log10(ratio)}


def reconstruction_metrics(
    outputs: Mapping[str, np.ndarray], leads: Sequence[str]
) -> dict[str, Metric]:
    """Return the masked mean squared error ("loss") of all leads and of each, RMSE and SNR.

    The loss is over all visible samples; RMSE and SNR are means over recordings.
    """
    error, samples = (outputs[name].astype(np.float64) for name in ("squared_error", "samples"))
    n = len(error)
    metrics = {"loss": Metric(float(error.sum() / max(samples.sum(), 1)), n=n)}
    for i, lead in enumerate(leads):
        if samples[:, i].sum():
            value = error[:, i].sum() / samples[:, i].sum()
            metrics[f"mse/{lead}"] = Metric(float(value), n=int((samples[:, i] > 0).sum()))
    scores = record_scores(outputs)
    return metrics | {name: Metric(float(value.mean()), n=n) for name, value in scores.items()}


def warping_metric(target: np.ndarray, reconstruction: np.ndarray, shown: np.ndarray) -> Metric:
    """Return the DTW distance between target and reconstruction, mean over leads and recordings.

    Args:
        target, reconstruction: [n, lead, time].
        shown: bool [n, lead], the leads that count.
    """
    if not shown.any():
        return Metric(None, reason="no reconstruction was kept")
    distances = [
        dynamic_time_warping(target[i : i + WARPED_AT_ONCE], reconstruction[i : i + WARPED_AT_ONCE])
        for i in range(0, len(target), WARPED_AT_ONCE)
    ]
    return Metric(float(np.concatenate(distances)[shown].mean()), n=len(target))


def result_table(metrics: Mapping[str, Metric], title: str) -> Table:
    """Return the table `recon_result`: one row, RMSE, SNR, DTW and what was classified."""
    names = [name for name in ("loss", "rmse", "snr_db", "dtw") if name in metrics]
    names += sorted(name for name in metrics if name.startswith("auroc/"))
    row = tuple(metrics[name].value for name in names)
    return Table(title, tuple("mse" if name == "loss" else name for name in names), (row,))
