"""Time to an event in the units of the published risk data."""

import numpy as np

DAYS = {"day": 1.0, "month": 30.0, "year": 365.0}
"""Days in each unit of time, as the published risk data count them."""


def follow_up(days: np.ndarray, unit: str) -> np.ndarray:
    """Return days [...] as time in a unit of `DAYS`, plus 1: no time is 0."""
    return np.asarray(days, np.float64) / DAYS[unit] + 1
