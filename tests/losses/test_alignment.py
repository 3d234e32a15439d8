"""Contrastive losses of pairs: worked by hand, masks, groups, global batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.losses import cosine_alignment, info_nce, sigmoid_pairs

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(size=(2, 6, 5)).astype(np.float32)


def siglip(first, second, scale, **options):
    return sigmoid_pairs(first, second, scale, -2.0, **options)


LOSSES = (info_nce, siglip)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    def rows(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return rows(first) @ rows(second).T


def test_info_nce_is_the_mean_of_both_softmax_cross_entropies() -> None:
    logits = 7.0 * cosines(FIRST, SECOND).astype(np.float64)
    p_rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p_columns = np.exp(logits) / np.exp(logits).sum(0, keepdims=True)
    expected = -0.5 * (np.log(np.diag(p_rows)) + np.log(np.diag(p_columns))).mean()
    np.testing.assert_allclose(info_nce(FIRST, SECOND, 7.0), expected, rtol=1e-5)


def test_sigmoid_pairs_is_a_binary_cross_entropy_of_every_pair() -> None:
    logits = 3.0 * cosines(FIRST, SECOND).astype(np.float64) - 2.0
    p = 1 / (1 + np.exp(-logits))
    expected = -(np.log(np.where(np.eye(6) > 0, p, 1 - p))).sum() / 6
    np.testing.assert_allclose(siglip(FIRST, SECOND, 3.0), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_invalid_rows_change_nothing(loss) -> None:
    mask = np.array([True] * 6 + [False] * 3)
    padded = [np.concatenate([x, 100 * RNG.normal(size=(3, 5))]) for x in (FIRST, SECOND)]
    np.testing.assert_allclose(
        loss(*map(jnp.asarray, padded), 5.0, mask=mask), loss(FIRST, SECOND, 5.0), rtol=1e-5
    )
    gradient = jax.grad(lambda x: loss(x, jnp.zeros_like(x), 5.0, mask=mask))(jnp.zeros((9, 5)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_one_group_do_not_push_each_other(loss) -> None:
    group = np.array([0, 0, 1, 2, 3, 4])
    moved = SECOND.copy()
    moved[1] = RNG.normal(size=5)

    def first_row(second):
        """The gradient of row 0, which only its positive and its negatives make."""
        return jax.grad(lambda x: loss(x, second, 5.0, group=group))(FIRST)[0]

    np.testing.assert_allclose(first_row(SECOND), first_row(moved), atol=1e-6)
    other = jax.grad(lambda x: loss(x, moved, 5.0))(FIRST)[0]
    assert np.abs(other - first_row(moved)).max() > 1e-4


@pytest.mark.parametrize("loss", LOSSES)
def test_a_collapse_is_the_best_of_cosine_alone(loss) -> None:
    """All rows on one point: the cosine loss is 0, the contrastive ones are far from it."""
    collapsed = np.ones((6, 5), np.float32)
    assert cosine_alignment(collapsed, collapsed) < 1e-6
    apart = np.eye(6, dtype=np.float32)
    assert loss(collapsed, collapsed, 10.0) > loss(apart, apart, 10.0) + 1
