"""Narrow types are widened, wide ones kept."""

import jax
import jax.numpy as jnp

from medjax.precision import at_least_float32


def test_half_becomes_single_and_double_stays() -> None:
    assert at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    assert at_least_float32(jnp.ones(2, jnp.float32)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert at_least_float32(jnp.ones(2, jnp.float64)).dtype == jnp.float64
