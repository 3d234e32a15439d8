"""From a relative risk to a probability: Breslow's baseline hazard under Cox's model."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medjax.metrics.survival.curve import timeline


class Baseline(NamedTuple):
    """The cumulative hazard of a row whose log risk is 0."""

    time: NDArray[np.float64]
    """[steps] times of events, rising."""
    log_hazard: NDArray[np.float64]
    """[steps] logarithm of the cumulative hazard from that time on: a risk may be too large, or
    too small, for the hazard itself."""

    def survival(self, log_risk: ArrayLike, time: ArrayLike) -> NDArray[np.float64]:
        """Return S(t | x) = exp(-H(t) exp(log_risk)) for log risks [n] at times [k]: [n, k]."""
        place = np.searchsorted(self.time, np.asarray(time, np.float64), side="right")
        log_hazard = np.concatenate(([-np.inf], self.log_hazard))[place]
        with np.errstate(over="ignore"):
            return np.exp(-np.exp(np.asarray(log_risk, np.float64)[:, None] + log_hazard))


def breslow(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike) -> Baseline:
    """Estimate the baseline hazard of rows with times [n]; Breslow 1974.

    Each time adds its events, divided by the summed risks of those under observation. Without any
    event there are no steps, and survival is 1 at all times.
    """
    line = timeline(event, time)
    ordered = np.asarray(log_risk, np.float64)[line.order]
    from_here_on = np.logaddexp.accumulate(ordered[::-1])[::-1] if len(ordered) else ordered
    log_total = from_here_on[line.starts]
    events = line.sums(line.event.astype(np.float64)) if len(ordered) else ordered
    steps = events > 0
    increments = np.log(events[steps]) - log_total[steps]
    log_hazard = np.logaddexp.accumulate(increments) if len(increments) else increments
    return Baseline(line.times[steps], log_hazard)
