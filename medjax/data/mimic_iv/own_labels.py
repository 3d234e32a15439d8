"""Outcomes of one's own: a CSV with the column stay_id and one column of 0 and 1 for each outcome.

An empty cell is an outcome that is not known. The stays become the prepared set `own`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data import tables
from medjax.data.mimic_iv.hourly import UNKNOWN
from medjax.errors import UserError

CODES = {"": UNKNOWN, "0": 0, "0.0": 0, "1": 1, "1.0": 1}


class OwnLabels(NamedTuple):
    """Outcomes by stay."""

    names: tuple[str, ...]
    """Of the outcomes, as the file heads its columns."""
    stay_id: np.ndarray
    """int64 [rows], ascending."""
    values: np.ndarray
    """int8 [rows, outcomes]: 0, 1 or UNKNOWN."""

    def of_stays(self, stay_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return int8 [stays, outcomes], UNKNOWN without a row, and bool [stays]: has a row."""
        place = np.minimum(np.searchsorted(self.stay_id, stay_id), len(self.stay_id) - 1)
        listed = self.stay_id[place] == stay_id
        return np.where(listed[:, None], self.values[place], UNKNOWN).astype(np.int8), listed


def read_own_labels(path: Path) -> OwnLabels:
    """Read a file of outcomes.

    Raises:
        UserError: no column stay_id or none beside it, no row, a repeated stay_id or another value
            than 0, 1 and nothing; by row (the header is row 1) and column.
    """
    table = tables.read_table(path, None)
    columns = {str(name).strip(): name for name in table.columns}
    ids = next((c for c in columns if c.lower() == "stay_id"), None)
    if ids is None:
        raise UserError(f"{path}: no column 'stay_id'; it says which ICU stay a row is of")
    names = tuple(name for name in columns if name != ids)
    if not names or len(table) == 0:
        raise UserError(f"{path}: no outcome; give a column of 0 and 1 beside stay_id, and rows")
    stays = tables.integers(table[columns[ids]], path)
    refuse_repeated(stays, path)
    values = [tables.coded(table[columns[name]], CODES, path) for name in names]
    order = np.argsort(stays)
    return OwnLabels(names, stays[order], np.stack(values, axis=1).astype(np.int8)[order])


def refuse_repeated(stays: np.ndarray, path: Path) -> None:
    """Raise UserError with the rows of the first stay_id that occurs twice."""
    order = np.argsort(stays, kind="stable")
    again = np.flatnonzero(stays[order][1:] == stays[order][:-1]) + 1
    if len(again):
        row = int(order[again].min())
        first = int(np.flatnonzero(stays == stays[row])[0])
        raise UserError(f"{path}: row {row + 2} repeats the stay_id of row {first + 2}; remove one")
