"""The event pass of MIMIC-IV beside plain gunzip and pandas in chunks, alternated in one run.

    python -m tests.bench.event_pass [--rows=3000000] [--rounds=3] [--used=0.25]

A chartevents table of that many rows is made up (values of 17 channels among other items, three of
four patients in the cohort). All three read it on one core: `ours` leaves the records that the
series are made of; `gunzip` only unpacks, the floor for any reader; `pandas` filters, checks and
converts chunks of a million rows. Prints rows per CPU second as a table, then one line of JSON.
"""

import argparse
import gzip
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from isal import igzip
from pyarrow import csv

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.cohort import read_admissions, select_cohort
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import Encoder, spill_events

CHANNELS, RULES = load_channels(), Rules()
ROWS_A_STAY = 4000
USED_ITEMS = (220045, 220179, 220180, 220181, 220210, 220277, 223761, 220739, 223900, 223901)
TEXTS = {220739: "Spontaneously", 223900: "Oriented", 223901: "Obeys Commands"}
TEMPERATURE = 223761
OTHER_ITEMS = np.arange(226000, 229000)


def write_tables(raw: Path, rows: int, used: float) -> None:
    """Write a raw folder whose chartevents has `rows` rows, grouped by patient."""
    generator = np.random.default_rng(0)
    stays = max(rows // ROWS_A_STAY, 1)
    number = np.arange(stays)
    start = np.datetime64("2150-01-01T00:00:00", "s") + (number * 86400).astype("timedelta64[s]")
    ids = {"subject_id": 10_000_000 + number, "hadm_id": 20_000_000 + number}
    moved = np.where(number % 4 == 3, "MICU", "SICU")
    times = {"intime": start, "outtime": start + np.timedelta64(4, "D")}
    unit = {"first_careunit": pa.array(["SICU"] * stays), "last_careunit": pa.array(moved)}
    los = {"los": np.full(stays, 4.0)}
    none = pa.nulls(stays, pa.string())
    admitted = {"admittime": start, "dischtime": times["outtime"], "deathtime": none}
    patient = {"gender": pa.array(["F"] * stays), "anchor_age": np.full(stays, 60), "dod": none}
    stay = {"stay_id": 30_000_000 + number}
    _write(raw / "icu/icustays.csv.gz", ids | stay | unit | times | los)
    _write(raw / "hosp/admissions.csv.gz", ids | admitted)
    _write(raw / "hosp/patients.csv.gz", {"subject_id": ids["subject_id"]} | patient)
    of = np.sort(generator.integers(0, stays, rows))
    item = generator.choice(OTHER_ITEMS, rows)
    chosen = generator.random(rows) < used
    item[chosen] = generator.choice(USED_ITEMS, int(chosen.sum()))
    seconds = generator.integers(0, 4 * 86400, rows).astype("timedelta64[s]")
    tenths = generator.normal(900, 120, rows).astype(np.int64)
    value = (tenths // 10).astype("U16")
    warm = item == TEMPERATURE
    value[warm] = (tenths[warm] / 10).astype("U16")
    for text_item, text in TEXTS.items():
        value[item == text_item] = text
    number_text = np.where(np.isin(item, list(TEXTS)), "", value)
    events = {
        "subject_id": ids["subject_id"][of],
        "hadm_id": ids["hadm_id"][of],
        "stay_id": stay["stay_id"][of],
        "caregiver_id": generator.integers(1000, 99999, rows),
        "charttime": start[of] + seconds,
        "storetime": start[of] + seconds + np.timedelta64(7, "m"),
        "itemid": item,
        "value": value,
        "valuenum": number_text,
        "valueuom": np.where(item < 226000, "mmHg", ""),
        "warning": np.zeros(rows, np.int64),
    }
    _write(raw / "icu/chartevents.csv.gz", events)
    no_rows = {name: column[:0] for name, column in events.items()}
    _write(raw / "icu/outputevents.csv.gz", no_rows)
    _write(raw / "hosp/labevents.csv.gz", no_rows)


def _write(path: Path, columns: dict) -> None:
    """Write a packed csv table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb", compresslevel=6) as f:
        options = csv.WriteOptions(quoting_style="none")
        csv.write_csv(pa.table(columns), f, options)


def ours(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """Our event pass with one worker; returns the number of records."""
    shutil.rmtree(work)
    spill_events(raw, stays, CHANNELS, RULES, work, 8, 1)
    size = sum(path.stat().st_size for path in work.glob("*.records"))
    return size // Encoder(CHANNELS, RULES).dtype().itemsize


def gunzip(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """Unpack the table and drop it."""
    total = 0
    with igzip.open(raw / "icu/chartevents.csv.gz", "rb") as f:
        while chunk := f.read(1 << 24):
            total += len(chunk)
    return total


def in_pandas(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """The same job in chunks of pandas; returns the number of records."""
    records = 0
    names = {item: CHANNELS.names[entry.channel] for item, entry in CHANNELS.items.items()}
    columns = ["subject_id", "hadm_id", "stay_id", "charttime", "itemid", "value", "valueuom"]
    kept = stays[["subject_id", "hadm_id", "stay_id"]]
    texts = {"value": str, "valueuom": str, "charttime": str}
    for chunk in pd.read_csv(
        raw / "icu/chartevents.csv.gz", usecols=columns, dtype=texts, chunksize=1_000_000
    ):
        rows = chunk[chunk.itemid.isin(names) & chunk.subject_id.isin(kept.subject_id)]
        rows = rows.merge(kept, on=["subject_id", "hadm_id", "stay_id"])
        rows = rows.assign(
            charttime=pd.to_datetime(rows.charttime), variable=rows.itemid.map(names)
        )
        number = pd.to_numeric(rows.value, errors="coerce")
        warm = (rows.variable == "Temperature") & (number >= 79)
        number = number.where(~warm, (number - 32) * 5 / 9)
        textual = rows.itemid.isin(TEXTS)
        part = rows.assign(number=number)[number.notna() | textual]
        part[["stay_id", "charttime", "variable", "number", "value"]].to_pickle(work / "part.pkl")
        records += len(part)
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--used", type=float, default=0.25, help="share of rows of used items")
    options = parser.parse_args()
    readers: dict[str, Callable[[Path, pd.DataFrame, Path], int]] = {
        "ours": ours,
        "gunzip": gunzip,
        "pandas": in_pandas,
    }
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    with tempfile.TemporaryDirectory() as folder:
        raw, work = Path(folder) / "raw", Path(folder) / "work"
        work.mkdir()
        write_tables(raw, options.rows, options.used)
        packed = (raw / "icu/chartevents.csv.gz").stat().st_size
        stays, _ = select_cohort(read_admissions(raw, True, {}), RULES)
        for _ in range(options.rounds):
            for name, read in readers.items():
                begin = time.process_time()
                print(name, read(raw, stays, work))
                seconds[name].append(time.process_time() - begin)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.rows:,} rows, {packed / 1e6:.0f} MB packed, {options.rounds} rounds")
    print(f"{'':8} {'CPU s':>8} {'s per 20 M rows':>16} {'rows per CPU s':>16} {'to ours':>8}")
    for name, value in median.items():
        rate, whole = options.rows / value, value / options.rows * 20e6
        print(f"{name:8} {value:8.2f} {whole:16.2f} {rate:16,.0f} {value / median['ours']:8.2f}")
    result = {
        "rows": options.rows,
        "packed_bytes": packed,
        "cpu_seconds": seconds,
        "ratio_to_ours": {name: value / median["ours"] for name, value in median.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
