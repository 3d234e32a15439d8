"""Batches of recordings: which stand in them, and their arrays, on the host or the device.

With residence "host" a batch carries target and input; with "device" the samples of all splits lie
on the device as they are stored (int16), a batch carries positions, and cleaning is done there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from medjax.data.batching import EVALUATION, generator, padded
from medjax.data.ecg.cleaning import cleaning_matrix
from medjax.data.ecg.leads import rows_of
from medjax.data.ecg.r_peaks import find_r_peaks
from medjax.data.ecg.records import EcgSet
from medjax.errors import UserError
from medjax.run.system import Batch, BatchPlan
from medjax.systems.ecg_attention.items import (
    InputOptions,
    target_and_input,
    targets_and_inputs,
    window,
)

FASTEST = 4.0
"""Beats a second for which there is room in "peaks"."""
NO_PEAK = -1
SPLITS = ("train", "validation", "test", "all")
BLOCK = 512
"""Recordings read at once for the device."""


class Sizes(NamedTuple):
    """Rows of a batch, and time steps of the network."""

    train: int
    evaluation: int
    time_steps: int


class Batches:
    """Plans and makes the batches of one stage; it holds the data and never changes."""

    def __init__(
        self,
        ecg: EcgSet,
        leads: Sequence[str],
        sizes: Sizes,
        options: InputOptions,
        seed: int,
        residence: str,
        wants_peaks: bool = False,
    ) -> None:
        self._ecg, self._sizes, self._options, self._seed = ecg, sizes, options, seed
        self._rows = rows_of(leads, ecg.leads)
        self._second_lead = rows_of(("II",), ecg.leads)[0]
        self._wants_peaks = wants_peaks
        self._on_device = residence == "device"
        self.splits = tuple(split for split in SPLITS if split in ecg.splits)
        counts = [len(ecg.splits[split].record_id) for split in self.splits]
        self._first = dict(zip(self.splits, np.cumsum([0, *counts])))
        """Where each split begins in the arrays on the device."""

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: shuffled without the last partial batch in training, else in order.

        Fewer training recordings than one batch make one batch.
        """
        positions = np.arange(len(self._ecg.splits[split].record_id))
        if epoch == EVALUATION:
            size = self._sizes.evaluation
        else:
            size = self._sizes.train
            positions = generator(self._seed, 2, epoch).permutation(positions)
            positions = positions[: max(len(positions) // size, 1) * size]
        return [
            BatchPlan(positions[start : start + size], size)
            for start in range(0, len(positions), size)
        ]

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        mask bool [rows]; number int32 [rows] in the split; length, offset int32 [rows]
        (`items.Window`); recorded bool [rows, lead];
        labels float32 [rows, labels] where the set has any; and target, signal float32
        [rows, lead, sample] and peaks int32 [rows, peak], or index int32 [rows] of what lies on the
        device.
        """
        records = self._ecg.splits[split]
        indices, count = plan.indices[rows], rows.stop - rows.start
        draws = None
        if epoch != EVALUATION:
            draws = np.array([generator(self._seed, 3, epoch, int(i)).random() for i in indices])
        place = window(records.length[indices], self._sizes.time_steps, draws)
        columns: dict[str, np.ndarray] = {
            **place._asdict(),
            "number": indices.astype(np.int32),
            "recorded": records.recorded[indices][:, self._rows],
        }
        if records.labels.shape[1]:
            columns["labels"] = records.labels[indices]
        if self._on_device:
            columns["index"] = (self._first[split] + indices).astype(np.int32)
        else:
            columns |= self._samples(split, indices)
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def _samples(self, split: str, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Read target, input and peaks of recordings, on the host."""
        shape = (len(indices), len(self._rows), self._ecg.samples)
        target, signal = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        peaks = np.full((len(indices), self._most_peaks()), NO_PEAK, np.int32)
        records, rate = self._ecg.splits[split], self._ecg.sampling_rate
        raw = records.signals(indices) if len(indices) else ()
        for row, (samples, length) in enumerate(zip(raw, records.length[indices])):
            whole = samples[:, :length]
            both = target_and_input(whole, rate, self._options)
            target[row, :, :length], signal[row, :, :length] = (x[self._rows] for x in both)
            peaks[row] = self._peaks(whole)
        return {"target": target, "signal": signal, "peaks": peaks}

    def _most_peaks(self) -> int:
        seconds = self._ecg.samples / self._ecg.sampling_rate
        return int(FASTEST * seconds) + 1 if self._wants_peaks else 0

    def _peaks(self, samples: np.ndarray) -> np.ndarray:
        """Return the R peaks of lead II, NO_PEAK behind them."""
        most = self._most_peaks()
        found = np.full(most, NO_PEAK, np.int32)
        if most:
            peaks = find_r_peaks(samples[self._second_lead], self._ecg.sampling_rate)[:most]
            found[: len(peaks)] = peaks
        return found

    def resident(self) -> dict[str, np.ndarray]:
        """Return what lies on the device: {} with residence "host".

        samples int16 [recording, lead, sample] as stored, scale float32 [recording, lead], cleaner
        float32 [sample, sample], stored_peaks int32 [recording, peak], the splits end to end.

        Raises:
            UserError: recordings of several lengths, which one matrix cannot clean.
        """
        if not self._on_device:
            return {}
        parts: dict[str, list[np.ndarray]] = {"samples": [], "scale": [], "stored_peaks": []}
        for split in self.splits:
            records = self._ecg.splits[split]
            if (records.length != self._ecg.samples).any():
                raise UserError(
                    f"config.data.residence is 'device' and recordings of the {split} split are "
                    f"shorter than {self._ecg.samples} samples: give --config.data.residence=host"
                )
            for start in range(0, len(records.record_id), BLOCK):
                positions = np.arange(start, min(start + BLOCK, len(records.record_id)))
                samples, scale = records.raw(positions)
                parts["samples"].append(samples[:, self._rows])
                parts["scale"].append(scale[:, self._rows])
                parts["stored_peaks"].append(np.stack([self._peaks(x) for x in samples]))
        matrix = cleaning_matrix(self._ecg.samples, self._ecg.sampling_rate)
        joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        return joined | {"cleaner": matrix.astype(np.float32)}

    def with_samples(self, batch: Batch) -> Batch:
        """Return a batch with target, signal and peaks, taken from the device where they lie."""
        if not self._on_device:
            return batch
        index = batch["index"]
        raw = batch["samples"][index].astype(jnp.float32) * batch["scale"][index][..., None]
        target, signal = targets_and_inputs(raw, batch["cleaner"], self._options)
        peaks = batch["stored_peaks"][index]
        return {**batch, "target": target, "signal": signal, "peaks": peaks}


def identity_columns(records: Any, positions: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return the id columns of a predictions table."""
    return {
        "record_id": records.record_id[positions].astype(object),
        "subject_id": records.subject_id[positions].astype(object),
    }
