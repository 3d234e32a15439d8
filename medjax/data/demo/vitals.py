"""Hourly vitals and laboratory values of the ICU stays, driven by the organ states.

Each channel is its normal value, plus the effect of the organ states (worse in the second day than
in the first), plus an offset of the patient and slowly varying noise that carry no information.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.demo.patients import HOUR, SERIES, Story, generator

NOISE = (
    "heart_rate", "systolic", "diastolic", "respiration", "saturation", "oxygen", "temperature",
    "glucose", "acidity", "coma", "urine", "creatinine",
)  # fmt: skip
PER_STAY = ("weight", "device_u", "celsius_u", "pounds_u", "inches_u", "oxygen_u", "empty_u")
# Standard deviations, in noise units, of the patient's offset and of the hourly noise; correlation
# from one hour to the next.
OFFSET, HOURLY, MEMORY = 0.6, 0.7, 0.6


class Hours(NamedTuple):
    """Every hour of every stay, `[rows]` each; a row is charted at `second` since the epoch."""

    stay: np.ndarray
    hour: np.ndarray
    second: np.ndarray
    chart_u: np.ndarray
    values: dict[str, np.ndarray]
    per_stay: pd.DataFrame


def draw_hours(story: Story, seed: int) -> Hours:
    """Draw all channels for all hours of all stays."""
    stays = story.stays
    order = stays.groupby("patient").cumcount().to_numpy()
    counts = np.ceil((stays.outtime - stays.intime) / HOUR).astype(int).to_numpy()
    offsets, steps, chart_u, minutes, per_stay = [], [], [], [], []
    for patient, k, count in zip(stays.patient, order, counts):
        rng = generator(seed, patient, SERIES, int(k))
        per_stay.append(np.concatenate([rng.standard_normal(1), rng.random(len(PER_STAY) - 1)]))
        offsets.append(OFFSET * rng.standard_normal(len(NOISE)))
        # 200 hours are always drawn, so that a longer stay changes nothing of what came before.
        steps.append(rng.standard_normal((len(NOISE), 200), dtype=np.float32))
        chart_u.append(rng.random((200, 8), dtype=np.float32)[:count])
        minutes.append(rng.integers(0, 60, 200)[:count])
    slow = _remembered(np.stack(steps))
    noise = [
        offset[:, None] + HOURLY * own[:, :count]
        for offset, own, count in zip(offsets, slow, counts)
    ]
    stay = np.repeat(np.arange(len(stays)), counts)
    hour = np.arange(len(stay)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.ceil(stays.intime.to_numpy() / HOUR).astype(np.int64) * HOUR
    chart = np.concatenate(chart_u)
    # Most rows stand at the full hour, some at an odd minute.
    minute = np.where(chart[:, 0] < 0.2, np.concatenate(minutes), 0)
    second = first[stay] + hour * HOUR + minute * 60
    drawn = dict(zip(NOISE, np.concatenate(noise, axis=1)))
    extra = pd.DataFrame(np.array(per_stay), columns=list(PER_STAY))
    values = _channels(story, stay, hour, drawn)
    return Hours(stay, hour, second, chart, values, extra)


def _remembered(steps: np.ndarray) -> np.ndarray:
    """Turn white noise [stays, channels, hours] into one that remembers, of unit variance."""
    slow = np.empty(steps.shape)
    last = np.zeros(steps.shape[:2])
    for hour in range(steps.shape[2]):
        last = np.sqrt(1 - MEMORY**2) * steps[:, :, hour].astype(np.float64) + MEMORY * last
        slow[:, :, hour] = last
    return slow


def _channels(
    story: Story, stay: np.ndarray, hour: np.ndarray, noise: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The physiology: units are beats/min, mmHg, breaths/min, %, fraction, F, mg/dL, pH, ml/h."""
    admission = story.stays.admission.to_numpy()[stay]
    a = {
        name: story.admissions[name].to_numpy()[admission]
        for name in ("circulation", "breathing", "consciousness", "acidosis", "infection",
                     "pressure", "sugar", "rhythm", "airway", "heart_size")
    }  # fmt: skip
    worse = 0.75 + 0.6 * np.minimum(hour / 36, 1)
    shock, breath, coma, acid, fever = (
        worse * a[name]
        for name in ("circulation", "breathing", "consciousness", "acidosis", "infection")
    )
    n = noise
    irregular = 8 * np.maximum(a["rhythm"], 0) * np.sin(7.3 * hour + 3 * n["urine"])
    heart_rate = 85 + 12 * shock + 3 * fever + 9 * a["rhythm"] + irregular + 9 * n["heart_rate"]
    systolic = 122 - 17 * shock + 10 * a["pressure"] + 11 * n["systolic"]
    diastolic = (
        62
        - 8 * shock
        + 4 * a["pressure"]
        - 3 * a["heart_size"]
        + 3 * n["systolic"]
        + 5 * n["diastolic"]
    )
    short_of_air = np.logaddexp(0, 1.5 * breath)
    score = 15.6 - 2.6 * np.logaddexp(0, 1.5 * coma) - 0.8 * n["coma"]
    return {
        "heart_rate": heart_rate,
        "systolic": systolic,
        "diastolic": np.minimum(diastolic, systolic - 12),
        "respiration": np.maximum(19 + 3.2 * breath + fever + 3.0 * n["respiration"], 5),
        "saturation": np.minimum(
            98.4 - 1.4 * short_of_air - 1.2 * a["airway"] + 1.2 * n["saturation"], 100
        ),
        "oxygen": np.clip(0.32 + 0.11 * short_of_air + 0.07 * n["oxygen"], 0.21, 1.0),
        "temperature": 98.5 + 1.1 * fever - 0.3 * shock + 0.7 * n["temperature"],
        "glucose": 132 * np.exp(0.24 * a["sugar"] + 0.18 * n["glucose"]),
        "acidity": 7.385 - 0.052 * acid + 0.035 * n["acidity"],
        "coma": np.clip(score, 3, 15),
        "urine": np.clip(75 - 24 * acid - 10 * shock + 25 * n["urine"], 0, 600),
        "creatinine": np.exp(0.05 + 0.38 * acid + 0.3 * n["creatinine"]),
    }
