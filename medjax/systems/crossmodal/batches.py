"""Batches of participants: who stands in them, and their signals, on the host or the device.

With residence "host" a batch carries the signals; with "device" those of all splits lie on the
device, and a batch carries positions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.data.batching import EVALUATION, generator, padded
from medjax.data.ml4h_cohort.records import Cohort, Participants
from medjax.run.system import Batch, BatchPlan
from medjax.systems.crossmodal.data import BLOCK, has, shape_of, signals

SPLITS = ("train", "validation", "test", "all")
ORDER, COVERAGE = 2, 3
"""Words of the random streams."""


class Passes(NamedTuple):
    """How many rows a batch has, and how many batches a pass."""

    rows: int
    evaluation_rows: int
    steps: int = 0
    """Batches of a training epoch, which goes on where the one before ended; 0: one pass."""
    evaluation_steps: Mapping[str, int] = {}
    """{split: batches of randomly drawn participants}; of other splits everyone."""


class Batches:
    """Plans and makes the batches of one stage; it holds the data and never changes."""

    def __init__(
        self,
        cohort: Cohort,
        modalities: Sequence[str],
        passes: Passes,
        seed: int,
        *,
        participants: str = "any",
        residence: str = "host",
    ) -> None:
        self._cohort, self._passes, self._seed = cohort, passes, seed
        self.modalities = tuple(modalities)
        self._on_device = residence == "device"
        self.splits = tuple(split for split in SPLITS if split in cohort.splits)
        self._rows = {s: self._usable(cohort.splits[s], participants) for s in self.splits}
        counts = [len(cohort.splits[split].sample_id) for split in self.splits]
        self._first = dict(zip(self.splits, np.cumsum([0, *counts])))
        """Where each split begins in the arrays on the device."""

    def _usable(self, split: Participants, participants: str) -> np.ndarray:
        """Return the positions of those who have any modality of the stage, or all of them."""
        there = np.stack([has(split, name) for name in self.modalities])
        return np.flatnonzero(there.all(0) if participants == "all" else there.any(0))

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled whole batches in training, else everyone in order.

        Fewer training participants than one batch make one batch.
        """
        if epoch != EVALUATION:
            return list(self._training(split, epoch))
        positions, size = self._rows[split], self._passes.evaluation_rows
        if steps := self._passes.evaluation_steps.get(split, 0):
            draw = generator(self._seed, COVERAGE).permutation(positions)[: steps * size]
            positions = np.sort(draw)
        return [BatchPlan(positions[i : i + size], size) for i in range(0, len(positions), size)]

    def _training(self, split: str, epoch: int) -> Iterator[BatchPlan]:
        """Yield the batches of an epoch, out of endless passes that are each shuffled anew."""
        positions, size = self._rows[split], self._passes.rows
        if not len(positions):
            return
        in_pass = max(len(positions) // size, 1)
        steps = self._passes.steps or in_pass
        number, order = -1, positions
        for batch in range(epoch * steps, (epoch + 1) * steps):
            if number != batch // in_pass:
                number = batch // in_pass
                order = generator(self._seed, ORDER, number).permutation(positions)
            start = batch % in_pass * size
            yield BatchPlan(order[start : start + size], size)

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        mask bool [rows]; number int32 [rows], a participant's place in the split; has_<modality>
        bool [rows]; and <modality> float32 [rows, *shape], or index int32 [rows] of what lies on
        the device.
        """
        del epoch
        participants = self._cohort.splits[split]
        indices, count = plan.indices[rows], rows.stop - rows.start
        columns: dict[str, np.ndarray] = {
            "number": np.searchsorted(self._rows[split], indices).astype(np.int32),
            **{f"has_{name}": has(participants, name)[indices] for name in self.modalities},
        }
        if self._on_device:
            columns["index"] = (self._first[split] + indices).astype(np.int32)
        else:
            columns |= {
                name: self._signals(participants, name, indices) for name in self.modalities
            }
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def _signals(
        self, participants: Participants, modality: str, indices: np.ndarray
    ) -> np.ndarray:
        """Read the signals of a modality: float32 [rows, *shape]."""
        if not len(indices):
            return np.zeros((0, *shape_of(self._cohort, modality)), np.float32)
        return signals(participants, modality, indices)

    def resident(self) -> dict[str, np.ndarray]:
        """Return what lies on the device: all_<modality> float32 [participants, *shape]."""
        if not self._on_device:
            return {}
        found = {}
        for name in self.modalities:
            parts = []
            for split in self.splits:
                participants = self._cohort.splits[split]
                everyone = np.arange(len(participants.sample_id))
                blocks = (everyone[i : i + BLOCK] for i in range(0, len(everyone), BLOCK))
                parts += [self._signals(participants, name, block) for block in blocks]
            found[f"all_{name}"] = np.concatenate(parts)
        return found

    def with_signals(self, batch: Batch) -> Batch:
        """Return a batch with its signals, taken from the device where they lie there."""
        if not self._on_device:
            return batch
        return {**batch, **{n: batch[f"all_{n}"][batch["index"]] for n in self.modalities}}
