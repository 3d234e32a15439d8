"""Shares of the training films: seeded, and nested."""

from itertools import pairwise

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.medklip.subsets import nested_subset


def test_smaller_shares_lie_inside_larger_ones() -> None:
    shares = [nested_subset(1000, fraction, seed=0) for fraction in (0.01, 0.1, 1.0)]
    assert [len(share) for share in shares] == [10, 100, 1000]
    for small, large in pairwise(shares):
        assert set(small) < set(large) and (np.diff(large) > 0).all()
    assert set(shares[0]) != set(nested_subset(1000, 0.01, seed=1))
    np.testing.assert_array_equal(shares[1], nested_subset(1000, 0.1, seed=0))


@pytest.mark.parametrize(
    ("fraction", "message"), [(0.0, "above 0"), (1.5, "above 0"), (0.001, "of 100 films is none")]
)
def test_shares_that_are_none(fraction, message) -> None:
    with pytest.raises(UserError, match=message):
        nested_subset(100, fraction, seed=0)
