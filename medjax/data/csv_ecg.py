"""ECGs of one CSV file a record: a column a lead, with or without lead names above."""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.leads import standard_name
from medjax.data.ecg.options import add_ecg_arguments
from medjax.data.ecg.plain import (
    add_plain_arguments,
    find_files,
    lead_names,
    one_line,
    scale_of,
    set_of,
)
from medjax.data.ecg.prepare_sets import Plan, prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform, drop
from medjax.data.ecg.write import EcgDescription, Source, split_rule
from medjax.errors import UserError

SOURCE = Source("Electrocardiograms of CSV files.", "", "that of the data")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "blank": r"\s+"}
MOST_BYTES = 64 * 2**20
"""A record of 12 leads for ten minutes at 500 Hz takes about half of this."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--pattern", default="**/*.csv", help="files of --raw that are records")
    parser.add_argument(
        "--delimiter", choices=tuple(DELIMITERS), default="comma", help="between two numbers"
    )
    add_plain_arguments(parser)
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the set and the manifest."""
    names = find_files(args.raw, args.pattern, args.labels)
    delimiter = DELIMITERS[args.delimiter]
    # The first readable record tells the length of all.
    given = args.lead_names and lead_names(args.lead_names, args.lead_names.count(",") + 1)
    samples = _first_length(args.raw, names, delimiter, given)
    scale, unit = scale_of(args.unit)
    name, form = set_of(args, samples)
    read = partial(
        read_record,
        root=args.raw,
        delimiter=delimiter,
        given=given,
        rate=args.recorded_at,
        form=form,
        scale=scale,
    )
    description = EcgDescription(name, form, SOURCE, unit)
    prepare_sets(args, [Plan(description, names, read)], {}, [], split_rule(args, None, "file"))


def read_record(
    name: str,
    root: Path,
    delimiter: str,
    given: tuple[str, ...] | None,
    rate: float,
    form: Form,
    scale: float,
) -> Recording | Dropped:
    """Read one file; its path without the ending is the id of the record and of its subject."""
    record_id = Path(name).with_suffix("").as_posix()
    try:
        signal, leads = read_leads(root / name, delimiter, given)
        conformed = conform(signal, leads, rate, form, scale)
    except RecordFault as fault:
        return drop(record_id, root / name, fault)
    return Recording(record_id, record_id, conformed)


def read_leads(
    path: Path, delimiter: str = ",", given: tuple[str, ...] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read one file of samples by rows, or, without lead names above, of leads by rows.

    Args:
        path: the file.
        delimiter: between two numbers; a regular expression when longer than one character.
        given: names of the leads of a file without a header; None for the usual 12 or 8.

    Returns:
        Float64 [leads, samples], NaN for an empty cell, and the names of the leads.

    Raises:
        RecordFault: over `MOST_BYTES`, not a table, a cell that is no number, or not the leads of
            an ECG.
    """
    if path.stat().st_size > MOST_BYTES:
        raise RecordFault(f"over {MOST_BYTES >> 20} MiB, too large for one record; split it")
    header = _header(path, delimiter)
    table = _texts(path, delimiter, 0 if header is None else 1)
    if header is None:
        signal = _numbers(table, first_row=1).T
        names = _names(given, len(signal))
        if names is None:
            signal = signal.T
            names = _names(given, len(signal))
    else:
        if len(header) != table.shape[1]:
            raise RecordFault("another number of names than of columns; correct the first row")
        # Columns that are no lead, as a time, need not hold numbers.
        columns = [k for k, name in enumerate(header) if standard_name(name)]
        signal, names = _numbers(table[columns], 2).T, tuple(header[k] for k in columns)
    if not names:
        raise RecordFault(
            "not the usual 12 or 8 columns; name the leads by --lead_names or in the first row, or "
            "choose another --delimiter"
        )
    return np.ascontiguousarray(signal), names


def _names(given: tuple[str, ...] | None, count: int) -> tuple[str, ...] | None:
    """The names of `count` leads, None when these cannot be leads."""
    if given is None:
        return lead_names(None, count)
    return given if len(given) == count else None


def _header(path: Path, delimiter: str) -> list[str] | None:
    """The cells of the first row when one of them is the name of a lead."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(10_000)
    cells = first.split() if len(delimiter) > 1 else first.rstrip("\r\n").split(delimiter)
    cells = [cell.strip().strip('"') for cell in cells]
    return cells if any(standard_name(cell) for cell in cells) else None


def _texts(path: Path, delimiter: str, skipped: int) -> pd.DataFrame:
    """The cells of a file below its first `skipped` rows; NaN where empty."""
    try:
        return pd.read_csv(
            path,
            sep=delimiter,
            header=None,
            skiprows=skipped,
            dtype=str,
            encoding="utf-8-sig",
            skipinitialspace=True,
        )
    except (ValueError, OSError) as e:
        raise RecordFault("not a table of numbers; correct it", one_line(e)) from e


def _numbers(table: pd.DataFrame, first_row: int) -> np.ndarray:
    """Convert text cells to float64 [rows, columns]; an empty cell or "nan" is NaN."""
    numbers = np.empty(table.shape)
    for k, name in enumerate(table.columns):
        column = table[name]
        values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = np.isnan(values) & column.notna().to_numpy(dtype=bool) | np.isinf(values)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0]) + first_row
            raise RecordFault(
                "a cell that is not a number; correct it, or choose another --delimiter",
                f"row {row}, column {int(name) + 1}",
            )
        numbers[:, k] = values
    return numbers


def _first_length(
    root: Path, names: list[str], delimiter: str, given: tuple[str, ...] | None
) -> int:
    """Samples of the first record that can be read."""
    for name in names:
        try:
            return read_leads(root / name, delimiter, given)[0].shape[1]
        except RecordFault as fault:
            problem = drop(name, root / name, fault)
    raise UserError(f"{root}: no record could be read, as {problem.detail}")
