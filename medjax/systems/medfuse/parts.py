"""Tasks of hours: what is asked at which hour, and where its logits and targets stand.

The network gives logits [batch, time, logits] of all parts; step t - 1 stands for hour t, having
read the first t hours. Targets [batch, time, targets] and "wanted" [batch, time, parts] say what is
asked there: decompensation and remaining length of stay at the hours of the benchmark, mortality
at hour 48, phenotypes at the end of the stay.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from medjax.data.mimic_iv.hourly import UNKNOWN
from medjax.data.mimic_iv.tasks import (
    DECOMPENSATION,
    FIRST_PREDICTION,
    LENGTH_OF_STAY,
    MORTALITY,
    MORTALITY_HOURS,
    MULTITASK,
    PHENOTYPING,
)
from medjax.errors import UsageError
from medjax.metrics.length_of_stay import BINS, bin_of

HOURLY_TASKS = (DECOMPENSATION, LENGTH_OF_STAY, MULTITASK)
FUSIONS = ("uni_ehr", "uni_ehr_lstm", "lstm", "lstm_with_token", "early", "joint", "unified")
"""Fusions that have an output at every hour."""
MONITORS = {DECOMPENSATION: "auroc/macro", LENGTH_OF_STAY: "kappa", MULTITASK: "loss"}
MORTALITY_STEP = int(MORTALITY_HOURS) - 1


class Part(NamedTuple):
    """One task of those that a network predicts together."""

    task: str
    labels: tuple[str, ...]
    """Names of 0/1 labels; the one name of the remaining stay, which is predicted in bins."""
    weight: float
    """In the sum of losses."""
    logits: slice
    targets: slice
    """Of 0/1 labels; of the bin and the hours that remain."""

    @property
    def binned(self) -> bool:
        """Whether bins are predicted, by one softmax."""
        return self.task == LENGTH_OF_STAY


def is_hourly(task: str, labels: str) -> bool:
    """Return whether a stage with these labels ("task" or "radiology") predicts at hours."""
    return labels == "task" and task in HOURLY_TASKS


def check_fusion(task: str, fusion: str) -> None:
    """Raise UsageError where a fusion has no output at every hour."""
    if fusion not in FUSIONS:
        raise UsageError(
            f"fusion {fusion!r} reads no single hours, which {task} asks for; use one of "
            f"{', '.join(FUSIONS)}"
        )


def hourly_fields(config: ConfigDict) -> dict[str, str]:
    """Return the fields that stages with predictions at hours have: what chooses the best step.

    Raises:
        UsageError: such a stage has a fusion without an output at every hour.
    """
    task, found = config.data.task, {}
    for name in config.stages:
        if is_hourly(task, config[name].data.labels):
            check_fusion(task, config[name].model.fusion)
            found[f"{name}.train.monitor"] = MONITORS[task]
            found[f"{name}.train.monitor_mode"] = "min" if task == MULTITASK else "max"
    return found


def parts_of(
    task: str, names: Sequence[str], weights: Mapping[str, float] | None = None
) -> tuple[Part, ...]:
    """Return the parts of an hourly task whose labels are `names`.

    weights: of multitask's parts in the loss, by task; 1 where not given.
    """
    members = {task: tuple(names)}
    if task == MULTITASK:
        heads = dict(zip((MORTALITY, DECOMPENSATION, LENGTH_OF_STAY), names))
        members = {part: (name,) for part, name in heads.items()}
        members[PHENOTYPING] = tuple(names[3:])
    parts, logit, target = [], 0, 0
    for part, labels in members.items():
        widths = (BINS, 2) if part == LENGTH_OF_STAY else (len(labels), len(labels))
        ends = logit + widths[0], target + widths[1]
        weight = float((weights or {}).get(part, 1.0))
        parts.append(Part(part, labels, weight, slice(logit, ends[0]), slice(target, ends[1])))
        logit, target = ends
    return tuple(parts)


def fill(
    record: Mapping[str, Any], parts: Sequence[Part], wanted: np.ndarray, targets: np.ndarray | None
) -> None:
    """Write what is asked of a stay into wanted bool [time, parts] and targets [time, targets].

    record: an example of the prepared set. Without labels (`targets` None), predictions are wanted
    at every whole hour after the fourth.
    """
    for place, part in enumerate(parts):
        steps, values = _asked(record, part, targets is not None, len(parts) > 1)
        wanted[steps, place] = True
        if targets is not None:
            targets[steps, part.targets] = values


def _asked(
    record: Mapping[str, Any], part: Part, labelled: bool, several: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps at which a part is asked and its targets there, [steps, targets]."""
    end = len(record["series"])
    if part.task == MORTALITY:
        known = end > MORTALITY_STEP and (not labelled or record["mortality"] != UNKNOWN)
        steps = np.full(int(known), MORTALITY_STEP)
        return steps, np.full((len(steps), 1), record["mortality"] if labelled else 0)
    if part.task == PHENOTYPING:
        bits = record["phenotypes"] if labelled else np.zeros(len(part.labels))
        steps = np.full(int((bits != UNKNOWN).all()), end - 1)
        return steps, np.tile(bits, (len(steps), 1))
    if not labelled:
        steps = np.arange(int(FIRST_PREDICTION), end)
        return steps, np.zeros((len(steps), 0))
    steps = record["hours"].astype(np.int64) - 1
    if part.task == LENGTH_OF_STAY:
        remaining = record["remaining" if several else "labels"]
        return steps, np.stack([bin_of(remaining), remaining], axis=1)
    dies = record["decompensation" if several else "labels"]
    return steps[dies != UNKNOWN], dies[dies != UNKNOWN, None]
