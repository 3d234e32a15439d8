"""Splits of COVIDx, RSNA and CheXpert as MGCA and MedST draw them, by generators of seed 0."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from medjax.errors import UserError

SEED = 0
COVIDX_TRAIN = 0.8
RSNA_HELD_OUT = 0.3
CHEXPERT_LABELS, CHEXPERT_EACH, CHEXPERT_VALIDATION = 5, 200, 5000
"""Labels of CheXpert's competition; films of each kept for retrieval, and of validation."""
SUBSET_SEED = 42
LEAST = 4
"""Patients of which every part gets one."""


class Parts(NamedTuple):
    """Positions of the rows of each part, in the published order."""

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


def covidx_by_row(tested: Sequence[bool]) -> Parts:
    """Split the rows of both lists; a patient may be on both sides of train and validation.

    tested: [row], whether it stands in the list of test films.
    """
    is_test = np.asarray(tested, bool)
    listed = np.flatnonzero(~is_test)
    train, validation = train_test_split(listed, train_size=COVIDX_TRAIN, random_state=SEED)
    return Parts(train, validation, np.flatnonzero(is_test))


def covidx_by_patient(patients: Sequence[str], tested: Sequence[bool]) -> Parts:
    """Split whole patients: drawn for validation until they hold a fifth of the rows.

    Rows of patients that are tested on are in neither other part.
    """
    names, is_test = np.asarray(patients), np.asarray(tested, bool)
    free = ~np.isin(names, names[is_test])
    count = pd.Series(names[free]).value_counts(sort=False)
    drawn = shuffle(np.sort(count.index.to_numpy()), random_state=SEED)
    before = np.cumsum(count[drawn].to_numpy()) - count[drawn].to_numpy()
    chosen = drawn[before < (1 - COVIDX_TRAIN) * free.sum() - 1e-9]
    held = free & np.isin(names, chosen)
    return Parts(np.flatnonzero(free & ~held), np.flatnonzero(held), np.flatnonzero(is_test))


def rsna_parts(patients: int) -> Parts:
    """Split patients, sorted by id: 70, 15 and 15 %.

    Raises:
        UserError: too few for three parts.
    """
    if patients < LEAST:
        raise UserError(f"{patients} patients cannot be split as MGCA does: {LEAST} are needed")
    train, held_out = train_test_split(
        np.arange(patients), test_size=RSNA_HELD_OUT, random_state=SEED
    )
    test, validation = train_test_split(held_out, test_size=0.5, random_state=SEED)
    return Parts(train, validation, test)


def chexpert_parts(
    patients: Sequence[str], tested: Sequence[bool], alone: Sequence[int], by_patient: bool = True
) -> Parts:
    """Split the rows of both tables; those kept for retrieval (CheXpert 5x200) are in no part.

    Args:
        patients: [row]
        tested: [row], whether it stands in the table of test films.
        alone: [row], number of the competition's label that the film has and no other, below 0
            where there is none.
        by_patient: take whole patients of the rows kept for retrieval, and draw patients for
            validation until they hold enough rows; False: single rows, as published.

    Raises:
        UserError: too few rows.
    """
    names, is_test, label = np.asarray(patients), np.asarray(tested, bool), np.asarray(alone)
    if by_patient:
        is_free = ~np.isin(names, names[is_test])
    else:
        names, is_free = np.arange(len(names)).astype(str), ~is_test
    for number in range(CHEXPERT_LABELS):
        rows = np.flatnonzero(is_free & (label == number))
        kept = rows[subset(len(rows), 1.0, SEED)][:CHEXPERT_EACH]
        is_free &= ~np.isin(names, names[kept])
    free = np.flatnonzero(is_free)
    if len(free) <= CHEXPERT_VALIDATION:
        raise UserError(
            f"films left for training and validation: {len(free)}, of which MGCA's split takes "
            f"{CHEXPERT_VALIDATION} for validation; split them without --mgca_split"
        )
    count = pd.Series(names[free]).value_counts(sort=False).sort_index()
    drawn = count.index.to_numpy()[subset(len(count), 1.0, SEED)]
    before = np.cumsum(count[drawn].to_numpy()) - count[drawn].to_numpy()
    held = np.isin(names[free], drawn[before < CHEXPERT_VALIDATION])
    return Parts(free[~held], free[held], np.flatnonzero(is_test))


def subset(rows: int, share: float, seed: int = SUBSET_SEED) -> NDArray[np.intp]:
    """Return positions of a random share of rows, in the order drawn (pandas' `sample`)."""
    return pd.Series(np.arange(rows)).sample(frac=share, random_state=seed).to_numpy()
