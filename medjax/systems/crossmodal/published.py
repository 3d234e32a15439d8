"""What `config.compat` sets: the original's behaviour where ours differs.

Two generations of its code differ in what they compute: "published_2023", of the paper and its
weights, which "published" means as well, and "published_current". The fields of the network are
recorded with converted weights (`convert.py`) and are applied whenever these are loaded; the others
belong to a run. How data are prepared is `--compat` of `python -m medjax.prepare ml4h_cohort`.
"""

from collections.abc import Mapping
from typing import Any

TENSOR_MAPS = {"ecg": "ecg_rest_median_raw_10", "mri": "lax_4ch_heart_center"}
"""The published names of the signals."""
COMPATS = ("default", "published", "published_2023", "published_current")

NETWORK: dict[str, Any] = {"model.unimodal_merger": True}
"""Of a stage of one modality."""

PAIRED: dict[str, Any] = {
    "model.fold_merger": False,
    "model.merge_eval": "as_training",
    "data.participants": "all",
    "loss.contrastive_form": "swapped",
    "loss.temperature_init": 0.0,
    "loss.temperature_max": None,
    "loss.cosine_clip": 0.0,
    "loss.euclid_reduction": "frobenius",
    "saved_parts": "last",
}
"""Of a stage of both."""

GENERATIONS: dict[str, dict[str, Any]] = {
    "2023": {"gelu_approximate": True, "merge": "coordinate_fixed", "optimizer": "radam"},
    "current": {"gelu_approximate": False, "merge": "sample", "optimizer": "keras_adam"},
}
"""In which the two generations differ."""

EVALUATION: dict[str, Any] = {"evaluation.coverage": "steps"}
"""Of the run."""


def generation(compat: str) -> str:
    """Return the generation that a value of `COMPATS` but "default" means."""
    return "current" if compat == "published_current" else "2023"


def fields(compat: str, stages: Mapping[str, Any]) -> dict[str, Any]:
    """Return {dotted name: published value} of a config; stages: {name: its section}."""
    column = GENERATIONS[generation(compat)]
    found: dict[str, Any] = dict(EVALUATION)
    for name, stage in stages.items():
        of_kind = {"autoencoder": NETWORK, "paired": {**PAIRED, "model.merge": column["merge"]}}
        of_stage = {**of_kind.get(stage.kind, {}), "optimizer.name": column["optimizer"]}
        for modality in stage.model.modalities:
            of_stage[f"model.{modality}.gelu_approximate"] = column["gelu_approximate"]
        found |= {f"{name}.{field}": value for field, value in of_stage.items()}
    return found
