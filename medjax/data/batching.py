"""What the batches of all systems are made with: draws by name, and rows of padding."""

import numpy as np

EVALUATION = -1
"""The epoch under which a system plans the fixed order of an evaluation."""


def generator(seed: int, *words: int) -> np.random.Generator:
    """Return the generator of one draw: the same for the same words, on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, *words))))


def padded(column: np.ndarray, rows: int) -> np.ndarray:
    """Return a column [n, ...] with zeros below, `rows` long."""
    return np.pad(column, [(0, rows - len(column))] + [(0, 0)] * (column.ndim - 1))
