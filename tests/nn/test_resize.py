"""Resizing with corners onto corners."""

import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.resize import resize_bilinear


def test_planes_stay_planes_and_corners_stay() -> None:
    rows, columns = np.mgrid[:3, :4].astype(np.float32)
    x = (2 * rows - 0.5 * columns)[None, ..., None]
    y = resize_bilinear(jnp.asarray(x), (7, 9))
    assert y.shape == (1, 7, 9, 1)
    expected = 2 * np.linspace(0, 2, 7)[:, None] - 0.5 * np.linspace(0, 3, 9)[None]
    np.testing.assert_allclose(y[0, ..., 0], expected, atol=1e-5)


@pytest.mark.parametrize("size", [(5, 4), (1, 1)])
def test_the_same_size_and_one_pixel(size) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    y = np.asarray(resize_bilinear(jnp.asarray(x), size))
    np.testing.assert_allclose(y, x[:, : size[0], : size[1]], atol=1e-6)
