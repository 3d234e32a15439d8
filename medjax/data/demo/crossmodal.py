"""Invented persons with one latent story for heart and ECG: what an MRI and an ECG share.

What both see, and by what:

    factor             MRI                           ECG
    mass               cavity and wall               voltage of the QRS complex
    ejection fraction  contraction                   T wave as a share of the R wave
    wall thickness     wall                          depth of S in V1 to V3
    chamber size       cavity                        width of the QRS complex
    heart rate         length of systole             QT interval
    axis               how the heart lies            electrical axis

Each is shared in part (`SHARED`): the rest of the ECG is the person's own.
"""

from typing import NamedTuple

import numpy as np

from medjax.data.demo.heart import BEAT_SECONDS, BEAT_START, Hearts, heart_vector, project
from medjax.data.demo.patients import generator
from medjax.data.demo.phantom import HeartShape

SHARED = 0.8
"""Correlation of each ECG property with its factor."""
SHARED_VOLTAGE = 0.65
GRAM_PER_ML = 1.05
MASS, MASS_SPREAD = 135.0, 35.0
"""Mean and standard deviation of the mass that follows from the drawn axes and walls, g."""
_PERSON, _BEAT = range(20, 22)  # random streams of a person


class Persons(NamedTuple):
    """`n` persons, an array of length `n` for every factor; the same heart in both modalities."""

    shapes: tuple[HeartShape, ...]
    hearts: Hearts
    septal: np.ndarray
    """Backward vector of the thick septum, mV."""
    factors: dict[str, np.ndarray]
    """Name -> truth, as the label table gives it."""
    u: np.ndarray
    """Uniform draws [n, 4] for who lacks what."""


def draw_persons(persons: int, seed: int) -> Persons:
    """Draw persons, each from a generator of its own."""
    rngs = [generator(seed, i, _PERSON) for i in range(persons)]
    z = np.array([rng.standard_normal(20) for rng in rngs]).T
    u = np.array([rng.random(4) for rng in rngs])
    size, wall, ejection, rate, axis = z[:5]
    long_axis = np.clip(85 + 8 * _mix(size, z[5], 0.7), 66, 104)
    short_axis = np.clip(46 + 5 * _mix(size, z[6], 0.9), 34, 60)
    thick = np.clip(9 + 1.5 * wall, 5.5, 14)
    fraction = np.clip(0.58 + 0.08 * ejection, 0.25, 0.75)
    mass = _mass(long_axis, short_axis, thick)
    columns = (
        fraction,
        np.clip(0.36 + 0.02 * _mix(rate, z[7], SHARED), 0.32, 0.40),
        long_axis,
        short_axis,
        thick,
        np.clip(40 + 2.5 * z[8], 35, 45),
        np.clip(45 + 5 * z[9], 32, 58),
        np.clip(43 + 5 * z[10], 32, 56),
        np.clip(12 + 3 * z[11], 4, 20),
        35 + 10 * _mix(axis, z[12], SHARED),
        6 + 8 * np.clip(z[13], -2, 2),
        -10 + 8 * np.clip(z[14], -2, 2),
    )
    shapes = tuple(HeartShape._make(map(float, row)) for row in zip(*columns))
    hearts = _hearts((mass - MASS) / MASS_SPREAD, size, ejection, rate, axis, z[15:])
    factors = {
        "lv_mass": mass,
        "ejection_fraction": 100 * fraction,
        "lv_end_diastolic_volume": _ellipsoid(long_axis, short_axis),
        "wall_thickness": thick,
        "heart_rate": hearts.rate,
        "electrical_axis": hearts.axis,
        "hypertrophy": (mass > MASS + MASS_SPREAD).astype(float),
        "low_ejection_fraction": (fraction < 0.5).astype(float),
    }
    septal = 0.3 * np.exp(0.5 * _mix(wall, z[19], SHARED))
    return Persons(shapes, hearts, septal, factors, u)


def _mix(shared: np.ndarray, own: np.ndarray, share: float) -> np.ndarray:
    """Standard normals that correlate with `shared` by `share`."""
    return share * shared + np.sqrt(1 - share**2) * own


def _ellipsoid(long_axis: np.ndarray, short_axis: np.ndarray) -> np.ndarray:
    """Volume in ml of an ellipsoid of axes in mm."""
    return np.pi / 6 * long_axis * short_axis**2 / 1000


def _mass(long_axis: np.ndarray, short_axis: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """Grams of a wall around the cavity of the left ventricle."""
    outer = _ellipsoid(long_axis + 2 * wall, short_axis + 2 * wall)
    return GRAM_PER_ML * (outer - _ellipsoid(long_axis, short_axis))


def _hearts(
    mass: np.ndarray,
    size: np.ndarray,
    ejection: np.ndarray,
    rate: np.ndarray,
    axis: np.ndarray,
    own: np.ndarray,
) -> Hearts:
    """The electrical properties that follow from the factors and own draws [5, n]."""
    n = len(mass)
    none, never = np.zeros(n), np.zeros(n, bool)
    return Hearts(
        severity=none,
        st_z=none,
        qrs_z=none,
        st_level=np.full(n, -0.02),
        qrs_ms=np.clip(92 * np.exp(0.1 * _mix(size, own[0], SHARED)), 66, 118),
        right_block=never,
        axis=35 + 25 * axis,
        voltage=1.15 * np.exp(0.28 * _mix(mass, own[1], SHARED_VOLTAGE)),
        t_wave=np.clip(0.32 + 0.1 * _mix(ejection, own[2], SHARED), 0.04, None),
        pr_ms=np.clip(158 + 20 * own[3], 110, 260),
        rate=np.clip(66 * np.exp(0.17 * rate), 42, 130),
        fibrillating=never,
        inferior_scar=never,
        anterior_scar=never,
    )


def median_beats(persons: Persons, seed: int, samples: int) -> np.ndarray:
    """Beats [n, 12, samples] in mV, float32, in the order of `heart.LEADS`."""
    time = BEAT_START + np.arange(samples) * (BEAT_SECONDS / samples)
    n = len(persons.septal)
    vector = heart_vector(persons.hearts, np.broadcast_to(time, (n, samples)))
    wave = np.exp(-0.5 * ((time - 0.028) / 0.011) ** 2)
    vector[:, 2] += persons.septal[:, None] * wave
    noise = [generator(seed, i, _BEAT).standard_normal((12, samples), np.float32) for i in range(n)]
    return project(vector).astype(np.float32) + np.float32(0.008) * np.stack(noise)
