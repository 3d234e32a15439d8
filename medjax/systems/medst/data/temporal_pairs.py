"""MS-CXR-T as prepared: pairs of films with the change of findings, and batches of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data.batching import EVALUATION, padded
from medjax.data.ms_cxr_t import CHANGES, FINDINGS, IDS, IMAGES, SENTENCES, UNKNOWN
from medjax.data.prepared import open_set, read_manifest
from medjax.errors import UserError
from medjax.run.system import BatchPlan
from medjax.systems.medst.data.labelled import Labelled, open_labelled, plan_rows
from medjax.systems.medst.data.views import ViewOptions, read_views
from medjax.systems.medst.tasks.temporal_images import label_column

ORDER, VIEW = 7, 8
"""Words of the random streams."""
CURRENT, PRIOR = range(2)


class FilmPairs(NamedTuple):
    """The pairs of a split; row i of all arrays."""

    row: np.ndarray
    """int64, place in the released table."""
    current: np.ndarray
    """int64, place of the film in `Temporal.films`."""
    prior: np.ndarray
    """int64, the same of the earlier film."""
    dicom_id: np.ndarray
    previous_dicom_id: np.ndarray
    study_id: np.ndarray
    subject_id: np.ndarray
    labels: np.ndarray
    """int32 [pair, finding], place in CHANGES, -1 not known."""


class Temporal(NamedTuple):
    """Films and pairs of MS-CXR-T."""

    films: Labelled
    """Without labels."""
    splits: Mapping[str, FilmPairs]

    def table(self) -> pd.DataFrame:
        """Return all pairs as the released table has them, in its order, with their `split`."""
        parts = []
        for split, pairs in self.splits.items():
            names = np.array([*CHANGES, ""])[pairs.labels]
            columns = {name: getattr(pairs, name) for name in IDS}
            columns |= {label_column(f): names[:, i] for i, f in enumerate(FINDINGS)}
            parts.append(pd.DataFrame({"row": pairs.row, **columns, "split": split}))
        ordered = pd.concat(parts).sort_values("row", ignore_index=True)
        return ordered.drop(columns="row")


def open_temporal(root: Path) -> Temporal:
    """Open prepared MS-CXR-T.

    Raises:
        UserError: the folder is not prepared, or has no pairs of films.
    """
    _require(root, IMAGES)
    films = open_labelled(root)
    splits = {}
    for split, records in open_set(root, IMAGES).splits.items():
        place = {dicom: i for i, dicom in enumerate(films.splits[split].dicom_id)}
        rows = [records[i] for i in range(len(records))]
        columns = {name: np.array([row[name] for row in rows], object) for name in IDS}
        splits[split] = FilmPairs(
            np.array([row["row"] for row in rows], np.int64),
            np.array([place[name] for name in columns["dicom_id"]], np.int64),
            np.array([place[name] for name in columns["previous_dicom_id"]], np.int64),
            columns["dicom_id"],
            columns["previous_dicom_id"],
            columns["study_id"].astype(np.int64),
            columns["subject_id"].astype(np.int64),
            np.array([row["labels"] for row in rows], np.int32).reshape(-1, len(FINDINGS)),
        )
    return Temporal(films, splits)


def open_sentences(root: Path) -> pd.DataFrame:
    """Return the pairs of sentences as the released table has them.

    Raises:
        UserError: the folder is not prepared, or has no pairs of sentences.
    """
    _require(root, SENTENCES)
    records = open_set(root, SENTENCES).splits["test"]
    return pd.DataFrame([records[i] for i in range(len(records))])[
        ["row", "sentence_1", "sentence_2", "category", "subset_name"]
    ]


def _require(root: Path, name: str) -> None:
    if name not in read_manifest(root)["sets"]:
        raise UserError(f"{root}: it has no {name}; prepare MS-CXR-T with that table as well")


class PairBatches:
    """Plans and makes batches of pairs of films; it holds the data and never changes."""

    def __init__(
        self,
        temporal: Temporal,
        view: ViewOptions,
        global_batch_size: int,
        evaluation_batch_size: int,
        seed: int,
    ) -> None:
        self._temporal, self._view, self._seed = temporal, view, seed
        self._sizes = (global_batch_size, evaluation_batch_size)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits at hand, in their usual order."""
        return tuple(self._temporal.films.splits)

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled, without the last partial batch, in training; else in order.

        Pairs of which no change is known are no use for training.
        """
        labels = self._temporal.splits[split].labels
        positions = np.arange(len(labels))
        if epoch != EVALUATION:
            positions = positions[(labels != UNKNOWN).any(1)]
        return plan_rows(positions, self._sizes, self._seed, ORDER, epoch)

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image and prior uint8 [rows, size, size, 1]; has_prior bool [rows]; labels int32 [rows,
        finding], 0 where not known; known bool [rows, finding]; mask bool [rows].
        """
        pairs, at = self._temporal.splits[split], plan.indices[rows]
        count = rows.stop - rows.start
        labels = pairs.labels[at]
        columns = {
            "image": self._views(split, epoch, pairs.current[at], CURRENT),
            "prior": self._views(split, epoch, pairs.prior[at], PRIOR),
            "has_prior": np.ones(len(at), bool),
            "labels": np.maximum(labels, 0),
            "known": labels != UNKNOWN,
        }
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(count) < len(at)}

    def _views(self, split: str, epoch: int, numbers: np.ndarray, kind: int) -> np.ndarray:
        films = self._temporal.films
        draws = None if epoch == EVALUATION else (self._seed, VIEW, epoch + 1, kind)
        return read_views(films.splits[split].records, films.image, numbers, self._view, draws)

    def identity(self, split: str, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return the id columns of a predictions table."""
        pairs = self._temporal.splits[split]
        return {name: getattr(pairs, name)[positions] for name in IDS}
