"""Pneumonia without training: is a film nearer to prompts that affirm it or to ones that deny?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.ranking import auroc
from medjax.metrics.thresholds import count

POSITIVE = (
    "Findings consistent with pneumonia",
    "Findings suggesting pneumonia",
    "This opacity can represent pneumonia",
    "Findings are most compatible with pneumonia",
)
NEGATIVE = (
    "There is no pneumonia",
    "No evidence of pneumonia",
    "No evidence of acute pneumonia",
    "No signs of pneumonia",
)


class Scores(NamedTuple):
    """Of every film, [film]."""

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]

    @property
    def margin(self) -> NDArray[np.float64]:
        """How much nearer the film is to what affirms; above 0 is a prediction of pneumonia."""
        return self.positive - self.negative


class ZeroShot(NamedTuple):
    """How well the scores tell films with pneumonia."""

    accuracy: float
    f1: float
    auroc: float
    """Of the margin."""
    auroc_hard: float
    """Of the decisions, as published: the balanced accuracy."""


def prompt_direction(embeddings: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of prompts' embeddings [prompt, dim], at length 1."""
    mean = np.asarray(embeddings, np.float64).mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def score_films(images: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> Scores:
    """Score films by their embeddings [film, dim] of length 1 and those of the prompts."""
    images = np.asarray(images, np.float64)
    return Scores(images @ prompt_direction(positive), images @ prompt_direction(negative))


def score_zero_shot(labels: ArrayLike, scores: Scores) -> ZeroShot:
    """Score films against labels [film] of 0 and 1."""
    said = scores.positive > scores.negative
    counts = count(labels, said)
    wrong = counts.false_positives + counts.false_negatives
    return ZeroShot(
        accuracy=1 - wrong / len(said),
        f1=2 * counts.true_positives / max(2 * counts.true_positives + wrong, 1),
        auroc=auroc(labels, scores.margin),
        auroc_hard=auroc(labels, said.astype(np.float64)),
    )
