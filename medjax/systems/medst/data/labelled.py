"""Prepared films with labels (RSNA, COVIDx, CheXpert, MIMIC-CXR), and batches of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.batching import EVALUATION, generator, padded
from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray.index import label_matrix, read_index
from medjax.data.xray.store import NAME
from medjax.run.system import BatchPlan
from medjax.systems.medst.data.films import SPLITS, stored_image
from medjax.systems.medst.data.views import ViewOptions, read_views

ORDER, VIEW = 5, 6
"""Words of the random streams."""


class LabelRules(NamedTuple):
    """What labels mean that are neither positive nor negative."""

    uncertain: Mapping[str, float] = {}
    """Label -> value; NaN, left out, where it does not say."""
    unmentioned: float = 0.0
    """NaN: left out."""


class LabelledFilms(NamedTuple):
    """The films of a split; row i of all arrays is record i."""

    records: Any
    dicom_id: np.ndarray
    subject_id: np.ndarray
    study_id: np.ndarray
    view: np.ndarray
    labels: np.ndarray
    """float32 [film, label], NaN not known."""


class Labelled(NamedTuple):
    """All films of a prepared folder."""

    splits: Mapping[str, LabelledFilms]
    names: tuple[str, ...]
    """Of the labels; () where there are none."""
    image: str
    """Name of the stored image that is read."""


def open_labelled(xray: Path, rules: LabelRules | None = None) -> Labelled:
    """Open prepared films.

    Raises:
        UserError: the folder is not prepared.
    """
    image, names = stored_image(xray), tuple(read_manifest(xray)["sets"][NAME]["labels"])
    prepared = open_set(xray, NAME, fields=(image,))
    splits = {}
    for split in (s for s in SPLITS if s in prepared.splits):
        index = read_index(xray, split)
        codes = label_matrix(index) if names else np.zeros((len(index), 0), np.int8)
        splits[split] = LabelledFilms(
            prepared.splits[split],
            index["dicom_id"].to_numpy(dtype=object),
            index["subject_id"].to_numpy(np.int64),
            index["study_id"].to_numpy(np.int64),
            index["view"].to_numpy(dtype=object),
            _known(codes.reshape(len(index), len(names)), names, rules or LabelRules()),
        )
    return Labelled(splits, names, image)


def uncertain_as(positive: Sequence[str], negative: Sequence[str]) -> LabelRules:
    """Return rules by which these labels, where uncertain, count as positive or as negative."""
    return LabelRules({**dict.fromkeys(positive, 1.0), **dict.fromkeys(negative, 0.0)})


def select_labels(films: Labelled, labels: Sequence[str]) -> Labelled:
    """Return films with some of their labels; all where none is named, or they have none."""
    if not labels or not films.names:
        return films
    columns = [films.names.index(label) for label in labels]
    splits = {
        split: part._replace(labels=part.labels[:, columns]) for split, part in films.splits.items()
    }
    return films._replace(splits=splits, names=tuple(labels))


def _known(codes: np.ndarray, names: tuple[str, ...], rules: LabelRules) -> np.ndarray:
    """Turn codes int8 (1, 0, -1 uncertain, -2 not mentioned) into float32, NaN not known."""
    uncertain = np.array([rules.uncertain.get(name, np.nan) for name in names], np.float32)
    labels = np.where(codes == -1, uncertain, codes.astype(np.float32))
    return np.where(codes == -2, np.float32(rules.unmentioned), labels)


class FilmBatches:
    """Plans and makes batches of labelled films; it holds the data and never changes."""

    def __init__(
        self,
        films: Labelled,
        view: ViewOptions,
        global_batch_size: int,
        evaluation_batch_size: int,
        seed: int,
        subset: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Take open films; `subset` gives the positions of a split that are used, else all."""
        self._films, self._view, self._seed = films, view, seed
        self._sizes = (global_batch_size, evaluation_batch_size)
        self._subset = subset or {}

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits at hand, in their usual order."""
        return tuple(self._films.splits)

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled, without the last partial batch, in training; else in order.

        Fewer training films than one batch make one batch.
        """
        everything = np.arange(len(self._films.splits[split].dicom_id))
        positions = np.asarray(self._subset.get(split, everything), np.int64)
        return plan_rows(positions, self._sizes, self._seed, ORDER, epoch)

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image uint8 [rows, size, size, 1]; labels float32 [rows, label], 0 where not known; known
        bool [rows, label]; mask bool [rows].
        """
        films, at, count = self._films.splits[split], plan.indices[rows], rows.stop - rows.start
        draws = None if epoch == EVALUATION else (self._seed, VIEW, epoch + 1)
        labels = films.labels[at]
        columns = {
            "image": read_views(films.records, self._films.image, at, self._view, draws),
            "labels": np.nan_to_num(labels),
            "known": ~np.isnan(labels),
        }
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(count) < len(at)}

    def identity(self, split: str, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return the id columns of a predictions table."""
        films = self._films.splits[split]
        return {
            "dicom_id": films.dicom_id[positions],
            "subject_id": films.subject_id[positions],
            "study_id": films.study_id[positions],
        }


def plan_rows(
    positions: np.ndarray, sizes: tuple[int, int], seed: int, word: int, epoch: int
) -> list[BatchPlan]:
    """Return one pass over `positions`.

    Args:
        positions: int64 [n].
        sizes: rows of a batch in training and in evaluation.
        seed, word: of the shuffling.
        epoch: EVALUATION: everything in order; else shuffled whole batches, at least one.
    """
    size = sizes[epoch == EVALUATION]
    if epoch != EVALUATION:
        positions = generator(seed, word, epoch + 1).permutation(positions)
        positions = positions[: max(len(positions) // size, 1) * size]
    starts = range(0, len(positions), size)
    return [BatchPlan(positions[start : start + size], size) for start in starts]
