"""Small CSV tables read by column name, as text, with errors that name the file."""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from medjax.errors import UserError, nearest

T = TypeVar("T")
LABEL_VALUES = {"": -2, "-1": -1, "-1.0": -1, "0": 0, "0.0": 0, "1": 1, "1.0": 1}
"""Texts of a label column -> code: 1, 0, -1 uncertain, -2 not mentioned."""
SPLIT_NAMES = {
    "train": "train",
    "valid": "validation",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}
"""Names of splits in published tables -> ours."""


def find_table(folder: Path, *patterns: str) -> Path | None:
    """Return the last name that matches one of the glob patterns, plain before .gz; else None."""
    for pattern in patterns:
        plain, packed = sorted(folder.glob(pattern)), sorted(folder.glob(f"{pattern}.gz"))
        if plain or packed:
            return (plain or packed)[-1]
    return None


def read_table(
    path: Path, columns: Sequence[str] | None, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read columns of a CSV file (gzip by name) as text; an empty field is "".

    Column names are compared without case and blanks at the ends; extra columns and a byte-order
    mark are accepted. `columns` None reads all, under the names of the file.

    Returns:
        DataFrame with `columns` and those of `optional` that exist, in this order.

    Raises:
        UserError: missing file or column, damaged gzip, rows of unequal length, not UTF-8.
    """
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8-sig"
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise UserError(f"{path}: damaged gzip file ({e}); fetch it again") from e
    except (ValueError, OSError) as e:
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise UserError(f"{path}: not a readable CSV table ({reason})") from e
    if columns is None:
        return table
    known = {str(name).strip().lower(): name for name in table.columns}
    for name in columns:
        if name.lower() not in known:
            raise UserError(f"{path}: no column {name!r}{nearest(name, map(str, table.columns))}")
    wanted = [*columns, *(name for name in optional if name.lower() in known)]
    return table[[known[name.lower()] for name in wanted]].set_axis(wanted, axis=1)


def integers(values: pd.Series, path: Path) -> np.ndarray:
    """Convert a text column to int64 [rows] without passing through float.

    Raises:
        UserError: the first value that is no integer, by row (the header is row 1) and column.
    """
    stripped = values.str.strip()
    wrong = ~stripped.str.fullmatch(r"[+-]?\d{1,18}")
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy(dtype=bool))[0]) + 2
        raise UserError(f"{path}, row {row}: column {values.name!r} is not an integer")
    return stripped.to_numpy(dtype=object).astype(np.int64)


def decimals(values: pd.Series, path: Path) -> np.ndarray:
    """Convert a text column to float64 [rows]; an empty field is NaN.

    Raises:
        UserError: the first value that is no finite number, by row (the header is row 1).
    """
    stripped = values.str.strip()
    numbers = pd.to_numeric(stripped.where(stripped != "", None), errors="coerce")
    found = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~np.isfinite(found) & (stripped != "").to_numpy(dtype=bool)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0]) + 2
        raise UserError(f"{path}, row {row}: column {values.name!r} is not a number")
    return found


def coded(texts: pd.Series, codes: Mapping[str, T], path: Path) -> np.ndarray:
    """Translate a text column by `codes`: [rows], of the type of the codes.

    Raises:
        UserError: the first text that has no code, by row (the header is row 1) and column.
    """
    stripped = texts.str.strip()
    unknown = ~stripped.isin(list(codes))
    if unknown.any():
        row = int(np.flatnonzero(unknown.to_numpy(dtype=bool))[0]) + 2
        known = ", ".join(name or "empty" for name in codes)
        raise UserError(
            f"{path}, row {row}: column {texts.name!r} holds none of {known}; correct the cell"
        )
    return np.array([codes[text] for text in stripped])


def refuse_repeats(images: pd.Series, path: Path) -> None:
    """Refuse a text column of images that names one twice.

    Raises:
        UserError: with the first such image, its row (the header is row 1) and the earlier one.
    """
    repeated = images.duplicated().to_numpy(dtype=bool)
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        image = images.iloc[row]
        first = int(np.flatnonzero((images == image).to_numpy(dtype=bool))[0])
        raise UserError(
            f"{path}: row {row + 2} repeats image {image} of row {first + 2}; remove one"
        )


def refuse_bad_ids(ids: pd.Series, path: Path) -> None:
    """Refuse an id column with an empty cell or a repeated id.

    Raises:
        UserError: with the rows (the header is row 1), not with the id.
    """
    empty = np.flatnonzero((ids == "").to_numpy(dtype=bool))
    if len(empty):
        raise UserError(f"{path}, row {empty[0] + 2}: column {ids.name!r} is empty; fill it")
    again = np.flatnonzero(ids.duplicated().to_numpy(dtype=bool))
    if len(again):
        row = int(again[0])
        first = int(np.flatnonzero((ids == ids.iloc[row]).to_numpy(dtype=bool))[0])
        raise UserError(
            f"{path}: row {row + 2} repeats the {ids.name} of row {first + 2}; remove one"
        )
