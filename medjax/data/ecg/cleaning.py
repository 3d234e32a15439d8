"""Removal of baseline wander and mains hum, as the published pre-training cleans its targets.

A Butterworth high-pass of order 5 at 0.5 Hz (second-order sections) and a moving average over one
period of the mains, both forward and backward, both on an odd extension of the record. Every step
is linear in the samples, so for records of one length cleaning is a product with one matrix.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy import signal as dsp

from medjax.errors import UserError

CUTOFF = 0.5
"""Hz, below which there is only wander."""
ORDER = 5
MAINS = 50.0
"""Hz."""


def clean(signal: np.ndarray, rate: float, mains: float = MAINS) -> np.ndarray:
    """Clean records: [..., samples] at `rate` Hz -> float64 of the same shape.

    A constant record gives zeros.

    Raises:
        UserError: fewer samples than the filters need, or a rate below that of the mains.
    """
    values = np.asarray(signal, np.float64)
    taps = int(rate / mains)
    if taps < 1:
        raise UserError(f"a sampling rate of {rate:g} Hz is too low to clean {mains:g} Hz hum")
    sections = dsp.butter(ORDER, CUTOFF, btype="highpass", output="sos", fs=rate)
    try:
        high = dsp.sosfiltfilt(sections, values, axis=-1)
        cleaned = dsp.filtfilt(np.ones(taps), [taps], high, axis=-1, method="pad")
    except ValueError:
        raise UserError(
            f"{values.shape[-1]} samples at {rate:g} Hz are too few to clean; leave such records "
            "out or turn cleaning off"
        ) from None
    varies = values.max(axis=-1, keepdims=True) > values.min(axis=-1, keepdims=True)
    return np.where(varies, cleaned, 0.0)


@functools.lru_cache(maxsize=8)
def cleaning_matrix(samples: int, rate: float, mains: float = MAINS) -> np.ndarray:
    """Return the matrix of `clean`: float64 [samples, samples], clean(x) = x @ matrix."""
    matrix = clean(np.eye(samples), rate, mains)
    matrix.flags.writeable = False
    return matrix


def clean_by_matrix(signal: jax.Array, matrix: jax.Array) -> jax.Array:
    """Clean records on the device: [..., samples] and a `cleaning_matrix` -> the same shape.

    The mean, which the filters would remove, is taken away first: in float32 it would cost
    digits.
    """
    centred = signal - jnp.mean(signal, axis=-1, keepdims=True)
    return jnp.matmul(centred, matrix.astype(signal.dtype), precision=jax.lax.Precision.HIGHEST)
