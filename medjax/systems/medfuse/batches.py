"""Batches of MedFuse: which stays or films stand in them, and their arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION, generator
from medjax.data.image_transforms import Augmentation, eval_view, train_view
from medjax.run.system import BatchPlan
from medjax.systems.medfuse.data import NO_FILM, Data, normalise
from medjax.systems.medfuse.pairing import pairing
from medjax.systems.medfuse.parts import Part, fill, is_hourly, parts_of


def bucket(hours: int, buckets: Sequence[int]) -> int:
    """Return the padded length: the first bucket that holds `hours`, or a multiple of the last."""
    for size in buckets:
        if hours <= size:
            return size
    return -(-hours // buckets[-1]) * buckets[-1]


class Batches:
    """Plans and makes the batches of one stage; it holds the data and never changes."""

    def __init__(
        self,
        config: ConfigDict,
        stage: ConfigDict,
        data: Data,
        normalizer: Mapping,
        trained_labels: Sequence[str] = (),
    ) -> None:
        self._config, self._stage, self._data = config, stage, data
        self._normalizer = normalizer
        self._films_only = stage.data.pairs == "radiology"
        self.wants_images = stage.data.pairs not in ("partial_ehr", "paired_ehr")
        self.parts: tuple[Part, ...] = ()
        """Of a task with predictions at hours."""
        if is_hourly(config.data.task, stage.data.labels):
            names = data.stay_labels or trained_labels
            self.parts = parts_of(config.data.task, names, config.multitask)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits at hand, in their usual order."""
        known = self._data.films if self._films_only else self._data.stays
        return tuple(s for s in ("train", "validation", "test", "all") if s in known)

    def examples(self, split: str, epoch: int) -> np.ndarray:
        """Return the positions of one pass over a split, before shuffling.

        `val_unpaired_ratio` 0 means that selection looks at stays with a film; a split where no
        stay has one is used whole.
        """
        if self._films_only:
            return np.arange(len(self._data.films[split].dicom_id))
        stays, options = self._data.stays[split], self._config.data
        ratios = {
            "train": self._stage.data.data_ratio,
            "validation": options.val_unpaired_ratio,
        }
        ratio = ratios.get(split, options.test_unpaired_ratio)
        linked = stays.film != NO_FILM
        if not linked.any():
            ratio = 1.0
        draw = epoch if split == "train" else 0
        positions, _ = pairing(
            self._stage.data.pairs,
            stays.stay_id,
            stays.stay_id[linked],
            ratio,
            options.unpaired_sampling,
            generator(self._config.seed, 1, draw + 1),
        )
        return np.asarray(positions, np.int64)

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled without the last partial batch in training, else by length."""
        positions = self.examples(split, epoch)
        training = epoch != EVALUATION
        train = self._stage.train
        size = train.global_batch_size if training else train.evaluation_batch_size
        hours = None if self._films_only else self._data.stays[split].hours
        if training:
            positions = generator(self._config.seed, 2, epoch).permutation(positions)
            positions = positions[: len(positions) // size * size]
        elif hours is not None:
            # Neighbours of equal length waste no padding.
            positions = positions[np.argsort(hours[positions], kind="stable")]
        plans = []
        for start in range(0, len(positions), size):
            rows = positions[start : start + size]
            longest = 1 if hours is None else int(hours[rows].max())
            length = 1 if hours is None else bucket(longest, self._config.data.length_buckets)
            plans.append(BatchPlan(rows, size, length))
        return plans

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict:
        """Return these rows of a batch, zero where a row is padding or has no image.

        series float32 [rows, time, columns] normalised, length int32 [rows], image uint8
        [rows, height, width], has_image bool [rows], mask bool [rows], and labels float32
        [rows, labels] where they are known. With predictions at hours instead of labels film_hour
        float32 [rows] (infinite without a film), and what `parts.fill` gives.
        """
        count = rows.stop - rows.start
        indices = plan.indices[rows]
        crop = self._config.data.image.crop if self.wants_images else 1
        batch = {
            "series": np.zeros((count, plan.bucket, self._data.columns), np.float32),
            "length": np.ones(count, np.int32),
            "image": np.zeros((count, crop, crop), np.uint8),
            "has_image": np.zeros(count, bool),
            "mask": np.arange(rows.start, rows.stop) < len(plan.indices),
        }
        labels = self.labels(split)
        if self.parts:
            self._add_hours(batch, plan.bucket)
        elif labels is not None:
            batch["labels"] = np.zeros((count, labels.shape[1]), np.float32)
            batch["labels"][: len(indices)] = labels[indices]
        for row, position in enumerate(indices):
            self._fill(batch, row, split, epoch, int(position))
        return batch

    def _add_hours(self, batch: dict, time: int) -> None:
        count = len(batch["mask"])
        batch["film_hour"] = np.full(count, np.inf, np.float32)
        batch["wanted"] = np.zeros((count, time, len(self.parts)), bool)
        if self._data.stay_labels:
            batch["targets"] = np.zeros((count, time, self.parts[-1].targets.stop), np.float32)

    def labels(self, split: str) -> np.ndarray | None:
        """Return the target of every example of a split [examples, labels], None where unknown."""
        if self._stage.data.labels == "radiology":
            if self._films_only:
                return self._data.films[split].labels
            film = self._data.stays[split].film
            return np.where((film == NO_FILM)[:, None], 0, self._data.films[split].labels[film])
        return self._data.stays[split].labels

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the targets."""
        radiology = self._stage.data.labels == "radiology"
        return self._data.film_labels if radiology else self._data.stay_labels

    def _fill(self, batch: dict, row: int, split: str, epoch: int, position: int) -> None:
        film = position
        if not self._films_only:
            stays = self._data.stays[split]
            record = stays.records[position]
            series = record["series"]
            batch["series"][row, : len(series)] = normalise(series, self._normalizer)
            batch["length"][row] = len(series)
            film = int(stays.film[position])
            if self.parts:
                targets = batch["targets"][row] if "targets" in batch else None
                fill(record, self.parts, batch["wanted"][row], targets)
        if self.wants_images and film != NO_FILM:
            batch["image"][row] = self._image(split, epoch, film)
            batch["has_image"][row] = True
            if self.parts:
                batch["film_hour"][row] = self._data.stays[split].film_hour[position]

    def _image(self, split: str, epoch: int, film: int) -> np.ndarray:
        options = self._config.data.image
        image = self._data.films[split].records[film]["image"]
        if epoch == EVALUATION or split != "train":
            return eval_view(image, options.resize, options.crop)
        ranges = Augmentation(options.flip, options.degrees, options.scale, options.translate)
        draws = generator(self._config.seed, 3, epoch, film)
        return train_view(image, draws, options.resize, options.crop, ranges)
