"""The order in which the published in-process loader goes through its files."""

from collections.abc import Iterator, Sequence

import numpy as np


def published_batches(readable: Sequence[bool], batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Yield batches of positions int[batch_size] without end.

    All files are shuffled at the start and again at each new pass; those that cannot be read are
    skipped. A batch may span two passes.

    Args:
        readable: whether each file can be read; the unreadable ones take part in the shuffle.
        batch_size: positions in a batch.
        seed: of the legacy numpy generator.

    Raises:
        ValueError: no file is readable.
    """
    if not any(readable):
        raise ValueError("no readable file")
    generator = np.random.RandomState(seed)
    order = np.arange(len(readable))
    batch: list[int] = []
    while True:
        generator.shuffle(order)
        for position in order.tolist():
            if readable[position]:
                batch.append(position)
            if len(batch) == batch_size:
                yield np.array(batch)
                batch = []
