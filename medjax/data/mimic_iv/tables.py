"""Finding the tables of a MIMIC-IV folder and reading their columns by name."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from medjax.data.mimic_iv.stream import open_table
from medjax.errors import UserError, nearest

FOLDERS = {
    "patients": ("hosp", "core"),
    "admissions": ("hosp", "core"),
    "diagnoses_icd": ("hosp",),
    "d_icd_diagnoses": ("hosp",),
    "labevents": ("hosp",),
    "icustays": ("icu",),
    "chartevents": ("icu",),
    "outputevents": ("icu",),
}
"""Where a table lies: `core` was dissolved into `hosp` with release 2.0."""

RENAMED = {"ethnicity": "race"}
"""Column names of older releases."""

TEXT, ID, NUMBER, TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("s")


def find_table(raw: Path, name: str) -> Path:
    """Return the path of a table, packed or not.

    Raises:
        UserError: when the raw folder does not hold the table.
    """
    for folder in (*FOLDERS[name], "."):
        for suffix in (".csv.gz", ".csv"):
            path = raw / folder / f"{name}{suffix}"
            if path.is_file():
                return path
    raise UserError(
        f"{raw}: no table {FOLDERS[name][0]}/{name}.csv.gz (or .csv); "
        "download it from the MIMIC-IV release into this folder"
    )


def require_columns(path: Path, present: Iterable[str], required: Iterable[str]) -> None:
    """Raise a UserError that names the first required column which is not present."""
    known = [RENAMED.get(name, name) for name in present]
    for name in required:
        if name not in known:
            raise UserError(
                f"{path}: no column {name!r}{nearest(name, known)}; add it to the table"
            )


def parse_rows(
    data: bytes,
    columns: Sequence[str],
    types: Mapping[str, pa.DataType],
    on_ragged: Callable[[], None],
) -> pa.Table:
    """Parse whole csv rows into the columns named in `types` that the table has.

    A row with too few or too many fields is left out after a call of `on_ragged`. Bytes that are
    not UTF-8 are replaced.

    Raises:
        pa.ArrowInvalid: when a field does not have the type of its column.
    """

    def skip(_row: csv.InvalidRow) -> str:
        on_ragged()
        return "skip"

    if not data.isascii():
        data = data.decode("utf-8", errors="replace").encode()
    included = [name for name in columns if name in types]
    if not data:
        return pa.schema([(name, types[name]) for name in included]).empty_table()
    return csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(
            column_names=list(columns), use_threads=False, block_size=len(data)
        ),
        parse_options=csv.ParseOptions(
            newlines_in_values=b'"' in data, invalid_row_handler=skip, ignore_empty_lines=True
        ),
        convert_options=csv.ConvertOptions(
            include_columns=included,
            column_types=dict(types),
            null_values=[""],
            strings_can_be_null=True,
            timestamp_parsers=[csv.ISO8601],
        ),
    )


def read_table(
    raw: Path,
    name: str,
    required: Mapping[str, pa.DataType],
    optional: Mapping[str, pa.DataType],
    inputs: dict[str, dict[str, Any]],
    counts: list[dict[str, Any]],
    hadm_ids: np.ndarray | None = None,
) -> pd.DataFrame:
    """Read a table of patients, not of events; empty fields are missing.

    Args:
        raw: the raw folder.
        name: the table.
        required: column -> type; a row without one of its ids (type ID) is dropped and counted.
        optional: column -> type of columns that may be absent.
        inputs: gets the digest of the file by its path relative to `raw`.
        counts: gets the rows read and kept for each reason that dropped some.
        hadm_ids: keep rows of these admissions only, so that a large table stays small.

    Raises:
        UserError: when the table or a required column is absent, or a field has the wrong form.
    """
    path = find_table(raw, name)
    source = open_table(path)
    require_columns(path, source.columns, required)
    columns = [RENAMED.get(column, column) for column in source.columns]
    types = {**required, **optional}
    texts = dict.fromkeys(types, TEXT)

    dropped: Counter[str] = Counter()

    def count_ragged() -> None:
        dropped["wrong number of fields"] += 1

    schema = pa.schema([(c, types[c]) for c in columns if c in types])
    parts, rows = [schema.empty_table()], 0
    for block in source.blocks:
        part = parse_rows(block, columns, texts, count_ragged)
        typed = {c: _typed(path, c, part[c], types[c], rows) for c in part.column_names}
        rows, part = rows + part.num_rows, pa.table(typed)
        for column in (c for c, kind in required.items() if kind == ID):
            if missing := part[column].null_count:
                dropped[f"no {column}"] += missing
                part = part.filter(pc.is_valid(part[column]))
        if hadm_ids is not None:
            part = part.filter(pc.is_in(part["hadm_id"], pa.array(hadm_ids)))
        parts.append(part)
    inputs[str(path.relative_to(raw))] = source.position.digest()
    counts += _row_counts(name, rows, dropped, [c for c, kind in required.items() if kind == ID])
    return _to_pandas(pa.concat_tables(parts))


def _row_counts(
    name: str, parsed: int, dropped: Counter[str], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the rows read (in) and kept (out) of a table for each reason that dropped some."""
    lines, left = [], parsed + dropped["wrong number of fields"]
    for reason in ("wrong number of fields", *(f"no {column}" for column in ids)):
        if n := dropped[reason]:
            lines.append({"rule": f"rows of {name}", "in": left, "out": left - n, "reason": reason})
            left -= n
    return lines


def _typed(
    path: Path, name: str, values: pa.ChunkedArray, kind: pa.DataType, above: int
) -> pa.ChunkedArray:
    """Convert the texts of a column, `above` rows down; blanks around them do not count."""
    values = pc.utf8_trim_whitespace(values)
    values = pc.if_else(pc.equal(values, ""), pa.scalar(None, TEXT), values)
    if kind == TEXT:
        return values
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        for row, value in enumerate(values.to_pylist(), start=above + 1):
            try:
                pa.array([value]).cast(kind)
            except pa.ArrowInvalid:
                raise UserError(
                    f"{path}: column {name!r} of data row {row} is not {_DESCRIBED[kind]}; "
                    "correct the row"
                ) from None
        raise


_DESCRIBED = {
    ID: "a whole number",
    NUMBER: "a number",
    TIME: "a time like 2150-01-31 23:59:00",
}


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    """Return a data frame whose times keep seconds, so that no year overflows."""
    frame = pd.DataFrame(index=range(table.num_rows))
    for name in table.column_names:
        column = table[name]
        if column.type == TIME:
            seconds = column.to_numpy().astype("datetime64[s]")
            frame[name] = pd.Series(seconds, dtype="datetime64[s]")
        elif column.type == TEXT:
            frame[name] = pd.Series(column.to_pylist(), dtype=object)
        else:
            frame[name] = column.to_numpy()
    return frame
