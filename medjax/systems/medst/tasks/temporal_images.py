"""MS-CXR-T, images: has a finding improved, stayed or worsened since the previous film?

A support vector machine reads the embeddings of both films, which the encoder saw each alone.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.svm import SVC

from medjax.errors import UserError
from medjax.systems.medst.choices import FOLDS

FINDINGS = ("consolidation", "edema", "pleural_effusion", "pneumonia", "pneumothorax")
CODES = {"improving": 0, "stable": 1, "worsening": 2}
SEEDS = (42, 100, 666)


class FindingPairs(NamedTuple):
    """The labelled pairs of films of one finding."""

    current: NDArray
    """[pair], `dicom_id`."""
    previous: NDArray
    subject: NDArray
    label: NDArray[np.intp]
    """CODES."""


def label_column(finding: str) -> str:
    """Return the name of a finding's column."""
    return f"{finding}_progression"


def read_pairs(table: pd.DataFrame, seed: int | None = None) -> dict[str, FindingPairs]:
    """Return the pairs of every finding, in the order of the table, shuffled by a seed if given.

    table: the released table of image labels as text, "" where a pair has no label.

    Raises:
        UserError: a label that is none of CODES.
    """
    if seed is not None:
        table = table.sample(frac=1, random_state=seed)
    found = {}
    for finding in FINDINGS:
        labels = table[label_column(finding)].str.strip()
        rows = table[labels != ""]
        unknown = sorted(set(labels[labels != ""]) - set(CODES))
        if unknown:
            raise UserError(
                f"column {label_column(finding)!r}: {unknown[0]!r} is none of {', '.join(CODES)}"
            )
        found[finding] = FindingPairs(
            current=rows["dicom_id"].to_numpy(),
            previous=rows["previous_dicom_id"].to_numpy(),
            subject=rows["subject_id"].to_numpy(),
            label=np.array([CODES[x] for x in labels[labels != ""]], np.intp),
        )
    return found


def fold_accuracies(
    pairs: FindingPairs,
    embeddings: Mapping[str, NDArray],
    folds: int,
    seed: int,
    unit: str = "patient",
) -> NDArray[np.float64]:
    """Return the accuracy [fold] of a linear machine on embeddings of current and previous film.

    Args:
        pairs: of one finding.
        embeddings: dicom_id -> [width].
        folds: number of folds, stratified by label.
        seed: of the machine.
        unit: "patient": no patient is in two folds; "row", as published.

    Raises:
        UserError: another unit, or an image without an embedding.
    """
    machine, splitter, groups = rule(pairs, folds, seed, unit)
    features = pair_features(pairs, embeddings)
    with quiet():
        return cross_val_score(machine, features, pairs.label, groups=groups, cv=splitter)


def held_out_decisions(
    pairs: FindingPairs,
    embeddings: Mapping[str, NDArray],
    folds: int,
    seed: int,
    unit: str = "patient",
) -> NDArray[np.intp]:
    """Return the label [pair] that a machine gives each pair which it was not fitted on.

    Arguments as of `fold_accuracies`.
    """
    machine, splitter, groups = rule(pairs, folds, seed, unit)
    features = pair_features(pairs, embeddings)
    with quiet():
        return cross_val_predict(machine, features, pairs.label, groups=groups, cv=splitter)


def can_be_folded(pairs: FindingPairs, folds: int, seed: int, unit: str = "patient") -> bool:
    """Whether pairs suffice: every fold holds some, the others of them two labels at least."""
    _, splitter, groups = rule(pairs, folds, seed, unit)
    try:
        with quiet():
            parts = list(splitter.split(pairs.label, pairs.label, groups))
    except ValueError:  # fewer than folds
        return False
    return all(len(test) and len(set(pairs.label[train])) > 1 for train, test in parts)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what is said of labels that are rarer than folds: some folds then lack them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        yield


def pair_features(pairs: FindingPairs, embeddings: Mapping[str, NDArray]) -> NDArray:
    """Return the embeddings of current and previous film side by side, [pair, 2 width].

    Raises:
        UserError: an image without an embedding.
    """
    missing = sorted({*pairs.current, *pairs.previous} - set(embeddings))
    if missing:
        raise UserError(f"{len(missing)} images of the table are not there, {missing[0]!r} is one")
    both = zip(pairs.current, pairs.previous)
    return np.stack([np.r_[embeddings[a], embeddings[b]] for a, b in both])


def rule(pairs: FindingPairs, folds: int, seed: int, unit: str) -> tuple[SVC, Any, Any]:
    """Return the machine, what makes its folds, and the groups that stay together.

    Raises:
        UserError: another unit.
    """
    if unit not in FOLDS:
        raise UserError(f"temporal_image_folds {unit!r} is none of {', '.join(FOLDS)}")
    machine = SVC(kernel="linear", C=1, random_state=seed)
    if unit == "row":
        return machine, StratifiedKFold(folds), None
    return machine, StratifiedGroupKFold(folds), pairs.subject


def accuracy_percentages(
    table: pd.DataFrame,
    embeddings: Mapping[str, NDArray],
    folds: int,
    seed: int,
    unit: str = "patient",
) -> NDArray[np.float64]:
    """Return the mean accuracy of each of FINDINGS in percent, and their plain mean last."""
    scores = [
        fold_accuracies(pairs, embeddings, folds, seed, unit).mean().round(4) * 100
        for pairs in read_pairs(table, seed).values()
    ]
    return np.array([*scores, np.mean(scores)])
