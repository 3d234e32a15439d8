"""Cox's proportional hazards regression on a few covariates, by Newton's method."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.errors import UserError
from medjax.metrics.survival.curve import timeline

STEPS, HALVINGS, TOLERANCE = 200, 40, 1e-9
ROUNDING = 1e-13
"""Share of the likelihood that is no loss: near the maximum it is all that a step changes."""
SINGULAR = 1e-12
"""Least curvature, beside the greatest, that counts as one."""
FAR = 100.0
"""Log hazard ratio of one standard deviation that no data justify."""


class CoxRegression(NamedTuple):
    """A fitted model; arrays by column of the covariates."""

    coefficients: NDArray[np.float64]
    """Log hazard ratio of one unit more."""
    standard_errors: NDArray[np.float64]
    """From the curvature of the penalised likelihood."""
    centre: NDArray[np.float64]
    """Means of the covariates, at which the log risk is 0."""

    def log_risk(self, covariates: ArrayLike) -> NDArray[np.float64]:
        """Return the log risk [n] of covariates [n, columns]."""
        return (np.asarray(covariates, np.float64) - self.centre) @ self.coefficients


class _Derivatives(NamedTuple):
    value: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]


def fit_cox(
    covariates: ArrayLike, event: ArrayLike, time: ArrayLike, penalty: float = 0.0
) -> CoxRegression:
    """Maximise the partial likelihood with Efron's ties and an L2 penalty.

    The penalty is `penalty / 2` times the squared coefficients of the standardised covariates
    (sample standard deviation), beside the likelihood divided by n. A constant covariate has the
    coefficient 0.

    Args:
        covariates: [n, columns] finite.
        event: [n] true where the event was seen at `time`.
        time: [n].
        penalty: >= 0.

    Raises:
        UserError: no event, or no maximum (a covariate that separates the events, unpenalised).
    """
    covariates = np.asarray(covariates, np.float64)
    event = np.asarray(event, bool)
    if not event.any():
        raise UserError("a Cox regression needs events, and the rows hold none")
    centre, scale = covariates.mean(0), covariates.std(0, ddof=1)
    # A column that hardly varies is taken as constant, not blown up.
    varies = scale > 1e-12 * (1 + np.abs(centre))
    scale = np.where(varies, scale, 1.0)
    line = timeline(event, time)
    standard = ((covariates - centre) / scale)[line.order][:, varies]
    likelihood = _Likelihood(standard, line.event, line.starts, penalty)
    beta, curvature = _maximise(likelihood, standard.shape[1])
    coefficients, errors = np.zeros((2, covariates.shape[1]))
    coefficients[varies] = beta / scale[varies]
    variance = np.diag(np.linalg.inv(curvature)) / len(event)
    errors[varies] = np.sqrt(variance) / scale[varies]
    return CoxRegression(coefficients, errors, centre)


def _maximise(likelihood: "_Likelihood", columns: int) -> tuple[NDArray, NDArray]:
    """Newton's steps, halved until they do not lose; the maximum and the curvature there."""
    beta = np.zeros(columns)
    here = likelihood.at(beta)
    for _ in range(STEPS):
        spread = np.linalg.eigvalsh(here.hessian)
        singular = spread.size > 0 and spread[0] <= SINGULAR * spread[-1]
        if singular or np.abs(beta).max(initial=0) > FAR:
            break
        step = np.linalg.solve(here.hessian, here.gradient)
        if np.abs(step).max(initial=0) < TOLERANCE:
            return beta, here.hessian
        for halving in range(HALVINGS):
            there = likelihood.at(beta + step / 2**halving)
            if there.value >= here.value - ROUNDING * abs(here.value):
                break
        beta, here = beta + step / 2**halving, there
    raise UserError(
        "the Cox regression has no maximum: a covariate separates the events, or two are the same; "
        "give a penalty above 0"
    )


class _Likelihood:
    """The penalised log partial likelihood of rows in the order of their times, divided by n."""

    def __init__(self, x: NDArray, event: NDArray, starts: NDArray[np.intp], penalty: float):
        self._x, self._event, self._starts, self._penalty = x, event, starts, penalty
        group = np.zeros(len(x), np.intp)
        group[starts[1:]] = 1
        self._group = np.cumsum(group)[event]
        """Place of each event's time."""
        tied = np.bincount(self._group, minlength=len(starts))
        first = np.cumsum(tied) - tied
        rank = np.arange(len(self._group)) - first[self._group]
        self._gone = rank / tied[self._group]
        """Share of the tied events' risk that an event no longer sees."""

    def at(self, beta: NDArray) -> _Derivatives:
        """Return the value, the gradient, and the negative Hessian."""
        score = self._x @ beta
        shift = score.max()
        risk = np.exp(score - shift)
        moments = (risk, risk[:, None] * self._x, _outer(risk, self._x))
        total, first, second = (self._of_risk_sets(moment) for moment in moments)
        mean = first / total[:, None]
        n = len(self._x)
        value = (score[self._event] - shift - np.log(total)).sum() / n
        gradient = (self._x[self._event] - mean).sum(0) / n
        hessian = (second / total[:, None, None] - mean[:, :, None] * mean[:, None, :]).sum(0) / n
        return _Derivatives(
            value - self._penalty / 2 * beta @ beta,
            gradient - self._penalty * beta,
            hessian + self._penalty * np.eye(len(beta)),
        )

    def _of_risk_sets(self, moment: NDArray) -> NDArray:
        """Sum [n, ...] over the risk set of every event, less what Efron takes of tied ones."""
        from_here_on = np.flip(np.cumsum(np.flip(moment, 0), 0), 0)[self._starts]
        events = np.where(self._event.reshape(-1, *(1,) * (moment.ndim - 1)), moment, 0)
        tied = np.add.reduceat(events, self._starts, axis=0)
        gone = self._gone.reshape(-1, *(1,) * (moment.ndim - 1))
        return from_here_on[self._group] - gone * tied[self._group]


def _outer(risk: NDArray, x: NDArray) -> NDArray:
    return risk[:, None, None] * x[:, :, None] * x[:, None, :]
