"""A beating heart in a chest, as the long-axis four-chamber cine of cardiac MRI shows it.

Ellipses in the frame of the heart: `u` runs along the long axis to the apex, which stays where it
is, `v` across it to the free wall of the left ventricle. The cavities follow a volume curve, the
wall thickens as its area stays, the valve plane moves to the apex, and the atria fill meanwhile.
Edges are soft by the share of a pixel that an ellipse covers, taken from the distance to its edge.

Lengths are in mm; x runs to the right and y down.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

FIELD_MM = 288.0
"""Edge of the image: 160 pixels of 1.8 mm."""
EARLY, EARLY_SHARE, KICK = 0.25, 0.7, 0.15
"""Early filling as a share of the cycle and of the stroke volume, and the atrial kick's share of
the cycle."""
SHORT_POWER, LONG_POWER = 0.45, 0.1
"""Axes of a ventricle go with these powers of its volume."""
RV_DELAY = 0.05
LV_WALL, SEPTUM, RV_WALL = 4, 5, 1
RA, RV, LA, LV, AORTA = 8, 9, 10, 11, 12
"""Labels of ml4h."""
BLOOD, MUSCLE, LUNG, FAT, LIVER, CHEST, AIR = 1.0, 0.35, 0.08, 1.1, 0.5, 0.3, 0.02
RV_WALL_MM = 4.0
COUNTS = 700
"""Stored number of a full signal."""


class HeartShape(NamedTuple):
    """The heart of one person."""

    ejection_fraction: float
    end_systole: float
    """Share of the cycle."""
    long_axis: float
    """Of the left ventricle's cavity at end-diastole, as `short_axis`."""
    short_axis: float
    wall: float
    """Thickness at end-diastole."""
    rv_shift: float
    """From the left ventricle's centre to the right one's."""
    la_width: float
    ra_width: float
    valve_motion: float
    angle: float
    """Degrees by which the apex leans to the right of straight up."""
    centre_x: float
    """Of the left ventricle, from the middle of the image, as `centre_y`."""
    centre_y: float


class Cine(NamedTuple):
    """What the scanner and the annotator give."""

    image: np.ndarray
    """Uint16 [height, width, frame]."""
    labels: np.ndarray
    """Uint8 [height, width, frame]."""


def volume(phase: np.ndarray, ejection_fraction: float, end_systole: float) -> np.ndarray:
    """Volume of a ventricle as a share of that at end-diastole, at phases of the cycle."""
    phase = np.mod(phase, 1)

    def ramp(start: float, length: float) -> np.ndarray:
        return 0.5 - 0.5 * np.cos(np.pi * np.clip((phase - start) / length, 0, 1))

    filled = EARLY_SHARE * ramp(end_systole, EARLY) + (1 - EARLY_SHARE) * ramp(1 - KICK, KICK)
    return 1 - ejection_fraction * (ramp(0, end_systole) - filled)


def draw_cine(shape: HeartShape, rng: np.random.Generator, grid: int, frames: int) -> Cine:
    """Draw one cycle of `frames` images of `grid` x `grid` pixels, which begins at end-diastole."""
    pixel = FIELD_MM / grid
    axis = ((np.arange(grid) + 0.5) * pixel - FIELD_MM / 2).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    signal = np.repeat(_chest(x, y, pixel)[None], frames, axis=0)
    labels = np.zeros(signal.shape, np.uint8)
    blood = np.zeros_like(signal)
    dx, dy = x - shape.centre_x, y - shape.centre_y
    turn = np.deg2rad(shape.angle)
    u, v = dx * np.sin(turn) - dy * np.cos(turn), dx * np.cos(turn) + dy * np.sin(turn)
    for cover, value, label in _parts(shape, u, v, frames, pixel):
        signal += cover * (value - signal)
        labels = np.where(cover > 0.5, label, labels)
        blood += cover * (np.float32(value == BLOOD) - blood)
    signal *= 1 + 0.05 * blood * _flow(rng, x, y, frames)
    return Cine(_scanned(signal, rng, x, y), labels.astype(np.uint8).transpose(1, 2, 0))


def _parts(
    shape: HeartShape, u: np.ndarray, v: np.ndarray, frames: int, pixel: float
) -> list[tuple[np.ndarray, float, np.ndarray | int]]:
    """Coverage [frame, height, width], signal and label of the parts, those on top last."""
    phase = np.arange(frames, dtype=np.float32) / frames
    left = volume(phase, shape.ejection_fraction, shape.end_systole)
    right = volume(phase - RV_DELAY, shape.ejection_fraction, shape.end_systole)
    emptied = (1 - left) / shape.ejection_fraction
    plane = -shape.long_axis / 2 + shape.valve_motion * emptied

    ellipse = partial(_cover, u, v, pixel)
    long, short = (
        axis / 2 * left**power
        for axis, power in ((shape.long_axis, LONG_POWER), (shape.short_axis, SHORT_POWER))
    )
    middle = shape.long_axis / 2 - long  # the apex stays
    wall = _thickness(shape, long, short)
    above = np.clip((u - plane[:, None, None]) / pixel + 0.5, 0, 1)
    rv_long = 0.46 * shape.long_axis * right**LONG_POWER
    rv_short = 0.62 * shape.short_axis * right**SHORT_POWER
    rv_centre = 0.4 * shape.long_axis - rv_long, -shape.rv_shift
    fill = np.sqrt(0.75 + 0.35 * emptied)
    la, ra = 0.5 * shape.la_width * fill, 0.5 * shape.ra_width * fill
    outside = ellipse(*rv_centre, rv_long + RV_WALL_MM, rv_short + RV_WALL_MM)
    return [
        (ellipse(-0.5 * shape.long_axis - 32, 38.0, 11.0, 11.0), BLOOD, AORTA),
        (ellipse(plane - ra, -shape.rv_shift - 5.0, ra, ra), BLOOD, RA),
        (ellipse(plane - la, 3.0, la, la), BLOOD, LA),
        (outside * above, MUSCLE, RV_WALL),
        (ellipse(*rv_centre, rv_long, rv_short) * above, BLOOD, RV),
        (
            ellipse(middle, 0.0, long + wall, short + wall) * above,
            MUSCLE,
            np.where(v < 0, SEPTUM, LV_WALL),
        ),
        (ellipse(middle, 0.0, long, short), BLOOD, LV),
    ]


def _thickness(shape: HeartShape, long: np.ndarray, short: np.ndarray) -> np.ndarray:
    """Thickness [frame] of a ring around half axes `long`, `short` whose area never changes."""
    first = shape.wall * ((shape.long_axis + shape.short_axis) / 2 + shape.wall)
    half = (long + short) / 2
    return np.sqrt(half**2 + first) - half


def _cover(
    u: np.ndarray,
    v: np.ndarray,
    pixel: float,
    centre_u: np.ndarray | float,
    centre_v: np.ndarray | float,
    half_u: np.ndarray | float,
    half_v: np.ndarray | float,
) -> np.ndarray:
    """Share of each pixel in an ellipse: [height, width], or [frame, height, width]."""
    centre_u, centre_v, half_u, half_v = (
        np.asarray(value, np.float32)[..., None, None]
        for value in (centre_u, centre_v, half_u, half_v)
    )
    along, across = (u - centre_u) / half_u, (v - centre_v) / half_v
    slope = 2 * np.sqrt((along / half_u) ** 2 + (across / half_v) ** 2) + 1e-6
    return np.clip((1 - along**2 - across**2) / (slope * pixel) + 0.5, 0, 1)


def _chest(x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """Signal [height, width] of all but the heart, which lies between the lungs."""
    signal = np.full(x.shape, AIR, np.float32)
    for centre_x, centre_y, half_x, half_y, value in (
        (0.0, 0.0, 136.0, 112.0, FAT),
        (0.0, 0.0, 126.0, 102.0, CHEST),
        (-52.0, 0.0, 62.0, 84.0, LUNG),
        (56.0, 0.0, 60.0, 86.0, LUNG),
        (-66.0, 62.0, 50.0, 32.0, LIVER),
        (0.0, 90.0, 20.0, 18.0, LIVER),
    ):
        signal += _cover(x, y, pixel, centre_x, centre_y, half_x, half_y) * (value - signal)
    return signal


def _flow(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, frames: int) -> np.ndarray:
    """Smooth waves [frame, height, width] of deviation 1 that move with the frame."""
    phase = 2 * np.pi * np.arange(frames, dtype=np.float32)[:, None, None] / frames
    waves = np.zeros((frames, *x.shape), np.float32)
    for _ in range(3):
        direction, start = 2 * np.pi * rng.random(2)
        length = 15 + 25 * rng.random()
        place = 2 * np.pi / length * (x * np.cos(direction) + y * np.sin(direction))
        waves += np.sin(place.astype(np.float32) + np.float32(start) - phase)
    return waves * np.float32(np.sqrt(2 / 3))


def _scanned(
    signal: np.ndarray, rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Coil shading, Rician noise and storage: uint16 [height, width, frame]."""
    a, b = 2 * x / FIELD_MM, 2 * y / FIELD_MM
    slopes = 0.15 * rng.standard_normal(5)
    terms = (a, b, a * b, a**2, b**2)
    shading = 1 + sum(slope * term for slope, term in zip(slopes, terms))
    sigma = np.float32(0.03 + 0.03 * rng.random())
    noise = sigma * rng.standard_normal((2, *signal.shape), np.float32)
    shaded = signal * np.clip(shading, 0.7, 1.3).astype(np.float32)
    magnitude = np.sqrt((shaded + noise[0]) ** 2 + noise[1] ** 2)
    return np.clip(COUNTS * magnitude, 0, 1000).astype(np.uint16).transpose(1, 2, 0)
