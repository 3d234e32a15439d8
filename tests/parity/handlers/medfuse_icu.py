"""Parity of the ICU tables: cleaning, discretisation, and the whole pipeline stage by stage."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.mimic_iv import benchmark, published
from medjax.data.mimic_iv.channels import load_channels, read_json
from medjax.data.mimic_iv.clean import Rejected, clean
from medjax.data.mimic_iv.cohort import read_admissions, select_cohort
from medjax.data.mimic_iv.diagnoses import (
    diagnoses_of_stays,
    load_phenotypes,
    phenotype_labels,
    read_diagnoses,
)
from medjax.data.mimic_iv.discretize import Grid, discretize
from medjax.data.mimic_iv.episodes import TimeSeries, series_of_stays, series_points
from medjax.data.mimic_iv.events import (
    CohortIndex,
    Events,
    open_event_table,
    select_events,
    validate_events,
)
from medjax.data.mimic_iv.normalizer import RunningMoments, normalize, published_normalizer
from medjax.data.mimic_iv.record_files import read_records
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import TABLES, Encoder, spill_events
from medjax.data.mimic_iv.split import split_subjects
from medjax.data.mimic_iv.tasks import DEFAULT_TASKS, Excluded, benchmark_task, sample
from tests.parity.harness import Case, ParityError, handles

CHANNELS = load_channels()


@handles("medfuse", "clean_events", asserts={"cleaned"})
def clean_events(case: Case) -> dict[str, np.ndarray]:
    """Item, value and unit -> the rows that survive; their values are compared here."""
    rules, columns = Rules.published(), case.inputs
    kept: dict[int, float | str] = {}
    for row, (item, value, unit) in enumerate(
        zip(columns["itemid"], columns["value"], columns["valuenum"])
    ):
        try:
            kept[row] = clean(int(item), str(value), str(unit), CHANNELS, rules)
        except Rejected:
            continue
    reference = dict(zip(case.expected["kept_rows"].tolist(), case.expected["cleaned"].tolist()))
    for row in kept.keys() & reference.keys():
        _check_text(f"row {row}", kept[row], reference[row], case.record["rtol"])
    return {"kept_rows": np.array(list(kept))}


def _check_text(where: str, ours: float | str, reference: str, rtol: float) -> None:
    """Compare numbers as floats, all else as text."""
    try:
        equal = abs(float(ours) - float(reference)) <= rtol * (1 + abs(float(reference)))
    except ValueError:
        equal = ours == reference
    if not equal:
        raise ParityError(f"{where}: {ours!r}, reference {reference!r}")


@handles("medfuse", "discretizer", config={"grid", "header"})
def discretizer(case: Case) -> dict[str, np.ndarray]:
    """X_k -> data_k for every grid, then the normaliser on and fitted to the first three."""
    if CHANNELS.header() != tuple(case.config["header"]):
        raise ParityError("column names differ")
    outputs = {}
    for entry in case.config["grid"]:
        grid = Grid(entry["timestep"], entry["impute"], entry["start_time"], entry["store_masks"])
        hours, values = _parse(case.inputs[f"X_{entry['k']}"])
        outputs[f"data_{entry['k']}"] = discretize(hours, values, CHANNELS, entry["end"], grid)
    first_three = [discretize(*_parse(case.inputs[f"X_{k}"]), CHANNELS, 48.0) for k in range(3)]
    moments = RunningMoments(len(CHANNELS.header()))
    for data in first_three:
        moments.add(data)
    fitted = moments.fitted()
    return outputs | {
        "disc48": first_three[0],
        "norm48": normalize(first_three[0], published_normalizer(), CHANNELS),
        "fit_means": fitted.means,
        "fit_stds": fitted.stds,
    }


def _parse(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Text rows [hours, 17 values] -> hours [rows] and values [rows, 17]."""
    values = np.full((len(rows), len(CHANNELS.names)), np.nan)
    for (row, channel), text in np.ndenumerate(rows[:, 1:]):
        known = CHANNELS.categories[channel]
        if text:
            values[row, channel] = known.index(text) if known else float(text)
    return rows[:, 0].astype(np.float64), values


OPTIONS = {"timestep", "impute", "masks", "normalizer", "raw_rows", "validate_counters", "layout"}
TASK_FOLDERS = {
    "in_hospital_mortality": "in-hospital-mortality",
    "phenotyping": "phenotyping",
    "decompensation": "decompensation",
    "length_of_stay": "length-of-stay",
}
SPLIT_FOLDERS = {"train": "train", "val": "validation", "test": "test"}


@handles("medfuse", "ehr_pipeline", config=OPTIONS)
def ehr_pipeline(case: Case) -> dict[str, np.ndarray]:
    """Raw tables -> every table in expected/, compared here, and the arrays of two tasks."""
    if case.config["normalizer"] != "ph_ts1.0 previous start_time zero":
        raise ParityError(f"unknown normaliser {case.config['normalizer']!r}")
    rules = Rules.published()
    tables = Tables(case)
    check_stays_and_diagnoses(tables, rules)
    check_events(tables, rules)
    series = read_series(tables, rules)
    check_episodes(tables, series, rules)
    check_listfiles(tables, series, rules)
    grid = Grid(case.config["timestep"], case.config["impute"], "zero", case.config["masks"])
    outputs = {"header": np.array(CHANNELS.header(case.config["masks"]))}
    for task in DEFAULT_TASKS:
        for folder, split in SPLIT_FOLDERS.items():
            stacked = stack_samples(tables, series, task, split, grid, rules)
            outputs |= {f"{TASK_FOLDERS[task]}/{folder}/{k}": v for k, v in stacked.items()}
    return outputs


class Tables:
    """The case's cohort, diagnoses and splits, and its expected tables."""

    def __init__(self, case: Case):
        self.case, self.raw = case, case.folder / "raw"
        rules = Rules.published()
        stays, _ = select_cohort(read_admissions(self.raw, True, {}), rules)
        self.phenotypes = load_phenotypes()
        diagnoses = read_diagnoses(self.raw, stays.hadm_id.to_numpy(), rules, {}, [])
        self.of_stays = diagnoses_of_stays(diagnoses, stays, self.phenotypes)
        self.labels, diagnosed = phenotype_labels(
            self.of_stays, stays.stay_id.to_numpy(), self.phenotypes
        )
        self.split = split_subjects(np.unique(stays.subject_id), rules.split_source).of
        self.stays = stays.assign(diagnosed=diagnosed)

    def expected(self, name: str, dtype: type = str) -> pd.DataFrame:
        """A table of expected/ as text, empty fields as ""."""
        path = self.case.folder / "expected" / f"{name}.csv.gz"
        return pd.read_csv(path, dtype=dtype, keep_default_na=False)

    def check(self, name: str, ours: pd.DataFrame, drop: tuple[str, ...] = ()) -> None:
        """Compare a table with the expected one of that name, rows in any order."""
        _check_tables(name, ours, self.expected(name).drop(columns=list(drop)))


def _check_tables(name: str, ours: pd.DataFrame, reference: pd.DataFrame) -> None:
    """Compare columns, then rows in any order: numbers with rtol 1e-9, all else as text."""
    if list(ours.columns) != list(reference.columns):
        raise ParityError(f"{name}: columns {list(ours.columns)}, not {list(reference.columns)}")
    if len(ours) != len(reference):
        raise ParityError(f"{name}: {len(ours)} rows, reference {len(reference)}")
    columns = [_comparable(table) for table in (ours, reference)]
    for (column, left), (_, right) in zip(columns[0].items(), columns[1].items()):
        unequal = np.array([a != b for a, b in zip(left, right)], bool)
        if unequal.any():
            row = int(np.flatnonzero(unequal)[0])
            raise ParityError(
                f"{name}: {unequal.sum()} values of {column} differ, "
                f"the first {left[row]!r}, reference {right[row]!r}"
            )


def _comparable(table: pd.DataFrame) -> dict[str, list]:
    """Sort the rows; give each number ten significant digits."""
    columns = [[_canonical(value) for value in table.iloc[:, i]] for i in range(table.shape[1])]
    order = sorted(range(len(table)), key=lambda row: [column[row] for column in columns])
    return {
        f"{i} {name}": [column[row] for row in order]
        for i, (name, column) in enumerate(zip(table.columns, columns))
    }


def _canonical(value: object) -> str:
    """Text of a field: missing is "", a time without a time of day is a date."""
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    text = str(value).removesuffix(" 00:00:00")
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return text


def check_stays_and_diagnoses(tables: Tables, rules: Rules) -> None:
    """all_stays, diagnoses and phenotype labels, whole and by subject."""
    stays = benchmark.all_stays(tables.stays)
    tables.check("all_stays", stays)
    tables.check("stays_by_subject", stays, drop=("subject_folder",))
    tables.check("all_diagnoses", benchmark.all_diagnoses(tables.of_stays))
    tables.check("diagnosis_counts", benchmark.diagnosis_counts(tables.of_stays))
    by_stay = benchmark.diagnoses_by_stay(tables.of_stays, tables.phenotypes)
    tables.check("diagnoses_by_subject", by_stay, drop=("subject_folder",))
    order = np.argsort(tables.stays.stay_id.to_numpy())
    matrix = benchmark.phenotype_matrix(tables.labels[order], tables.phenotypes)
    reference = tables.expected("phenotype_labels").astype(np.uint8)
    if not matrix.astype(np.uint8).equals(reference):
        raise ParityError("phenotype_labels differ")


def check_events(tables: Tables, rules: Rules) -> None:
    """Selected and validated events of all extracted items, and the printed counters."""
    index, raw_rows = CohortIndex.of(tables.stays), tables.case.config["raw_rows"]
    extracted, validated, total = [], [], Counter()
    for name in TABLES:
        source = open_event_table(tables.raw, name)
        counts: Counter[str] = Counter()
        for block in source.blocks:
            unit = published.UNIT_COLUMN[name]
            events = select_events(block, source, unit, CHANNELS.extracted_items, index, counts)
            extracted.append(_event_table(events))
            validated.append(_event_table(validate_events(events, index, counts)[0]))
        if counts["rows"] != raw_rows[name.removesuffix("events")]:
            raise ParityError(f"{name}: {counts['rows']} rows read")
        total.update(counts)
    total["could_not_recover"] = total["no_icustay"] - total["recovered"]
    for name, count in tables.case.config["validate_counters"].items():
        if total[name] != int(count):
            raise ParityError(f"{name}: {total[name]}, reference {count}")
    tables.check("events_extracted", pd.concat(extracted), drop=("subject_folder",))
    reference = tables.expected("events_validated").drop(columns="subject_folder")
    ours = pd.concat(validated)
    ours["value"] = ["" if v in published.MISSING_TEXTS else v for v in ours["value"]]
    _check_tables("events_validated", ours, reference)


def _event_table(events: Events) -> pd.DataFrame:
    """Events under the column names of events.csv."""
    ids = {"subject_id": events.subject, "hadm_id": events.hadm, "stay_id": events.stay}
    texts = {"charttime": events.time, "value": events.value, "valuenum": events.unit}
    columns = {name: np.where(v < 0, np.nan, v) for name, v in ids.items()}
    columns |= {name: text.to_pylist() for name, text in texts.items()}
    columns["itemid"] = events.item
    order = ["subject_id", "hadm_id", "stay_id", "charttime", "itemid", "value", "valuenum"]
    return pd.DataFrame(columns, dtype=object)[order]


def read_series(tables: Tables, rules: Rules) -> dict[int, TimeSeries]:
    """The series of all stays, by row of the cohort, through the spill of the event pass."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spill_events(tables.raw, tables.stays, CHANNELS, rules, folder, 1, 1)
        records = read_records(folder, 0, Encoder(CHANNELS, rules).dtype())
    points = series_points(records, CohortIndex.of(tables.stays))
    return dict(series_of_stays(points, len(CHANNELS.names)))


def check_episodes(tables: Tables, series: dict[int, TimeSeries], rules: Rules) -> None:
    """The time series of every stay, and the description of those with diagnoses."""
    stays, rows, charts = tables.stays.to_dict("records"), [], []
    bits = benchmark.diagnosis_bits(tables.of_stays, tables.stays.stay_id.to_numpy(), rules)
    codes = [f"Diagnosis {code}" for code in read_json("diagnosis_columns.json")]
    for row, charted in series.items():
        stay = stays[row]
        part = "test" if tables.split[stay["subject_id"]] == "test" else "train"
        stem = f"{part}/{stay['subject_id']}_episode{stay['episode']}"
        chart = benchmark.series_table(charted, CHANNELS)
        chart.insert(0, "file", f"{stem}_timeseries.csv")
        charts.append(chart)
        if stay["diagnosed"]:
            described = benchmark.episode_row(stay, charted, CHANNELS)
            rows.append([f"{stem}.csv", *described.values(), *bits[row]])
    names = ["file", *described, *codes]
    reference = tables.expected("episodes")
    reference.columns = names  # repeated names were numbered by pandas
    _check_tables("episodes", pd.DataFrame(rows, columns=names), reference)
    tables.check("timeseries", pd.concat(charts))


def check_listfiles(tables: Tables, series: dict[int, TimeSeries], rules: Rules) -> None:
    """The lists of four tasks and three splits, as sets of lines."""
    for task, folder in TASK_FOLDERS.items():
        lines = benchmark.listfile(task, tables.stays, series.items(), tables.labels, rules)
        for part, split in SPLIT_FOLDERS.items():
            reference = tables.expected(f"{folder}_{part}_listfile")
            ours = [line for line in lines if tables.split[int(line[0].split("_")[0])] == split]
            if sorted(ours) != sorted(map(tuple, reference.to_numpy().tolist())):
                raise ParityError(f"{folder}/{part}: lines of the listfile differ")


def stack_samples(
    tables: Tables,
    series: dict[int, TimeSeries],
    task: str,
    split: str,
    grid: Grid,
    rules: Rules,
) -> dict[str, np.ndarray]:
    """The samples of a task and split, stacked in the order of their file names."""
    normalizer, found = published_normalizer(), {}
    labels = tables.labels if task == "phenotyping" else tables.stays.mortality.to_numpy()
    width = len(CHANNELS.header(grid.masks))
    none = [np.zeros((0, width))]  # a split may have no stay
    for row, charted in series.items():
        stay = tables.stays.iloc[row]
        if tables.split[int(stay.subject_id)] != split:
            continue
        try:
            part, period = sample(
                benchmark_task(task), charted, 24 * stay.los, stay.diagnosed, rules
            )
        except Excluded:
            continue
        data = discretize(part.hours, part.values, CHANNELS, period, grid)
        name = f"{stay.subject_id}_episode{stay.episode}_timeseries.csv"
        found[name] = (data, normalize(data, normalizer, CHANNELS), labels[row])
    names = sorted(found)
    data, normalised = ([found[name][part] for name in names] for part in (0, 1))
    bits = [found[name][2] for name in names]
    return {
        "names": np.array(names),
        "lengths": np.array([len(part) for part in data]),
        "raw": np.concatenate(none + data).astype(np.float32),
        "norm": np.concatenate(none + normalised).astype(np.float32),
        "labels": np.array(bits, np.int32).reshape(len(names), *labels.shape[1:]),
    }
