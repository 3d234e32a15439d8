"""Dropout: rates, scale and shared masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.activations import gelu
from medjax.nn.dropout import Dropout


@pytest.mark.parametrize("shared", [(), (0,), (1,), (0, 2)])
def test_masks_are_shared_along_their_axes_only(shared) -> None:
    layer = Dropout(0.25, shared)
    x = jnp.full((30, 40, 50), 3.0)
    y = np.asarray(layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)}))
    assert set(np.unique(y)) == {0.0, 4.0}
    for axis in range(3):
        assert (np.ptp(y, axis=axis) == 0).all() == (axis in shared)
    drawn = y[tuple(slice(1) if axis in shared else slice(None) for axis in range(3))]
    assert abs((drawn == 0).mean() - 0.25) < 4 * (0.25 * 0.75 / drawn.size) ** 0.5
    np.testing.assert_array_equal(layer.apply({}, x, train=False), x)


def test_gelu_and_its_gradient_are_exact() -> None:
    x = jnp.linspace(-6, 6, 101)
    np.testing.assert_allclose(gelu(x), jax.nn.gelu(x, approximate=False), atol=1e-6)
    ours, theirs = (
        jax.vmap(jax.grad(f))(x) for f in (gelu, lambda x: jax.nn.gelu(x, approximate=False))
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
