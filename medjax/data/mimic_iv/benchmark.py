"""The tables of the published benchmark layout (mimic3-benchmarks as changed by MedFuse).

Pure functions from our cohort, diagnoses and series to the rows that the published stages write;
they show in tests that every stage agrees, and serve whoever needs the published files.
"""

import contextlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.channels import Channels, read_json
from medjax.data.mimic_iv.diagnoses import Phenotypes
from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.hourly import (
    DECOMPENSATION_HOURS,
    Course,
    asks_mortality,
    decompensation,
    lived_hours,
    prediction_hours,
    remaining_stay,
)
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.tasks import (
    DECOMPENSATION,
    EPS,
    MORTALITY,
    MULTITASK,
    PHENOTYPING,
    Excluded,
    benchmark_task,
    sample,
)

STAY_COLUMNS = (
    *("subject_id", "hadm_id", "stay_id", "last_careunit", "intime", "outtime", "los"),
    *("admittime", "dischtime", "deathtime", "ethnicity", "gender", "anchor_age", "dod", "age"),
    *("mortality_inunit", "mortality", "mortality_inhospital"),
)
DIAGNOSIS_COLUMNS = (
    *("subject_id", "hadm_id", "seq_num", "icd_code", "icd_version", "long_title", "stay_id"),
)
GENDER_CODES = {"F": 1, "M": 2, "": 0}
OTHER_GENDER = 3
ETHNICITY_CODES = {
    **{"ASIAN": 1, "BLACK": 2, "CARIBBEAN ISLAND": 2, "HISPANIC": 3, "SOUTH AMERICAN": 3},
    **{"WHITE": 4, "MIDDLE EASTERN": 4, "PORTUGUESE": 4},
}
MULTITASK_COLUMNS = (
    *("filename", "length of stay", "in-hospital mortality task (pos;mask;label)"),
    *("length of stay task (masks;labels)", "phenotyping task (labels)"),
    "decompensation task (masks;labels)",
)
MORTALITY_POSITION = 47
"""The step after which the multitask list asks for mortality."""


def all_stays(stays: pd.DataFrame) -> pd.DataFrame:
    """Return all_stays.csv of the stays that `cohort.select_cohort` returns."""
    named = stays.rename(columns={"race": "ethnicity"})
    return named.assign(mortality_inhospital=stays.mortality)[list(STAY_COLUMNS)]


def all_diagnoses(of_stays: pd.DataFrame) -> pd.DataFrame:
    """Return all_diagnoses.csv of what `diagnoses.diagnoses_of_stays` returns."""
    return of_stays[list(DIAGNOSIS_COLUMNS)]


def diagnoses_by_stay(of_stays: pd.DataFrame, phenotypes: Phenotypes) -> pd.DataFrame:
    """Return the rows of all <subject>/diagnoses.csv: diagnoses with their phenotype group."""
    used = of_stays.group.isin(phenotypes.names).astype(float).where(of_stays.group.notna())
    rows = all_diagnoses(of_stays).assign(HCUP_CCS_2015=of_stays.group, USE_IN_BENCHMARK=used)
    return rows.sort_values(["subject_id", "stay_id", "seq_num"], kind="stable")


def diagnosis_counts(of_stays: pd.DataFrame) -> pd.DataFrame:
    """Return diagnosis_counts.csv: each code and title with the number of rows of the code."""
    pairs = of_stays[["icd_code", "long_title"]].drop_duplicates()
    return pairs.assign(COUNT=pairs.icd_code.map(of_stays.icd_code.value_counts()))


def phenotype_matrix(labels: np.ndarray, phenotypes: Phenotypes) -> pd.DataFrame:
    """Return phenotype_labels.csv of labels [stays by stay_id, 25]; unseen groups are left out."""
    matrix = pd.DataFrame(labels, columns=list(phenotypes.names))
    return matrix[[name for name in phenotypes.names if matrix[name].any()]]


def ethnicity_code(text: str | None) -> int:
    """Return the code of a self-reported group, 0 for one that has none."""
    group = (text or "").replace(" OR ", "/").split(" - ")[0].split("/")[0]
    return ETHNICITY_CODES.get(group, 0)


def episode_row(stay: Mapping, series: TimeSeries, channels: Channels) -> dict[str, float]:
    """Return the description of one stay in <subject>/episode<k>.csv, without diagnoses."""
    return {
        "Icustay": stay["stay_id"],
        "Ethnicity": ethnicity_code(stay["race"]),
        "Gender": GENDER_CODES.get(stay["gender"] or "", OTHER_GENDER),
        "Age": stay["age"],
        "Height": _first(series.values[:, channels.names.index("Height")]),
        "Weight": _first(series.values[:, channels.names.index("Weight")]),
        "Length of Stay": stay["los"],
        "Mortality": stay["mortality"],
    }


def _first(values: np.ndarray) -> float:
    """Return the first value that is not missing, NaN without any."""
    present = values[~np.isnan(values)]
    return float(present[0]) if len(present) else float("nan")


def diagnosis_bits(of_stays: pd.DataFrame, stay_ids: np.ndarray, rules: Rules) -> np.ndarray:
    """Return uint8 [stays, 256]: the "Diagnosis <code>" columns of the episode files.

    Under diagnosis_code_type "inferred" the codes of a subject that has digits only are read as
    numbers, and no column is set.
    """
    if rules.diagnosis_code_type == "inferred":
        numeric = of_stays.icd_code.str.fullmatch(r"[0-9]+")
        of_stays = of_stays[~numeric.groupby(of_stays.subject_id).transform("all")]
    codes: dict[int, set[str]] = {}
    for stay, code in zip(of_stays.stay_id.tolist(), of_stays.icd_code.tolist()):
        codes.setdefault(stay, set()).add(code)
    columns = read_json("diagnosis_columns.json")
    bits = [[code in codes.get(int(stay), ()) for code in columns] for stay in stay_ids]
    return np.array(bits, np.uint8).reshape(len(stay_ids), len(columns))


def series_table(series: TimeSeries, channels: Channels) -> pd.DataFrame:
    """Return <subject>_episode<k>_timeseries.csv: hours and the 17 variables, NaN for empty."""
    table = pd.DataFrame({"Hours": series.hours})
    for name, categories, column in zip(channels.names, channels.categories, series.values.T):
        table[name] = column
        if categories:
            texts = [None if np.isnan(c) else categories[int(c)] for c in column]
            table[name] = pd.Series(texts, dtype=object)
    return table


def list_columns(task: str, phenotypes: Phenotypes) -> tuple[str, ...]:
    """Return the header of a task's listfile.csv."""
    if task == MULTITASK:
        return MULTITASK_COLUMNS
    labels = phenotypes.names if task == PHENOTYPING else ("y_true",)
    return ("stay", "period_length", "stay_id", *labels)


def listfile(
    task: str,
    stays: pd.DataFrame,
    series: Iterable[tuple[int, TimeSeries]],
    labels: np.ndarray,
    rules: Rules,
) -> list[tuple[str, ...]]:
    """Return the fields of the lines of a task's listfile.csv, sorted as the stays are.

    The multitask list has no way to say that phenotypes are not known: stays without diagnoses are
    left out of it.

    Args:
        task: one of BENCHMARK_TASKS.
        stays: the cohort with `diagnosed`.
        series: row of the stay and its series.
        labels: uint8 [stays, 25], the phenotypes.
        rules: of which `stays_without_diagnoses` matters.
    """
    lines: list[tuple[str, ...]] = []
    for row, charted in series:
        with contextlib.suppress(Excluded):
            lines += stay_lines(task, stays.iloc[row], charted, labels[row], rules)[1]
    return lines


def series_name(stay: pd.Series) -> str:
    """Return the name of a stay's series in the folder of a task."""
    return f"{stay.subject_id}_episode{stay.episode}_timeseries.csv"


def stay_lines(
    task: str, stay: pd.Series, charted: TimeSeries, phenotypes: np.ndarray, rules: Rules
) -> tuple[TimeSeries, list[tuple[str, ...]]]:
    """Return what a task reads of a stay, and the stay's lines of its list, if any.

    A stay shorter than the first hour of prediction is read, but has no line.

    Raises:
        Excluded: when the stay is not part of the task.
    """
    wanted = benchmark_task(task)._replace(diagnosed_only=task in (PHENOTYPING, MULTITASK))
    read = sample(wanted, charted, 24 * stay.los, stay.diagnosed, rules)
    course = course_of(stay, read.series.hours[0])
    name = series_name(stay)
    if task == MULTITASK:
        return read.series, [(name, *_multitask_fields(course, phenotypes))]
    rows = _list_rows(task, course, read.period, phenotypes)
    return read.series, [(name, period, str(stay.stay_id), *values) for period, *values in rows]


def _list_rows(
    task: str, course: Course, period: float, phenotypes: np.ndarray
) -> list[tuple[str, ...]]:
    """Return (period_length, label, ...) of every line of one stay."""
    if task == MORTALITY:
        return [("0", str(int(course.died)))]
    if task == PHENOTYPING:
        return [(f"{period:.6f}", *(str(bit) for bit in phenotypes))]
    if task == DECOMPENSATION:
        return [(f"{hour:.6f}", str(bit)) for hour, bit in zip(*decompensation(course))]
    return [(f"{hour:.6f}", f"{left:.6f}") for hour, left in zip(*remaining_stay(course))]


def _multitask_fields(course: Course, phenotypes: np.ndarray) -> tuple[str, ...]:
    """Return the fields of the multitask line of one stay after its file name."""
    asked = asks_mortality(course)
    lived = min(course.los_hours, course.lived_hours)
    stay_hours, alive_hours = (np.arange(0.0, end + EPS) for end in (course.los_hours, lived))
    dies = course.died & (course.lived_hours - alive_hours < DECOMPENSATION_HOURS)
    masks = [
        np.isin(hours, prediction_hours(course.first, hours[-1])).astype(int)
        for hours in (stay_hours, alive_hours)
    ]
    mortality = (MORTALITY_POSITION * asked, int(asked), int(course.died))
    remaining = [f"{course.los_hours - hour:.6f}" for hour in stay_hours]
    parts = (mortality, [*masks[0], *remaining], phenotypes, [*masks[1], *dies.astype(int)])
    return (f"{course.los_hours:.6f}", *(";".join(map(str, part)) for part in parts))


def course_of(stay: pd.Series, first: float) -> Course:
    """Return the course of a stay whose first row lies at the hour `first`."""
    times = (time.to_datetime64() for time in (stay.intime, stay.deathtime))
    return Course(first, 24 * stay.los, float(lived_hours(*times)), bool(stay.mortality))
