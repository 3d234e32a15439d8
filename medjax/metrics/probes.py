"""Probes of frozen features: how well a simple model reads a label off them, cross-validated.

ridge         linear regression; its penalty is chosen inside each training fold, leave-one-out
logistic      logistic regression with elastic net, classes weighted as if equally frequent
kernel_ridge  ridge regression on the features of a Gaussian kernel. Up to `landmarks` rows
              these span the kernel and it is kernel ridge regression, beyond it is Nystroem's
              approximation

Features are standardised by the training fold. Folds never divide a participant.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medjax.metrics.probe_kinds import FOR_CLASSES as FOR_CLASSES
from medjax.metrics.probe_kinds import FOR_NUMBERS as FOR_NUMBERS
from medjax.metrics.probe_kinds import KINDS as KINDS
from medjax.metrics.regression import is_binary


class ProbeOptions(NamedTuple):
    """How probes are fitted."""

    folds: int = 5
    penalties: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
    """Of ridge; those of the kernel are `KERNEL_SHARE` times these."""
    inverse_penalty: float = 0.1
    """Of logistic regression."""
    l1_ratio: float = 0.5
    """Share of the absolute values in its penalty."""
    landmarks: int = 1000
    steps: int = 300
    """At most, of the logistic regression."""


DEFAULTS = ProbeOptions()
KERNEL_SHARE = 1e-3
"""Features of a Gaussian kernel have length 1, whatever their number; standardised ones have that
of the root of their number, so penalties must be smaller."""


class CannotFit(ValueError):
    """A label that no probe can be fitted to; the text says why."""


def kinds_for(labels: ArrayLike, kinds: tuple[str, ...] = KINDS) -> tuple[str, ...]:
    """Return those of `kinds` that fit labels [n]."""
    fitting = FOR_CLASSES if is_binary(labels) else FOR_NUMBERS
    return tuple(kind for kind in kinds if kind in fitting)


def held_out_predictions(
    kind: str,
    features: ArrayLike,
    labels: ArrayLike,
    participants: ArrayLike,
    options: ProbeOptions = DEFAULTS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Predict every row by a probe that was fitted without its participant.

    Args:
        kind: one of `KINDS`.
        features: [n, width]
        labels: [n]; NaN where not known.
        participants: ids [n]. Equal ids, labels and seeds give equal folds, whatever the features.
        options: of the fit.
        seed: of the folds and the landmarks.

    Returns:
        [n], numbers, or scores of the class 1; NaN where the label is not known.

    Raises:
        CannotFit: too few participants, or labels that do not vary in some training fold.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels, np.float64)
    known = np.flatnonzero(~np.isnan(y))
    binary = is_binary(y)
    groups = np.unique(np.asarray(participants)[known], return_inverse=True)[1]
    if not len(known) or groups.max() + 1 < options.folds:
        raise CannotFit(f"fewer than {options.folds} participants with this label")
    splitter: Any = StratifiedGroupKFold if binary else GroupKFold
    folds = splitter(options.folds, shuffle=True, random_state=seed)
    predicted = np.full(len(y), np.nan)
    with warnings.catch_warnings():
        # The best so far serves; and that a class has fewer members than folds is said below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for train, test in folds.split(known, y[known], groups):
            fitted, held_out = known[train], known[test]
            if np.ptp(y[fitted]) == 0:
                raise CannotFit("all participants of a training fold have the same label")
            model = _model(kind, x.shape[1], len(train), options, seed).fit(x[fitted], y[fitted])
            predicted[held_out] = _scores(model, x[held_out])
    return predicted


def _model(kind: str, width: int, rows: int, options: ProbeOptions, seed: int) -> Any:
    """Return the unfitted model of a kind."""
    if kind == "ridge":
        return make_pipeline(StandardScaler(), RidgeCV(list(options.penalties)))
    if kind == "logistic":
        regression = LogisticRegression(
            C=options.inverse_penalty,
            l1_ratio=options.l1_ratio,
            solver="saga",
            class_weight="balanced",
            max_iter=options.steps,
            tol=1e-3,
            random_state=seed,
        )
        return make_pipeline(StandardScaler(), regression)
    if kind == "kernel_ridge":
        landmarks = min(rows, options.landmarks)
        kernel = Nystroem(gamma=1 / width, n_components=landmarks, random_state=seed)
        penalties = KERNEL_SHARE * np.asarray(options.penalties)
        return make_pipeline(StandardScaler(), kernel, RidgeCV(penalties))
    raise ValueError(f"no probe {kind!r}: there are {', '.join(KINDS)}")


def _scores(model: Any, x: NDArray) -> NDArray[np.float64]:
    """Numbers, or scores of the class 1, [n]."""
    if hasattr(model[-1], "decision_function"):
        return model.decision_function(x)
    return model.predict(x)
