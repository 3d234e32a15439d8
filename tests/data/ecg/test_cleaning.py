"""Cleaning, z-scores and lengths: host and device alike, and nothing leaks from padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.data.ecg.cleaning import clean, clean_by_matrix, cleaning_matrix
from medjax.data.ecg.length import pad, padding
from medjax.data.ecg.resample import resample
from medjax.data.ecg.standardize import standardize, varies
from medjax.errors import UserError

RNG = np.random.default_rng(0)


def wandering(rate: float, samples: int) -> np.ndarray:
    """Return (4 leads with a 5 Hz wave, wander and 50 Hz hum; the wave alone)."""
    t = np.arange(samples) / rate
    wave = np.sin(2 * np.pi * 5 * t)
    hum = 0.5 * np.sin(2 * np.pi * 50 * t)
    return np.stack([wave + 3 + k * t + hum for k in range(4)]), wave


def test_wander_and_hum_go_and_the_wave_stays():
    signal, wave = wandering(500, 5000)
    cleaned = clean(signal, 500)[:, 1000:-1000]
    assert np.abs(cleaned - wave[1000:-1000]).max() < 0.1  # the average over 20 ms costs 3 %


@pytest.mark.parametrize(("rate", "samples"), [(500, 600), (100, 250)])
def test_cleaning_is_a_product_with_one_matrix(rate, samples):
    signal = RNG.normal(size=(3, 2, samples)) + 4.0
    expected = clean(signal, rate)
    np.testing.assert_allclose(signal @ cleaning_matrix(samples, rate), expected, atol=1e-10)
    on_device = jax.jit(clean_by_matrix)(
        jnp.asarray(signal, jnp.float32), jnp.asarray(cleaning_matrix(samples, rate))
    )
    np.testing.assert_allclose(on_device, expected, atol=2e-5)


def test_constant_leads_are_zero_after_cleaning_and_standardising():
    signal = RNG.normal(size=(3, 600))
    signal[1] = 0.1
    assert not clean(signal, 500)[1].any()
    on_device = clean_by_matrix(jnp.asarray(signal, jnp.float32), cleaning_matrix(600, 500))
    scores = standardize(on_device, where=varies(signal))
    assert np.isfinite(scores).all() and not scores[1].any() and scores[0].std() > 0.99


@pytest.mark.parametrize(("samples", "rate", "words"), [(9, 500, "too few"), (600, 25, "too low")])
def test_what_cannot_be_cleaned(samples, rate, words):
    with pytest.raises(UserError, match=words):
        clean(np.ones((2, samples)), rate)


@pytest.mark.parametrize("xp", [np, jnp])
def test_standardize_ignores_padding(xp):
    signal = RNG.normal(5, 3, (2, 4, 100)).astype(np.float32)
    signal[0, 1] = 0.1
    inside = (np.arange(120) < 100).astype(np.float32)
    expected = standardize(signal)
    assert not expected[0, 1].any()
    np.testing.assert_allclose(expected[1].mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(expected[1].std(axis=-1), 1, atol=1e-5)
    padded = np.concatenate([signal, np.full((2, 4, 20), 1e6, np.float32)], axis=-1)
    scores = standardize(xp.asarray(padded), xp.asarray(inside))
    np.testing.assert_allclose(scores[..., :100], expected, atol=1e-5)
    assert not np.asarray(scores)[..., 100:].any()


@pytest.mark.parametrize(("samples", "wanted"), [(600, 608), (5, 8), (8, 8)])
def test_padding_is_on_both_sides(samples, wanted):
    left, right = padding(samples, wanted)
    assert left == (wanted - samples) // 2 and left + samples + right == wanted
    assert pad(np.ones((2, samples)), wanted, "short").shape[1] == samples + 2 * left
    with pytest.raises(UserError, match="do not fit"):
        padding(wanted + 1, wanted)


def test_resampling_keeps_what_both_rates_can_hold():
    t = np.arange(5000) / 500
    wave = np.stack([np.sin(2 * np.pi * f * t) for f in (3, 17)])
    expected = np.stack([np.sin(2 * np.pi * f * np.arange(1000) / 100) for f in (3, 17)])
    down = resample(wave, 500, 100)
    np.testing.assert_allclose(down, expected, atol=1e-9)
    np.testing.assert_allclose(resample(down, 100, 500), wave, atol=1e-9)
