"""The ECG dual-attention system as the run layer sees it: a stage is what its `kind` says."""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from medjax.run.system import System
from medjax.systems.ecg_attention.biomarkers import biomarker_stage
from medjax.systems.ecg_attention.data import Data
from medjax.systems.ecg_attention.data import open_data as open_data
from medjax.systems.ecg_attention.pretraining import pretrain_stage
from medjax.systems.ecg_attention.probe import probe_stage
from medjax.systems.ecg_attention.risk import risk_stage
from medjax.systems.ecg_attention.risk_groups import compare as compare
from medjax.systems.ecg_attention.risk_summaries import summaries as summaries

Build = Callable[[ConfigDict, str, Data, Mapping[str, Any] | None], System]

STAGES: dict[str, Build] = {
    "pretrain": pretrain_stage,
    "probe": probe_stage,
    "risk": risk_stage,
    "biomarkers": biomarker_stage,
}
"""Kind of stage -> what makes its functions of (config, stage, data, artefacts)."""


def build(
    config: ConfigDict, stage_name: str, data: Data, artefacts: Mapping[str, Any] | None
) -> System:
    """Return the functions of one stage (see `medjax.run.system`)."""
    return STAGES[config[stage_name].kind](config, stage_name, data, artefacts)
