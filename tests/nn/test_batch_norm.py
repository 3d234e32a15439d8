"""BatchNorm against NumPy: masks, groups, running statistics, bf16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.batch_norm import BatchNorm

RNG = np.random.default_rng(0)


def run(x, mask=None, groups=1, dtype=jnp.float32, variables=None):
    """Return (output, running statistics) of one training pass from fresh statistics."""
    norm = BatchNorm(groups=groups, dtype=dtype)
    variables = variables or norm.init(jax.random.key(0), x, mask, train=False)
    y, moved = norm.apply(variables, x, mask, train=True, mutable=["batch_stats"])
    return np.asarray(y, np.float64), moved["batch_stats"]


def test_statistics_are_those_of_the_batch_and_run_unbiased() -> None:
    x = RNG.normal(3, 2, (4, 5, 6, 7)).astype(np.float32)
    y, stats = run(x)
    flat = x.reshape(-1, 7).astype(np.float64)
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    np.testing.assert_allclose(y.reshape(-1, 7), expected, atol=2e-5)
    np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)


def test_without_scale_and_bias() -> None:
    x = RNG.normal(3, 2, (5, 4)).astype(np.float32)
    norm = BatchNorm(affine=False)
    variables = norm.init(jax.random.key(0), x, train=False)
    assert list(variables) == ["batch_stats"]
    y, _ = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, run(x)[0], atol=1e-6)


def test_masked_rows_touch_nothing() -> None:
    x = RNG.normal(size=(6, 3, 2)).astype(np.float32)
    mask = np.array([True, True, False, True, False, True])
    garbage = np.where(mask[:, None, None], x, np.nan)
    y, stats = run(garbage, mask)
    alone, alone_stats = run(x[mask])
    np.testing.assert_allclose(y[mask], alone, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), stats, alone_stats)


def test_gradient_of_valid_rows_ignores_masked_ones() -> None:
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    mask = np.array([True, True, True, False])
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x, train=False)

    def loss(x, mask):
        y, _ = norm.apply(variables, x, mask, train=True, mutable=["batch_stats"])
        return jnp.where(mask[:, None], y**3, 0).sum()

    gradient = jax.grad(loss)(x, mask)
    alone = jax.grad(loss)(x[:3], mask[:3])
    np.testing.assert_allclose(gradient[:3], alone, atol=1e-5)
    assert not np.any(gradient[3])


def test_nothing_moves_without_a_valid_row() -> None:
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    y, stats = run(x, np.zeros(2, bool))
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(stats["mean"], np.zeros(3))
    np.testing.assert_array_equal(stats["var"], np.ones(3))


def test_groups_are_normalised_each_by_itself() -> None:
    x = RNG.normal(size=(6, 4, 2)).astype(np.float32) * np.arange(1, 7).reshape(6, 1, 1)
    mask = np.array([True, True, False, True, True, True])
    y, stats = run(x, mask, groups=2)
    parts = [run(x[:3], mask[:3]), run(x[3:], mask[3:])]
    np.testing.assert_allclose(y[mask], np.concatenate([p[0] for p in parts])[mask], atol=1e-5)
    mean = np.mean([p[1]["mean"] for p in parts], axis=0)
    np.testing.assert_allclose(stats["mean"], mean, atol=1e-6)


def test_a_group_without_valid_rows_does_not_move_the_statistics() -> None:
    x = RNG.normal(size=(4, 2)).astype(np.float32)
    mask = np.array([True, True, False, False])
    _, stats = run(x, mask, groups=2)
    _, alone = run(x[:2])
    np.testing.assert_allclose(stats["var"], alone["var"], atol=1e-6)


def test_groups_must_divide_the_batch() -> None:
    with pytest.raises(ValueError, match="2 equal groups"):
        run(np.ones((3, 2), np.float32), groups=2)


def test_bf16_keeps_float32_statistics() -> None:
    x = (100 + RNG.normal(size=(64, 2))).astype(np.float32)
    norm = BatchNorm(dtype=jnp.bfloat16)
    variables = norm.init(jax.random.key(0), x, train=False)
    y, moved = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    leaves = jax.tree.leaves((variables, moved))
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)
    np.testing.assert_allclose(moved["batch_stats"]["mean"], 0.1 * x.mean(0), rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_the_closed_gradient_is_that_of_automatic_differentiation(masked: bool) -> None:
    x = RNG.normal(2, 3, (6, 5, 2)).astype(np.float32)
    mask = np.array([True, True, False, True, False, True]) if masked else None
    keep = np.ones(6, bool) if mask is None else mask
    scale, bias, cotangent = (RNG.normal(size=s).astype(np.float32) for s in (2, 2, x.shape))
    norm = BatchNorm(groups=2)
    stats = norm.init(jax.random.key(0), x, train=False)["batch_stats"]

    def ours(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return norm.apply(variables, x, mask, train=True, mutable=["batch_stats"])[0]

    def plain(x, scale, bias):
        parts = []
        for part, valid in zip(x.reshape(2, 3, 5, 2), keep.reshape(2, 3)):
            rows = part[valid].reshape(-1, 2)
            parts.append((part - rows.mean(0)) * jax.lax.rsqrt(rows.var(0) + 1e-5) * scale + bias)
        return jnp.concatenate(parts)

    y, back = jax.vjp(ours, x, scale, bias)
    expected, expected_back = jax.vjp(plain, x, scale, bias)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for a, b in zip(back(cotangent), expected_back(cotangent)):
        np.testing.assert_allclose(a, b, atol=1e-4)
