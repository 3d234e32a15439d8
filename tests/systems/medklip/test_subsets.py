"""Shares of the training films: seeded, and nested."""

from itertools import pairwise

import numpy as np

from medjax.systems.medklip.subsets import nested_subset


def test_smaller_shares_lie_inside_larger_ones() -> None:
    shares = [nested_subset(1000, fraction, seed=0) for fraction in (0.01, 0.1, 1.0)]
    assert [len(share) for share in shares] == [10, 100, 1000]
    for small, large in pairwise(shares):
        assert set(small) < set(large) and (np.diff(large) > 0).all()
    assert set(shares[0]) != set(nested_subset(1000, 0.01, seed=1))
    np.testing.assert_array_equal(shares[1], nested_subset(1000, 0.1, seed=0))


def test_no_share_is_empty() -> None:
    (first,) = nested_subset(100, 0.001, seed=0)
    assert first in nested_subset(100, 0.01, seed=0)
