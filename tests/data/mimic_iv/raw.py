"""A small raw folder in the form of MIMIC-IV, made by hand for the tests."""

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Row = Mapping[str, Any]
Tables = dict[str, list[dict[str, Any]]]
FOLDER = {"patients": "hosp", "admissions": "hosp", "diagnoses_icd": "hosp"}
FOLDER |= {"d_icd_diagnoses": "hosp", "labevents": "hosp"}
VITALS = {220045: (60, 120), 220181: (60, 100), 220210: (12, 30), 220277: (88, 100)}


def tables(patients: int = 24, seed: int = 0) -> Tables:
    """Tables of adults with one or two admissions, each with one ICU stay of one to four days.

    The first patient dies in the ICU; ids start above 2^31; one stay lies in the year 2300.
    """
    rng = np.random.default_rng(seed)
    made: Tables = {name: [] for name in FOLDER}
    made |= {name: [] for name in ("icustays", "chartevents", "outputevents")}
    codes = [("42731", 9, "Atrial fibrillation"), ("N179", 10, "Acute kidney failure")]
    codes += [("0389", 9, "Septicemia"), ("4019", 9, "Hypertension")]
    for code, version, title in codes:
        row = {"icd_code": code, "icd_version": version, "long_title": f"{title}, unspecified"}
        made["d_icd_diagnoses"].append(row)
    for number in range(patients):
        subject = 3_000_000_000 + number
        for admission in range(1 + number % 2):
            hadm, stay = 2 * subject + admission, 4 * subject + admission
            start = np.datetime64("2300-01-01T10:00:00" if number == 3 else "2150-03-01T10:00:00")
            start = start + np.timedelta64(100 * admission, "D")
            days = 1 + (number + admission) % 4
            end = start + np.timedelta64(24 * days, "h") + np.timedelta64(17 * number + 1, "m")
            dead = end - np.timedelta64(5, "h") if number == 0 else None
            keys = {"subject_id": subject, "hadm_id": hadm}
            made["admissions"].append(
                keys
                | {"admittime": start - np.timedelta64(3, "h"), "race": "WHITE - OTHER"}
                | {"dischtime": end + np.timedelta64(2, "D"), "deathtime": dead}
            )
            made["icustays"].append(
                keys
                | {"stay_id": stay, "first_careunit": "MICU", "last_careunit": "MICU"}
                | {"intime": start, "outtime": end}
                | {"los": (end - start) / np.timedelta64(1, "D")}
            )
            chosen = {0, number % len(codes)}
            for place, index in enumerate(sorted(chosen)):
                code, version, _ = codes[index]
                row = {"seq_num": place + 1, "icd_code": code, "icd_version": version}
                made["diagnoses_icd"].append(keys | row)
            _events(made, keys | {"stay_id": stay}, start, days, rng)
        made["patients"].append(
            {"subject_id": subject, "gender": "FM"[number % 2], "anchor_age": 50 + number}
            | {"anchor_year": 2148 if number != 3 else 2300, "dod": None}
        )
    return made


def _events(made: Tables, keys: Row, start: np.datetime64, days: int, rng: Any) -> None:
    """Add vital signs, scores, labs and urine of one stay."""
    for hour in np.sort(rng.uniform(-2, 24 * days, 12 * days)):
        time = start + np.timedelta64(int(3600 * hour), "s")
        charted = [(item, int(rng.integers(*span))) for item, span in VITALS.items()]
        charted += [(223761, round(rng.uniform(97, 102), 1)), (223835, int(rng.integers(21, 60)))]
        charted += [(220739, ["None", "To Pain", "Spontaneously"][rng.integers(3)])]
        charted += [(999999, "not used")]
        for item, value in charted:
            row = {"charttime": time, "itemid": item, "value": value}
            number = value if isinstance(value, int | float) else None
            made["chartevents"].append(keys | row | {"valuenum": number, "valueuom": "unit"})
        made["outputevents"].append(
            keys | {"charttime": time, "itemid": 226559, "value": 100, "valueuom": "ml"}
        )
    lab = {name: keys[name] for name in ("subject_id", "hadm_id")}
    for value in ("7.31", "___"):
        row = {"charttime": start, "itemid": 50820, "value": value, "comments": 'a "b",\nc'}
        made["labevents"].append(lab | row | {"valuenum": None, "valueuom": ""})


def text_of(rows: Iterable[Row], header: list[str] | None = None, newline: str = "\n") -> str:
    """Rows as csv text."""
    rows = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, header or list(rows[0]), lineterminator=newline)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _field(value) for name, value in row.items()})
    return out.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    return str(value).replace("T", " ") if isinstance(value, np.datetime64) else str(value)


def write(raw: Path, made: Tables, packed: bool = True, core: bool = False) -> Path:
    """Write the tables; with `core` in the layout of release 1.0 (`core/`, `ethnicity`)."""
    for name, rows in made.items():
        folder = FOLDER.get(name, "icu")
        if core and name in ("patients", "admissions"):
            folder = "core"
        text = text_of(rows)
        if core:
            text = text.replace("race", "ethnicity", 1)
        path = raw / folder / (f"{name}.csv.gz" if packed else f"{name}.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode()
        path.write_bytes(gzip.compress(data) if packed else data)
    return raw


def shuffled(made: Tables, seed: int) -> Tables:
    """The same tables with their rows in another order."""
    rng = np.random.default_rng(seed)
    return {name: [rows[i] for i in rng.permutation(len(rows))] for name, rows in made.items()}
