"""From the matrix of a report to what the losses read: existence, and candidate positions.

MedKLIP, section 3.2: the position of an entity is told from seven others by contrast.
"""

import numpy as np

MASKED = -1
"""A candidate that is none, where fewer positions are left than are asked for."""


def existence(matrix: np.ndarray) -> np.ndarray:
    """Return float32 [..., entity] of a matrix [..., position, entity].

    1 where the entity is present at any position, else 0 where it is absent at any, else -1; the
    value of an uncertain cell lies between and beats absence.
    """
    return np.asarray(matrix.max(axis=-2), np.float32)


def position_candidates(
    matrix: np.ndarray, generator: np.random.Generator, candidates: int = 8
) -> np.ndarray:
    """Draw positions for every entity: int32 [entity, candidates] of a matrix [position, entity].

    Of an entity that is present somewhere the first is one of its positions and the others are
    different positions where it is not present; of any other entity all are of the latter kind and
    never enter a loss. MASKED where no more are left.
    """
    present = (matrix == 1).T
    order = np.argsort(generator.random(present.shape) + present, axis=1)
    others = present.shape[1] - present.sum(axis=1, keepdims=True)
    places = np.arange(present.shape[1])
    # Those not present come first, in random order; then those present, likewise.
    order = np.where(places < others, order, MASKED)[:, :candidates]
    known = present.any(axis=1)
    drawn = np.argmax(generator.random(present.shape) * present, axis=1)
    first = np.roll(order, 1, axis=1)
    first[:, 0] = drawn
    return np.where(known[:, None], first, order).astype(np.int32)
