"""Inclusion rules, ages, deaths and labels on tables made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medjax.data.mimic_iv.cohort import read_admissions, select_cohort
from medjax.data.mimic_iv.diagnoses import (
    diagnoses_of_stays,
    load_phenotypes,
    phenotype_labels,
    read_diagnoses,
)
from medjax.data.mimic_iv.rules import Rules
from medjax.errors import UserError
from tests.data.mimic_iv import raw as hand

RIGHT = Rules.default()


def cohort(
    made: hand.Tables, folder: Path, rules: Rules = RIGHT
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The stays and, by rule, how many were left out."""
    stays, counts = select_cohort(
        read_admissions(hand.write(folder / "raw", made), True, {}), rules
    )
    return stays, {line["rule"]: line["in"] - line["out"] for line in counts}


def second_stay(made: hand.Tables, **changes: Any) -> dict[str, Any]:
    """Another stay in the admission of the first stay."""
    return made["icustays"][0] | {"stay_id": 1} | changes


def test_each_rule_leaves_out_its_stays(tmp_path: Path) -> None:
    made = hand.tables(40)
    stays = made["icustays"]
    first, moved, child, reversed_, unknown, repeated = (stays[i] for i in (0, 3, 6, 9, 12, 15))
    stays.append(second_stay(made))
    moved["last_careunit"] = "SICU"
    made["patients"][4]["anchor_age"] = 15
    reversed_["outtime"] = reversed_["intime"] - np.timedelta64(1, "h")
    unknown["hadm_id"] = 5
    stays.append(dict(repeated))
    left, dropped = cohort(made, tmp_path)
    assert dropped == {
        "one row a stay": 1,
        "possible times": 1,
        "one care unit": 1,
        "known admission": 1,
        "one stay an admission": 2,
        "adult": 1,
    }
    gone = {row["stay_id"] for row in (first, moved, child, reversed_, unknown)}
    assert not gone & set(left.stay_id)
    assert repeated["stay_id"] in set(left.stay_id)


def test_a_transfer_stay_leaves_the_other_alone(tmp_path: Path) -> None:
    made = hand.tables(2)
    made["icustays"].append(second_stay(made, last_careunit="SICU"))
    left, _ = cohort(made, tmp_path)
    assert made["icustays"][0]["stay_id"] in set(left.stay_id)


def test_age_is_that_at_admission_or_the_anchor(tmp_path: Path) -> None:
    made = hand.tables(2)
    right, _ = cohort(made, tmp_path)
    published, _ = cohort(made, tmp_path, Rules.published())
    assert (right.age == published.age + 2).all()
    assert (published.age == published.anchor_age).all()


@pytest.mark.parametrize(
    ("dead_after", "inunit", "inhospital"),
    [("-1h", 0, 1), ("1h", 1, 1), ("40D", 0, 0), (None, 0, 0)],
)
def test_death_within_stay_and_admission(
    tmp_path: Path, dead_after: str | None, inunit: int, inhospital: int
) -> None:
    made = hand.tables(3)
    stay, admission = made["icustays"][3], made["admissions"][3]
    if dead_after:
        delta = pd.Timedelta(dead_after).to_timedelta64().astype("timedelta64[s]")
        admission["deathtime"] = stay["intime"] + delta
    left, _ = cohort(made, tmp_path)
    row = left[left.stay_id == stay["stay_id"]].iloc[0]
    assert (row.mortality_inunit, row.mortality) == (inunit, inhospital)


def test_a_date_of_death_counts_as_midnight(tmp_path: Path) -> None:
    made = hand.tables(3)
    stay = made["icustays"][3]
    made["patients"][2]["dod"] = stay["intime"].astype("datetime64[D]")
    left, _ = cohort(made, tmp_path)
    row = left[left.stay_id == stay["stay_id"]].iloc[0]
    assert (row.mortality_inunit, row.mortality) == (0, 0)
    made["patients"][2]["dod"] += 1
    left, _ = cohort(made, tmp_path)
    assert left[left.stay_id == stay["stay_id"]].iloc[0].mortality == 1


def test_episodes_are_numbered_by_time(tmp_path: Path) -> None:
    left, _ = cohort(hand.shuffled(hand.tables(6), 2), tmp_path)
    for _, rows in left.groupby("subject_id"):
        assert rows.intime.is_monotonic_increasing
        assert rows.episode.tolist() == list(range(1, len(rows) + 1))


def test_tables_of_two_releases_are_refused(tmp_path: Path) -> None:
    made = hand.tables(8)
    for row in made["admissions"]:
        row["hadm_id"] += 1_000_000_000
    with pytest.raises(UserError, match="releases"):
        cohort(made, tmp_path)


def test_a_code_of_both_versions_joins_once_or_twice(tmp_path: Path) -> None:
    made = hand.tables(4)
    twin = made["d_icd_diagnoses"][0] | {"icd_version": 10, "long_title": "Another"}
    made["d_icd_diagnoses"].append(twin)
    raw = hand.write(tmp_path / "raw", made)
    stays, _ = select_cohort(read_admissions(raw, True, {}), Rules())
    phenotypes, labels, rows = load_phenotypes(), [], []
    for rules in (Rules(), Rules.published()):
        diagnoses = read_diagnoses(raw, stays.hadm_id.to_numpy(), rules, {}, [])
        of_stays = diagnoses_of_stays(diagnoses, stays, phenotypes)
        rows.append(len(of_stays))
        labels.append(phenotype_labels(of_stays, stays.stay_id.to_numpy(), phenotypes)[0])
    assert rows[1] == rows[0] + len(stays)
    np.testing.assert_array_equal(*labels)


def test_unknown_codes_are_counted_among_the_diagnoses_of_the_cohort(tmp_path: Path) -> None:
    made = hand.tables(4)
    made["diagnoses_icd"][0]["icd_code"] = "nowhere"
    counts: list[dict[str, Any]] = []
    raw = hand.write(tmp_path / "raw", made)
    hadm_ids = np.array([row["hadm_id"] for row in made["admissions"]])
    diagnoses = read_diagnoses(raw, hadm_ids, RIGHT, {}, counts)
    read = len(made["diagnoses_icd"])
    assert [(line["in"], line["out"]) for line in counts] == [(read, read - 1)]
    assert len(diagnoses) == read - 1


def test_the_25_phenotypes_are_sorted() -> None:
    names = load_phenotypes().names
    assert len(names) == 25
    assert list(names) == sorted(names)
