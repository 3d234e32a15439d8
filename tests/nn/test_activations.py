"""Activations equal their definitions, gradients too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.activations import gelu, mish, tanh_gelu

X = np.concatenate([np.linspace(-100, 100, 401), [0, -1e-3, 19.99, 20.01]]).astype(np.float32)
PAIRS = [
    (mish, jax.nn.mish),
    (gelu, lambda x: jax.nn.gelu(x, approximate=False)),
    (tanh_gelu, lambda x: 0.5 * x * (1 + jnp.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
]


@pytest.mark.parametrize(("ours", "definition"), PAIRS)
def test_equals_its_definition(ours, definition) -> None:
    np.testing.assert_allclose(ours(X), definition(X), rtol=2e-5, atol=2e-6)
    slope, expected = (jax.vmap(jax.grad(f))(X) for f in (ours, definition))
    np.testing.assert_allclose(slope, expected, rtol=2e-5, atol=1e-5)
