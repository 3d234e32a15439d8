"""Discharge diagnoses of the cohort and the 25 phenotypes made from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.channels import read_json
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tables import ID, NUMBER, TEXT, read_table


@dataclass(frozen=True)
class Phenotypes:
    """Groups of ICD codes (CCS 2015, extended to ICD-10)."""

    group: dict[str, str]
    """ICD code without dot -> name of its group."""
    names: tuple[str, ...]
    """The 25 groups that are labels, sorted."""


def load_phenotypes() -> Phenotypes:
    """Read the groups from the resources; of two groups with one code the last holds."""
    groups = read_json("phenotypes.json.gz")
    names = sorted(name for name, group in groups.items() if group["use_in_benchmark"])
    return Phenotypes(
        group={code: name for name, group in groups.items() for code in group["codes"]},
        names=tuple(names),
    )


def read_diagnoses(
    raw: Path,
    hadm_ids: np.ndarray,
    rules: Rules,
    inputs: dict[str, dict[str, Any]],
    counts: list[dict[str, Any]],
) -> pd.DataFrame:
    """Read the diagnoses_icd of some admissions joined with the titles of d_icd_diagnoses.

    A code that the dictionary does not know is left out and counted in `counts`.

    Returns:
        Columns subject_id, hadm_id, seq_num, icd_code, icd_version, long_title.
    """
    diagnoses = read_table(
        raw,
        "diagnoses_icd",
        {"subject_id": ID, "hadm_id": ID, "icd_code": TEXT, "icd_version": NUMBER},
        {"seq_num": NUMBER},
        inputs,
        counts,
        hadm_ids,
    )
    titles = read_table(
        raw,
        "d_icd_diagnoses",
        {"icd_code": TEXT, "long_title": TEXT},
        {"icd_version": NUMBER},
        inputs,
        counts,
    )
    keys = ["icd_code"]
    if rules.diagnosis_join == "code_and_version" and "icd_version" in titles:
        keys.append("icd_version")
    titles = titles[keys + ["long_title"]].drop_duplicates()
    unknown = ~pd.MultiIndex.from_frame(diagnoses[keys]).isin(
        pd.MultiIndex.from_frame(titles[keys])
    )
    if n := int(unknown.sum()):
        read, reason = len(diagnoses), "code not in d_icd_diagnoses"
        rule = "diagnoses of the cohort"
        counts.append({"rule": rule, "in": read, "out": read - n, "reason": reason})
    return diagnoses.merge(titles, on=keys)


def diagnoses_of_stays(
    diagnoses: pd.DataFrame, stays: pd.DataFrame, phenotypes: Phenotypes
) -> pd.DataFrame:
    """Give each diagnosis of a cohort admission its stay_id and its group (missing: none)."""
    of_stays = diagnoses.merge(
        stays[["subject_id", "hadm_id", "stay_id"]], on=["subject_id", "hadm_id"]
    )
    return of_stays.assign(group=of_stays.icd_code.map(phenotypes.group))


def phenotype_labels(
    of_stays: pd.DataFrame, stay_ids: np.ndarray, phenotypes: Phenotypes
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of stays.

    Args:
        of_stays: what `diagnoses_of_stays` returns.
        stay_ids: int64 [stays].

    Returns:
        uint8 [stays, 25], 1 where a diagnosis belongs to the phenotype; and bool [stays], whether
        the stay has any diagnosis.
    """
    labels = np.zeros((len(stay_ids), len(phenotypes.names)), np.uint8)
    row = pd.Index(stay_ids).get_indexer(pd.Index(of_stays.stay_id))
    column = pd.Index(phenotypes.names).get_indexer(pd.Index(of_stays.group))
    used = (row >= 0) & (column >= 0)
    labels[row[used], column[used]] = 1
    return labels, np.isin(stay_ids, of_stays.stay_id.to_numpy())
