"""Batches of films with what their reports, labels or places say."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from medjax.data.radgraph.triplets import Uncertain
from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.data.xray.places import Places
from medjax.run.system import BatchPlan
from medjax.systems.medklip.data import Data
from medjax.systems.medklip.labels import existence, position_candidates
from medjax.systems.medklip.views import View, ViewOptions, evaluation_view, training_view

EVALUATION = -1
Targets = Literal["triplets", "labels", "region", "none"]


class Options(NamedTuple):
    """What stands in a batch, and how."""

    global_batch_size: int
    evaluation_batch_size: int
    view: ViewOptions = ViewOptions()
    targets: Targets = "triplets"
    """triplets: of the reports, films without one left out of training; labels: of the table;
    region: the place of one finding, and whether it has one; none: images alone."""
    region: str = ""
    """The finding of targets "region"."""
    uncertain_label: Uncertain = "ignore"
    position_candidates: int = 8
    validation_transform: Literal["evaluation", "training"] = "evaluation"
    validation_shuffle: bool = False
    validation_drop_last: bool = False


def generator(seed: int, *words: int) -> np.random.Generator:
    """Return the generator of one draw: the same for the same words, on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, *words))))


class Batches:
    """Plans and makes the batches of one stage; it holds the data and never changes."""

    def __init__(
        self,
        data: Data,
        options: Options,
        seed: int,
        subset: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Take open data; `subset` gives the positions of a split that are used, all by default."""
        self._data, self._options, self._seed = data, options, seed
        self._subset = subset or {}
        self._regions: dict[str, Places] = {}
        self._row_of: dict[str, dict[int, int]] = {}
        if options.targets == "region":
            for split in data.splits:
                regions = data.regions(split, options.region)
                self._regions[split] = regions
                self._row_of[split] = {int(p): row for row, p in enumerate(regions.position)}

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits at hand, in their usual order."""
        return tuple(self._data.splits)

    def examples(self, split: str, epoch: int) -> np.ndarray:
        """Return the positions of one pass over a split, before shuffling.

        With targets "triplets" films without any are no use for losses, but are predicted.
        """
        films = self._data.splits[split]
        everything = np.arange(len(films.dicom_id))
        positions = np.asarray(self._subset.get(split, everything), np.int64)
        if self._options.targets == "triplets" and epoch != EVALUATION:
            return positions[np.isin(positions, films.reported)]
        return positions

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled without the last partial batch in training, else in order.

        Fewer training films than one batch make one batch.
        """
        options, positions = self._options, self.examples(split, epoch)
        validating = epoch == EVALUATION and split == "validation"
        size = options.evaluation_batch_size if epoch == EVALUATION else options.global_batch_size
        if epoch != EVALUATION or (validating and options.validation_shuffle):
            positions = generator(self._seed, 2, epoch + 1).permutation(positions)
        if epoch != EVALUATION or (validating and options.validation_drop_last):
            positions = positions[: max(len(positions) // size, 1) * size]
        return [
            BatchPlan(positions[start : start + size], size)
            for start in range(0, len(positions), size)
        ]

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image uint8 [rows, size, size, 1]; mask bool [rows]; and by `Options.targets`

        triplets: labels float32 [rows, 75] (1, 0, -1 not mentioned, between 0 and 1 uncertain),
            position_index int32 [rows, 75, candidates] (-1 none), report int32 [rows] (-1 none);
        labels: labels float32 [rows, L], 0 where not known, known bool [rows, L];
        region: region uint8 [rows, size, size], labels float32 [rows, 1], known bool [rows, 1].
        """
        indices, count = plan.indices[rows], rows.stop - rows.start
        films, options = self._data.splits[split], self._options
        views = [self._view(split, epoch, int(i)) for i in indices]
        size = options.view.size
        columns: dict[str, np.ndarray] = {
            "image": np.stack([v.image for v in views])
            if views
            else np.zeros((0, size, size, 1), np.uint8)
        }
        if options.targets == "triplets" and self._data.has_triplets:
            columns |= self._triplets(split, epoch, indices)
        elif options.targets == "labels" and films.labels.shape[1]:
            labels = films.labels[indices]
            columns |= {"labels": np.nan_to_num(labels), "known": ~np.isnan(labels)}
        elif options.targets == "region":
            masks = [v.mask for v in views if v.mask is not None]
            region = np.stack(masks) if masks else np.zeros((0, size, size), np.uint8)
            placed = [int(i) in self._row_of[split] for i in indices]
            columns |= {
                "region": region,
                "labels": np.array(placed, np.float32)[:, None],
                "known": np.ones((len(indices), 1), bool),
            }
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def _view(self, split: str, epoch: int, position: int) -> View:
        options = self._options
        film = self._data.splits[split].records[position]["image"]
        mask = None
        if options.targets == "region":
            row = self._row_of[split].get(position)
            mask = np.zeros_like(film) if row is None else self._regions[split].mask(row)
        validated = split == "validation" and options.validation_transform == "training"
        if epoch == EVALUATION and not validated:
            return evaluation_view(film, options.view.size, mask)
        draws = generator(self._seed, 3, epoch + 1, position)
        return training_view(film, draws, options.view, mask)

    def _triplets(self, split: str, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Labels, candidate positions and report of some films; those of validation never move."""
        films, options = self._data.splits[split], self._options
        matrices = [films.matrix(int(i), options.uncertain_label) for i in indices]
        places = [
            position_candidates(
                matrix,
                generator(self._seed, 4, epoch + 1, int(i)),
                options.position_candidates,
            )
            for matrix, i in zip(matrices, indices)
        ]
        entities = len(ENTITIES)
        shape = (-1, entities, options.position_candidates)
        labels = np.array([existence(matrix) for matrix in matrices], np.float32)
        return {
            "labels": labels.reshape(-1, entities),
            "position_index": np.array(places, np.int32).reshape(shape),
            "report": films.report_row[indices],
        }

    def identity(self, split: str, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return the id columns of a predictions table."""
        films = self._data.splits[split]
        return {
            "dicom_id": films.dicom_id[positions],
            "subject_id": films.subject_id[positions],
            "study_id": films.study_id[positions],
        }


def padded(column: np.ndarray, rows: int) -> np.ndarray:
    """Return a column with zeros below, `rows` long."""
    return np.pad(column, [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1))
