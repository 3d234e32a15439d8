"""Dynamic time warping against a plain double loop and its own laws."""

import numpy as np
import pytest

from medjax.metrics.time_warping import dynamic_time_warping

RNG = np.random.default_rng(0)


def by_loop(a: np.ndarray, b: np.ndarray) -> float:
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            before = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            cost[i, j] = (a[i - 1] - b[j - 1]) ** 2 + before
    return float(np.sqrt(cost[-1, -1]))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (9, 4), (16, 16), (5, 23)])
def test_pairs_at_once_are_the_loop_one_by_one(n, m):
    first, second = RNG.normal(size=(2, 3, n)), RNG.normal(size=(2, 3, m))
    expected = [[by_loop(a, b) for a, b in zip(x, y)] for x, y in zip(first, second)]
    np.testing.assert_allclose(dynamic_time_warping(first, second), expected, rtol=1e-12)


def test_a_series_and_its_stretched_copy_are_the_same():
    series = RNG.normal(size=(4, 20))
    stretched = np.repeat(series, RNG.integers(1, 4, 20), axis=1)
    np.testing.assert_array_equal(dynamic_time_warping(series, stretched), 0)
    assert (dynamic_time_warping(series, series + 1) > 0).all()


def test_it_is_at_most_the_euclidean_distance():
    first, second = RNG.normal(size=(2, 10, 30))
    distance = dynamic_time_warping(first, second)
    assert (distance <= np.linalg.norm(first - second, axis=1) + 1e-12).all()
    np.testing.assert_allclose(distance, dynamic_time_warping(second, first))
