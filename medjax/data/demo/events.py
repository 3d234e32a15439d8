"""Charted events of the synthetic stays: which item is charted when, in which unit and wording.

Item ids, units and value texts are those of MIMIC-IV (MetaVision), so that all channels MedFuse can
read from MIMIC-IV occur; a few rows cannot be parsed, are empty or absurd, as in real tables.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medjax.data.demo.patients import HOUR, Story
from medjax.data.demo.vitals import Hours

EYES = ("None", "To Pain", "To Speech", "Spontaneously")
VERBAL = ("No Response", "Incomprehensible sounds", "Inappropriate Words", "Confused", "Oriented")
MOTOR = (
    "No response", "Abnormal extension", "Abnormal Flexion", "Flex-withdraws", "Localizes Pain",
    "Obeys Commands",
)  # fmt: skip
RHYTHMS = ("SR (Sinus Rhythm)", "ST (Sinus Tachycardia) ", "AF (Atrial Fibrillation)")

ITEMS: Mapping[int, tuple[str, str, str]] = {
    220045: ("Heart Rate", "bpm", "Routine Vital Signs"),
    220048: ("Heart Rhythm", "", "Routine Vital Signs"),
    220050: ("Arterial Blood Pressure systolic", "mmHg", "Routine Vital Signs"),
    220051: ("Arterial Blood Pressure diastolic", "mmHg", "Routine Vital Signs"),
    220052: ("Arterial Blood Pressure mean", "mmHg", "Routine Vital Signs"),
    220179: ("Non Invasive Blood Pressure systolic", "mmHg", "Routine Vital Signs"),
    220180: ("Non Invasive Blood Pressure diastolic", "mmHg", "Routine Vital Signs"),
    220181: ("Non Invasive Blood Pressure mean", "mmHg", "Routine Vital Signs"),
    220210: ("Respiratory Rate", "insp/min", "Respiratory"),
    220277: ("O2 saturation pulseoxymetry", "%", "Respiratory"),
    220621: ("Glucose (serum)", "", "Labs"),
    220739: ("GCS - Eye Opening", "", "Neurological"),
    223761: ("Temperature Fahrenheit", "°F", "Routine Vital Signs"),
    223762: ("Temperature Celsius", "°C", "Routine Vital Signs"),
    223830: ("PH (Arterial)", "", "Labs"),
    223835: ("Inspired O2 Fraction", "", "Respiratory"),
    223900: ("GCS - Verbal Response", "", "Neurological"),
    223901: ("GCS - Motor Response", "", "Neurological"),
    224639: ("Daily Weight", "kg", "General"),
    225664: ("Glucose finger stick (range 70-100)", "", "Labs"),
    226512: ("Admission Weight (Kg)", "kg", "General"),
    226531: ("Admission Weight (lbs.)", "", "General"),
    226559: ("Foley", "mL", "Output"),
    226707: ("Height", "Inch", "General"),
    226730: ("Height (cm)", "cm", "General"),
}
LABS: Mapping[int, tuple[str, str, str, float, float]] = {
    50809: ("Glucose", "mg/dL", "Blood Gas", 70, 105),
    50817: ("Oxygen Saturation", "%", "Blood Gas", 94, 100),
    50820: ("pH", "units", "Blood Gas", 7.35, 7.45),
    50912: ("Creatinine", "mg/dL", "Chemistry", 0.5, 1.2),
    50931: ("Glucose", "mg/dL", "Chemistry", 70, 100),
}


class Events(NamedTuple):
    """Event rows: stay number `[rows]`, seconds since the epoch, item id, text, number, dirt."""

    stay: np.ndarray
    second: np.ndarray
    item: np.ndarray
    text: pa.Array
    number: pa.Array
    warning: np.ndarray


class _Chart:
    """Collects the events of one table item by item."""

    def __init__(self, hours: Hours):
        self.hours = hours
        self.parts: list[Events] = []

    def numbers(self, item: int, rows: np.ndarray, values: np.ndarray, decimals: int) -> None:
        """Chart `values[rows]`; about one in a thousand is masked, empty or absurd."""
        index = np.flatnonzero(rows)
        number = np.round(values[index].astype(np.float64), decimals)
        dirt = (self.hours.chart_u[index, 7] * (item % 89 + 7)) % 1
        absurd = dirt > 0.9995
        number[absurd] = 9999
        text = pc.if_else(pa.array(dirt < 0.0005), "___", pc.cast(pa.array(number), pa.string()))
        text = pc.if_else(pa.array((dirt >= 0.0005) & (dirt < 0.001)), None, text)
        self._add(item, index, text, pa.array(number, mask=dirt < 0.001), absurd)

    def texts(self, item: int, rows: np.ndarray, level: np.ndarray, words: tuple[str, ...]) -> None:
        """Chart the word of each 1-based level, with the level as the number."""
        index = np.flatnonzero(rows)
        chosen = level[index].astype(np.int64)
        text = pa.array(np.array(words, dtype=object)[chosen - 1], pa.string())
        number = pa.array(chosen.astype(np.float64))
        self._add(item, index, text, number, np.zeros(len(index), bool))

    def _add(
        self, item: int, index: np.ndarray, text: pa.Array, number: pa.Array, warning: np.ndarray
    ) -> None:
        h = self.hours
        items = np.full(len(index), item)
        self.parts.append(Events(h.stay[index], h.second[index], items, text, number, warning))

    def events(self) -> Events:
        """All events collected so far, in the order in which the items were charted."""
        stay, second, item, text, number, warning = zip(*self.parts)
        return Events(
            np.concatenate(stay),
            np.concatenate(second),
            np.concatenate(item),
            pa.concat_arrays(text),
            pa.concat_arrays(number),
            np.concatenate(warning),
        )


def chart_events(story: Story, hours: Hours) -> Events:
    """Vital signs, coma scale, weight and height of `icu/chartevents`."""
    chart, v, u, hour = _Chart(hours), hours.values, hours.chart_u, hours.hour
    kept = u[:, 1] < 0.96
    states = story.admissions.iloc[story.stays.admission.to_numpy()[hours.stay]]
    arterial = (states.circulation.to_numpy() > 0.3) | (hours.per_stay.device_u[hours.stay] < 0.15)
    arterial = np.asarray(arterial)
    chart.numbers(220045, kept, v["heart_rate"], 0)
    chart.numbers(220210, kept & (u[:, 2] < 0.97), v["respiration"], 0)
    chart.numbers(220277, kept & (u[:, 3] < 0.97), v["saturation"], 0)
    mean = (v["systolic"] + 2 * v["diastolic"]) / 3 + 4 * (u[:, 6] - 0.5)
    for line, rows in ((220050, arterial), (220179, ~arterial)):
        for item, values in zip(range(line, line + 3), (v["systolic"], v["diastolic"], mean)):
            chart.numbers(item, rows & (u[:, 4] < 0.95), values, 0)
    celsius = np.asarray(hours.per_stay.celsius_u)[hours.stay] < 0.2
    four_hourly = (hour % 4 == 0) & (u[:, 5] < 0.95)
    chart.numbers(223761, four_hourly & ~celsius, v["temperature"], 1)
    chart.numbers(223762, four_hourly & celsius, (v["temperature"] - 32) * 5 / 9, 1)
    chart.numbers(225664, (hour % 6 == 3) & (u[:, 6] < 0.8), v["glucose"], 0)
    chart.numbers(220621, hour % 24 == 5, v["glucose"], 0)
    chart.numbers(223830, (hour % 8 == 2) & arterial, v["acidity"], 2)
    _chart_oxygen(chart, four_hourly)
    _chart_coma(chart, four_hourly, states.breathing.to_numpy() > 0.9, states.rhythm.to_numpy())
    _chart_body(chart, story)
    return chart.events()


def _chart_oxygen(chart: _Chart, rows: np.ndarray) -> None:
    """Inspired oxygen, mostly in percent, in a few stays as a fraction."""
    fraction = np.asarray(chart.hours.per_stay.oxygen_u)[chart.hours.stay] < 0.06
    oxygen = chart.hours.values["oxygen"]
    rows = rows & (oxygen > 0.24)
    chart.numbers(223835, rows & ~fraction, 5 * np.round(20 * oxygen), 0)
    chart.numbers(223835, rows & fraction, np.round(20 * oxygen) / 20, 2)


def _chart_coma(chart: _Chart, rows: np.ndarray, intubated: np.ndarray, rhythm: np.ndarray) -> None:
    """The three parts of the Glasgow coma scale and the heart rhythm, as texts."""
    depth = (chart.hours.values["coma"] - 3) / 12 + 0.1 * (chart.hours.chart_u[:, 6] - 0.5)
    depth = np.clip(depth, 0, 1)
    eye = np.round(1 + 3 * depth)
    motor = np.round(1 + 5 * depth**0.7)
    voice = np.round(1 + 4 * depth**1.2)
    chart.texts(220739, rows, eye, EYES)
    chart.texts(223901, rows, motor, MOTOR)
    chart.texts(223900, rows & ~intubated, voice, VERBAL)
    chart.texts(223900, rows & intubated, np.ones(len(rows)), ("No Response-ETT",))
    fast = chart.hours.values["heart_rate"] > 100
    kind = np.where(rhythm > 0.9, 3, np.where(fast, 2, 1))
    chart.texts(220048, rows, kind, RHYTHMS)


def _chart_body(chart: _Chart, story: Story) -> None:
    """Weight on admission and daily, height on admission of six in ten stays."""
    hours, extra = chart.hours, chart.hours.per_stay
    people = story.patients.iloc[story.stays.patient.to_numpy()[hours.stay]]
    first = hours.hour == 0
    pounds = np.asarray(extra.pounds_u)[hours.stay] < 0.2
    weight = people.weight_kg.to_numpy() + np.asarray(extra.weight)[hours.stay]
    chart.numbers(226512, first & ~pounds, weight, 1)
    chart.numbers(226531, first & pounds, weight / 0.453592, 1)
    chart.numbers(224639, (hours.hour % 24 == 20) & (hours.chart_u[:, 2] < 0.6), weight, 1)
    measured = first & (np.asarray(extra.inches_u)[hours.stay] < 0.6)
    chart.numbers(226707, measured, people.height_cm.to_numpy() / 2.54, 0)
    chart.numbers(226730, measured, people.height_cm.to_numpy(), 0)


def output_events(hours: Hours) -> Events:
    """Urine every two hours, for `icu/outputevents`."""
    chart = _Chart(hours)
    rows = (hours.hour % 2 == 1) & (hours.chart_u[:, 3] < 0.9)
    chart.numbers(226559, rows, 2 * hours.values["urine"], 0)
    return chart.events()


def lab_events(story: Story, hours: Hours) -> Events:
    """Laboratory values during the stay, and of the same patients before and after it."""
    chart, v = _Chart(hours), hours.values
    twice_daily, six_hourly = hours.hour % 12 == 4, hours.hour % 6 == 2
    chart.numbers(50931, twice_daily, v["glucose"], 0)
    chart.numbers(50912, twice_daily, v["creatinine"], 1)
    states = story.admissions.iloc[story.stays.admission.to_numpy()[hours.stay]]
    gas = six_hourly & (states.acidosis.to_numpy() + states.breathing.to_numpy() > -0.8)
    chart.numbers(50820, gas, v["acidity"], 2)
    chart.numbers(50809, gas, v["glucose"], 0)
    chart.numbers(50817, gas & (hours.chart_u[:, 4] < 0.4), v["saturation"], 0)
    inside = chart.events()
    return _with_outside(story, hours, inside)


def _with_outside(story: Story, hours: Hours, inside: Events) -> Events:
    """Add the morning's values again a month before (clinic), on arrival, and on the ward after."""
    stays, admissions = story.stays, story.admissions.iloc[story.stays.admission]
    index = np.flatnonzero(hours.hour == 4)
    stay = hours.stay[index]
    moments = (
        admissions.admittime.to_numpy() - 30 * 24 * HOUR,
        admissions.admittime.to_numpy() + HOUR // 2,
        stays.outtime.to_numpy() + 6 * HOUR,
    )
    chart = _Chart(hours._replace(stay=stay, chart_u=hours.chart_u[index]))
    parts = [inside]
    for moment in moments:
        chart.hours = chart.hours._replace(second=moment[stay])
        for item, name, decimals in ((50931, "glucose", 0), (50912, "creatinine", 1)):
            chart.numbers(item, np.ones(len(stay), bool), hours.values[name][index], decimals)
    chart.parts = parts + chart.parts
    return chart.events()
