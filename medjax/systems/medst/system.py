"""MedST and MGCA as the run layer sees them: a stage is what its `kind` says."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.run.system import System
from medjax.systems.medst.opening import Opened
from medjax.systems.medst.opening import open_data as open_data
from medjax.systems.medst.pretraining.stage import pretrain_stage
from medjax.systems.medst.tasks.classification import classification_stage
from medjax.systems.medst.tasks.comparison import compare as compare
from medjax.systems.medst.tasks.detection import detection_stage
from medjax.systems.medst.tasks.pairwise_stage import pairwise_stage
from medjax.systems.medst.tasks.segmentation import segmentation_stage
from medjax.systems.medst.tasks.sentence_stage import sentences_stage
from medjax.systems.medst.tasks.temporal_stage import temporal_images_stage
from medjax.systems.medst.tasks.zero_shot_stage import zero_shot_stage

Build = Callable[[ConfigDict, str, Opened, Mapping[str, Any] | None], System]

STAGES: dict[str, Build] = {
    "pretrain": pretrain_stage,
    "temporal_images": temporal_images_stage,
    "temporal_sentences": sentences_stage,
    "zero_shot": zero_shot_stage,
    "pairwise": pairwise_stage,
    "classification": classification_stage,
    "segmentation": segmentation_stage,
    "detection": detection_stage,
}
"""Kind of stage -> what makes its functions of (config, stage, data, artefacts)."""


def build(
    config: ConfigDict, stage_name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    return STAGES[config[stage_name].kind](config, stage_name, data, artefacts)
