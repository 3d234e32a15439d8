"""MedFuse as the run layer sees it: the contract's functions, made from a config."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from medjax.losses import sigmoid_cross_entropy
from medjax.metrics.metric import Metric
from medjax.run.system import Batch, Outputs, System, Update, Variables
from medjax.systems.medfuse import evaluation
from medjax.systems.medfuse.batches import Batches
from medjax.systems.medfuse.checks import check_data, check_labels, check_targets
from medjax.systems.medfuse.data import NO_FILM, Data
from medjax.systems.medfuse.data import open_data as open_sets
from medjax.systems.medfuse.demo import prepare_demo
from medjax.systems.medfuse.hourly_system import build_hourly
from medjax.systems.medfuse.hypotheses import compare as compare
from medjax.systems.medfuse.late_stage import late_stage
from medjax.systems.medfuse.loss import EVALUATION as EVALUATION_MODES
from medjax.systems.medfuse.loss import forward
from medjax.systems.medfuse.mmtm import head_probabilities
from medjax.systems.medfuse.network import init_network, make_model
from medjax.systems.medfuse.updates import make_updates

TARGETS = {
    "in_hospital_mortality": "in-hospital mortality",
    "phenotyping": "phenotypes",
    "decompensation": "death within 24 hours",
    "length_of_stay": "remaining length of stay",
    "multitask": "all tasks",
    "own": "own outcomes",
}
"""What each task predicts, for the heads of plots."""


def open_data(config: ConfigDict, workdir: Path) -> Data:
    """Open the prepared sets that `config.data` names; the demo's where it names none."""
    icu, xray = config.data.dir, config.data.xray_dir
    if icu is None and xray is None:
        icu, xray = prepare_demo(workdir / "demo", config.data.demo, config.data.task)
    return open_sets(Path(icu) if icu else None, Path(xray) if xray else None, config.data.task)


def build(
    config: ConfigDict, stage_name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    stage = config[stage_name]
    check_data(stage_name, stage, data, config)
    if artefacts is None:
        check_labels(stage_name, stage, data)
    normalizer = artefacts["normalizer"] if artefacts else data.normalizer
    batches = Batches(config, stage, data, normalizer, artefacts["labels"] if artefacts else ())
    names = tuple(artefacts["labels"]) if artefacts else batches.label_names()
    stored = {"normalizer": normalizer, "labels": list(names)}
    if batches.parts:
        ids = partial(identify, stage, data)
        system = build_hourly(config, stage, batches, ids, title(stage, config))
        return system._replace(artefacts=stored)
    check_targets(stage_name, stage, data, names)
    model = make_model(stage, len(names), config.precision)
    updates: tuple[Update, ...] = ()
    if "train" in batches.splits and stage.model.fusion != "late":
        steps = len(batches.plan("train", 0)) * stage.train.epochs
        updates = make_updates(stage, model, steps)

    def predict(variables: Variables, batch: Batch, key: jax.Array) -> Mapping[str, jax.Array]:
        prediction, _ = forward(model, variables, batch, key, EVALUATION_MODES)
        outputs = {"probability": jax.nn.sigmoid(prediction.logits)}
        for head, probability in head_probabilities(prediction.heads).items():
            outputs[f"{head}.probability"] = probability
        if "labels" in batch:
            entropy = sigmoid_cross_entropy(prediction.logits, batch["labels"])
            outputs |= {"labels": batch["labels"], "loss": entropy.mean(-1)}
        return outputs

    def table(split: str, positions: np.ndarray, outputs: Outputs) -> Mapping[str, Any]:
        return evaluation.table(identify(stage, data, split, positions), outputs, names)

    def evaluate(split: str, outputs: Mapping[str, Outputs], final: bool) -> Mapping[str, Metric]:
        parts: Mapping[str, np.ndarray] = {}
        if final and stage.data.pairs != "radiology":
            ages = config.evaluation.age_groups
            parts = evaluation.subsets(data.stays[split], outputs[split]["position"], ages)
        return evaluation.evaluate(outputs[split], names, config, final, parts)

    system = System(
        init=partial(init_network, model),
        updates=updates,
        plan=batches.plan,
        collate=batches.collate,
        table=table,
        predict=predict,
        evaluate=evaluate,
        draw=lambda split, outputs, metrics: evaluation.draw(
            outputs[split], names, metrics, f"{title(stage, config)}, {split} split"
        ),
        tables=lambda split, metrics: evaluation.tables(
            names, metrics, f"{title(stage, config)}, {split} split"
        ),
        splits=batches.splits,
        artefacts=stored,
    )
    if stage.model.fusion == "late":
        return late_stage(system, model, config.evaluation, names, artefacts)
    return system


def title(stage: ConfigDict, config: ConfigDict) -> str:
    """Return what a stage predicts from what, for the heads of plots."""
    target = TARGETS[config.data.task]
    if stage.data.labels == "radiology":
        target = "radiology labels"
    sources = {"uni_ehr": "time series", "uni_ehr_lstm": "time series", "uni_cxr": "film"}
    source = sources.get(stage.model.fusion, "time series and film")
    invented = config.data.dir is None and config.data.xray_dir is None
    return f"{target} from {source}" + (", invented patients" if invented else "")


def identify(
    stage: ConfigDict, data: Data, split: str, positions: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the id columns of examples."""
    if stage.data.pairs == "radiology":
        films = data.films[split]
        return {"dicom_id": films.dicom_id[positions], "subject_id": films.subject_id[positions]}
    stays = data.stays[split]
    return {
        "stay_id": stays.stay_id[positions],
        "subject_id": stays.subject_id[positions],
        "has_image": stays.film[positions] != NO_FILM,
    }
