"""Irregular series -> one row a time step: values, one-hot categories and masks."""

from typing import NamedTuple

import numpy as np

from medjax.data.mimic_iv.channels import Channels
from medjax.errors import UsageError

EPS = 1e-6
IMPUTATIONS = ("previous", "next", "normal_value", "zero")
STARTS = ("zero", "relative")


class Grid(NamedTuple):
    """How a series is cut into steps; the defaults are those of the published recipes."""

    timestep: float = 1.0
    """Hours a step."""
    impute: str = "previous"
    """A step without a value takes the last one, the "next" one, a "normal_value" or "zero"."""
    start_time: str = "zero"
    """Time 0 is the admission ("zero") or the first row ("relative")."""
    masks: bool = True
    """Whether 17 columns say which values were measured."""


def discretize(
    hours: np.ndarray,
    values: np.ndarray,
    channels: Channels,
    end: float | None = None,
    grid: Grid = Grid(),  # noqa: B008  immutable
) -> np.ndarray:
    """Discretise one series as Harutyunyan et al. 2019 (Scientific Data 6:96) do.

    A value lies in the step before its time when that is exactly on a boundary, the first step
    excepted; the last value in a step holds. Rows after the end are left out.

    Args:
        hours: float64 [rows], not descending.
        values: float64 [rows, 17], NaN where missing; category indices in categorical channels.
        channels: the channels that give the columns.
        end: hours of the period; the time of the last row when None.
        grid: step, imputation, start and masks.

    Returns:
        float64 [steps, 76], or [steps, 59] without masks.

    Raises:
        UsageError: when `grid` names an unknown imputation or start.
        ValueError: when the hours descend.
    """
    if grid.impute not in IMPUTATIONS:
        raise UsageError(f"imputation {grid.impute!r}: give {', '.join(IMPUTATIONS)}")
    if grid.start_time not in STARTS:
        raise UsageError(f"start time {grid.start_time!r}: give {' or '.join(STARTS)}")
    if np.any(np.diff(hours) < 0):
        raise ValueError("the hours of a series must not descend")
    first = hours[0] if grid.start_time == "relative" else 0.0
    length = (hours[-1] if end is None else end) - first
    steps = int(length / grid.timestep + 1 - EPS)
    kept = hours - first <= length + EPS
    step = ((hours[kept] - first) / grid.timestep - EPS).astype(np.int64)
    table = np.full((steps, values.shape[1]), np.nan)
    row, channel = np.nonzero(~np.isnan(values[kept]))
    table[np.minimum(step[row], steps - 1), channel] = values[kept][row, channel]
    measured = ~np.isnan(table)
    data = expand(_impute(table, channels.normal, grid.impute), channels)
    return np.concatenate([data, measured], axis=1) if grid.masks else data


def _impute(table: np.ndarray, normal: np.ndarray, impute: str) -> np.ndarray:
    """Fill the missing entries of [steps, channels]; "zero" leaves them missing."""
    if impute == "zero":
        return table
    if impute == "next":
        return _impute(table[::-1], normal, "previous")[::-1]
    filled = table
    if impute == "previous":
        steps = np.arange(len(table))[:, None]
        seen = np.maximum.accumulate(np.where(np.isnan(table), -1, steps), axis=0)
        filled = np.take_along_axis(table, np.maximum(seen, 0), axis=0)
    return np.where(np.isnan(filled), normal, filled)


def expand(table: np.ndarray, channels: Channels) -> np.ndarray:
    """Turn [steps, 17] into the 59 value columns; a missing entry gives zeros."""
    data = np.zeros((len(table), channels.width))
    for channel, (categories, columns) in enumerate(zip(channels.categories, channels.columns)):
        column = table[:, channel]
        step = np.flatnonzero(~np.isnan(column))
        if categories:
            data[step, columns[column[step].astype(np.int64)]] = 1.0
        else:
            data[step, columns[0]] = column[step]
    return data
