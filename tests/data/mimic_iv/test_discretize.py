"""The discretiser beside a loop over single values, and the normaliser."""

import itertools

import numpy as np
import pytest

from medjax.data.mimic_iv.channels import Channels, load_channels
from medjax.data.mimic_iv.discretize import EPS, IMPUTATIONS, STARTS, Grid, discretize
from medjax.data.mimic_iv.normalizer import RunningMoments, normalize, published_normalizer
from medjax.errors import UsageError

CHANNELS = load_channels()


def series(seed: int, rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Random hours, some on whole hours, and values with gaps."""
    rng = np.random.default_rng(seed)
    hours = np.sort(np.round(rng.uniform(0, 20, rows), int(rng.integers(0, 3))))
    values = rng.normal(50, 20, (rows, 17))
    for channel, known in enumerate(CHANNELS.categories):
        if known:
            values[:, channel] = rng.integers(0, len(known), rows)
    values[rng.random((rows, 17)) < 0.8] = np.nan
    return hours, values


def one_by_one(
    hours: np.ndarray, values: np.ndarray, channels: Channels, end: float | None, grid: Grid
) -> np.ndarray:
    """The definition, one value at a time."""
    first = hours[0] if grid.start_time == "relative" else 0.0
    length = (hours[-1] if end is None else end) - first
    steps = int(length / grid.timestep + 1 - EPS)
    held: list[dict[int, float]] = [{} for _ in range(steps)]
    for hour, row in zip(hours - first, values):
        for channel, value in enumerate(row):
            if hour <= length + EPS and not np.isnan(value):
                held[int(hour / grid.timestep - EPS)][channel] = value
    out = np.zeros((steps, 76))
    for channel in range(17):
        for step in range(steps):
            out[step, 59 + channel] = channel in held[step]
            order = {"previous": range(step, -1, -1), "next": range(step, steps)}
            looked = order.get(grid.impute, [step])
            found = [held[s][channel] for s in looked if channel in held[s]]
            if not found and grid.impute == "zero":
                continue
            value = found[0] if found else channels.normal[channel]
            columns = channels.columns[channel]
            if channels.categories[channel]:
                out[step, columns[int(value)]] = 1
            else:
                out[step, columns[0]] = value
    return out if grid.masks else out[:, :59]


@pytest.mark.parametrize(("impute", "start"), list(itertools.product(IMPUTATIONS, STARTS)))
@pytest.mark.parametrize("timestep", [1.0, 0.8, 2.0])
def test_equal_to_the_definition(impute: str, start: str, timestep: float) -> None:
    for seed, end in itertools.product(range(3), (None, 20.0, 7.3)):
        grid = Grid(timestep, impute, start, bool(seed % 2))
        hours, values = series(seed)
        ours = discretize(hours, values, CHANNELS, end, grid)
        np.testing.assert_array_equal(ours, one_by_one(hours, values, CHANNELS, end, grid))


def test_a_value_on_the_hour_belongs_to_the_step_before() -> None:
    values = np.full((3, 17), np.nan)
    values[:, 8] = 70, 80, 90
    data = discretize(np.array([0.0, 1.0, 48.0]), values, CHANNELS, 48.0)
    assert data.shape == (48, 76)
    heart, mask = CHANNELS.columns[8][0], 59 + 8
    assert np.flatnonzero(data[:, mask]).tolist() == [0, 47]
    assert (data[:47, heart] == 80).all()
    assert data[47, heart] == 90


def test_faults() -> None:
    hours, values = series(0)
    with pytest.raises(UsageError, match="imputation"):
        discretize(hours, values, CHANNELS, 10.0, Grid(impute="mean"))
    with pytest.raises(ValueError, match="descend"):
        discretize(hours[::-1], values, CHANNELS, 10.0)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    data = np.random.default_rng(0).normal(3, 2, (100, 76))
    parts = [RunningMoments(76), RunningMoments(76)]
    parts[0].add(data[:30])
    parts[1].add(data[30:80])
    parts[1].add(data[80:])
    parts[0].merge(parts[1])
    fitted = parts[0].fitted()
    np.testing.assert_allclose(fitted.means, data.mean(0))
    np.testing.assert_allclose(fitted.stds, data.std(0, ddof=1))


def test_only_numbers_are_normalised() -> None:
    data = np.random.default_rng(0).normal(3, 2, (5, 76))
    out = normalize(data, published_normalizer(), CHANNELS)
    changed = np.flatnonzero((out != data).any(0))
    np.testing.assert_array_equal(changed, CHANNELS.numeric_columns())
    assert ["->" in name for name in CHANNELS.header()].count(False) == len(changed)
