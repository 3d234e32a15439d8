"""Attention between its linear layers: values and gradients against the formula in plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.nn.attend import attend

RNG = np.random.default_rng(0)
QUERY, OUT = RNG.normal(size=(2, 2, 5, 3, 4))
KEY, VALUE = RNG.normal(size=(2, 2, 7, 3, 4))
KEYS = np.array([[True, False, True, True, False, True, True], [True] * 7])[:, None, None]
PAIRS = RNG.random((2, 3, 5, 7)) < 0.7
NOBODY = PAIRS & (np.arange(5) != 2)[:, None]
KEPT = (RNG.random((2, 3, 5, 7)) < 0.8) / 0.8


def plain(query, key, value, allowed=None, kept=None):
    """The formula as it is written, with gradients by JAX."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / 2
    if allowed is not None:
        scores = jnp.where(allowed, scores, jnp.finfo(scores.dtype).min)
    attention = jax.nn.softmax(scores)
    mixing = attention if kept is None else attention * kept
    return jnp.einsum("bhqk,bkhd->bqhd", mixing, value), attention


CASES = {
    "all": (None, None),
    "keys": (KEYS, None),
    "keys_of_all": (KEYS[0, 0, 0], None),
    "pairs": (PAIRS, None),
    "a_query_without_keys": (NOBODY, None),
    "dropout": (None, KEPT),
    "keys_and_dropout": (KEYS, KEPT),
}


@pytest.mark.parametrize(("allowed", "kept"), CASES.values(), ids=CASES)
def test_values_and_gradients(allowed, kept) -> None:
    with jax.enable_x64(True):
        inputs = [jnp.asarray(x) for x in (QUERY, KEY, VALUE)]
        (mixed, attention), back = jax.vjp(lambda *x: attend(*x, allowed, kept), *inputs)
        expected, expected_back = jax.vjp(lambda *x: plain(*x, allowed, kept), *inputs)
        np.testing.assert_allclose(mixed, expected[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(attention, expected[1], rtol=1e-12, atol=1e-13)
        # Of the mixed values, of the probabilities, of both.
        for of_mixed, of_attention in ((1, 0), (0, 1), (1, 1)):
            given = of_mixed * jnp.asarray(OUT), of_attention * jnp.asarray(KEPT)
            for ours, theirs in zip(back(given), expected_back(given), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_far_scores_stay_finite() -> None:
    query, key = (jnp.full((1, 2, 1, 4), value, jnp.float32) for value in (1e4, 1e4))
    mixed, attention = attend(query, key.at[0, 0].set(-1e4), key)
    np.testing.assert_array_equal(attention, np.broadcast_to([0.0, 1.0], (1, 1, 2, 2)))
    np.testing.assert_array_equal(mixed, key)


def test_half_precision_keeps_the_probabilities_in_float32() -> None:
    half = [jnp.asarray(x, jnp.bfloat16) for x in (QUERY, KEY, VALUE)]
    mixed, attention = attend(*half)
    assert mixed.dtype == jnp.bfloat16
    assert attention.dtype == jnp.float32
    expected, _ = plain(QUERY, KEY, VALUE)
    np.testing.assert_allclose(mixed.astype(np.float32), expected, atol=0.05)
    grads = jax.grad(lambda *x: attend(*x)[0].astype(jnp.float32).sum(), argnums=(0, 1, 2))(*half)
    assert {g.dtype for g in grads} == {jnp.dtype(jnp.bfloat16)}
