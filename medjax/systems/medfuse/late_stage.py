"""The stage of late fusion: nothing is trained, the weights of the blend are fitted."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.metrics.metric import Metric
from medjax.run.system import Batch, Outputs, System, Variables
from medjax.systems.medfuse.base import TwoEncoders
from medjax.systems.medfuse.late_fusion import AVERAGE, blend, fit_weights
from medjax.systems.medfuse.loss import EVALUATION, forward
from medjax.systems.medfuse.network import init_network


def late_stage(
    system: System,
    model: TwoEncoders,
    evaluation: ConfigDict,
    names: Sequence[str],
    artefacts: Mapping[str, Any] | None,
) -> System:
    """Return the stage's system with both modalities predicted alone and then blended.

    With fitted weights the plain average is scored beside it, as the head "average".

    Args:
        system: the stage without a network of its own; it scores and writes the blend.
        model: the network's options.
        evaluation: `config.evaluation`.
        names: of the labels.
        artefacts: what the training run stored, the fitted weights among it.
    """
    networks = {fusion: model.clone(fusion=fusion) for fusion in ("uni_ehr", "uni_cxr")}
    fitted = evaluation.late_fusion_weights == "fitted"
    known = (artefacts or {}).get("fitted") or {}

    def init(key: jax.Array, batch: Batch) -> Variables:
        parts: dict[str, dict] = {}
        for network in networks.values():
            for collection, tree in init_network(network, key, batch).items():
                parts.setdefault(collection, {}).update(tree)
        return parts

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        outputs = {"has_image": batch["has_image"]}
        for fusion, network in networks.items():
            prediction, _ = forward(network, variables, batch, key, EVALUATION)
            outputs[fusion] = jax.nn.sigmoid(prediction.logits)
        return outputs | ({"labels": batch["labels"]} if "labels" in batch else {})

    def fit(outputs: Mapping[str, Outputs]) -> Mapping[str, np.ndarray]:
        return {"weights": fit_to(outputs["validation"], evaluation.late_fusion_candidate)}

    def final(outputs: Outputs) -> Outputs:
        return blended(outputs, known["weights"]) if fitted else blended(outputs, None)

    def evaluate(split: str, outputs: Mapping[str, Outputs], last: bool) -> Mapping[str, Metric]:
        metrics = dict(system.evaluate(split, {split: final(outputs[split])}, last))
        if fitted:
            weights = zip(names, known["weights"], strict=True)
            metrics |= {f"ehr_weight/{name}": Metric(float(weight)) for name, weight in weights}
        return metrics

    return system._replace(
        init=init,
        updates=(),
        predict=predict,
        fit=fit if fitted else None,
        fit_splits=("validation",),
        evaluate=evaluate,
        table=lambda split, positions, outputs: system.table(split, positions, final(outputs)),
        draw=lambda split, outputs, metrics: system.draw(
            split, {split: final(outputs[split])}, metrics
        ),
    )


def fit_to(outputs: Outputs, candidate: str) -> np.ndarray:
    """Fit the weights on the stays that have a film.

    Raises:
        UserError: there is none, or nothing is known of them.
    """
    rows = np.asarray(outputs["has_image"], bool)
    if not rows.any():
        raise UserError(
            "late fusion fits its weights on validation stays that have an image, and none has: "
            "set config.evaluation.late_fusion_weights to 'average', or prepare more data"
        )
    labels, ehr, cxr = (outputs[name][rows] for name in ("labels", "uni_ehr", "uni_cxr"))
    return fit_weights(labels, ehr, cxr, candidate)


def blended(outputs: Outputs, weights: np.ndarray | None) -> Outputs:
    """Return the outputs with the blend as "probability", and its loss where labels are known.

    A stay without a film keeps the probability of its series. Without weights it is the average;
    with weights the average is there as well, as "average.probability".
    """
    ehr, cxr = outputs["uni_ehr"], outputs["uni_cxr"]

    def mixed(by: np.ndarray | float) -> np.ndarray:
        both = np.where(outputs["has_image"][:, None], blend(ehr, cxr, by), ehr)
        return both.astype(np.float32)

    kept = {name: outputs[name] for name in ("labels", "position") if name in outputs}
    result = {**kept, "probability": mixed(AVERAGE if weights is None else weights)}
    if weights is not None:
        result["average.probability"] = mixed(AVERAGE)
    if "labels" in outputs:
        risk = np.clip(result["probability"].astype(np.float64), 1e-12, 1 - 1e-12)
        truth = outputs["labels"]
        entropy = -(truth * np.log(risk) + (1 - truth) * np.log1p(-risk))
        result["loss"] = entropy.mean(-1)
    return result
