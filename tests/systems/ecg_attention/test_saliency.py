"""The paint is the gradient it says it is, checked by finite differences on a tiny encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.systems.ecg_attention.saliency import crop, rescale, smooth, time_saliency

LEADS, TIME, STEPS, CHANNELS = 3, 12, 4, 2


@pytest.fixture(scope="module")
def tiny():
    """An encoder that mixes leads, a signal, and temporal attention maps."""
    rng = np.random.default_rng(3)
    mix = jnp.asarray(rng.normal(size=(CHANNELS, LEADS, STEPS, LEADS, TIME)), jnp.float32)
    signal = jnp.asarray(rng.normal(size=(LEADS, TIME)), jnp.float32)
    attention = rng.dirichlet(np.ones(STEPS), (LEADS, STEPS)).astype(np.float32)
    return lambda x: jnp.tanh(0.2 * jnp.einsum("cljmt,mt->clj", mix, x)), signal, attention


def by_differences(features, signal, attention, input_lead):
    """Paint by moving one sample of one lead at a time."""
    with jax.enable_x64():
        x, step = np.asarray(signal, np.float64), 1e-5
        gradient = np.zeros((LEADS, STEPS, LEADS, TIME))
        for lead in range(LEADS):
            for time in range(TIME):
                moved = np.zeros_like(x)
                moved[lead, time] = step
                up, down = (np.asarray(features(jnp.asarray(x + s * moved))) for s in (1, -1))
                gradient[:, :, lead, time] = (up - down).sum(0) / (2 * step)
    paint = np.zeros((LEADS, TIME))
    for lead in range(LEADS):
        row = lead if input_lead == "own" else 0
        for j in range(STEPS):
            weight = attention[lead, :, j].mean()
            paint[lead] += weight * np.maximum(gradient[lead, j, row], 0)
    return paint


@pytest.mark.parametrize("input_lead", ["own", "first"])
def test_the_paint_is_attention_times_the_positive_gradient(tiny, input_lead):
    features, signal, attention = tiny
    paint = time_saliency(features, signal, jnp.asarray(attention), input_lead)
    expected = by_differences(features, signal, attention, input_lead)
    np.testing.assert_allclose(paint, expected, rtol=1e-3, atol=1e-5)


def test_smoothing_after_the_sum_is_smoothing_before_it():
    rng = np.random.default_rng(4)
    gradients, weights = rng.random((STEPS, 50)), rng.random(STEPS)
    before = sum(w * smooth(g) for w, g in zip(weights, gradients, strict=True))
    np.testing.assert_allclose(smooth(weights @ gradients), before, rtol=1e-12)


@pytest.mark.parametrize(("samples", "first"), [(600, 4), (601, 3), (608, 0)])
def test_what_is_left_is_what_stands_between_the_padding(samples, first):
    cropped = crop(np.arange(608)[None], samples)
    assert cropped.shape == (1, samples)
    assert cropped[0, 0] == first


def test_each_lead_is_rescaled_by_itself_and_a_constant_one_is_not_painted():
    curve = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]])
    np.testing.assert_array_equal(rescale(curve), [[0, 1, 0.5], [0, 0, 0]])
