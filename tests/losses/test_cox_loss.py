"""Cox's partial likelihood: against its definition, other libraries, and at its edges."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.losses import cox_loss, has_comparable_event

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "metrics" / "survival" / "reference.json").read_text()
)


def by_definition(scores, event, time):
    """Breslow's negative log partial likelihood per event, one event after another."""
    terms = [
        scores[i] - np.log(np.exp(scores[time >= time[i]]).sum()) for i in np.flatnonzero(event)
    ]
    return -np.sum(terms) / event.sum()


def example(n=30, seed=0):
    generator = np.random.default_rng(seed)
    time = generator.integers(1, 9, n).astype(np.float32)
    event = (generator.random(n) < 0.5).astype(np.float32)
    return generator.normal(size=n).astype(np.float32), event, time


@pytest.mark.parametrize("normaliser", ["risk_set", "batch_max"])
def test_equals_its_definition(normaliser):
    scores, event, time = example()
    ours = cox_loss(scores, event, time, normaliser=normaliser)
    np.testing.assert_allclose(ours, by_definition(scores, event, time), rtol=1e-5)


def test_efron_has_its_optimum_where_lifelines_has_it():
    covariates, event = (np.array(REFERENCE[k]) for k in ("covariates", "event"))
    time = np.ceil(np.array(REFERENCE["time"]))
    with jax.enable_x64(True):

        def loss(coefficients):
            scores = jnp.asarray(covariates) @ coefficients
            return cox_loss(scores, event, time, ties="efron")

        best = jnp.asarray(REFERENCE["partial_likelihood"]["0.0"]["coefficients"])
        value, gradient = jax.value_and_grad(loss)(best)
    expected = -REFERENCE["log_likelihood_efron"] / event.sum()
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"ties": "efron"}, {"normaliser": "batch_max"}])
def test_rows_left_out_change_nothing(options):
    scores, event, time = example(20)
    padded = [np.append(x, np.float32([filling] * 3)) for x, filling in zip((event, time), (1, 4))]
    mask = np.arange(23) < 20
    grad = jax.value_and_grad(lambda s, *rest: cox_loss(s, *rest, **options))
    value, gradient = grad(scores, event, time)
    for junk in (-1000.0, 0.0, 1000.0):
        more = np.append(scores, np.float32([junk] * 3))
        with_junk, of_junk = grad(more, *padded, mask)
        np.testing.assert_allclose(with_junk, value, rtol=1e-6)
        np.testing.assert_allclose(of_junk, np.append(gradient, [0] * 3), atol=1e-6)
    unknown = [np.append(x, np.float32([np.nan] * 3)) for x in (event, time)]
    with_nan, of_nan = grad(np.append(scores, np.float32([3] * 3)), *unknown)
    np.testing.assert_allclose(with_nan, value, rtol=1e-6)
    np.testing.assert_allclose(of_nan, np.append(gradient, [0] * 3), atol=1e-6)


@pytest.mark.parametrize("normaliser", ["risk_set", "batch_max"])
@pytest.mark.parametrize(
    ("event", "time", "valid"),
    [
        ([0, 0, 0], [1, 2, 3], False),  # no event
        ([0, 0, 1], [1, 2, 3], False),  # the last one: nobody is left to compare with
        ([0, 1, 1], [1, 3, 3], True),  # tied last ones see each other
        ([1, 0, 0], [1, 2, 3], True),
    ],
)
def test_a_batch_without_a_comparable_event_teaches_nothing(event, time, valid, normaliser):
    event, time = np.float32(event), np.float32(time)
    assert bool(has_comparable_event(event, time)) is valid
    value, gradient = jax.value_and_grad(cox_loss)(
        jnp.array([40.0, 0.0, -40.0]), event, time, normaliser=normaliser
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()
    if not valid:
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


def test_empty_batch():
    nobody = np.zeros(4, bool)
    value, gradient = jax.value_and_grad(cox_loss)(jnp.ones(4), np.ones(4), np.arange(4.0), nobody)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_the_published_normaliser_fails_far_below_the_highest_score():
    data = np.float32([40, 0, 1]), np.float32([1, 1, 0]), np.float32([1, 2, 3])
    np.testing.assert_allclose(cox_loss(*data), 0.6566, atol=1e-4)
    np.testing.assert_allclose(cox_loss(*data, normaliser="batch_max"), 10.7897, atol=1e-4)


def test_large_scores_stay_finite_with_finite_gradients():
    scores, event, time = example()
    for ties in ("breslow", "efron"):
        value, gradient = jax.value_and_grad(cox_loss)(scores * 1e4, event, time, ties=ties)
        assert np.isfinite(value) and np.isfinite(gradient).all()
