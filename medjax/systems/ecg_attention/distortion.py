"""Noise as recordings have it: Laplace noise, mains hum, bursts of artefacts, drift.

The four parts are those of NeuroKit2's `signal_distort`; each is added to a lead with the same
probability. Amplitudes are multiples of a lead's standard deviation (which is 1 here) and are drawn
once a record.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

BURST_SECONDS = 0.3
"""How long an artefact lasts at most."""


class Distortion(NamedTuple):
    """What is added, how strong and how often; a probability of 0 adds nothing."""

    probability: float
    noise_amplitude: tuple[float, float]
    noise_frequency: tuple[float, ...]
    """Hz, at which fresh Laplace draws stand; straight lines between them."""
    powerline_amplitude: tuple[float, float]
    powerline_frequency: tuple[float, ...]
    artifacts_amplitude: tuple[float, float]
    artifacts_frequency: tuple[float, ...]
    artifacts_number: int
    """At most."""
    drift_amplitude: tuple[float, float]


def distort(key: jax.Array, signal: jax.Array, rate: float, options: Distortion) -> jax.Array:
    """Add the four parts to [batch, lead, sample] signals."""
    parts = (
        (_noise, options.noise_amplitude),
        (_powerline, options.powerline_amplitude),
        (_artifacts, options.artifacts_amplitude),
        (_drift, options.drift_amplitude),
    )
    for part_key, (make, (low, high)) in zip(jax.random.split(key, len(parts)), parts):
        of_part, of_amplitude, of_lead = jax.random.split(part_key, 3)
        amplitude = jax.random.uniform(of_amplitude, (len(signal), 1, 1), minval=low, maxval=high)
        added = jax.random.bernoulli(of_lead, options.probability, signal.shape[:2])[..., None]
        signal = signal + added * amplitude * make(of_part, signal.shape, rate, options)
    return signal


def _noise(key: jax.Array, shape: tuple[int, ...], rate: float, o: Distortion) -> jax.Array:
    total = jnp.zeros(shape)
    for part, frequency in zip(jax.random.split(key, len(o.noise_frequency)), o.noise_frequency):
        total += _stretched(part, shape, min(frequency / rate, 1.0))
    return total


def _stretched(key: jax.Array, shape: tuple[int, ...], per_sample: float) -> jax.Array:
    """Laplace draws so many a sample, joined by straight lines."""
    place = np.arange(shape[-1]) * per_sample
    before = place.astype(int)
    share = jnp.asarray(place - before, jnp.float32)
    draws = jax.random.laplace(key, (*shape[:-1], int(before[-1]) + 2))
    return draws[..., before] * (1 - share) + draws[..., before + 1] * share


def _powerline(key: jax.Array, shape: tuple[int, ...], rate: float, o: Distortion) -> jax.Array:
    frequency = jax.random.choice(key, jnp.asarray(o.powerline_frequency), (*shape[:-1], 1))
    return jnp.sin(2 * jnp.pi * frequency * jnp.arange(shape[-1]) / rate)


def _artifacts(key: jax.Array, shape: tuple[int, ...], rate: float, o: Distortion) -> jax.Array:
    of_start, of_length, of_number, of_choice, of_noise = jax.random.split(key, 5)
    bursts = (*shape[:-1], o.artifacts_number, 1)
    start = jax.random.uniform(of_start, bursts, maxval=shape[-1])
    length = jax.random.uniform(of_length, bursts, maxval=BURST_SECONDS * rate)
    number = jax.random.randint(of_number, (*shape[:-1], 1, 1), 0, o.artifacts_number + 1)
    time = jnp.arange(shape[-1])
    there = (start <= time) & (time < start + length)
    there &= jnp.arange(o.artifacts_number)[:, None] < number
    keys = jax.random.split(of_noise, len(o.artifacts_frequency))
    kinds = jnp.stack(
        [_stretched(k, shape, min(f / rate, 1.0)) for k, f in zip(keys, o.artifacts_frequency)]
    )
    chosen = jax.random.randint(of_choice, (1, *shape[:-1], 1), 0, len(kinds))
    noise = jnp.take_along_axis(kinds, chosen, axis=0)[0]
    return jnp.where(there.any(-2), noise, 0)


def _drift(key: jax.Array, shape: tuple[int, ...], rate: float, o: Distortion) -> jax.Array:
    del rate, o
    sign = jax.random.rademacher(key, (*shape[:-1], 1), dtype=jnp.float32)
    return sign * jnp.linspace(-1, 1, shape[-1])
