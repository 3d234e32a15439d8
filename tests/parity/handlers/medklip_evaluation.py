"""Parity of MedKLIP's zero-shot classification and grounding."""

import numpy as np

from medjax.data.radgraph.vocabulary import CHESTXRAY14
from medjax.metrics.ranking import auroc
from medjax.metrics.thresholds import best_f1, decide
from medjax.systems.medklip.grounding import attention_map, grounding_scores
from medjax.systems.medklip.zero_shot import existence_scores, query_numbers, roc_points_of
from tests.parity.harness import Case, handles


@handles("medklip", "zero_shot_metrics", config=())
def zero_shot_metrics(case: Case) -> dict[str, np.ndarray]:
    """Logits and labels -> scores of the 14 labels and their metrics."""
    labels, queries = case.inputs["labels"], query_numbers(list(CHESTXRAY14.values()))
    scores = existence_scores(case.inputs["existence_logits"])[:, queries]
    auc = np.array([auroc(*pair) for pair in zip(labels.T, scores.T)])
    best = [best_f1(*pair) for pair in zip(labels.T, scores.T)]
    said = np.stack(
        [decide(column, b.threshold, "above") for column, b in zip(scores.T, best)], axis=-1
    )
    (roc,) = roc_points_of(labels[:, :1], scores[:, :1], ["first"]).values()
    return {
        "class_index": queries,
        "scores": scores,
        "auc": auc,
        "auc_mean": auc.mean(),
        "max_f1": np.array([b.f1 for b in best]),
        "threshold": np.array([b.threshold for b in best]),
        "accuracy": (said == labels.astype(bool)).mean(0),
        "roc0_fpr": np.array(roc["fpr"]),
        "roc0_tpr": np.array(roc["tpr"]),
    }


@handles("medklip", "grounding_scores", config={"query_index", "threshold"})
def grounding(case: Case) -> dict[str, np.ndarray]:
    """Attention of the layers, labels and masks -> maps and scores of the positive films."""
    layers = [value for name, value in sorted(case.inputs.items()) if "attention_layer" in name]
    side = round(np.sqrt(layers[0].shape[-1]))
    maps = attention_map(layers, case.config["query_index"], (side, side))
    positive = case.inputs["labels"][:, 0] == 1
    masks = case.inputs["seg_map"][positive]
    scores = grounding_scores(maps[positive], masks, case.config["threshold"], "miss")
    return {
        "heatmap_14": maps,
        "num_positive": np.array(len(scores.hit)),
        "pointing_hits": scores.hit.sum(),
        "iou": scores.iou,
        "dice": scores.dice,
    }
