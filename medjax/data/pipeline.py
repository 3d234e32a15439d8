"""Batches through Grain: planned ahead, made in parallel, addressed by their number.

Item i of an epoch is its i-th global batch, so one integer is the whole state of the data: a
resumed run starts the iterator at that number. Every process makes only its own rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

Collate = Callable[[Any], Mapping[str, np.ndarray]]


class PlannedBatches:
    """Random access to the batches of one epoch: item i is ``collate(plans[i])``."""

    def __init__(self, plans: Sequence[Any], collate: Collate) -> None:
        self._plans = plans
        self._collate = collate

    def __len__(self) -> int:
        return len(self._plans)

    def __getitem__(self, index: Any) -> Mapping[str, np.ndarray]:
        return self._collate(self._plans[int(index)])


def iterate(
    plans: Sequence[Any], collate: Collate, *, start: int = 0, threads: int = 2, workers: int = 0
) -> Iterator[Mapping[str, np.ndarray]]:
    """Yield the batches of `plans` from number `start` on, in order.

    threads: batches made at once in this process; workers: processes that make them instead (for
    image decoding on many cores; 0 for none). Neither changes what is yielded.
    """
    if start >= len(plans):
        return
    dataset = grain.MapDataset.source(PlannedBatches(plans, collate))[start:]
    reading = grain.ReadOptions(num_threads=max(threads, 1), prefetch_buffer_size=2 * threads)
    batches = dataset.to_iter_dataset(reading)
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    yield from batches
