"""Writes invented ECGs as PTB-XL 1.0.3, the median beats of PTB-XL+ 1.0.1, and a risk cohort.

The risk cohort has the layout that was used with UK Biobank: `ecg_data.npy` and
`y_status_duration.npy` (status, duration in days, subject). Its hazard is log-linear in ST
depression and QRS width, which the statements of the PTB-XL part name: what is learnt there helps
here. `write_random_risk` has the same layout and nothing to learn.
"""

from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.demo.heart import LEADS, Hearts, draw_hearts, median_beats, strips
from medjax.data.demo.patients import EPOCH, generator
from medjax.data.demo.rawcsv import require_patients
from medjax.data.demo.statements import report, scp_statements
from medjax.files import write_atomic, write_text

# No record of PTB-XL has a number above 21,837: no invented row can be taken for a real one.
FIRST_RECORD, FIRST_PATIENT, FIRST_SUBJECT = 90_001, 90_001, 9_000_001
BEAT_SAMPLES, BEAT_RATE, STRIP_SECONDS = 600, 500, 10

LOG_HAZARD = 1.05
"""Log hazard per standard deviation of ST depression and of QRS width."""
HAZARD = 7e-5
"""Events a day of a subject with mean ST level and QRS width."""
FOLLOW_UP = (900, 2500)
"""Days after which follow-up ends, uniformly between these."""

_PERSON, _STRIP, _BEAT, _SUBJECT, _SUBJECT_BEAT = range(10, 15)  # random streams of a patient


class _Records(NamedTuple):
    """The records of PTB-XL, patient by patient."""

    patient: np.ndarray
    number: np.ndarray
    """0 for a patient's first record."""
    hearts: Hearts
    u: np.ndarray
    """Uniform draws [records, 12] for what the table says besides."""
    flat_lead: np.ndarray
    """The lead without contact, or -1."""


def _draw_records(patients: int, seed: int) -> _Records:
    rngs = [generator(seed, patient, _PERSON) for patient in range(patients)]
    hearts = draw_hearts(rngs)
    u = np.array([rng.random((3, 12)) for rng in rngs])
    copies = 1 + (u[:, 0, 0] < 0.15) + (u[:, 0, 0] < 0.03)
    patient = np.repeat(np.arange(patients), copies)
    number = np.concatenate([np.arange(c) for c in copies])
    own = u[patient, number]
    # The heart stays as it is; only its rate differs from visit to visit.
    hearts = Hearts(*(field[patient] for field in hearts))
    hearts = hearts._replace(rate=np.clip(hearts.rate * (0.9 + 0.2 * own[:, 11]), 42, 140))
    flat = np.where(own[:, 1] < 0.01, (12 * own[:, 2]).astype(int), -1)
    return _Records(patient, number, hearts, own, flat)


def write_ptbxl(
    folder: Path, patients: int, seed: int, *, sampling_rates: Sequence[int] = (100,)
) -> None:
    """Write the tables and the ten-second strips of `patients` invented patients, as PTB-XL.

    `sampling_rates` may hold 100 (records100) and 500 (records500). Equal arguments give equal
    bytes. The tables come last: a folder that has them has all its records. Raises `UserError`
    when `patients` is below 1.
    """
    require_patients(patients)
    records = _draw_records(patients, seed)
    for rate in sampling_rates:
        suffix = {100: "lr", 500: "hr"}[rate]
        for chunk in _chunks(len(records.patient)):
            rngs = _generators(records, chunk, seed, _STRIP)
            hearts = Hearts(*(field[chunk] for field in records.hearts))
            signal = _without_contact(strips(hearts, rngs, STRIP_SECONDS, rate), records, chunk)
            for row, millivolt in zip(chunk, signal):
                name = _path(FIRST_RECORD + row, suffix)
                counts = np.clip(np.rint(millivolt * 1000), -32767, 32767).astype("<i2")
                _write_record(folder / f"records{rate}" / name, counts, rate, "16", "1000.0(0)/mV")
    statements = files("medjax").joinpath("data/ecg/resources/scp_statements.csv")
    write_text(folder / "scp_statements.csv", statements.read_text(encoding="utf-8"))
    table = _database(records)
    write_text(folder / "ptbxl_database.csv", table.to_csv(index=False, lineterminator="\n"))


def write_medians(folder: Path, patients: int, seed: int) -> None:
    """Write the median beats of the records of `write_ptbxl`, as PTB-XL+ (`median_beats/12sl`).

    As there, every record line names a folder that does not exist, the numbers are microvolt though
    declared millivolt, and a few records have no median beat.
    """
    require_patients(patients)
    records = _draw_records(patients, seed)
    present = np.flatnonzero(records.u[:, 3] < 0.96)
    for chunk in _chunks(len(present)):
        rows = present[chunk]
        rngs = _generators(records, rows, seed, _BEAT)
        hearts = Hearts(*(field[rows] for field in records.hearts))
        beats = _without_contact(median_beats(hearts, rngs, BEAT_SAMPLES), records, rows)
        for row, millivolt in zip(rows, beats):
            path = folder / "median_beats" / "12sl" / _path(FIRST_RECORD + row, "medians")
            counts = np.rint(millivolt * 1000).astype("<i4")
            stale = "ge_median_beats_wfdb/"
            _write_record(path, counts, BEAT_RATE, "32", "1.0(0)/mV", stale)


def write_risk(folder: Path, subjects: int, seed: int) -> None:
    """Write the risk cohort: median beats [subjects, 12, 600] in microvolt, and outcomes.

    About a quarter of the subjects have an event. Raises `UserError` when `subjects` is below 1.
    """
    require_patients(subjects)
    parts = []
    for chunk in _chunks(subjects):
        hearts = draw_hearts([generator(seed, i, _SUBJECT) for i in chunk])
        rngs = [generator(seed, i, _SUBJECT_BEAT) for i in chunk]
        parts.append(median_beats(hearts, rngs, BEAT_SAMPLES))
    beats = np.rint(1000 * np.concatenate(parts))
    event, days, _ = draw_outcomes(subjects, seed)
    _write_cohort(folder, beats, event, days, FIRST_SUBJECT + np.arange(subjects))


def draw_outcomes(subjects: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event (1 or 0), days to event or end of follow-up, and the true log hazard, of `write_risk`.

    All are [subjects].
    """
    rngs = [generator(seed, i, _SUBJECT) for i in range(subjects)]
    hearts = draw_hearts(rngs)
    log_hazard = LOG_HAZARD * (hearts.st_z + hearts.qrs_z)
    u = np.array([rng.random(2) for rng in rngs]).T
    days = -np.log1p(-u[0]) / (HAZARD * np.exp(log_hazard))
    end = FOLLOW_UP[0] + (FOLLOW_UP[1] - FOLLOW_UP[0]) * u[1]
    event = days < end
    return event.astype(int), np.ceil(np.minimum(days, end)).astype(int), log_hazard


def write_random_risk(folder: Path, subjects: int, seed: int, *, samples: int = 608) -> None:
    """Write a cohort without anything to learn: noise, coin flips, 0 to 99 days.

    Whatever scores far from 0.5 on it leaks. Raises `UserError` when `subjects` is below 1.
    """
    require_patients(subjects)
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((subjects, 12, samples))
    event, days = rng.integers(0, 2, subjects), rng.integers(0, 100, subjects)
    _write_cohort(folder, signal, event, days, np.arange(subjects))


def _write_cohort(
    folder: Path, signal: np.ndarray, event: np.ndarray, days: np.ndarray, subject: np.ndarray
) -> None:
    outcome = np.stack([event, days, subject], axis=1).astype(np.float64)
    beats = signal.astype(np.float32)
    write_atomic(folder / "ecg_data.npy", partial(_save, array=beats))
    write_atomic(folder / "y_status_duration.npy", partial(_save, array=outcome))


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:  # given a path, numpy would append a suffix
        np.save(file, array, allow_pickle=False)


def _chunks(rows: int) -> list[np.ndarray]:
    return np.split(np.arange(rows), range(256, rows, 256))


def _generators(
    records: _Records, rows: np.ndarray, seed: int, stream: int
) -> list[np.random.Generator]:
    pairs = zip(records.patient[rows], records.number[rows])
    return [generator(seed, int(patient), stream, int(number)) for patient, number in pairs]


def _without_contact(signal: np.ndarray, records: _Records, rows: np.ndarray) -> np.ndarray:
    flat = records.flat_lead[rows]
    lost = np.flatnonzero(flat >= 0)
    signal[lost, flat[lost]] = 0
    return signal


def _path(record: int | np.integer, suffix: str) -> str:
    return f"{record // 1000 * 1000:05d}/{record:05d}_{suffix}"


def _write_record(
    path: Path, counts: np.ndarray, rate: int, storage: str, gain: str, stale_folder: str = ""
) -> None:
    """Write one WFDB record, `counts` [12, samples]; lead names in capitals, as in PTB-XL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{stale_folder}{path.name} {len(counts)} {rate} {counts.shape[1]}"]
    for lead, row in zip(LEADS, counts):
        checksum = int(row.sum(dtype=np.int64)) & 0xFFFF
        name = lead if stale_folder else lead.upper()
        lines.append(f"{path.name}.dat {storage} {gain} {storage} 0 {row[0]} {checksum} 0 {name}")
    path.with_name(path.name + ".dat").write_bytes(np.ascontiguousarray(counts.T).tobytes())
    path.with_name(path.name + ".hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def _database(records: _Records) -> pd.DataFrame:
    """`ptbxl_database.csv` with its 28 columns."""
    u, n = records.u, len(records.patient)
    ecg_id = FIRST_RECORD + np.arange(n)
    first = np.flatnonzero(records.number == 0)[records.patient]
    # A patient's age, sex and fold are those of the first record.
    age = np.clip(np.round(60 + 4 * records.hearts.severity + 50 * (u[first, 4] - 0.5)), 18, 95)
    day = (u[first, 5] * 4000).astype(int) + 200 * records.number
    minute = (u[:, 6] * 86_400).astype(int)
    date = np.datetime_as_string(EPOCH + (day * 86_400 + minute).astype("timedelta64[s]"), unit="s")
    codes = scp_statements(records.hearts)
    fold = records.patient % 10 + 1
    noise = {
        "baseline_drift": np.where(u[:, 7] < 0.03, " , II,III", ""),
        "static_noise": np.where((u[:, 7] > 0.03) & (u[:, 7] < 0.06), " , I-AVF,  ", ""),
        "burst_noise": np.where((u[:, 7] > 0.06) & (u[:, 7] < 0.07), "V1", ""),
        "electrodes_problems": [LEADS[k] if k >= 0 else "" for k in records.flat_lead],
    }
    return pd.DataFrame({
        "ecg_id": ecg_id,
        "patient_id": (FIRST_PATIENT + records.patient).astype(float),
        "age": np.where(age > 89, 300.0, age),
        "sex": (u[first, 8] < 0.48).astype(int),
        "height": "", "weight": "", "nurse": "", "site": "", "device": "invented",
        "recording_date": np.char.replace(date, "T", " "),
        "report": [report(c, german=bool(v < 0.5)) for c, v in zip(codes, u[:, 9])],
        "scp_codes": [str(c) for c in codes],
        "heart_axis": np.where(records.hearts.axis < -30, "LAD", "MID"),
        "infarction_stadium1": "", "infarction_stadium2": "", "validated_by": "",
        "second_opinion": False,
        "initial_autogenerated_report": u[:, 10] > 0.9,
        "validated_by_human": (u[:, 10] < 0.94) | (fold >= 9),
        **noise,
        "extra_beats": "", "pacemaker": "",
        "strat_fold": fold,
        "filename_lr": [f"records100/{_path(i, 'lr')}" for i in ecg_id],
        "filename_hr": [f"records500/{_path(i, 'hr')}" for i in ecg_id],
    })  # fmt: skip
