"""Text embeddings beside recordings: each different text once, and which recording has which."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.ecg.records import EcgSet
from medjax.data.ecg.text_embeddings import open_text, vectors_of

NO_TEXT = -1


class Texts(NamedTuple):
    """The different texts of a set of recordings."""

    vectors: np.ndarray
    """float32 [texts, width]"""
    group: Mapping[str, np.ndarray]
    """Split -> int32 [recordings]: the row of `vectors`, NO_TEXT where a recording has none."""


def open_texts(folder: Path, ecg: EcgSet) -> Texts:
    """Read the embeddings of the recordings of all splits; recordings said alike share a text.

    Raises:
        UserError: no text embeddings there, or none of these recordings.
    """
    records = [ecg.splits[split].record_id for split in ecg.splits]
    vectors, known = vectors_of(open_text(folder), np.concatenate(records))
    different, of_known = np.unique(vectors[known], axis=0, return_inverse=True)
    group = np.full(len(known), NO_TEXT, np.int32)
    group[known] = of_known.reshape(-1)
    ends = np.cumsum([len(ids) for ids in records])[:-1]
    return Texts(different, dict(zip(ecg.splits, np.split(group, ends))))
