"""Convolutions through frequencies equal XLA's, and are taken where they are shorter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn import convolution
from medjax.nn.convolution import conv
from medjax.nn.wide_convolution import best_tiles, is_worth, through_frequencies
from tests.nn.test_convolution import check_equal, drawn, native

PUBLISHED = ((4, 300, 207, 46, 71), (4, 600, 230, 46, 71), (4, 600, 23, 23, 71))
"""Batch, time, inputs, outputs, size in the cross-modal ECG network."""


@pytest.mark.parametrize("case", range(8))
def test_any_sizes_and_padding(case: int) -> None:
    generator = np.random.default_rng(case)
    batch, inputs, outputs = (int(n) for n in generator.integers(1, 4, 3))
    size, time = int(generator.integers(1, 12)), int(generator.integers(12, 90))
    padding = tuple(int(n) for n in generator.integers(0, 9, 2))
    check_equal(
        lambda x, kernel: through_frequencies(x, kernel, padding),
        lambda x, kernel: native(x, kernel, (1,), (padding,)),
        drawn(batch, time, inputs),
        drawn(size, inputs, outputs),
    )


def test_rounding_is_that_of_the_direct_sum() -> None:
    """Both against float64."""
    x, kernel = drawn(1, 300, 64), drawn(71, 64, 8)
    with jax.enable_x64(True):
        wide = [jnp.asarray(a, jnp.float64) for a in (x, kernel)]
        exact = np.asarray(native(*wide, (1,), ((35, 35),)))
    errors = [
        np.abs(np.asarray(way(x, kernel)) - exact).max()
        for way in (
            lambda x, kernel: native(x, kernel, (1,), ((35, 35),)),
            lambda x, kernel: through_frequencies(x, kernel, (35, 35)),
        )
    ]
    assert errors[1] < 3 * errors[0] < 1e-4 * np.abs(exact).max()


def test_wide_layers_take_the_shorter_way_and_narrow_ones_do_not() -> None:
    for batch, time, inputs, outputs, size in PUBLISHED:
        assert is_worth(batch, time, size, inputs, outputs)
        direct = batch * time * size * inputs * outputs
        assert direct > 2 * best_tiles(batch, time, size, inputs, outputs)[0]
    assert not is_worth(128, 608, 5, 96, 96)
    assert not is_worth(128, 608, 25, 32, 32)  # more numbers than the cache holds
    assert not is_worth(4, 1, 71, 46, 46)


@pytest.fixture
def everything_large(monkeypatch) -> None:
    """Leave it to the number of products alone which way is taken."""
    monkeypatch.setattr(convolution, "LARGE_BATCH", 0)
    monkeypatch.setattr(convolution, "LARGE_WORK", 0)


def layer(dtype=jnp.float32) -> tuple[jax.Array, jax.Array]:
    """A signal and a kernel that are worth it."""
    assert is_worth(4, 200, 51, 16, 16)
    return drawn(4, 200, 16, dtype=dtype), drawn(51, 16, 16, dtype=dtype)


@pytest.mark.usefixtures("everything_large")
def test_the_layer_gives_values_and_gradients_of_the_plain_one() -> None:
    check_equal(conv, lambda x, kernel: native(x, kernel, (1,), "SAME"), *layer(), tolerance=1e-3)


@pytest.mark.usefixtures("everything_large")
def test_half_precision_sums_in_float32() -> None:
    x, kernel = layer(jnp.bfloat16)
    exact = native(x.astype(jnp.float32), kernel.astype(jnp.float32), (1,), "SAME")
    ours = jax.jit(conv)(x, kernel)
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(ours), exact, rtol=2**-7, atol=1e-3)


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize(("platform", "through"), [("cpu", True), ("tpu", False)])
def test_other_devices_keep_their_own_convolution(platform: str, through: bool) -> None:
    x, kernel = layer()

    def gradient(x, kernel):
        return jax.grad(lambda x, kernel: jnp.square(conv(x, kernel)).sum(), (0, 1))(x, kernel)

    text = jax.jit(gradient).trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in text) != through
    assert ("stablehlo.dot_general" in text) == through


@pytest.mark.usefixtures("everything_large")
def test_replicas_under_vmap() -> None:
    x, kernels = drawn(4, 200, 16), drawn(2, 51, 16, 16)
    together = jax.jit(jax.vmap(conv, (None, 0)))(x, kernels)
    for ours, kernel in zip(together, kernels):
        np.testing.assert_allclose(ours, jax.jit(conv)(x, kernel), rtol=1e-4, atol=1e-4)
