"""Metrics, pictures and tables of the pre-training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from medjax.metrics.classification import classification_metrics
from medjax.metrics.metric import Metric
from medjax.metrics.retrieval import cosines, effective_rank, mean_cosine, retrieval_metrics
from medjax.metrics.tables import Table
from medjax.run.system import Outputs
from medjax.systems.ecg_attention.reconstruction import (
    reconstruction_metrics,
    record_scores,
    result_table,
    warping_metric,
)
from medjax.systems.ecg_attention.reconstruction_figure import reconstruction_figure

PICTURES = 2
FROM = {"reconstruction": "", "from_two_leads": ", from leads I and II alone"}
KEPT = ("target", "reconstruction", "visible", "from_two_leads")
"""Outputs that are held for some recordings only."""
COLLAPSED_COSINE, COLLAPSED_RANK = 0.98, 1.5
"""Beyond these the projections are as good as one point, or one line."""


def only_kept(outputs: Outputs) -> Outputs:
    """Return the outputs of a batch without the signals of recordings that nothing draws."""
    kept = outputs["kept"]
    return {
        name: array[kept] if name in KEPT else array
        for name, array in outputs.items()
        if name != "kept"
    }


def metrics(
    outputs: Outputs,
    leads: Sequence[str],
    classes: Sequence[str],
    final: bool,
    resamples: int,
    seed: int,
) -> dict[str, Metric]:
    """Return the metrics of one split; time warping and intervals in the end only."""
    found = reconstruction_metrics(outputs, leads)
    if final:
        shown = np.asarray(outputs["visible"].any(-1))
        found["dtw"] = warping_metric(outputs["target"], outputs["reconstruction"], shown)
    if "ecg_projection" in outputs:
        found |= alignment_metrics(outputs)
    if "probability" in outputs and "labels" in outputs:
        options: dict[str, Any] = {"resamples": resamples, "seed": seed}
        pair = outputs["labels"], outputs["probability"]
        found |= classification_metrics(*pair, list(classes), **options)
    return found


def alignment_metrics(outputs: Outputs) -> dict[str, Metric]:
    """Return 1 - the mean cosine of pairs, retrieval both ways, and how collapsed each space is."""
    rows = outputs["text_group"] >= 0
    ecg, text = outputs["ecg_projection"][rows], outputs["text_projection"][rows]
    group = outputs["text_group"][rows]
    if len(group) < 2:
        reason = "fewer than two recordings have a text"
        return {"alignment": Metric(None, reason=reason)}
    found = {"alignment": Metric(float(1 - cosines(ecg, text).mean()), n=len(group))}
    found |= retrieval_metrics(ecg, text, group, ("ecg", "text"))
    _, one_of_each = np.unique(group, return_index=True)
    for name, space in (("ecg", ecg), ("text", text[one_of_each])):
        if len(space) > 1:
            found[f"collapse/{name}_mean_cosine"] = Metric(mean_cosine(space), n=len(space))
            found[f"collapse/{name}_effective_rank"] = Metric(effective_rank(space), n=len(space))
    return found


def warnings(found: Mapping[str, Metric], alignment_loss: str) -> Iterator[str]:
    """Yield a sentence where a space of projections has collapsed, or has not spread yet."""
    mend = "train longer"
    if alignment_loss == "cosine":
        mend = "loss.alignment_loss=infonce or siglip cannot collapse"
    for name in ("ecg", "text"):
        cosine = found.get(f"collapse/{name}_mean_cosine")
        rank = found.get(f"collapse/{name}_effective_rank")
        if cosine is None or rank is None or cosine.value is None or rank.value is None:
            continue
        if cosine.value > COLLAPSED_COSINE or rank.value < COLLAPSED_RANK:
            yield (
                f"the {name} projections lie on one point (mean cosine {cosine.value:.3f}, "
                f"effective rank {rank.value:.1f}): the alignment says nothing; {mend}"
            )


def columns(outputs: Outputs, classes: Sequence[str]) -> dict[str, Any]:
    """Return the columns of the predictions table beside the ids."""
    found: dict[str, Any] = dict(record_scores(outputs))
    for i, name in enumerate(classes):
        found[f"probability/{name}"] = outputs["probability"][:, i]
        if "labels" in outputs:
            label = outputs["labels"][:, i]
            found[f"label/{name}"] = label if np.isnan(label).any() else label.astype(np.int8)
    return found


def figures(outputs: Outputs, leads: Sequence[str], rate: float, title: str) -> dict[str, Figure]:
    """Draw the first recordings and what the network makes of them, whole and from two leads."""
    drawn: dict[str, Figure] = {}
    for i in range(min(PICTURES, len(outputs["target"]))):
        visible = outputs["visible"][i]
        two = visible * np.isin(leads, ("I", "II"))[:, None]
        for kind, shown in (("reconstruction", visible), ("from_two_leads", two)):
            pair = outputs["target"][i], outputs[kind][i]
            what = f"{title}, recording {i + 1}{FROM[kind]}"
            drawn[f"{kind}-{i + 1}"] = reconstruction_figure(*pair, shown, leads, rate, what)
    return drawn


def tables(found: Mapping[str, Metric], title: str) -> dict[str, Table]:
    """Return the table of reconstruction and classification as the original writes it."""
    return {"recon_result": result_table(found, title)}
