"""The transposed convolution does what its definition says."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.conv_transpose import ConvTranspose, conv_transpose

RNG = np.random.default_rng(6)


def defined(x, kernel, strides, padding, output_padding) -> np.ndarray:
    """Add up what every position of x adds to its places of the output."""
    size, axes = kernel.shape[:-2], kernel.ndim - 2
    full = [(n - 1) * s + k + e for n, s, k, e in zip(x.shape[1:], strides, size, output_padding)]
    y = np.zeros((x.shape[0], *full, kernel.shape[-1]))
    for tap in product(*map(range, size)):
        places = (
            slice(t, t + s * (n - 1) + 1, s) for t, s, n in zip(tap, strides, x.shape[1 : axes + 1])
        )
        y[:, *places] += x @ kernel[tap]
    return y[:, *(slice(p, n - p) for p, n in zip(padding, full))]


@pytest.mark.parametrize(
    ("size", "strides", "padding", "output_padding"),
    [
        ((8,), (2,), (3,), (0,)),
        ((5,), (3,), (1,), (2,)),
        ((1,), (2,), (0,), (1,)),
        ((2, 2), (2, 2), (0, 0), (0, 0)),
        ((4, 3), (2, 1), (1, 0), (1, 0)),
        ((3, 2, 4), (2, 1, 2), (1, 0, 1), (1, 0, 0)),
    ],
)
def test_values_and_gradients(size, strides, padding, output_padding) -> None:
    x, kernel = RNG.normal(size=(2, *(4, 5, 3)[: len(size)], 3)), RNG.normal(size=(*size, 3, 2))
    options = (strides, padding, output_padding)

    def run(x, kernel, dy):
        y, back = jax.vjp(lambda *inputs: conv_transpose(*inputs, *options), x, kernel)
        return y, *back(dy)

    expected = defined(x, kernel, *options)
    dy = RNG.normal(size=expected.shape)
    y, d_x, d_kernel = jax.jit(run)(*(jnp.asarray(a, jnp.float32) for a in (x, kernel, dy)))
    np.testing.assert_allclose(y, expected, atol=1e-4)
    # The map is linear in each: moving an input by v moves <y, dy> by <gradient, v>.
    moved_x, moved_kernel = RNG.normal(size=x.shape), RNG.normal(size=kernel.shape)
    by_x = (defined(moved_x, kernel, *options) * dy).sum()
    by_kernel = (defined(x, moved_kernel, *options) * dy).sum()
    np.testing.assert_allclose((moved_x * d_x).sum(), by_x, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose((moved_kernel * d_kernel).sum(), by_kernel, rtol=1e-4, atol=1e-3)


def test_layer_adds_its_bias_and_computes_in_its_type() -> None:
    layer = ConvTranspose(4, (2, 2), 2, dtype=jnp.bfloat16)
    x = jnp.ones((1, 3, 3, 2))
    variables = layer.init(jax.random.key(0), x)
    assert variables["params"]["kernel"].shape == (2, 2, 2, 4)
    assert variables["params"]["kernel"].dtype == jnp.float32
    y = layer.apply(variables, x)
    assert y.shape == (1, 6, 6, 4) and y.dtype == jnp.bfloat16
    params = variables["params"]
    silent = layer.apply({"params": params | {"bias": jnp.zeros(4)}}, x)
    expected = jnp.broadcast_to(params["bias"], y.shape)
    np.testing.assert_allclose(np.float32(y) - np.float32(silent), expected, atol=0.02)
