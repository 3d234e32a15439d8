"""The cohort: adult ICU stays without a transfer, alone in their admission."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tables import ID, NUMBER, TEXT, TIME, read_table
from medjax.errors import UserError

ADULT = 18
MISMATCH_LIMIT = 0.05
"""Share of ICU stays without their admission above which the tables are of two releases."""


@dataclass(frozen=True)
class Admissions:
    """The three tables that say who stayed where and when."""

    stays: pd.DataFrame
    admissions: pd.DataFrame
    patients: pd.DataFrame
    counts: list[dict[str, Any]]
    """Rows read and kept, where some could not be used."""


def read_admissions(raw: Path, labelled: bool, inputs: dict[str, dict[str, Any]]) -> Admissions:
    """Read icustays, admissions and patients.

    Args:
        raw: the raw folder.
        labelled: whether the columns that tell deaths and discharges must be there.
        inputs: gets the digests of the tables.

    Raises:
        UserError: when a table or column is absent or malformed, or when more than 5 % of the ICU
            stays have no admission.
    """
    counts: list[dict[str, Any]] = []
    outcome = {"dischtime": TIME, "deathtime": TIME}
    death = {"dod": TIME}
    stays = read_table(
        raw,
        "icustays",
        {
            "subject_id": ID,
            "hadm_id": ID,
            "stay_id": ID,
            "first_careunit": TEXT,
            "last_careunit": TEXT,
            "intime": TIME,
            "outtime": TIME,
            "los": NUMBER,
        },
        {},
        inputs,
        counts,
    )
    admissions = read_table(
        raw,
        "admissions",
        {"subject_id": ID, "hadm_id": ID, "admittime": TIME} | (outcome if labelled else {}),
        {"race": TEXT} | ({} if labelled else outcome),
        inputs,
        counts,
    )
    patients = read_table(
        raw,
        "patients",
        {"subject_id": ID, "gender": TEXT, "anchor_age": ID} | (death if labelled else {}),
        {"anchor_year": NUMBER} | ({} if labelled else death),
        inputs,
        counts,
    )
    if "race" not in admissions:
        admissions["race"] = None
    for table, names in ((admissions, ("dischtime", "deathtime")), (patients, ("dod",))):
        for name in (name for name in names if name not in table):
            table[name] = np.full(len(table), np.datetime64("NaT", "s"))
    _refuse_mixed_releases(raw, stays, admissions)
    return Admissions(stays, admissions, patients, counts)


def _refuse_mixed_releases(raw: Path, stays: pd.DataFrame, admissions: pd.DataFrame) -> None:
    """Raise a UserError when many ICU stays belong to no admission."""
    pairs = pd.MultiIndex.from_frame(stays[["subject_id", "hadm_id"]])
    known = pairs.isin(pd.MultiIndex.from_frame(admissions[["subject_id", "hadm_id"]]))
    share = 1 - known.mean() if len(stays) else 0.0
    if share > MISMATCH_LIMIT:
        raise UserError(
            f"{raw}: {share:.0%} of the ICU stays have no row in admissions, as when tables of two "
            "MIMIC-IV releases are mixed; use all tables of one release"
        )


def select_cohort(tables: Admissions, rules: Rules) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Apply the inclusion rules in their published order.

    Returns:
        The stays sorted by subject_id, intime, outtime, stay_id, with the columns subject_id,
        hadm_id, stay_id, last_careunit, intime, outtime, los (days), admittime, dischtime,
        deathtime, race, gender, anchor_age, dod, age (years), mortality_inunit, mortality (in
        hospital) and episode (1, 2, ... within a subject);
        and the count before and after each rule with its reason.
    """
    counts: list[dict[str, Any]] = []

    def keep(rule: str, reason: str, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
        counts.append({"rule": rule, "in": len(before), "out": len(after), "reason": reason})
        return after

    admissions = _sorted(tables.admissions).drop_duplicates("hadm_id")
    patients = _sorted(tables.patients).drop_duplicates("subject_id")
    found = _sorted(tables.stays)
    stays = keep("one row a stay", "stay_id repeated", found, found.drop_duplicates("stay_id"))
    timed = stays[(stays.outtime >= stays.intime) & stays.los.notna()]
    stays = keep("possible times", "no intime, outtime or los, or out before in", stays, timed)
    unmoved = stays[stays.first_careunit.fillna("") == stays.last_careunit.fillna("")]
    stays = keep("one care unit", "moved to another care unit", stays, unmoved)
    stays = stays.drop(columns="first_careunit")
    joined = stays.merge(admissions, on=["subject_id", "hadm_id"]).merge(patients, on="subject_id")
    stays = keep("known admission", "no row in admissions or patients", stays, joined)
    alone = stays[stays.groupby("hadm_id").stay_id.transform("size") == 1]
    stays = keep("one stay an admission", "another stay in the admission", stays, alone)
    stays = stays.assign(age=_age(stays, rules))
    stays = keep("adult", f"younger than {ADULT}", stays, stays[stays.age >= ADULT])
    stays = _with_deaths(stays)
    stays = stays.sort_values(["subject_id", "intime", "outtime", "stay_id"])
    stays = stays.assign(episode=stays.groupby("subject_id").cumcount() + 1)
    return stays.drop(columns="anchor_year", errors="ignore").reset_index(drop=True), counts


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in an order that does not depend on that of the file."""
    return table.sort_values(sorted(table.columns), kind="stable")


def _age(stays: pd.DataFrame, rules: Rules) -> pd.Series:
    """Return the age in whole years at ICU admission (published: `anchor_age` unchanged)."""
    age = stays.anchor_age.where(stays.anchor_age >= 0, 90)
    if rules.age_reference == "anchor" or "anchor_year" not in stays:
        return age
    since = stays.intime.dt.year - stays.anchor_year
    return age + since.fillna(0).astype(np.int64)


def _with_deaths(stays: pd.DataFrame) -> pd.DataFrame:
    """Add `mortality_inunit` and `mortality` (0/1): dead within the stay, within the admission."""

    def within(start: pd.Series, end: pd.Series) -> pd.Series:
        dead = [(t >= start) & (t <= end) for t in (stays.dod, stays.deathtime)]
        return (dead[0] | dead[1]).astype(np.int64)

    return stays.assign(
        mortality_inunit=within(stays.intime, stays.outtime),
        mortality=within(stays.admittime, stays.dischtime),
    )
