"""The series files of the published benchmark, discretised as the prepared sets hold them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.mimic_iv.channels import Channels
from medjax.data.mimic_iv.discretize import discretize
from medjax.data.mimic_iv.episodes import TimeSeries
from medjax.data.mimic_iv.tasks import Excluded, within_period
from medjax.data.tables import coded, decimals, read_table
from medjax.errors import UserError


class SeriesFile(NamedTuple):
    """A file and the hours of it that a task reads."""

    path: Path
    period: float


def read_series(path: Path, channels: Channels) -> TimeSeries:
    """Read a file: the column Hours and one for each channel, by name.

    Raises:
        UserError: a missing column, a number or category that is none, hours that descend; by row.
    """
    table = read_table(path, ("Hours", *channels.names))
    hours = decimals(table["Hours"], path)
    if np.isnan(hours).any() or (np.diff(hours) < 0).any():
        raise UserError(f"{path}: column 'Hours' is empty somewhere or descends")
    columns = [
        _values(table[name], categories, path)
        for name, categories in zip(channels.names, channels.categories)
    ]
    return TimeSeries(hours, np.stack(columns, axis=1))


def _values(texts: pd.Series, categories: tuple[str, ...], path: Path) -> np.ndarray:
    """float64 [rows]: numbers, or indices of categories; NaN where empty."""
    if not categories:
        return decimals(texts, path)
    codes = {category: float(i) for i, category in enumerate(categories)} | {"": np.nan}
    return coded(texts, codes, path)


def read_sample(channels: Channels, file: SeriesFile) -> np.ndarray:
    """Read and discretise a file: float64 [steps, columns].

    Raises:
        UserError: as `read_series`, or no row in the period.
    """
    series = read_series(file.path, channels)
    try:
        kept = within_period(series, file.period)
    except Excluded:
        raise UserError(f"{file.path}: no row in the first {file.period:g} hours") from None
    return discretize(kept.hours, kept.values, channels, file.period)
