"""The published clock: its jumps, and where they stand."""

import numpy as np
import pytest

from medjax.systems.medklip.schedule import EpochClock

PUBLISHED = EpochClock(1e-4, 1e-5, 1e-5, 5, 100)


def rates(clock: EpochClock, steps_per_epoch: int, steps: list[int]) -> list[float]:
    rate = clock.schedule(steps_per_epoch)
    return [float(rate(step)) for step in steps]


def test_the_first_epoch_warms_up_by_steps_then_epochs_count() -> None:
    found = rates(PUBLISHED, 600, [0, 100, 101, 200, 201, 500, 501, 599, 600, 1199, 1200])
    later = [PUBLISHED.at(6), PUBLISHED.at(6), PUBLISHED.at(7)]
    expected = [1e-5, 1e-5, 2.8e-5, 2.8e-5, 4.6e-5, 8.2e-5, 1e-4, 1e-4, *later]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_short_first_epoch_is_cut_off() -> None:
    found = rates(PUBLISHED, 150, [149, 150, 299, 300])
    np.testing.assert_allclose(
        found, [2.8e-5, PUBLISHED.at(6), PUBLISHED.at(6), PUBLISHED.at(7)], rtol=1e-6
    )


def test_it_ends_at_the_final_rate() -> None:
    assert rates(PUBLISHED, 1, [100, 500]) == pytest.approx([1e-5, 1e-5])
    still = EpochClock(1e-5, 1e-5, 1e-5, 20, 100)
    assert rates(still, 30, [0, 29, 30, 5000]) == pytest.approx([1e-5] * 4)
    assert EpochClock(1, 0, 0, 0, 4).at(0) == 1
