"""Initialisers draw with the spread that PyTorch's layers have."""

import jax
import numpy as np

from medjax.nn.initializers import kaiming_in, kaiming_out, uniform
from medjax.nn.linear import Linear

KEY = jax.random.key(0)


def test_kaiming_spread() -> None:
    shape = (3, 3, 40, 80)
    np.testing.assert_allclose(kaiming_in(KEY, shape).std(), (2 / 360) ** 0.5, rtol=0.02)
    np.testing.assert_allclose(kaiming_out(KEY, shape).std(), (2 / 720) ** 0.5, rtol=0.02)


def test_uniform_fills_its_range() -> None:
    values = uniform(0.5)(KEY, (100, 100))
    assert values.shape == (100, 100)
    assert 0.49 < values.max() <= 0.5 and -0.5 <= values.min() < -0.49


def test_linear_draws_within_its_fan_in() -> None:
    x = np.zeros((1, 400), np.float32)
    params = Linear(300).init(KEY, x)["params"]
    for leaf in (params["kernel"], params["bias"]):
        assert 0.045 < np.abs(leaf).max() <= 0.05


def test_linear_without_a_bias_has_none() -> None:
    x = np.ones((2, 3), np.float32)
    layer = Linear(4, use_bias=False)
    variables = layer.init(KEY, x)
    assert set(variables["params"]) == {"kernel"}
    np.testing.assert_allclose(
        layer.apply(variables, x), x @ variables["params"]["kernel"], rtol=1e-6
    )
