"""Invented hearts: what is wrong with them, and the twelve-lead ECG that follows from it.

A latent severity widens the QRS complex and depresses the ST segment; both are seen in the ECG,
named in its statements and, in the risk cohort, drive the hazard. The other properties (axis,
voltage, rate, rhythm, old infarction) are independent of it.

One beat is a heart vector in millivolt that moves in time: P, Q, R, S and T are Gaussian waves
along directions of their own, the ST segment is a plateau. The eight independent leads are its
projections on the lead vectors of Dower (Circ Res 1968); the other four follow from I and II.

Axes: x to the left, y to the feet, z to the back.
"""

from typing import NamedTuple

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

_I, _II = np.array([0.632, -0.235, 0.059]), np.array([0.235, 1.066, -0.132])
LEAD_VECTORS = np.stack([
    _I, _II, _II - _I, -(_I + _II) / 2, _I - _II / 2, _II - _I / 2,
    [-0.515, 0.157, -0.917], [0.044, 0.164, -1.387], [0.882, 0.098, -1.277],
    [1.213, 0.127, -0.601], [1.125, 0.127, -0.086], [0.831, 0.076, 0.230],
])  # fmt: skip

BEAT_START, BEAT_SECONDS = -0.4, 1.2
"""A beat lasts from 0.4 s before its R peak to 0.8 s after it."""

SEVERITY_SHARE = 0.55
"""Correlation of the severity with each of ST level and QRS width."""


class Hearts(NamedTuple):
    """`n` hearts, an array of length `n` for every property."""

    severity: np.ndarray
    """Standard normal."""
    st_z: np.ndarray
    """ST depression, standard normal: 1 is one standard deviation deeper than the mean."""
    qrs_z: np.ndarray
    """QRS width, standard normal."""
    st_level: np.ndarray
    """ST segment as a share of the R wave; negative: depressed."""
    qrs_ms: np.ndarray
    right_block: np.ndarray
    """Bool: a wide QRS is delayed on the right side, else on the left."""
    axis: np.ndarray
    """Electrical axis in the frontal plane, degrees; normal from -30 to 90."""
    voltage: np.ndarray
    """Length of the R vector, mV."""
    t_wave: np.ndarray
    """T vector as a share of the R vector; negative: inverted."""
    pr_ms: np.ndarray
    rate: np.ndarray
    """Beats a minute."""
    fibrillating: np.ndarray
    """Bool: no P waves, irregular beats."""
    inferior_scar: np.ndarray
    """Bool: old inferior infarction, as `anterior_scar` is an anteroseptal one."""
    anterior_scar: np.ndarray


def draw_hearts(rngs: list[np.random.Generator]) -> Hearts:
    """Draw one heart from each generator."""
    z, u = (np.array([getattr(rng, kind)(8) for rng in rngs]).reshape(len(rngs), 8).T
            for kind in ("standard_normal", "random"))  # fmt: skip
    own = np.sqrt(1 - SEVERITY_SHARE**2)
    st_z, qrs_z = (SEVERITY_SHARE * z[0] + own * z[k] for k in (1, 2))
    return Hearts(
        severity=z[0],
        st_z=st_z,
        qrs_z=qrs_z,
        st_level=np.clip(-0.05 - 0.09 * st_z, -0.4, 0.25),
        qrs_ms=np.clip(94 * np.exp(0.17 * qrs_z), 64, 180),
        right_block=u[0] < 0.5,
        axis=35 + 35 * z[3],
        voltage=1.15 * np.exp(0.3 * z[4]),
        t_wave=0.28 + 0.1 * z[5] - 0.45 * (u[1] < 0.07),
        pr_ms=np.clip(158 + 24 * z[6], 110, 280),
        rate=np.clip(70 * np.exp(0.2 * z[7]), 42, 140),
        fibrillating=u[2] < 0.08,
        inferior_scar=u[3] < 0.13,
        anterior_scar=(u[3] > 0.13) & (u[3] < 0.25),
    )


def delayed(hearts: Hearts) -> np.ndarray:
    """Bool: the QRS complex is wide enough to have the shape of a bundle branch block."""
    return hearts.qrs_ms >= 120


def _directions(hearts: Hearts) -> tuple[np.ndarray, ...]:
    """The vectors [n, 3] of Q, R, S, the late part of a block, ST and T in mV."""
    n = len(hearts.axis)
    angle = np.deg2rad(hearts.axis)
    main = np.stack([np.cos(angle), np.sin(angle), np.full(n, 0.35)], axis=1)
    main *= hearts.voltage[:, None]
    size = hearts.voltage[:, None]
    left = (delayed(hearts) & ~hearts.right_block)[:, None]
    right = (delayed(hearts) & hearts.right_block)[:, None]
    q = np.where(left, 0.0, size * [-0.12, -0.05, -0.15])
    q = q + size * (hearts.inferior_scar[:, None] * np.array([0.05, -0.55, 0.0])
                    + hearts.anterior_scar[:, None] * np.array([0.0, 0.0, 0.55]))  # fmt: skip
    s = np.where(left | right, 0.0, size * [-0.2, -0.12, 0.25])
    late = np.where(left, 0.75 * main + size * [0, 0, 0.25], 0.0)
    late = np.where(right, size * [-0.55, -0.05, -0.55], late)
    st = main * hearts.st_level[:, None]
    forward = np.stack([np.cos(angle), np.sin(angle), np.full(n, -0.45)], axis=1)
    t = forward * (size * np.where(left, -0.5, 1.0) * hearts.t_wave[:, None])
    return q, main, s, late, st, t


def heart_vector(hearts: Hearts, time: np.ndarray) -> np.ndarray:
    """The heart vector [n, 3, samples], mV, of one beat at `time` [n, samples] s from R."""
    q, r, s, late, st, t = _directions(hearts)
    p = np.where(hearts.fibrillating[:, None], 0.0, [[0.07, 0.09, -0.02]])
    # Above 120 ms the added time is that of the late part; the first part stays as it is.
    unit = np.minimum(hearts.qrs_ms, 120) / 90
    end = np.where(delayed(hearts), 0.055 + (hearts.qrs_ms - 120) / 2000, 0.030 * unit) + 0.02
    t_peak = 0.17 + 0.14 * np.sqrt(60 / hearts.rate) + (end - 0.05)
    waves = (
        (p, -hearts.pr_ms / 1000 + 0.02, np.full_like(unit, 0.020)),
        (q, -0.024 * unit, 0.008 * unit),
        (r, 0.0 * unit, 0.012 * unit),
        (s, 0.026 * unit, 0.010 * unit),
        (late, end - 0.025, 0.014 * unit),
        (t, t_peak, np.full_like(unit, 0.045)),
    )
    vector = np.zeros((len(unit), 3, time.shape[1]))
    for direction, centre, width in waves:
        shape = np.exp(-0.5 * ((time - centre[:, None]) / width[:, None]) ** 2)
        vector += direction[:, :, None] * shape[:, None, :]
    # The plateau rises at the end of the QRS complex and falls with the end of the T wave.
    rise = np.tanh((time - end[:, None]) / 0.02)
    fall = np.tanh((time - t_peak[:, None] - 0.03) / 0.06)
    return vector + st[:, :, None] * ((rise - fall) / 2)[:, None, :]


def project(vector: np.ndarray) -> np.ndarray:
    """The leads [n, 12, samples] that show a heart vector [n, 3, samples]; same unit."""
    return np.einsum("lv,nvs->nls", LEAD_VECTORS, vector)


def median_beats(hearts: Hearts, rngs: list[np.random.Generator], samples: int) -> np.ndarray:
    """One beat [n, 12, samples] of `BEAT_SECONDS` with little noise, mV, float32."""
    time = BEAT_START + np.arange(samples) * (BEAT_SECONDS / samples)
    vector = heart_vector(hearts, np.broadcast_to(time, (len(rngs), samples)))
    noise = np.array([rng.standard_normal((12, samples), np.float32) for rng in rngs])
    return project(vector).astype(np.float32) + 0.008 * noise.reshape(-1, 12, samples)


def strips(
    hearts: Hearts, rngs: list[np.random.Generator], seconds: float, sampling_rate: int
) -> np.ndarray:
    """Rhythm strips [n, 12, samples], mV, float32: beats, noise, and a drifting baseline."""
    n, samples = len(rngs), round(seconds * sampling_rate)
    beats = _beat_times(hearts, rngs, seconds)
    width = round(BEAT_SECONDS * sampling_rate)
    # A margin of one beat at either end, cut off at last: no beat is left out half.
    vector = np.zeros((n, 3, samples + 4 * width))
    rows = np.arange(n)[:, None]
    for beat in beats.T[: int((beats < seconds - BEAT_START).sum(axis=1).max())]:
        first = np.ceil((beat + BEAT_START) * sampling_rate).astype(int)
        index = first[:, None] + np.arange(width)
        wave = heart_vector(hearts, index / sampling_rate - beat[:, None])
        place = np.clip(index + 2 * width, 0, vector.shape[2] - 1)
        vector[rows, :, place] += wave.transpose(0, 2, 1)
    vector = vector[:, :, 2 * width : 2 * width + samples]
    time = np.arange(samples) / sampling_rate
    vector += _fibrillation(hearts, rngs, time)
    signal = project(vector).astype(np.float32)
    for row, rng in zip(signal, rngs):
        row += 0.015 * rng.standard_normal((12, samples), np.float32)
        row += _drift(rng, time)
    return signal


def _beat_times(hearts: Hearts, rngs: list[np.random.Generator], seconds: float) -> np.ndarray:
    """Times [n, beats] of R peaks, s, from before the strip to beyond its end."""
    most = int(np.ceil((seconds + 3) * 140 / 60)) + 2
    z = np.array([rng.standard_normal(most) for rng in rngs]).reshape(-1, most)
    start = np.array([rng.random() for rng in rngs])
    spread = np.where(hearts.fibrillating, 0.22, 0.03)[:, None]
    intervals = 60 / hearts.rate[:, None] * np.clip(1 + spread * z, 0.5, 1.8)
    times = np.cumsum(intervals, axis=1) - 1 - start[:, None]
    return np.minimum(times, seconds + 1.2)


def _fibrillation(hearts: Hearts, rngs: list[np.random.Generator], time: np.ndarray) -> np.ndarray:
    """Waves of the fibrillating atria [n, 3, samples], mV."""
    draws = np.array([rng.random(2) for rng in rngs]).reshape(-1, 2)
    hertz = 5 + 2 * draws[:, :1]
    wave = 0.04 * np.sin(2 * np.pi * (hertz * time + draws[:, 1:]))
    direction = np.array([0.2, 0.7, -0.7])
    return hearts.fibrillating[:, None, None] * direction[:, None] * wave[:, None, :]


def _drift(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """A slow wave [12, samples] for every lead, mV, as breathing makes it."""
    size, phase = 0.06 * rng.random((12, 1)), rng.random((12, 1))
    hertz = 0.15 + 0.2 * rng.random()
    return (size * np.sin(2 * np.pi * (hertz * time + phase))).astype(np.float32)
