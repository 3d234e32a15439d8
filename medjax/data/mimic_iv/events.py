"""Selecting rows of the event tables: wanted items, cohort subjects, admissions with a stay."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medjax.data.mimic_iv.prefilter import is_among
from medjax.data.mimic_iv.stream import BLOCK_BYTES, Source, open_table
from medjax.data.mimic_iv.tables import ID, TEXT, find_table, parse_rows, require_columns

MISSING = -1
"""Stands for an empty id."""


@dataclass(frozen=True)
class CohortIndex:
    """The stays as sorted arrays, to look up ids of events; stays in the order of the cohort."""

    subjects: np.ndarray
    """int64, sorted: the subjects of the cohort."""
    hadm: np.ndarray
    """int64, sorted: the admissions."""
    row: np.ndarray
    """For each of `hadm` the row of its stay."""
    subject_of: np.ndarray
    stay_of: np.ndarray
    start: np.ndarray
    end: np.ndarray
    """int64 [stays]: subject_id, stay_id, and seconds since 1970 of ICU admission and discharge."""

    @classmethod
    def of(cls, stays: pd.DataFrame) -> "CohortIndex":
        """Index the stays that `cohort.select_cohort` returns."""
        hadm = stays.hadm_id.to_numpy()
        order = np.argsort(hadm)
        subject_of = stays.subject_id.to_numpy()
        start, end = (
            stays[name].to_numpy().astype("datetime64[s]").astype(np.int64)
            for name in ("intime", "outtime")
        )
        stay_of = stays.stay_id.to_numpy()
        return cls(np.unique(subject_of), hadm[order], order, subject_of, stay_of, start, end)


class Events(NamedTuple):
    """Rows of event tables, one array a column; ids int64 with -1 for an empty field."""

    subject: np.ndarray
    hadm: np.ndarray
    stay: np.ndarray
    item: np.ndarray
    time: pa.Array
    value: pa.Array
    unit: pa.Array
    """Texts; null for an empty field."""

    def take(self, keep: np.ndarray) -> "Events":
        """Return the rows where `keep` (bool) holds."""
        if keep.all():
            return self
        mask = pa.array(keep)
        ids = (column[keep] for column in self[:4])
        return Events(*ids, *(column.filter(mask) for column in self[4:]))


def ids_of(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return an id column as int64 with MISSING for empty fields."""
    return pc.fill_null(column, MISSING).to_numpy()


def contains(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return bool: whether each value is among `ordered` (sorted)."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[place] == values


def select_events(
    data: bytes,
    source: Source,
    unit_column: str,
    items: np.ndarray,
    index: CohortIndex,
    counts: Counter[str],
) -> Events:
    """Parse a block of rows and keep those of wanted items (sorted ids) and cohort subjects.

    Rows with a wrong number of fields, and rows of wanted items with an unreadable id, are left
    out; `counts` gets them by reason, and the number of rows read.
    """
    ids = ("subject_id", "hadm_id", "stay_id")
    types = dict.fromkeys((*ids, "itemid"), ID)
    types |= {"charttime": TEXT, "value": TEXT, unit_column: TEXT}
    ragged: Counter[str] = Counter()

    def count_ragged() -> None:
        ragged["wrong number of fields"] += 1

    try:
        table = parse_rows(data, source.columns, types, count_ragged)
        read, table = table.num_rows, _of_items(table, items)
    except pa.ArrowInvalid:
        ragged.clear()
        texts = dict.fromkeys(types, TEXT)
        table = parse_rows(data, source.columns, texts, count_ragged)
        read, table = table.num_rows, _with_readable_ids(table, ["itemid"], counts)
        table = _with_readable_ids(_of_items(table, items), ids, counts)
    counts["rows"] += read + ragged.total()
    counts.update(ragged)
    table = table.combine_chunks()
    empty = np.full(table.num_rows, MISSING)
    no_text = pa.nulls(table.num_rows, TEXT)
    events = Events(
        ids_of(table["subject_id"]),
        ids_of(table["hadm_id"]),
        ids_of(table["stay_id"]) if "stay_id" in table.column_names else empty,
        ids_of(table["itemid"]),
        _one_chunk(table["charttime"]),
        _one_chunk(table["value"]),
        _one_chunk(table[unit_column]) if unit_column in table.column_names else no_text,
    )
    return events.take(contains(index.subjects, events.subject))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _of_items(table: pa.Table, items: np.ndarray) -> pa.Table:
    """Return the rows of some items."""
    keep = is_among(items, ids_of(table["itemid"]))
    return table if keep.all() else table.filter(pa.array(keep))


def _with_readable_ids(table: pa.Table, ids: Iterable[str], counts: Counter[str]) -> pa.Table:
    """Turn text ids into numbers; leave out and count rows where one is no whole number."""
    keep = np.ones(table.num_rows, bool)
    for name in (name for name in ids if name in table.column_names):
        texts = pc.utf8_trim_whitespace(table[name])
        whole = pc.fill_null(pc.match_substring_regex(texts, "^(-?[0-9]{1,18})?$"), True)
        bad = ~whole.to_numpy()
        counts[f"{name} not a whole number"] += int((bad & keep).sum())
        keep &= ~bad
        numbers = pc.if_else(pc.and_(whole, pc.not_equal(texts, "")), texts, pa.scalar(None, TEXT))
        table = table.set_column(table.column_names.index(name), name, numbers.cast(ID))
    return table.filter(pa.array(keep))


def validate_events(
    events: Events, index: CohortIndex, counts: Counter[str]
) -> tuple[Events, np.ndarray]:
    """Keep events of cohort admissions and give each the stay of its admission.

    An event without admission, of an admission without a cohort stay, or with another stay_id than
    that stay's is left out; an empty stay_id is filled in. `counts` gets the published counters.

    Returns:
        The kept events, `stay` filled, and the row of each one's stay in the cohort.
    """
    counts["n_events"] += len(events.subject)
    admitted = events.hadm != MISSING
    counts["empty_hadm"] += int((~admitted).sum())
    place = np.minimum(np.searchsorted(index.hadm, events.hadm), len(index.hadm) - 1)
    row = index.row[place]
    known = (index.hadm[place] == events.hadm) & (index.subject_of[row] == events.subject)
    counts["no_hadm_in_stay"] += int((admitted & ~known).sum())
    known &= admitted
    empty = known & (events.stay == MISSING)
    counts["no_icustay"] += int(empty.sum())
    counts["recovered"] += int(empty.sum())
    stay = np.where(empty, index.stay_of[row], events.stay)
    same = known & (stay == index.stay_of[row])
    counts["icustay_missing_in_stays"] += int((known & ~same).sum())
    return events._replace(stay=stay).take(same), row[same]


def open_event_table(raw: Path, name: str, block_bytes: int = BLOCK_BYTES) -> Source:
    """Open an event table and check that it has the columns that are needed."""
    source = open_table(find_table(raw, name), block_bytes)
    stay = [] if name == "labevents" else ["stay_id"]
    needed = ["subject_id", "hadm_id", *stay, "charttime", "itemid", "value"]
    require_columns(source.path, source.columns, needed)
    return source
