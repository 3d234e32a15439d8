"""Whether a stage's data are at hand: one sentence where they are not."""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.systems.medfuse.data import NO_FILM, Data


def check_data(name: str, stage: ConfigDict, data: Data, config: ConfigDict) -> None:
    """Raise UserError where a stage needs sets that are not at hand."""
    if stage.data.pairs == "radiology":
        if not data.films:
            raise UserError(
                f"stage {name} trains on films alone: give --config.data.xray_dir=FOLDER, or leave "
                f"it out with --config.stages=" + ",".join(s for s in config.stages if s != name)
            )
        return
    if not data.stays:
        raise UserError(
            f"stage {name} reads ICU stays: give --config.data.dir=FOLDER (made by `python -m "
            "medjax.prepare mimic_iv`)"
        )
    wants_films = stage.data.pairs in ("paired_ehr", "paired_ehr_cxr", "partial_ehr_cxr")
    linked = any((stays.film != NO_FILM).any() for stays in data.stays.values())
    if wants_films and data.films and not linked:
        raise UserError(
            f"stage {name}: no stay has an image in {config.data.xray_dir}: prepare the films with "
            "`python -m medjax.prepare mimic_cxr --ehr=PREPARED_MIMIC_IV`, or leave out "
            "--config.data.xray_dir"
        )
    if stage.data.pairs.startswith("paired") and not linked:
        raise UserError(
            f"stage {name} needs stays that have an image ({name}.data.pairs is "
            f"{stage.data.pairs!r}) and none has: give --config.data.xray_dir=FOLDER (made by "
            "`python -m medjax.prepare mimic_cxr --ehr=...`)"
        )


def check_labels(name: str, stage: ConfigDict, data: Data) -> None:
    """Raise UserError where a stage is to train on data without a train split or labels."""
    radiology = stage.data.labels == "radiology"
    known: Mapping[str, Any] = data.films if stage.data.pairs == "radiology" else data.stays
    labelled = bool(data.film_labels if radiology else data.stay_labels)
    if "train" not in known or not labelled:
        raise UserError(
            f"stage {name} cannot train on data that were prepared with --unlabelled: prepare them "
            f"with labels, or predict with --mode=predict --config.{name}.init_from=RUN_FOLDER"
        )


def check_targets(name: str, stage: ConfigDict, data: Data, targets: Sequence[str]) -> None:
    """Raise UserError where weights predict another number of labels than the data have."""
    known = data.film_labels if stage.data.labels == "radiology" else data.stay_labels
    if known and len(known) != len(targets):
        raise UserError(
            f"stage {name}: the weights predict {_named(targets)} and the data have "
            f"{_named(known)}: give the --config.data.task that the weights were trained for"
        )


def _named(labels: Sequence[str]) -> str:
    more = ", ..." if len(labels) > 1 else ""
    return f"{len(labels)} label{'s' if more else ''} ({labels[0]}{more})"
