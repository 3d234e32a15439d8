"""The latent story of the synthetic patients: organ states, admissions, diagnoses, outcome.

Every organ state is a standard normal variable; a shared severity and the reason of admission
correlate them a little. The states named in `SEEN_IN_SERIES` move vitals and laboratory values,
those in `SEEN_ON_FILM` the chest film, and the risk of death is logistic in both, so that neither
modality alone tells all.

Patient `i` has random streams of its own, so it is the same however many patients are drawn.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.demo.conditions import CONDITIONS

SEEN_IN_SERIES = ("circulation", "breathing", "consciousness", "acidosis", "infection")
SEEN_ON_FILM = ("lung_water", "effusion", "consolidation")
CHRONIC = ("heart_size", "pressure", "sugar", "rhythm", "airway")

# Log-odds of in-hospital death per standard deviation of an organ state: circulation and
# consciousness are read at the bedside, lung water and effusion on the film, and both weigh nearly
# the same in sum.
RISK = {
    "circulation": 3.4, "breathing": 0.8, "consciousness": 2.6, "acidosis": 0.8,
    "lung_water": 3.9, "effusion": 2.3, "heart_size": 0.8,
}  # fmt: skip
RISK_PER_YEAR = 0.02
# Above the share seen in real units, so that a small test split still holds deaths.
RISK_INTERCEPT = -5.0
SEVERITY_SHARE = 0.15
# Most are admitted because either the circulation or the lungs fail, few because of both: among
# those in the unit the two kinds of states exclude each other a little (Berkson's paradox).
REASON_SHARE = 0.4

PERSON, ADMISSION, SERIES, FILMS = range(4)
"""The random streams of one patient."""

EPOCH = np.datetime64("2110-01-01T00:00:00", "s")
HOUR = 3600
# No identifier of MIMIC begins with 9: no invented row can be taken for a real patient.
FIRST_SUBJECT, FIRST_ADMISSION, FIRST_STAY = 90_000_001, 94_000_001, 95_000_001

ACUTE = SEEN_IN_SERIES + SEEN_ON_FILM
_UNITS = np.array([
    "Medical Intensive Care Unit (MICU)",
    "Surgical Intensive Care Unit (SICU)",
    "Medical/Surgical Intensive Care Unit (MICU/SICU)",
    "Cardiac Vascular Intensive Care Unit (CVICU)",
    "Coronary Care Unit (CCU)",
])  # fmt: skip


class Story(NamedTuple):
    """Three tables, one row a patient, an admission, a stay; times in seconds since `EPOCH`.

    `admissions` holds the organ states, one boolean column for each condition and the outcome
    (`died`), ordered by patient; `stays` names the row of its admission.
    """

    patients: pd.DataFrame
    admissions: pd.DataFrame
    stays: pd.DataFrame


def generator(seed: int, patient: int, *stream: int) -> np.random.Generator:
    """The generator of one patient for one purpose, independent of all others."""
    return np.random.default_rng((seed, patient, *stream))


def draw_story(patients: int, seed: int) -> Story:
    """Draw the story of `patients` synthetic patients, numbered from 0."""
    people = _draw_people(patients, seed)
    admissions = _draw_admissions(people, seed)
    stays = _stays(admissions)
    return Story(people, admissions, stays)


def _draws(
    seed: int, patients: int, stream: tuple[int, ...],
    normals: Sequence[str], uniforms: Sequence[str],
) -> pd.DataFrame:  # fmt: skip
    """One row a patient of standard normal and uniform variables under the given names."""
    rows = []
    for patient in range(patients):
        rng = generator(seed, patient, *stream)
        rows.append(np.concatenate([rng.standard_normal(len(normals)), rng.random(len(uniforms))]))
    return pd.DataFrame(np.array(rows), columns=[*normals, *uniforms])


def _draw_people(patients: int, seed: int) -> pd.DataFrame:
    chronic_conditions = [c.name for c in CONDITIONS if c.chronic]
    p = _draws(
        seed, patients, (PERSON,),
        [*CHRONIC, "age_z", "height_z", "habitus"],
        ["sex_u", "start_u", "minor_u", "anchor_u", "group_u", "film_u", "icd_u", "late_death_u",
         *chronic_conditions],
    )  # fmt: skip
    number = np.arange(patients)
    # Four folders of films (p90 to p93), as the real set has ten.
    p["subject_id"] = FIRST_SUBJECT + (number % 4) * 1_000_000 + number // 4
    p["gender"] = np.where(p.sex_u < 0.56, "M", "F")
    adult = np.clip(np.round(64 + 15 * p.age_z), 18, 97)
    p["age"] = np.where(p.minor_u < 0.01, 16, adult).astype(int)
    p["height_cm"] = np.where(p.gender == "M", 176, 163) + 7 * p.height_z
    p["weight_kg"] = np.clip(27.5 + 5.5 * p.habitus, 16, 55) * (p.height_cm / 100) ** 2
    p["start"] = ((p.start_u * 90 * 365.25 * 24 * 60).astype(np.int64)) * 60
    return p.drop(columns=["age_z", "height_z", "sex_u", "minor_u", "start_u"])


def _draw_admissions(people: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most two admissions a patient: the second only of those who survived the first."""
    first = _draw_one_admission(people, seed, 0, people["start"].to_numpy())
    again = (first.again_u < 0.08) & ~first.died
    start = first.dischtime + (40 + 400 * first.gap_u).mul(24 * HOUR).astype(np.int64)
    second = _draw_one_admission(people, seed, 1, start.to_numpy())[again.to_numpy()]
    both = pd.concat([first, second]).sort_values(["patient", "number"], ignore_index=True)
    last = ~both.duplicated("patient", keep="last")
    both["died_later"] = last & ~both.died & (both.late_death_u < 0.10)
    return both


def _draw_one_admission(
    people: pd.DataFrame, seed: int, number: int, start: np.ndarray
) -> pd.DataFrame:
    acute_conditions = [c.name for c in CONDITIONS if not c.chronic]
    a = _draws(
        seed, len(people), (ADMISSION, number),
        ["severity", "reason", *ACUTE, "stay_z", "before_z"],
        ["death_u", "ward_u", "in_unit_u", "transfer_u", "second_stay_u", "gap_u", "again_u",
         "unit_u", *acute_conditions],
    )  # fmt: skip
    keep = ["subject_id", "age", "group_u", "icd_u", "late_death_u", *CHRONIC]
    chronic_u = people[[c.name for c in CONDITIONS if c.chronic]]
    a = pd.concat([a, people[keep], chronic_u], axis=1)
    a["patient"], a["number"] = np.arange(len(people)), number
    a["hadm_id"] = FIRST_ADMISSION + 2 * a.patient + number
    own = np.sqrt(1 - SEVERITY_SHARE**2 - REASON_SHARE**2)
    for states, sign in ((SEEN_IN_SERIES, 1), (SEEN_ON_FILM, -1)):
        for state in states:
            shared = SEVERITY_SHARE * a.severity + sign * REASON_SHARE * a.reason
            a[state] = shared + own * a[state]
    for condition in CONDITIONS:
        spread = sum(w**2 for w in condition.loadings.values())
        # The mean of a logistic-normal variable lies nearer to one half than its centre.
        centre = np.log(condition.prevalence / (1 - condition.prevalence))
        log_odds = centre * np.sqrt(1 + np.pi / 8 * spread)
        log_odds += sum(w * a[state] for state, w in condition.loadings.items())
        a[condition.name] = a[condition.name] < _logistic(log_odds)
    log_odds = RISK_INTERCEPT + RISK_PER_YEAR * (a.age - 64)
    log_odds += sum(weight * a[state] for state, weight in RISK.items())
    a["died"] = a.death_u < _logistic(log_odds)
    return _with_times(a, start)


def _logistic(x: pd.Series) -> pd.Series:
    return 1 / (1 + np.exp(-x))


def _with_times(a: pd.DataFrame, start: np.ndarray) -> pd.DataFrame:
    """Add admission, unit and discharge times (seconds since `EPOCH`)."""
    before = np.minimum(np.exp(0.6 + 1.2 * a.before_z), 72) * HOUR
    hours = np.clip(np.exp(4.3 + 0.42 * a.stay_z + 0.05 * a.severity), 9, 168)
    a["admittime"] = start
    a["intime"] = start + before.astype(np.int64)
    a["outtime"] = a.intime + (hours * HOUR).astype(np.int64)
    a["two_stays"] = a.second_stay_u < 0.03
    a["last_out"] = a.outtime + np.where(a.two_stays, (20 + 40) * HOUR, 0)
    dies_in_unit = a.died & (a.in_unit_u < 0.6)
    ward = np.where(dies_in_unit, 0, ((12 + 180 * a.ward_u) * 60).astype(np.int64) * 60)
    a["dischtime"] = a.last_out + ward
    a["transferred"] = a.transfer_u < 0.05
    return a


def _stays(admissions: pd.DataFrame) -> pd.DataFrame:
    """One row an ICU stay; `admission` is the row number in the admissions table."""
    unit = (admissions.unit_u * len(_UNITS)).astype(int)
    first = pd.DataFrame({
        "admission": np.arange(len(admissions)),
        "stay_id": FIRST_STAY + 4 * admissions.patient + 2 * admissions.number,
        "intime": admissions.intime,
        "outtime": admissions.outtime,
        "first_careunit": _UNITS[unit],
        "last_careunit": _UNITS[(unit + admissions.transferred) % len(_UNITS)],
    })  # fmt: skip
    second = first[admissions.two_stays].copy()
    second["stay_id"] += 1
    second["intime"] = second.outtime + 20 * HOUR
    second["outtime"] = second.intime + 40 * HOUR
    second["last_careunit"] = second.first_careunit
    stays = pd.concat([first, second]).sort_values(["admission", "intime"], ignore_index=True)
    patient = admissions[["patient", "subject_id", "hadm_id"]].iloc[stays.admission]
    return pd.concat([stays, patient.reset_index(drop=True)], axis=1)
