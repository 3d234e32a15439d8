"""A risk cohort: recordings with the time to an event, cut into folds, in batches."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION, generator, padded
from medjax.data.ecg.leads import rows_of
from medjax.data.ecg.records import EcgSet, Records
from medjax.data.ecg.standardize import standardize
from medjax.data.ecg.units import DAYS
from medjax.data.stratified import nested_folds, stratified_batches
from medjax.errors import UserError
from medjax.run.system import BatchPlan
from medjax.systems.ecg_attention.batches import Sizes
from medjax.systems.ecg_attention.items import window

BLOCK = 512
"""Recordings read at once."""


class Cohort(NamedTuple):
    """All recordings of a prepared set, its splits one after the other."""

    signals: np.ndarray
    """Float32 [n, lead, sample]: z-scores of each lead over its recording, 0 behind its end."""
    length: np.ndarray
    """Int32 [n] samples of the recording."""
    recorded: np.ndarray
    """Bool [n, lead]: false for a lead that is zero for want of data."""
    event: np.ndarray
    """Float64 [n]: 1 event, 0 censored, NaN unknown."""
    time: np.ndarray
    """Float64 [n] in the unit of the config; NaN unknown."""
    record_id: np.ndarray
    subject_id: np.ndarray
    """Text [n]."""
    split: np.ndarray
    """Text [n], of the prepared set."""
    sampling_rate: float
    """Hz."""
    digest: str

    @property
    def known(self) -> np.ndarray:
        """Bool [n]: rows whose outcome is known."""
        return ~(np.isnan(self.event) | np.isnan(self.time))


def read_cohort(ecg: EcgSet, leads: Sequence[str], unit: str) -> Cohort:
    """Read a set into memory; times are in `unit`, one of `DAYS`."""
    rows = rows_of(leads, ecg.leads)
    splits = ecg.splits.items()

    def joined(column: str) -> np.ndarray:
        return np.concatenate([getattr(records, column) for _, records in splits])

    return Cohort(
        signals=np.concatenate([_signals(records, rows) for _, records in splits]),
        length=joined("length"),
        recorded=joined("recorded")[:, rows],
        event=joined("event").astype(np.float64),
        time=joined("duration").astype(np.float64) / DAYS[unit],
        record_id=joined("record_id"),
        subject_id=joined("subject_id"),
        split=np.concatenate([np.full(len(r.record_id), name) for name, r in splits]),
        sampling_rate=ecg.sampling_rate,
        digest=ecg.digest,
    )


def _signals(records: Records, rows: Sequence[int]) -> np.ndarray:
    samples = records.examples[0]["signal"].shape[-1] if len(records.record_id) else 0
    out = np.zeros((len(records.record_id), len(rows), samples), np.float32)
    for start in range(0, len(out), BLOCK):
        positions = np.arange(start, min(start + BLOCK, len(out)))
        raw = records.signals(positions)[:, rows].astype(np.float64)
        inside = np.arange(samples) < records.length[positions][:, None, None]
        out[positions] = standardize(raw, inside.astype(np.float64))
    return out


def cohort_folds(
    cohort: Cohort, options: ConfigDict, seed: int, trained_on: str | None = None
) -> list[dict[str, np.ndarray]]:
    """Return the rows of each split, of every fold.

    Subjects are cut into `options.folds` test parts with as many events each, and
    `options.validation_share` of the others is for validation; a subject's recordings stay
    together. With no folds, and for another cohort than the one that was trained on, the splits of
    the prepared set stand as the only fold.

    Args:
        cohort: the recordings. Those of unknown outcome stand in no part of a training.
        options: `folds` and `validation_share`.
        seed: of the folds.
        trained_on: digest of the set that the weights were trained on; None while training.

    Raises:
        UserError: nothing is known of the outcomes, or too little for the folds.
    """
    foreign = trained_on not in (None, cohort.digest)
    if foreign or not options.folds:
        kept = np.ones(len(cohort.event), bool) if foreign else cohort.known
        return [{name: np.flatnonzero(kept & (cohort.split == name)) for name in _names(cohort)}]
    return _folds(cohort, options, seed)


def _names(cohort: Cohort) -> list[str]:
    present = set(cohort.split.tolist())
    return [name for name in ("train", "validation", "test", "all") if name in present]


def _folds(cohort: Cohort, options: ConfigDict, seed: int) -> list[dict[str, np.ndarray]]:
    rows = np.flatnonzero(cohort.known)
    if not len(rows):
        raise UserError(
            "the risk cohort names no outcomes: prepare it with event and duration "
            "(--labels=CSV, columns event and duration)"
        )
    _, first, subject = np.unique(cohort.subject_id[rows], return_index=True, return_inverse=True)
    # Subjects in the order of their first recording: for one recording each, the cohort's order.
    place = np.empty(len(first), np.intp)
    place[np.argsort(first)] = np.arange(len(first))
    subject = place[subject]
    status = np.zeros(len(first), int)
    np.maximum.at(status, subject, cohort.event[rows].astype(int))
    folds = nested_folds(status, options.folds, seed, options.validation_share)
    return [
        {name: rows[np.isin(subject, part)] for name, part in fold._asdict().items()}
        for fold in folds
    ]


def fold_of(
    cohort: Cohort, options: ConfigDict, seed: int, fold: int, trained_on: str | None = None
) -> dict[str, np.ndarray]:
    """Return the rows of each split of one of `cohort_folds`."""
    folds = cohort_folds(cohort, options, seed, trained_on)
    return folds[fold] if len(folds) > 1 else folds[0]


def identity_columns(cohort: Cohort, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the id columns of a predictions table."""
    return {
        "record_id": cohort.record_id[rows].astype(object),
        "subject_id": cohort.subject_id[rows].astype(object),
    }


class CohortBatches:
    """Plans and makes the batches of a stage that reads a cohort; it never changes."""

    def __init__(
        self,
        cohort: Cohort,
        parts: Mapping[str, np.ndarray],
        sizes: Sizes,
        padded_rows: int,
        seed: int,
        *,
        stratified: bool,
        on_device: bool,
    ) -> None:
        """Take the rows of each split, and to how many rows training batches are padded."""
        self._cohort, self.parts, self._sizes, self._seed = cohort, parts, sizes, seed
        self._padded_rows, self._stratified, self._on_device = padded_rows, stratified, on_device
        self.splits = tuple(parts)

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass: in training with as many events in every batch, else in order."""
        rows = self.parts[split]
        if epoch == EVALUATION:
            size = self._sizes.evaluation
            starts = range(0, len(rows), size)
            return [BatchPlan(np.arange(s, min(s + size, len(rows))), size) for s in starts]
        if not len(rows):
            return []
        draws = generator(self._seed, 2, epoch)
        if self._stratified:
            batches = stratified_batches(self._cohort.event[rows], self._sizes.train, draws)
        else:
            order = draws.permutation(len(rows))
            batches = np.array_split(order, max(1, len(rows) // self._sizes.train))
        return [BatchPlan(batch, self._padded_rows) for batch in batches]

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        mask bool [rows]; length, offset int32 [rows] (`items.Window`); recorded bool [rows, lead];
        event, time float32 [rows], NaN unknown; and signal float32 [rows, lead, sample], or index
        int32 [rows] of what lies on the device.
        """
        del epoch
        count = rows.stop - rows.start
        which = self.parts[split][plan.indices[rows]]
        cohort = self._cohort
        columns: dict[str, np.ndarray] = {
            **window(cohort.length[which], self._sizes.time_steps)._asdict(),
            "recorded": cohort.recorded[which],
            "event": cohort.event[which].astype(np.float32),
            "time": cohort.time[which].astype(np.float32),
        }
        if self._on_device:
            columns["index"] = which.astype(np.int32)
        else:
            columns["signal"] = cohort.signals[which]
        batch = {name: padded(column, count) for name, column in columns.items()}
        return batch | {"mask": np.arange(rows.start, rows.stop) < len(plan.indices)}

    def resident(self) -> dict[str, np.ndarray]:
        """Return what lies on the device: cohort float32 [n, lead, sample], or nothing."""
        return {"cohort": self._cohort.signals} if self._on_device else {}
