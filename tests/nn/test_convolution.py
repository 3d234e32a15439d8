"""The matrix-product forms equal XLA's convolution, gradients too."""

import jax
import numpy as np
import pytest

from medjax.nn import convolution
from medjax.nn.convolution import convolve

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (4, 5), (7, 2)])
def test_forms_agree(monkeypatch, size: int, stride: int, shape: tuple[int, int]) -> None:
    x = RNG.normal(size=(2, *shape, 3)).astype(np.float32)
    kernel = RNG.normal(size=(size, size, 3, 4)).astype(np.float32)
    padding = ((size // 2,) * 2,) * 2
    axes = ("NHWC", "HWIO", "NHWC")

    def native(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=axes
        )

    monkeypatch.setattr(convolution, "SMALL_MAP", 100)
    ours, ours_back = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
    reference, reference_back = jax.vjp(native, x, kernel)
    np.testing.assert_allclose(ours, reference, atol=1e-4)
    cotangent = RNG.normal(size=reference.shape).astype(np.float32)
    for a, b in zip(ours_back(cotangent), reference_back(cotangent)):
        np.testing.assert_allclose(a, b, atol=1e-4)
