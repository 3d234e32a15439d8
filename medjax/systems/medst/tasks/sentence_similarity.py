"""MS-CXR-T, sentences: do two say the same of a change, or the opposite?"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import KFold

from medjax.errors import UserError
from medjax.metrics.ranking import auroc

SUBSET = "RadGraph"
CONTRADICTION = "contradiction"
FOLDS = 10
THRESHOLDS = np.arange(201) * 0.005


class SentencePairs(NamedTuple):
    """Pairs of sentences."""

    first: list[str]
    second: list[str]
    same: NDArray[np.intp]
    """[pair], 0 where they contradict each other."""


class Similarity(NamedTuple):
    """How well cosines tell paraphrases from contradictions."""

    auroc: float
    accuracy: float
    """Mean over the test folds, each judged by the best threshold of its training folds."""
    best_threshold: float
    """Of the fold with the highest test accuracy."""
    best_fold_on_all: float
    """Accuracy of that threshold on all pairs, those that it was chosen on too: as published."""


def read_sentences(table: pd.DataFrame, subset: str | None = SUBSET) -> SentencePairs:
    """Read the released table of sentence pairs, its columns by position.

    subset: the published scoring reads SUBSET; None: all pairs.

    Raises:
        UserError: too few columns, or no pairs of the subset.
    """
    names = list(table.columns)
    if len(names) < 5 or "subset_name" not in names:
        raise UserError(
            "the table of sentence pairs needs an id, two sentences, a category and subset_name"
        )
    rows = table if subset is None else table[table["subset_name"] == subset]
    if rows.empty:
        raise UserError(f"the table of sentence pairs has none of the subset {subset or SUBSET}")
    first, second, category = (rows[name] for name in names[1:4])
    same = (category != CONTRADICTION).to_numpy().astype(np.intp)
    return SentencePairs(first.tolist(), second.tolist(), same)


def score_similarity(same: ArrayLike, cosines: ArrayLike) -> Similarity:
    """Score the cosines [pair] of pairs; the folds are consecutive, the first best counts."""
    truth, values = np.asarray(same), np.asarray(cosines, np.float64)
    right = (values[:, None] > THRESHOLDS) == truth[:, None]
    best, accuracies = [], []
    for train, test in KFold(FOLDS).split(values):
        threshold = int(right[train].mean(0).argmax())
        best.append(threshold)
        accuracies.append(right[test, threshold].mean())
    chosen = best[int(np.argmax(accuracies))]
    return Similarity(
        auroc=auroc(truth, values),
        accuracy=float(np.mean(accuracies)),
        best_threshold=float(THRESHOLDS[chosen]),
        best_fold_on_all=float(right[:, chosen].mean()),
    )
