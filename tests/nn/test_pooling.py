"""Pooling by elementwise maxima equals the reference, gradients too."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.pooling import max_pool, pool, upsample

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


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(
    ("shape", "factors"), [((7,), (2,)), ((5, 6), (2, 3)), ((4, 2, 6), (2, 1, 3))]
)
def test_windows_side_by_side_equal_the_reference(kind: str, shape: tuple, factors: tuple) -> None:
    x = RNG.integers(-2, 3, (2, *shape, 3)).astype(np.float32)
    theirs = nn.max_pool if kind == "max" else nn.avg_pool
    pooled, back = jax.vjp(lambda x: pool(x, factors, kind), x)
    expected, expected_back = jax.vjp(lambda x: theirs(x, factors, factors), x)
    np.testing.assert_allclose(pooled, expected, atol=1e-6)
    cotangent = RNG.normal(size=expected.shape).astype(np.float32)
    np.testing.assert_allclose(back(cotangent)[0], expected_back(cotangent)[0], atol=1e-6)


def test_upsampling_repeats_what_average_pooling_gives_back() -> None:
    x = RNG.normal(size=(2, 3, 2, 4)).astype(np.float32)
    y = upsample(x, (2, 3))
    assert y.shape == (2, 6, 6, 4)
    np.testing.assert_allclose(pool(y, (2, 3), "average"), x, atol=1e-6)
    np.testing.assert_array_equal(y[:, 5, 2], x[:, 2, 0])
