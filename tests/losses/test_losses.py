"""Losses: masks, stability, gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from medjax import losses

RNG = np.random.default_rng(4)
MASK = np.array([True, False, True])


def test_masked_mean_counts_valid_rows_only() -> None:
    values = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 6.0]])
    assert losses.masked_mean(values, MASK) == 3.0
    assert losses.masked_mean(values, np.zeros(3, bool)) == 0.0
    assert losses.masked_mean(np.array([1.0, 3.0])) == 2.0


def test_cross_entropy_of_logits_equals_that_of_probabilities_and_stays_finite() -> None:
    logits, targets = RNG.normal(size=(5, 4)), RNG.integers(0, 2, (5, 4))
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, targets),
        losses.binary_cross_entropy(jax.nn.sigmoid(logits), targets),
        rtol=1e-5,
    )
    extreme = jnp.array([1e4, -1e4])
    value, gradient = jax.value_and_grad(
        lambda x: losses.sigmoid_cross_entropy(x, jnp.array([0.0, 1.0])).sum()
    )(extreme)
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [1.0, -1.0])


def test_probabilities_of_zero_and_one_are_clamped() -> None:
    entropy = losses.binary_cross_entropy(np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(entropy, [100.0, 100.0, 0.0])


def test_alignment_losses_know_the_mask_and_their_zero() -> None:
    a = RNG.normal(size=(3, 8)).astype(np.float32)
    b = RNG.normal(size=(3, 8)).astype(np.float32)
    for loss in (losses.kl_alignment, losses.cosine_alignment):
        np.testing.assert_allclose(loss(a, a), 0, atol=1e-6)
        np.testing.assert_allclose(loss(a, b, mask=MASK), loss(a[MASK], b[MASK]), rtol=1e-5)
    gradient = jax.grad(losses.cosine_alignment)(jnp.zeros((1, 4)), jnp.ones((1, 4)))
    assert np.isfinite(gradient).all()


def test_ranking_counts_positive_negative_pairs() -> None:
    scores = np.array([[0.5, 0.4, 0.9], [0.0, 0.0, 0.0]])
    labels = np.array([[1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(losses.ranking(scores, labels, margin=0.1), 0.5 / 2, rtol=1e-5)
