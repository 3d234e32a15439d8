"""MedKLIP as the run layer sees it: a stage is what its `kind` says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from medjax.run.compare import Written
from medjax.run.system import System
from medjax.systems.medklip.books import encode, text_options
from medjax.systems.medklip.clip_stage import clip_stage
from medjax.systems.medklip.finetuning import (
    chosen_finding,
    chosen_labels,
    classification_stage,
    segmentation_stage,
)
from medjax.systems.medklip.grounding_stage import check_places, grounding_stage
from medjax.systems.medklip.metrics_file import metrics_file
from medjax.systems.medklip.opening import Opened
from medjax.systems.medklip.opening import open_data as open_films
from medjax.systems.medklip.pretraining import pretrain_stage
from medjax.systems.medklip.replication import replication_stage
from medjax.systems.medklip.zero_shot_stage import described, what_is_asked, zero_shot_stage

Build = Callable[[ConfigDict, str, Opened, Mapping[str, Any] | None], System]

STAGES: dict[str, Build] = {
    "pretrain": pretrain_stage,
    "zero_shot": zero_shot_stage,
    "grounding": grounding_stage,
    "finetune_classification": classification_stage,
    "finetune_segmentation": segmentation_stage,
    "replication": replication_stage,
    "clip": clip_stage,
}
"""Kind of stage -> what makes its functions of (config, stage, data, artefacts)."""
SCORED = ("zero_shot", "finetune_classification", "replication")
"""Kinds of stages whose predictions metrics.json tells of, the first that a run has."""


METRICS_FILE = "metrics.json"
"""Beside results.json: scores, curves and losses of every entity in one file."""


def open_data(config: ConfigDict, workdir: Path) -> Opened:
    """Open films, triplets and texts; what the stages ask of them is looked up at once."""
    opened = open_films(config, workdir)
    check_names(config, opened, workdir)
    return opened


def check_names(config: ConfigDict, opened: Opened, workdir: Path) -> None:
    """Look up what the stages to be trained ask of the films, before the first one trains.

    Stages that have been trained, or that read weights of elsewhere, may be given other films.

    Raises:
        UserError: the films have no such label, place or finding, or a text has no vector.
    """
    for name in config.stages:
        stage, films = config[name], opened.films
        own = not isinstance(stage.init_from, str) or stage.init_from in config.stages
        if not own or is_trained(workdir / name):
            continue
        if stage.kind == "zero_shot":
            added = described(stage)
            what_is_asked(name, stage, films.film_labels, [query for query, _ in added])
            if added and config.text.encoder == "table":
                encode(text_options(config, stage), opened.texts, [text for _, text in added])
        elif stage.kind == "grounding":
            check_places(name, stage, films)
        elif stage.kind == "finetune_classification":
            chosen_labels(name, stage, opened)
        elif stage.kind == "finetune_segmentation":
            chosen_finding(name, stage, opened)


def is_trained(folder: Path) -> bool:
    """Whether the folder of a stage, or of one of its replicas, holds what a training leaves."""
    return any(folder.glob("artefacts.json")) or any(folder.glob("*/artefacts.json"))


def summaries(config: ConfigDict, results: Mapping[str, Any], written: Written) -> dict[str, str]:
    """Return metrics.json: of the zero-shot reading where the run has one, else of what it trained.

    With replicas each has a file of its own, metrics-<replica>.json.
    """
    kinds = {config[name].kind: name for name in config.stages}
    wanted = next((kinds[k] for k in (*SCORED, "pretrain") if k in kinds), None)
    trained = next((name for name in config.stages if "optimizer" in config[name]), None)
    if wanted is None or "test" not in config[wanted].train.final_splits:
        return {}
    logs = written.log(trained) if trained else {}
    files = {}
    for replica, predictions in written.predictions(wanted, "test").items():
        name = f"metrics-{replica}.json" if replica else METRICS_FILE
        label = f"{wanted}/{replica}" if replica else wanted
        files[name] = metrics_file(results[label]["test"], predictions, logs.get(replica, ()))
    return files


def build(
    config: ConfigDict, stage_name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    return STAGES[config[stage_name].kind](config, stage_name, data, artefacts)
