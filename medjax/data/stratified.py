"""Folds and batches in which every class stands as often as in the whole."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from medjax.errors import UserError


class Fold(NamedTuple):
    """Positions of one outer fold, each part ascending."""

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


def nested_folds(
    classes: ArrayLike, folds: int, seed: int, validation: float = 0.2
) -> tuple[Fold, ...]:
    """Cut rows of classes [n] into outer test folds, and a share of the rest off for validation.

    The members are those of scikit-learn's shuffled `StratifiedKFold` and of its stratified
    `train_test_split`, both with this seed.

    Raises:
        UserError: a class has fewer rows than there are folds, or too few to be split once more.
    """
    classes = np.asarray(classes)
    counts = dict(zip(*np.unique(classes, return_counts=True), strict=True))
    rare = [f"{int(name)} ({n})" for name, n in counts.items() if n < max(folds, 2)]
    if rare or folds < 2:
        raise UserError(
            f"{folds} folds need two folds or more, and as many rows of each class: too few of "
            f"class {', '.join(rare) or 'any'}; take fewer folds or more rows"
        )
    outer = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = []
    for rest, test in outer.split(np.zeros(len(classes)), classes):
        try:
            train, inner = train_test_split(
                rest, test_size=validation, random_state=seed, stratify=classes[rest]
            )
        except ValueError as error:
            raise UserError(
                f"a training part of {len(rest)} rows cannot give {validation:.0%} of each class "
                f"for validation: {error}"
            ) from error
        parts.append(Fold(np.sort(train), np.sort(inner), np.sort(test)))
    return tuple(parts)


def stratified_batches(
    classes: ArrayLike, batch_size: int, generator: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Cut all rows of classes [n] into n // batch_size batches (at least one), drawn anew.

    Every row stands in one batch; sizes, and the counts of each class, differ by at most one, so
    that a batch has at least `batch_size` rows where there are that many (see `largest_batch`).
    Within a batch rows ascend. A class with fewer rows than there are batches misses some.

    Raises:
        UserError: every class has fewer rows than there are batches, as with batches of one row.
    """
    classes = np.asarray(classes)
    batches = max(1, len(classes) // batch_size)
    if batches == 1:
        return [np.arange(len(classes))]
    if np.unique(classes, return_counts=True)[1].max() < batches:
        raise UserError(f"batches of {batch_size} cannot hold every class: take larger batches")
    folds = StratifiedKFold(batches, shuffle=True, random_state=int(generator.integers(2**32)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return [batch for _, batch in folds.split(np.zeros(len(classes)), classes)]


def largest_batch(rows: int, batch_size: int) -> int:
    """Return the most rows that a batch of `stratified_batches` may have."""
    return -(-rows // max(1, rows // batch_size))
