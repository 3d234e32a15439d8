"""R peaks of made-up leads whose beats are known."""

import numpy as np
import pytest

from medjax.data.ecg.r_peaks import find_r_peaks


def lead(peaks: np.ndarray, rate: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Narrow R waves with wide P and T waves, wander and noise, in millivolt."""
    time = np.arange(round(seconds * rate)) / rate
    total = 0.3 * np.sin(2 * np.pi * 0.3 * time) + 0.02 * rng.standard_normal(len(time))
    for peak in peaks / rate:
        for delay, height, width in ((0, 1.0, 0.012), (-0.16, 0.12, 0.025), (0.28, 0.3, 0.05)):
            total += height * np.exp(-0.5 * ((time - peak - delay) / width) ** 2)
    return total


@pytest.mark.parametrize("rate", [100, 250, 500])
@pytest.mark.parametrize("bpm", [45, 75, 140])
@pytest.mark.parametrize("sign", [1, -1])
def test_beats_are_found_within_20_ms(rate, bpm, sign):
    rng = np.random.default_rng(rate + bpm)
    gaps = 60 / bpm * rng.uniform(0.92, 1.08, 40)
    times = 0.4 + np.cumsum(gaps)
    truth = np.round(times[times < 9.6] * rate).astype(int)
    found = find_r_peaks(sign * lead(truth, rate, 10, rng), rate)
    assert len(found) == len(truth)
    assert np.abs(found - truth).max() <= 0.02 * rate + 1


def test_one_beat_has_one_peak():
    found = find_r_peaks(lead(np.array([250]), 500, 1.2, np.random.default_rng(0)), 500)
    assert len(found) == 1 and abs(found[0] - 250) <= 5


@pytest.mark.parametrize(
    "values",
    [np.zeros(1000), np.full(1000, 3.7), np.full(1000, np.nan), np.ones(3), np.zeros(0)],
    ids=["zero", "flat", "nan", "short", "empty"],
)
def test_leads_without_beats_have_none(values):
    assert not len(find_r_peaks(values, 100))
