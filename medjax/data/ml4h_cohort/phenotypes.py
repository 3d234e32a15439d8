"""The table of phenotypes: one row a participant, columns of numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.tables import decimals, read_table, refuse_bad_ids
from medjax.errors import UserError, nearest

ID_COLUMNS = ("sample_id", "fpath", "sampleid", "subject_id", "patient_id", "mrn", "medrecn")
"""Names of the id column, the first that is there; else the first column of the table."""


class Phenotypes(NamedTuple):
    """What is known of participants beside ECG and MRI."""

    names: tuple[str, ...]
    rows: Mapping[str, np.ndarray]
    """Id -> float32 [names], NaN where not known."""

    def of(self, sample_id: str) -> np.ndarray:
        """Return float32 [names] of a participant, all NaN for one without a row."""
        unknown = np.full(len(self.names), np.nan, np.float32)
        return self.rows.get(sample_id, unknown)


NOTHING_KNOWN = Phenotypes((), {})


def read_phenotypes(path: Path, wanted: Sequence[str] = ()) -> Phenotypes:
    """Read a table of phenotypes; an empty cell is not known.

    Raises:
        UserError: no such column or none at all, a participant twice, a cell that is no number.
    """
    table = read_table(path, None)
    table.columns = table.columns.str.strip()
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise UserError(f"{path}: two columns {repeated[0]!r}; rename one")
    heads = [str(name) for name in table.columns]
    known = [name for column in ID_COLUMNS for name in heads if name.lower() == column]
    key = (known or heads)[0]
    names = tuple(wanted) or tuple(name for name in heads if name != key)
    for name in names:
        if name not in heads or name == key:
            raise UserError(f"{path}: no phenotype {name!r}{nearest(name, heads)}")
    if not names:
        raise UserError(f"{path}: no phenotype; give columns beside {key}")
    ids = table[key].str.strip()
    refuse_bad_ids(ids, path)
    values = np.stack([decimals(table[name], path) for name in names], axis=1).astype(np.float32)
    return Phenotypes(names, dict(zip(ids, values)))
