"""MedKLIP as the run layer sees it: a stage is what its `kind` says."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.run.system import System
from medjax.systems.medklip.finetuning import classification_stage, segmentation_stage
from medjax.systems.medklip.grounding_stage import grounding_stage
from medjax.systems.medklip.opening import Opened
from medjax.systems.medklip.opening import open_data as open_data
from medjax.systems.medklip.pretraining import pretrain_stage
from medjax.systems.medklip.zero_shot_stage import zero_shot_stage

Build = Callable[[ConfigDict, str, Opened, Mapping[str, Any] | None], System]

STAGES: dict[str, Build] = {
    "pretrain": pretrain_stage,
    "zero_shot": zero_shot_stage,
    "grounding": grounding_stage,
    "finetune_classification": classification_stage,
    "finetune_segmentation": segmentation_stage,
}
"""Kind of stage -> what makes its functions of (config, stage, data, artefacts)."""


def build(
    config: ConfigDict, stage_name: str, data: Opened, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    return STAGES[config[stage_name].kind](config, stage_name, data, artefacts)
