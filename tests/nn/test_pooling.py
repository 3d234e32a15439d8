"""Pooling by elementwise maxima equals the reference, gradients too."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.pooling import max_pool

RNG = np.random.default_rng(6)


def reference(x):
    return nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (8, 5), (7, 16)])
def test_equals_the_reference_where_values_tie(shape: tuple[int, int]) -> None:
    x = RNG.integers(-2, 3, (2, *shape, 3)).astype(np.float32)
    pooled, back = jax.vjp(max_pool, x)
    expected, expected_back = jax.vjp(reference, x)
    np.testing.assert_array_equal(pooled, expected)
    cotangent = RNG.normal(size=expected.shape).astype(np.float32)
    np.testing.assert_allclose(back(cotangent)[0], expected_back(cotangent)[0], atol=1e-6)


def test_a_value_that_is_no_number_shows_in_every_window_that_holds_it() -> None:
    x = jnp.zeros((1, 6, 6, 1)).at[0, 3, 3, 0].set(jnp.nan)
    np.testing.assert_array_equal(np.isnan(max_pool(x)), np.isnan(reference(x)))
    assert np.isnan(max_pool(x)).sum() == 4
