"""All numbers of a risk score and of predicted survival on one split, with intervals."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.bootstrap import generator_for, percentile_interval, resample
from medjax.metrics.metric import Metric
from medjax.metrics.survival.baseline import Baseline
from medjax.metrics.survival.concordance import concordance
from medjax.metrics.survival.time_dependent import (
    Uncensored,
    brier_score,
    dynamic_auc,
    integrated_brier_score,
)

_CELLS = 1 << 21
"""Counts held at once."""
_GRID = 40
"""Times at which the Brier score is integrated."""

Statistics = Callable[[NDArray | None], dict[str, NDArray]]
"""counts [..., n], or None for every row once -> {metric: [...]}, NaN where undefined."""


def survival_metrics(
    event: ArrayLike,
    time: ArrayLike,
    log_risk: ArrayLike,
    *,
    baseline: Baseline | None = None,
    horizons: Sequence[float] = (),
    resamples: int = 0,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Metric]:
    """Score log risks [n] against outcomes; rows whose event or time is NaN are left out.

    ``c_index`` always; for each horizon ``auc/<horizon>`` and, given a baseline hazard,
    ``brier/<horizon>``; ``brier/integrated`` is the mean Brier score from 0 to the last horizon.
    `n` are the rows that entered, `positives` their events (up to the horizon). What cannot be
    computed says why.

    Args:
        event: [n] 1 where the event was seen at `time`, 0 where the row was censored.
        time: [n] >= 0.
        log_risk: [n], higher where the event is expected earlier.
        baseline: turns log risks into survival.
        horizons: rising times, in the unit of `time`.
        resamples: bootstrap resamples for the 95 % intervals, of all metrics together; 0: none.
            Resamples in which a metric is undefined do not enter its interval.
        seed: of the bootstrap.
        clusters: [n] what the bootstrap draws, patients with several rows; None: the rows.
    """
    event, time, risk = (np.asarray(x, np.float64) for x in (event, time, log_risk))
    known = ~(np.isnan(event) | np.isnan(time))
    event, time, risk = event[known] > 0, time[known], risk[known]
    if clusters is not None:
        clusters = np.unique(np.asarray(clusters)[known], return_inverse=True)[1]
    reasons = _reasons(event, time, risk, baseline is not None, horizons)
    defined = {name for name, reason in reasons.items() if reason is None}
    if not defined:
        return {name: Metric(None, reason=reason) for name, reason in reasons.items()}
    statistics = _statistics(event, time, risk, baseline, horizons, defined)
    estimates = statistics(None)
    generator = generator_for(seed, "survival")
    parts = [statistics(c) for c in _blocks(resamples, len(time), generator, clusters)]
    metrics = {}
    for name, reason in reasons.items():
        if reason is not None:
            metrics[name] = Metric(None, reason=reason)
            continue
        events = int(np.sum(event & (time <= _last(name, horizons))))
        metric = Metric(float(estimates[name]), n=len(time), positives=events)
        drawn = np.concatenate([part[name] for part in parts]) if parts else np.zeros(0)
        drawn = drawn[~np.isnan(drawn)]
        if len(drawn):
            low, high = percentile_interval(drawn)
            metric = metric._replace(low=low, high=high)
        metrics[name] = metric
    return metrics


def named(metric: str, horizon: float) -> str:
    """Return the name of a metric at a horizon: ``auc/12``."""
    return f"{metric}/{horizon:g}"


def _last(name: str, horizons: Sequence[float]) -> float:
    """The horizon of a metric; infinite for the C-index."""
    by_name = {named(metric, h): h for h in horizons for metric in ("auc", "brier")}
    if name == "brier/integrated":
        return horizons[-1]
    return by_name.get(name, np.inf)


def _reasons(
    event: NDArray, time: NDArray, risk: NDArray, calibrated: bool, horizons: Sequence[float]
) -> dict[str, str | None]:
    """Why each metric is undefined, None where it is not."""
    reasons: dict[str, str | None] = {"c_index": _unranked(event, time)}
    for horizon in horizons:
        reason = _unreached(event, time, horizon)
        reasons[named("auc", horizon)] = reason
        if calibrated:
            reasons[named("brier", horizon)] = reason
    if calibrated and horizons:
        reasons["brier/integrated"] = _unreached(event, time, horizons[-1])
    lost = int(np.sum(~np.isfinite(risk)))
    if len(risk) and lost:
        reasons = dict.fromkeys(reasons, f"{lost} of {len(risk)} risks are not finite")
    return reasons


def _unranked(event: NDArray, time: NDArray) -> str | None:
    if not len(event):
        return "no row with a known outcome"
    if not event.any():
        return f"no event among {len(event)} rows"
    first = time[event].min()
    if np.any(time > first) or np.any(~event & (time == first)):
        return None
    return "no comparable pair: nobody outlived an event under observation"


def _unreached(event: NDArray, time: NDArray, horizon: float) -> str | None:
    if not np.any(event & (time <= horizon)):
        return f"no event up to {horizon:g}"
    return None if np.any(time > horizon) else f"nobody under observation after {horizon:g}"


def _statistics(
    event: NDArray,
    time: NDArray,
    risk: NDArray,
    baseline: Baseline | None,
    horizons: Sequence[float],
    defined: set[str],
) -> Statistics:
    """Return the function that computes the defined metrics of weighted rows."""
    reached = [h for h in horizons if named("auc", h) in defined]
    grid = np.linspace(0, horizons[-1], _GRID) if "brier/integrated" in defined else np.zeros(0)
    predicted = baseline.survival(risk, [*reached, *grid]) if baseline else np.zeros((len(risk), 0))

    def compute(counts: NDArray | None) -> dict[str, NDArray]:
        values = {}
        if "c_index" in defined:
            values["c_index"] = concordance(event, time, risk, counts).c_index()
        uncensored = Uncensored(event, time, counts)
        for i, horizon in enumerate(reached):
            known = uncensored.at(horizon)
            values[named("auc", horizon)] = dynamic_auc(known, risk)
            if baseline:
                score = brier_score(known, predicted[:, i], uncensored.counts)
                values[named("brier", horizon)] = score
        if len(grid):
            of_grid = predicted[:, len(reached) :]
            values["brier/integrated"] = integrated_brier_score(uncensored, grid, of_grid)
        return values

    return compute


def _blocks(
    resamples: int, examples: int, generator: np.random.Generator, clusters: NDArray | None
) -> Iterator[NDArray[np.intp]]:
    block = max(1, _CELLS // examples)
    for start in range(0, resamples, block):
        yield resample(min(block, resamples - start), examples, generator, clusters)
