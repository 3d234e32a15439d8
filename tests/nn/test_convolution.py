"""Every form of a convolution equals XLA's, gradients too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn import convolution, kernel_gradient
from medjax.nn.convolution import Conv, conv, convolve

RNG = np.random.default_rng(5)
AXES = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


@pytest.fixture
def everything_large(monkeypatch) -> None:
    """Take our own gradient, in parts, whatever the size."""
    monkeypatch.setattr(convolution, "LARGE_BATCH", 0)
    monkeypatch.setattr(convolution, "LARGE_WORK", 0)
    monkeypatch.setattr(kernel_gradient, "CHUNK_POSITIONS", 1)


def drawn(*shape: int, dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), dtype)


def native(x, kernel, strides, padding, dilation=None, groups=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=AXES[kernel.ndim - 2],
        feature_group_count=groups,
    )


def check_equal(ours, reference, *inputs: jax.Array, tolerance: float = 1e-4) -> None:
    """Compare values and gradients of two functions."""
    y = jax.eval_shape(reference, *inputs)
    dy = drawn(*y.shape, dtype=y.dtype)

    def both(function):
        def run(*inputs):
            y, back = jax.vjp(function, *inputs)
            return y, *back(dy)

        return jax.jit(run)(*inputs)

    for a, b in zip(both(ours), both(reference)):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(*map(np.float32, (a, b)), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (4, 5), (7, 2)])
def test_forms_agree(monkeypatch, size: int, stride: int, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(convolution, "SMALL_MAP", 100)
    padding = ((size // 2,) * 2,) * 2
    check_equal(
        lambda x, kernel: convolve(x, kernel, stride),
        lambda x, kernel: native(x, kernel, (stride, stride), padding),
        drawn(2, *shape, 3),
        drawn(size, size, 3, 4),
    )


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("case", range(12))
def test_gradients_are_those_of_the_plain_convolution(case: int) -> None:
    generator = np.random.default_rng(case)
    axes = 3 if case % 6 == 5 else 2
    size, strides = (tuple(generator.integers(1, n, axes)) for n in (5, 4))
    size, strides = tuple(map(int, size)), tuple(map(int, strides))
    spatial = [int(n) for n in generator.integers(5, 10, axes)]
    padding = [tuple(int(n) for n in pair) for pair in generator.integers(0, 4, (axes, 2))]
    inputs, outputs = (int(n) for n in generator.integers(1, 5, 2))
    check_equal(
        lambda x, kernel: conv(x, kernel, strides, padding),
        lambda x, kernel: native(x, kernel, strides, padding),
        drawn(int(generator.integers(1, 5)), *spatial, inputs),
        drawn(*size, inputs, outputs),
    )


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("inputs", [2, 9])
def test_stride_one_with_more_or_fewer_channels(inputs: int) -> None:
    check_equal(
        lambda x, kernel: conv(x, kernel, 1, 1),
        lambda x, kernel: native(x, kernel, (1, 1), ((1, 1), (1, 1))),
        drawn(4, 6, 5, inputs),
        drawn(3, 3, inputs, 4),
    )


@pytest.mark.parametrize(
    ("axes", "options"),
    [(1, {"dilation": 2}), (1, {"strides": 3}), (2, {"groups": 2}), (2, {"dilation": (1, 2)})],
)
@pytest.mark.parametrize("padding", ["SAME", "VALID", 2])
def test_other_options_mean_what_they_say(axes: int, options: dict, padding) -> None:
    strides, dilation = options.get("strides", 1), options.get("dilation", 1)
    dilations = (dilation,) * axes if isinstance(dilation, int) else dilation
    sides = [(padding, padding)] * axes if isinstance(padding, int) else padding
    groups = options.get("groups", 1)
    check_equal(
        lambda x, kernel: conv(x, kernel, padding=padding, **options),
        lambda x, kernel: native(x, kernel, (strides,) * axes, sides, dilations, groups),
        drawn(2, *(9, 8)[:axes], 4),
        drawn(*(3, 2)[:axes], 4 // groups, 6),
    )


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3)])
def test_products_of_pointwise_kernels(stride: int, inputs: int, outputs: int) -> None:
    check_equal(
        lambda x, kernel: convolve(x, kernel, stride),
        lambda x, kernel: native(x, kernel, (stride, stride), ((0, 0), (0, 0))),
        drawn(2, 5, 4, inputs),
        drawn(1, 1, inputs, outputs),
    )


@pytest.mark.usefixtures("everything_large")
def test_half_precision_sums_in_float32() -> None:
    x, kernel, dy = (
        drawn(*shape, dtype=jnp.bfloat16)
        for shape in ((16, 16, 16, 2), (3, 3, 2, 2), (16, 16, 16, 2))
    )
    ours = jax.vjp(lambda kernel: conv(x, kernel, 1, 1), kernel)[1](dy)[0]
    wide = [a.astype(jnp.float32) for a in (x, kernel, dy)]
    exact = jax.vjp(lambda kernel: conv(wide[0], kernel, 1, 1), wide[1])[1](wide[2])[0]
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(ours), exact, rtol=2**-7)


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("size", [1, 3])
def test_replicas_of_weights_under_vmap(size: int) -> None:
    x, kernels = drawn(4, 6, 6, 3), drawn(2, size, size, 3, 4)

    def gradient(kernel):
        return jax.grad(lambda kernel: jnp.square(convolve(x, kernel, 2)).sum())(kernel)

    together = jax.jit(jax.vmap(gradient))(kernels)
    for ours, kernel in zip(together, kernels):
        np.testing.assert_allclose(ours, jax.jit(gradient)(kernel), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_only_a_cpu_gets_another_gradient(platform: str) -> None:
    def loss(kernel, x):
        return conv(x, kernel, 2, 1).sum()

    inputs = jax.ShapeDtypeStruct((3, 3, 2, 4), "float32"), jax.ShapeDtypeStruct((2, 8, 8, 2), "f4")
    exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=[platform])(*inputs)
    # The plain gradient is one convolution over both axes; ours has one for each phase.
    convolutions = exported.mlir_module().count("stablehlo.convolution")
    assert (convolutions > 1) == (platform == "cpu")


@pytest.mark.usefixtures("everything_large")
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_only_a_cpu_holds_what_flows_back_through_a_product(platform: str) -> None:
    def loss(kernel, x):
        return convolve(x, kernel, 1).sum()

    inputs = jax.ShapeDtypeStruct((1, 1, 2, 4), "float32"), jax.ShapeDtypeStruct((2, 8, 8, 2), "f4")
    exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=[platform])(*inputs)
    assert ("optimization_barrier" in exported.mlir_module()) == (platform == "cpu")


def test_layer_takes_its_rank_from_its_size() -> None:
    layer = Conv(6, (3, 1, 2), strides=(1, 1, 2), groups=2)
    x = drawn(2, 5, 4, 6, 4)
    variables = layer.init(jax.random.key(0), x)
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]
    assert kernel.shape == (3, 1, 2, 2, 6)
    expected = native(x, kernel, (1, 1, 2), "SAME", groups=2) + bias
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


@pytest.mark.usefixtures("everything_large")
def test_our_gradient_keeps_double_precision() -> None:
    with jax.enable_x64(True):
        x, kernel = drawn(2, 6, 6, 3, dtype=jnp.float64), drawn(3, 3, 3, 4, dtype=jnp.float64)
        ours = jax.grad(lambda w: jnp.sin(conv(x, w, padding=1)).sum())(kernel)
        reference = jax.grad(lambda w: jnp.sin(native(x, w, (1, 1), "SAME")).sum())(kernel)
        assert ours.dtype == jnp.float64
        np.testing.assert_allclose(ours, reference, rtol=1e-10, atol=1e-12)
