"""The sets `icu_links_<task>`: which film of the X-ray store belongs to which ICU stay."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds

from medjax.data.prepared import SetSpec, SetSummary, write_set
from medjax.data.xray.store import Source


def write_links(
    out: Path,
    task: str,
    splits: Sequence[str],
    films: pd.DataFrame,
    links: pd.DataFrame,
    source: Source,
) -> SetSummary:
    """Write the set `icu_links_<task>`: the film of each stay, by id and by place in its split.

    `hour` is that of the film, since admission to the ICU.
    """
    ordered = films.sort_values("dicom_id")
    places = zip(ordered["split"], ordered.groupby("split").cumcount())
    where = dict(zip(ordered["dicom_id"], places))
    scalar = tfds.features.Scalar
    spec = SetSpec(
        f"icu_links_{task}",
        "1.0.0",
        {
            "stay_id": scalar(np.int64),
            "subject_id": scalar(np.int64),
            "dicom_id": tfds.features.Text(),
            "index": scalar(np.int64),
            "hour": scalar(np.float32),
        },
        f"The AP film of each ICU stay that has one in its window, for {task}.",
        source.citation,
        source.license,
    )

    def examples(split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in links.itertuples():
            film_split, index = where[row.dicom_id]
            if film_split == split:
                ids = {"stay_id": row.stay_id, "subject_id": row.subject_id}
                film = {"dicom_id": row.dicom_id, "index": index, "hour": row.hour}
                yield f"{row.stay_id:012d}", {**ids, **film}

    return write_set(out, spec, {split: examples(split) for split in splits})
