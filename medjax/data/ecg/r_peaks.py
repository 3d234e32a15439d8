"""Where the R peaks of an ECG lead stand: for masks and pictures, not for measurements.

The steps of Pan and Tompkins (1985), offline: the band of a QRS complex, the squared slope, its
mean over a window as wide as a complex, the maxima that stand out and keep a distance, and near
each of them the largest deflection of the lead.
"""

import numpy as np
from scipy import signal as dsp

BAND = (5.0, 20.0)
"""Hz."""
COMPLEX = 0.12
"""Seconds that a QRS complex lasts."""
REFRACTORY = 0.3
"""Seconds between two beats, at least."""
HEIGHT = 0.3
"""Of the 98th percentile of the energy, which a beat reaches."""


def find_r_peaks(lead: np.ndarray, rate: float) -> np.ndarray:
    """Return the samples of the R peaks of one lead [samples] at `rate` Hz, ascending int64.

    None for a lead that is flat, not finite, shorter than one beat, or sampled below 50 Hz.
    """
    lead = np.asarray(lead, np.float64)
    none = np.zeros(0, np.int64)
    if rate < 2.5 * BAND[1] or len(lead) < rate * REFRACTORY or not np.isfinite(lead).all():
        return none
    sections = dsp.butter(2, BAND, btype="bandpass", output="sos", fs=rate)
    band = dsp.sosfiltfilt(sections, lead - lead.mean())
    width = max(round(COMPLEX * rate), 1)
    energy = np.convolve(np.gradient(band) ** 2, np.ones(width) / width, mode="same")
    height = HEIGHT * np.percentile(energy, 98)
    if height <= 1e-12 * max(np.square(lead).max(), 1e-300):
        return none
    beats, _ = dsp.find_peaks(energy, height=height, distance=max(round(REFRACTORY * rate), 1))
    peaks = []
    for beat in beats:
        start = max(beat - width, 0)
        window = band[start : beat + width + 1]
        peaks.append(start + int(np.argmax(np.abs(window))))
    return np.unique(np.asarray(peaks, np.int64))
