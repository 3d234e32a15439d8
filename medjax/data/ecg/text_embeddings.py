"""Prepared text embeddings: one vector a recording, by record id."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.ecg.records import open_ecg
from medjax.data.manifest import read_manifest
from medjax.data.prepared import SetSpec, SetSummary, open_set, write_set
from medjax.errors import UserError

NAME = "text_embedding"
VERSION = "1.0.0"


class RecordTexts(NamedTuple):
    """What is known of the recordings of a prepared folder in words; row i of every column."""

    split: tuple[str, ...]
    record_id: tuple[str, ...]
    statements: tuple[Mapping[str, float], ...]
    """Code -> confidence in per cent."""
    report: tuple[str, ...]


def read_record_texts(root: Path) -> RecordTexts:
    """Read statements and reports of all recordings of a prepared folder, each recording once.

    Raises:
        UserError: nothing prepared there, no set of ECG recordings, or a damaged one.
    """
    sets = read_manifest(root).get("sets", {})
    names = [name for name, entry in sorted(sets.items()) if "sampling_rate" in entry]
    if not names:
        raise UserError(f"{root}: it holds no ECG recordings; name a folder that `prepare` made")
    rows: dict[tuple[str, str], tuple[Mapping[str, float], str]] = {}
    for name in names:
        for split, records in open_ecg(root, name).splits.items():
            facts = zip(records.record_id.tolist(), records.statements, records.report)
            rows.update({(split, record): (said, text) for record, said, text in facts})
    splits, ids = zip(*rows) if rows else ((), ())
    said, texts = zip(*rows.values()) if rows else ((), ())
    return RecordTexts(tuple(splits), tuple(ids), tuple(said), tuple(texts))


def write_text(
    out: Path, texts: RecordTexts, vectors: np.ndarray, known: np.ndarray, source: str
) -> SetSummary:
    """Write the set "text_embedding" under `out`.

    Args:
        out: the prepared folder; its manifest is to be written afterwards.
        texts: the recordings.
        vectors: float32 [recording, width].
        known: bool [recording]; those without a vector are left out.
        source: how the vectors were made, in words.

    Raises:
        UserError: a record id stands twice in a split.
    """
    features = {
        "record_id": tfds.features.Text(),
        "embedding": tfds.features.Tensor(
            shape=vectors.shape[1:], dtype=np.float32, encoding=tfds.features.Encoding.BYTES
        ),
    }
    spec = SetSpec(NAME, VERSION, features, source, "", "that of the recordings")
    splits: dict[str, list[tuple[str, dict[str, Any]]]] = {split: [] for split in texts.split}
    for row in np.flatnonzero(known):
        record = texts.record_id[row]
        example = {"record_id": record, "embedding": vectors[row].astype(np.float32)}
        splits[texts.split[row]].append((record, example))
    return write_set(out, spec, splits)


def open_text(root: Path) -> dict[str, np.ndarray]:
    """Return the vector of every recording that has one: record id -> float32 [width].

    Raises:
        UserError: nothing prepared there, no text embeddings, or a damaged set.
    """
    if NAME not in read_manifest(root).get("sets", {}):
        raise UserError(
            f"{root}: it holds no text embeddings; make them with `python -m medjax.prepare "
            "ecg_text --raw=PREPARED_ECG --out=FOLDER`"
        )
    prepared = open_set(root, NAME)
    return {
        example["record_id"]: example["embedding"]
        for examples in prepared.splits.values()
        for example in examples
    }


def vectors_of(
    embeddings: Mapping[str, np.ndarray], record_ids: Sequence[str] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors in the order of `record_ids`.

    Returns:
        float32 [record, width], 0 where there is none; bool [record], whether there is one.

    Raises:
        UserError: none of the recordings has a vector.
    """
    known = np.array([str(record) in embeddings for record in record_ids], bool)
    if not known.any():
        raise UserError(
            "none of the recordings has a text embedding; were the embeddings made of another "
            "folder of recordings?"
        )
    width = len(next(iter(embeddings.values())))
    vectors = np.zeros((len(known), width), np.float32)
    vectors[known] = [embeddings[str(record)] for record in np.asarray(record_ids)[known]]
    return vectors, known
