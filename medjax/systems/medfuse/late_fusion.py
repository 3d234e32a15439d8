"""Late fusion: each modality is predicted alone, and the probabilities are blended.

    blend = weight * series + (1 - weight) * film, one weight a label; a stay without a film keeps
    the prediction of its series.

The weights are fitted greedily on the validation split (MedFuse, trainers/fusion_trainer.py); one
half for every label is the plain average, the ensemble of the paper's tables.
"""

import numpy as np
from numpy.typing import NDArray

from medjax.errors import UserError, nearest
from medjax.metrics.ranking import auroc

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CANDIDATES = ("blend", "slip")
AVERAGE = 0.5


def fit_weights(
    labels: NDArray,
    ehr: NDArray,
    cxr: NDArray,
    candidate: str = "blend",
    grid: tuple[float, ...] = GRID,
) -> NDArray[np.float64]:
    """Return the weight of the series' probability for each label [labels].

    Label by label, every weight of the grid is tried, and the one with the highest mean AUROC over
    all labels is kept if it is above the best mean so far, which is carried from label to label
    and starts at 0. A label that no weight improves stays at 1, the series alone, and so does one
    with a single class, which has no AUROC.

    Args:
        labels: [rows, labels] of 0 and 1.
        ehr, cxr: probabilities [rows, labels].
        candidate: what is tried for a label: "blend", or "slip" (published): series * weight +
            film - weight, a shift of series * weight + film.
        grid: weights to try, in order.

    Raises:
        UserError: unknown candidate.
    """
    if candidate not in CANDIDATES:
        raise UserError(
            f"late_fusion_candidate {candidate!r} is neither 'blend' nor 'slip'"
            + nearest(candidate, CANDIDATES)
        )
    ehr, cxr = np.asarray(ehr, np.float64), np.asarray(cxr, np.float64)
    positives = np.sum(labels, axis=0)
    ranked = np.flatnonzero((positives > 0) & (positives < len(labels)))
    scores = np.array([auroc(labels[:, i], ehr[:, i]) for i in ranked])
    weights, best = np.ones(labels.shape[1]), 0.0
    for place, i in enumerate(ranked):
        trial = scores.copy()
        for weight in grid:
            film = cxr[:, i] * (1 - weight) if candidate == "blend" else cxr[:, i] - weight
            trial[place] = auroc(labels[:, i], ehr[:, i] * weight + film)
            if trial.mean() > best:
                best, weights[i] = trial.mean(), weight
        scores[place] = auroc(labels[:, i], blend(ehr[:, i], cxr[:, i], weights[i]))
    return weights


def blend(ehr: NDArray, cxr: NDArray, weights: NDArray | float) -> NDArray[np.float64]:
    """Return weights * ehr + (1 - weights) * cxr for probabilities [..., labels]."""
    mixed = np.asarray(ehr, np.float64) * weights + np.asarray(cxr, np.float64) * (1 - weights)
    return np.clip(mixed, 0, 1)  # rounding may pass 1
