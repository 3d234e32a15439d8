"""The table `reports.parquet` of an X-ray store: the reports of its films.

As the index, it saves a pass over all image bytes where no pixels are asked for.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medjax import files
from medjax.data.reports import FIELDS
from medjax.data.xray.film import Film
from medjax.errors import UserError

REPORTS = "reports.parquet"
ROWS = 4096
"""Reports that are held before they are written."""
_SCHEMA = pa.schema([(name, pa.string()) for name in ("split", "dicom_id", *FIELDS)])


class ReportWriter:
    """Writes the report of one film after another."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[dict[str, str]] = []

    def add(self, film: Film, report: Mapping[str, str]) -> None:
        """Add the fields of a film's report that there are."""
        fields = {field: report.get(field, "") for field in FIELDS}
        self._rows.append({"split": film.split, "dicom_id": film.dicom_id, **fields})
        if len(self._rows) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, _SCHEMA))
            self._rows.clear()


@contextlib.contextmanager
def report_table(out: Path) -> Iterator[ReportWriter]:
    """Give the writer of the table of a prepared folder, which is there at the end of the block."""
    with (
        files.replacing(out / REPORTS) as path,
        pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer,
    ):
        reports = ReportWriter(writer)
        yield reports
        reports.flush()


def read_reports(root: Path, dicom_ids: Sequence[str], fields: Sequence[str]) -> pd.DataFrame:
    """Read fields of the reports of some films, in their order; "" where a report has none.

    Raises:
        UserError: no such table, a damaged one, or one that lacks a film.
    """
    path = root / REPORTS
    try:
        table = pq.read_table(path, columns=["dicom_id", *fields], partitioning=None)
    except (OSError, pa.ArrowException) as e:
        reason = str(e).splitlines()[0]
        raise UserError(f"{path}: unreadable ({reason}); prepare the films again") from e
    reports = table.to_pandas().set_index("dicom_id")
    if not reports.index.is_unique or not set(dicom_ids) <= set(reports.index):
        raise UserError(f"{path}: the reports of other films; prepare the films again")
    return reports.loc[list(dicom_ids)].astype(object).reset_index(drop=True)
