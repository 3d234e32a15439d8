"""The table `films.parquet` of an X-ray store: ids, views, times and labels of its films.

It saves a pass over all image bytes where no pixels are asked for.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medjax import files
from medjax.data.xray.film import Film
from medjax.errors import UserError

INDEX = "films.parquet"


def write_index(out: Path, films: Sequence[Film]) -> None:
    """Write the table of the films that the set `xray` holds, in the order of the set."""
    ordered = sorted(films, key=lambda film: (film.split, film.dicom_id))
    columns = {
        "split": [film.split for film in ordered],
        "dicom_id": [film.dicom_id for film in ordered],
        "subject_id": pa.array([film.subject_id for film in ordered], pa.int64()),
        "study_id": pa.array([film.study_id for film in ordered], pa.int64()),
        "view": [film.view for film in ordered],
        "study_time": pa.array([film.study_time for film in ordered], pa.int64()),
        "labels": pa.array([film.labels for film in ordered], pa.list_(pa.int8())),
    }
    table = pa.table(columns)
    files.write_atomic(out / INDEX, lambda path: pq.write_table(table, path))


def read_index(root: Path, split: str) -> pd.DataFrame:
    """Read the films of one split: row i is example i of the set `xray`.

    Returns:
        dicom_id, subject_id, study_id, view, study_time (seconds, 0 unknown), labels (each an int8
        array [labels], empty in an unlabelled store).

    Raises:
        UserError: no such table, or a damaged one.
    """
    path = root / INDEX
    try:
        table = pq.read_table(path, filters=[("split", "=", split)], partitioning=None)
    except (OSError, pa.ArrowException) as e:
        reason = str(e).splitlines()[0]
        raise UserError(f"{path}: unreadable ({reason}); prepare the films again") from e
    return table.drop_columns(["split"]).to_pandas()


def label_matrix(index: pd.DataFrame) -> np.ndarray:
    """Stack the labels of an index: int8 [films, labels]."""
    if index.empty:
        return np.zeros((0, 0), np.int8)
    return np.stack(index["labels"].to_list()).astype(np.int8)
