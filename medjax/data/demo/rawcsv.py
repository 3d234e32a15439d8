"""Writing csv.gz files quickly and with the same bytes every time."""

import gzip
import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import csv

from medjax.errors import UserError
from medjax.files import write_atomic


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a small table, quoting where needed; missing values become empty fields."""
    _write_gzip(path, table.to_csv(index=False, lineterminator="\n").encode())


def write_columns(path: Path, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> None:
    """Write a large table whose texts hold neither comma, quote nor line break."""
    table = pa.table(dict(columns))
    buffer = io.BytesIO()
    buffer.write((",".join(table.column_names) + "\n").encode())
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    csv.write_csv(table, buffer, options)
    _write_gzip(path, buffer.getvalue())


def require_patients(patients: int) -> None:
    """Raise `UserError` when the number of synthetic patients is not positive."""
    if patients < 1:
        raise UserError(f"the demo needs at least 1 patient, not {patients}; raise the number")


def _write_gzip(path: Path, data: bytes) -> None:
    # mtime 0: equal contents give equal bytes, whenever they are written.
    packed = gzip.compress(data, compresslevel=1, mtime=0)
    write_atomic(path, lambda temporary: _fill(temporary, packed))


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)
