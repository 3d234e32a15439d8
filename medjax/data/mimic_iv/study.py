"""The stays of a preparation with their labels and splits, before any event is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.cohort import read_admissions, select_cohort
from medjax.data.mimic_iv.diagnoses import (
    Phenotypes,
    diagnoses_of_stays,
    load_phenotypes,
    phenotype_labels,
    read_diagnoses,
)
from medjax.data.mimic_iv.hourly import UNKNOWN, lived_hours
from medjax.data.mimic_iv.own_labels import OwnLabels
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.split import Split, split_subjects
from medjax.data.mimic_iv.tasks import MORTALITY, MULTITASK, OWN, PHENOTYPING, label_names
from medjax.errors import UserError


@dataclass(frozen=True)
class Cohort:
    """The stays with everything known about them before their events are read."""

    stays: pd.DataFrame
    """As `select_cohort` returns, with `diagnosed`, `listed` (bool: has own labels), `lived_hours`
    (to death) and `split`."""
    of_stays: pd.DataFrame
    """Their diagnoses; no rows when unlabelled."""
    labels: dict[str, np.ndarray]
    """Task -> int8 [stays, labels], -1 where not known; of multitask the phenotypes. Labels at
    hours follow from the series. {} when unlabelled."""
    label_names: dict[str, tuple[str, ...]]
    """Task -> the names of its labels; () when unlabelled."""
    phenotypes: Phenotypes
    split: Split
    counts: list[dict[str, Any]]
    inputs: dict[str, dict[str, Any]]


def load_cohort(
    raw: Path,
    rules: Rules,
    tasks: tuple[str, ...],
    labelled: bool = True,
    lists: bool = True,
    limit: int | None = None,
    own: OwnLabels | None = None,
) -> Cohort:
    """Read all tables but those of events, and decide stays, labels and splits.

    Args:
        raw: the raw folder.
        rules: the rules of the preparation.
        tasks: the tasks whose labels are named.
        labelled: whether outcomes and diagnoses are read.
        lists: whether the published split lists may be used.
        limit: keep the first subjects only.
        own: the labels of the task "own".

    Raises:
        UserError: a table or column is missing or malformed, or no stay is left.
    """
    inputs: dict[str, dict[str, Any]] = {}
    tables = read_admissions(raw, labelled, inputs)
    stays, of_rules = select_cohort(tables, rules)
    counts = [*tables.counts, *of_rules]
    if limit is not None:
        some = stays[stays.subject_id.isin(np.unique(stays.subject_id)[:limit])]
        reason = f"beyond the first {limit} subjects (--limit)"
        counts.append({"rule": "limit", "in": len(stays), "out": len(some), "reason": reason})
        stays = some.reset_index(drop=True)
    if stays.empty:
        raise UserError(f"{raw}: no stay is left after the inclusion rules; check the tables")
    phenotypes = load_phenotypes()
    labels: dict[str, np.ndarray] = {}
    of_stays = pd.DataFrame()
    diagnosed = np.ones(len(stays), bool)
    subjects = np.unique(stays.subject_id)
    if labelled:
        diagnoses = read_diagnoses(raw, stays.hadm_id.to_numpy(), rules, inputs, counts)
        of_stays = diagnoses_of_stays(diagnoses, stays, phenotypes)
        bits, diagnosed = phenotype_labels(of_stays, stays.stay_id.to_numpy(), phenotypes)
        labels = {
            MORTALITY: stays.mortality.to_numpy(np.int8)[:, None],
            PHENOTYPING: bits.astype(np.int8),
            MULTITASK: np.where(diagnosed[:, None], bits, UNKNOWN).astype(np.int8),
        }
        split = split_subjects(subjects, rules.split_source, lists)
    else:
        split = Split(dict.fromkeys(subjects.tolist(), "all"), "one split, unlabelled")
    times = (stays[name].to_numpy("datetime64[s]") for name in ("intime", "deathtime"))
    stays = stays.assign(
        diagnosed=diagnosed,
        lived_hours=lived_hours(*times),
        split=[split.of[subject] for subject in stays.subject_id.tolist()],
    )
    assert (stays.groupby("subject_id").split.nunique() == 1).all(), "a patient in two splits"
    names = {task: label_names(task, phenotypes.names) if labelled else () for task in tasks}
    listed = np.ones(len(stays), bool)
    if own is not None:
        labels[OWN], listed = own.of_stays(stays.stay_id.to_numpy())
        names[OWN] = own.names
        counts.append(
            {
                "rule": "--labels",
                "in": len(own.stay_id),
                "out": int(listed.sum()),
                "reason": "the stay_id is not among the stays of the cohort",
            }
        )
        if not listed.any():
            raise UserError("--labels: none of its stay_ids is a stay of the cohort; check them")
    stays = stays.assign(listed=listed)
    return Cohort(stays, of_stays, labels, names, phenotypes, split, counts, inputs)
