"""The concordance index: against pair by pair, against lifelines, and weighted."""

import json
from pathlib import Path

import numpy as np
import pytest

from medjax.metrics.survival.concordance import concordance

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())


def pair_by_pair(event, time, risk):
    """Twice the right pairs plus the tied ones, and the comparable ones."""
    doubled = comparable = 0
    for i in np.flatnonzero(event):
        for j in range(len(time)):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                comparable += 1
                doubled += 2 * (risk[i] > risk[j]) + (risk[i] == risk[j])
    return doubled, comparable


def example(n, seed):
    generator = np.random.default_rng(seed)
    event = generator.random(n) < generator.random()
    return event, generator.integers(0, 12, n), generator.integers(-4, 5, n) / 2


@pytest.mark.parametrize("seed", range(12))
def test_counts_every_pair(seed):
    data = example(5 * seed, seed)
    assert concordance(*data) == pair_by_pair(*data)


def test_counts_stand_for_repeated_rows():
    event, time, risk = example(25, 3)
    counts = np.random.default_rng(0).integers(0, 4, (2, 3, 25))
    weighted = concordance(event, time, risk, counts)
    for place in np.ndindex(2, 3):
        rows = np.repeat(np.arange(25), counts[place])
        alone = concordance(event[rows], time[rows], risk[rows])
        assert (weighted.doubled[place], weighted.comparable[place]) == alone


def test_equals_lifelines():
    event, time, risk = (np.array(REFERENCE[k]) for k in ("event", "time", "risk"))
    expected = REFERENCE["c_index"]
    up = np.ceil(time)
    assert concordance(event, up, risk).c_index() == pytest.approx(expected["rounded_up_times"])
    rounded = concordance(event, up, np.round(risk)).c_index()
    assert rounded == pytest.approx(expected["rounded_risks"])


def test_undefined_without_a_comparable_pair():
    assert np.isnan(concordance([0, 0], [1, 2], [1, 2]).c_index())
    assert np.isnan(concordance([1, 1], [2, 2], [1, 2]).c_index())
    assert np.isnan(concordance([], [], []).c_index())


def test_order_alone_matters():
    event, time, risk = example(40, 5)
    value = concordance(event, time, risk).c_index()
    assert concordance(event, time**3, np.exp(risk)).c_index() == value
    assert concordance(event, time, -risk).c_index() == pytest.approx(1 - value)
