"""Labels of one's own for any ECG source: a CSV with one row a recording or a subject.

The column `record_id`, or else `subject_id`, says whom a row is about. Known columns are
`subject_id`, `split`, `fold`, `age`, `sex`, `event` with `duration`; every other column is a
label of 0 and 1. An empty cell is not known.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.ecg.recording import OLDEST, Dropped, Recording, standard_sex
from medjax.data.ecg.units import DAYS
from medjax.data.tables import SPLIT_NAMES, coded, decimals, integers, read_table, refuse_bad_ids
from medjax.errors import UserError

KEYS = ("record_id", "subject_id")
EVENTS = {"": np.nan, "0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0}
KNOWN = (*KEYS, "split", "fold", "age", "sex", "event", "duration")
"""Columns with a meaning of their own, in any case."""
NO_ROW = Dropped("", "no row in the label table", damaged=False)


class OwnLabels(NamedTuple):
    """What a label table says."""

    names: tuple[str, ...]
    """Of the labels of 0 and 1, as the file heads its columns."""
    key: str
    """"record_id" or "subject_id"."""
    fields: Mapping[str, Mapping[str, Any]]
    """Id -> fields of a `Recording`."""
    columns: tuple[str, ...]
    """Of those fields, whatever a row knows of them."""

    def rule_of_splits(self, rule: str) -> str:
        """Say how recordings are split, given the rule of the source in words."""
        if "subject_id" in self.columns:
            rule = f"{rule}, subjects by the label table"
        return f"column split of the label table, else {rule}" if "split" in self.columns else rule


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of label tables."""
    parser.add_argument(
        "--labels",
        type=Path,
        help="CSV: record_id or subject_id; then event and duration, or columns of 0 and 1",
    )
    parser.add_argument(
        "--duration_unit",
        choices=tuple(DAYS),
        default="day",
        help="unit of the column duration (a month is 30 days, a year 365)",
    )


def read_labels(path: Path, duration_unit: str = "day") -> OwnLabels:
    """Read a label table.

    Raises:
        UserError: no id column, nothing beside it, no row, an id twice or empty, a cell that
            cannot be read, an event without a duration; by row (the header is row 1) and column.
    """
    table = read_table(path, None)
    heads = [str(name).strip() for name in table.columns]
    table.columns = pd.Index([h.lower() if h.lower() in KNOWN else h for h in heads])
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise UserError(f"{path}: two columns {repeated[0]!r}; rename one")
    key = next((name for name in KEYS if name in table), None)
    if key is None:
        raise UserError(f"{path}: no column 'record_id' or 'subject_id'; it says whom a row is of")
    if len(table.columns) < 2 or not len(table):
        raise UserError(f"{path}: no label; give rows, and columns beside {key}")
    ids = table[key].str.strip()
    refuse_bad_ids(ids, path)
    known = _known_columns(table, key, path, duration_unit)
    names = tuple(str(name) for name in table if name not in (*known, key))
    labels = [coded(table[name], EVENTS, path) for name in names]
    columns: dict[str, Sequence[Any] | np.ndarray] = dict(known)
    if names:
        columns["labels"] = np.stack(labels, axis=1).astype(np.float32)
    rows = zip(*columns.values())
    fields = {i: _given(dict(zip(columns, row))) for i, row in zip(ids, rows)}
    return OwnLabels(names, key, fields, tuple(columns))


def labelled(
    recordings: Iterable[Recording | Dropped], own: OwnLabels, met: set[str]
) -> Iterator[Recording | Dropped]:
    """Give recordings what the table says of them; those without a row are dropped.

    The ids of the rows that were used are added to `met`.
    """
    for recording in recordings:
        if isinstance(recording, Dropped):
            yield recording
            continue
        who = getattr(recording, own.key)
        if who in own.fields:
            met.add(who)
            yield recording._replace(**own.fields[who])
        else:
            yield NO_ROW._replace(record_id=recording.record_id)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the table does not know, so that the source's own stays."""
    return {name: value for name, value in row.items() if value is not None}


def _known_columns(
    table: pd.DataFrame, key: str, path: Path, duration_unit: str
) -> dict[str, list[Any]]:
    """The columns that have a meaning of their own, None for an empty cell."""
    found: dict[str, list[Any]] = {}
    if "subject_id" in table and key != "subject_id":
        found["subject_id"] = [text.strip() or None for text in table.subject_id]
    if "split" in table:
        found["split"] = list(coded(table.split, {**SPLIT_NAMES, "": None}, path))
    if "fold" in table:
        found["fold"] = _optional(integers(table.fold.where(_filled(table.fold), "0"), path), 0)
    if "age" in table:
        age = _within(decimals(table.age, path), table.age, path, OLDEST)
        found["age"] = _optional(age)
    if "sex" in table:
        found["sex"] = [standard_sex(text) or None for text in table.sex]
    if ("event" in table) != ("duration" in table):
        there, other = ("event", "duration") if "event" in table else ("duration", "event")
        raise UserError(f"{path}: a column {there!r} but none {other!r}; survival needs both")
    if "event" in table:
        found["event"], found["duration"] = _outcomes(table, path, DAYS[duration_unit])
    return found


def _outcomes(table: pd.DataFrame, path: Path, days: float) -> tuple[list, list]:
    """Events and durations in days; a row has both or neither."""
    event = coded(table.event, EVENTS, path)
    duration = _within(decimals(table.duration, path), table.duration, path, np.inf)
    half = np.flatnonzero(np.isnan(event) != np.isnan(duration))
    if len(half):
        raise UserError(
            f"{path}, row {half[0] + 2}: one of event and duration is empty; give both or neither"
        )
    return _optional(event), _optional(duration * days)


def _filled(texts: pd.Series) -> pd.Series:
    return texts.str.strip() != ""


def _within(values: np.ndarray, texts: pd.Series, path: Path, most: float) -> np.ndarray:
    """Refuse values below 0 or above `most`."""
    wrong = np.flatnonzero((values < 0) | (values > most))
    if len(wrong):
        limits = "below 0" if most == np.inf else f"not from 0 to {most:g}"
        raise UserError(f"{path}, row {wrong[0] + 2}: column {texts.name!r} is {limits}")
    return values


def _optional(values: np.ndarray, empty: float = np.nan) -> list[Any]:
    """Numbers as Python objects, None for those that are not known."""
    unknown = np.isnan(values) if np.isnan(empty) else values == empty
    return [None if u else value for u, value in zip(unknown, values.tolist())]
