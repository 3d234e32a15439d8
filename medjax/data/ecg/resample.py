"""Another sampling rate, by the Fourier method."""

import numpy as np
from scipy import signal as dsp


def resampled_length(samples: int, rate: float, new_rate: float) -> int:
    """Return how many samples `resample` gives."""
    return int(samples * new_rate / rate)


def resample(signal: np.ndarray, rate: float, new_rate: float) -> np.ndarray:
    """Resample the last axis from `rate` to `new_rate` (both Hz): float64 [..., new samples].

    The spectrum is cut or filled with zeros, as `scipy.signal.resample` does; the record is taken
    for periodic, so a record that ends far from where it starts rings at both ends. At equal rates
    the values stay as they are.
    """
    values = np.asarray(signal, np.float64)
    if rate == new_rate:
        return values
    return dsp.resample(values, resampled_length(values.shape[-1], rate, new_rate), axis=-1)
