"""The event pass of MIMIC-IV beside its floor and other readers, alternated in one run.

    python -m tests.bench.event_pass [--rows=3000000] [--rounds=3] [--used=0.25] [--only=ours,...]

A chartevents table of that many rows is made up (values of 17 channels among other items, three of
four patients in the cohort). Each reader runs in a process of its own, on one core: `ours` leaves
the records that the series are made of; `gunzip` only unpacks, the floor for any reader; `pyarrow`
(a stream of batches), `pandas` (chunks of a million rows) and, where it is installed, `polars` (the
whole table) filter, check and convert. Prints CPU seconds and peak memory as a table, then one line
of JSON.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip
from pyarrow import csv

from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.cohort import read_admissions, select_cohort
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import Encoder, spill_events

CHANNELS, RULES = load_channels(), Rules()
ROWS_A_STAY = 4000
CHUNK_ROWS = 1_000_000
START = np.datetime64("2150-01-01T00:00:00", "s")
USED_ITEMS = (220045, 220179, 220180, 220181, 220210, 220277, 223761, 220739, 223900, 223901)
TEXTS = {220739: "Spontaneously", 223900: "Oriented", 223901: "Obeys Commands"}
TEMPERATURE = 223761
OTHER_ITEMS = np.arange(226000, 229000)


def write_tables(raw: Path, rows: int, used: float) -> None:
    """Write a raw folder whose chartevents has `rows` rows, grouped by patient."""
    stays = max(rows // ROWS_A_STAY, 1)
    number = np.arange(stays)
    start = START + (number % 30_000 * 86400).astype("timedelta64[s]")
    ids = {"subject_id": 10_000_000 + number, "hadm_id": 20_000_000 + number}
    moved = np.where(number % 4 == 3, "MICU", "SICU")
    times = {"intime": start, "outtime": start + np.timedelta64(4, "D")}
    unit = {"first_careunit": pa.array(["SICU"] * stays), "last_careunit": pa.array(moved)}
    los = {"los": np.full(stays, 4.0)}
    none = pa.nulls(stays, pa.string())
    admitted = {"admittime": start, "dischtime": times["outtime"], "deathtime": none}
    patient = {"gender": pa.array(["F"] * stays), "anchor_age": np.full(stays, 60), "dod": none}
    stay = {"stay_id": 30_000_000 + number}
    _write(raw / "icu/icustays.csv.gz", [ids | stay | unit | times | los])
    _write(raw / "hosp/admissions.csv.gz", [ids | admitted])
    _write(raw / "hosp/patients.csv.gz", [{"subject_id": ids["subject_id"]} | patient])
    generator = np.random.default_rng(0)
    chunks = [min(CHUNK_ROWS, rows - done) for done in range(0, rows, CHUNK_ROWS)]
    firsts = np.arange(len(chunks)) * CHUNK_ROWS // ROWS_A_STAY
    parts = (_events(generator, n, f, stays, start, used) for n, f in zip(chunks, firsts))
    _write(raw / "icu/chartevents.csv.gz", parts)
    columns = _events(generator, 1, 0, stays, start, used)
    no_rows = {name: column[:0] for name, column in columns.items()}
    _write(raw / "icu/outputevents.csv.gz", [no_rows])
    _write(raw / "hosp/labevents.csv.gz", [no_rows])


def _events(
    generator: np.random.Generator, rows: int, first: int, stays: int, start: Any, used: float
) -> dict[str, Any]:
    """Columns of some rows of chartevents, from the stay `first` on."""
    last = min(first + max(rows // ROWS_A_STAY, 1), stays)
    of = np.sort(generator.integers(first, last, rows))
    item = generator.choice(OTHER_ITEMS, rows)
    chosen = generator.random(rows) < used
    item[chosen] = generator.choice(USED_ITEMS, int(chosen.sum()))
    charted = start[of] + generator.integers(0, 4 * 86400, rows).astype("timedelta64[s]")
    tenths = generator.normal(900, 120, rows).astype(np.int64)
    whole, warm = pa.array(tenths // 10).cast(pa.string()), pa.array(tenths / 10).cast(pa.string())
    value = number = pc.if_else(pa.array(item == TEMPERATURE), warm, whole)
    for text_item, text in TEXTS.items():
        value = pc.if_else(pa.array(item == text_item), text, value)
        number = pc.if_else(pa.array(item == text_item), "", number)
    return {
        "subject_id": 10_000_000 + of,
        "hadm_id": 20_000_000 + of,
        "stay_id": 30_000_000 + of,
        "caregiver_id": generator.integers(1000, 99999, rows),
        "charttime": charted,
        "storetime": charted + np.timedelta64(7, "m"),
        "itemid": item,
        "value": value,
        "valuenum": number,
        "valueuom": pc.if_else(pa.array(item < 226000), "mmHg", ""),
        "warning": np.zeros(rows, np.int64),
    }


def _write(path: Path, parts: Iterable[dict[str, Any]]) -> None:
    """Write a packed csv table of one part after another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with igzip.open(path, "wb", compresslevel=2) as f:
        for number, columns in enumerate(parts):
            options = csv.WriteOptions(quoting_style="none", include_header=number == 0)
            csv.write_csv(pa.table(columns), f, options)


def ours(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """Our event pass with one worker; returns the number of records."""
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


NAMES = {item: CHANNELS.names[entry.channel] for item, entry in CHANNELS.items.items()}
COLUMNS = ["subject_id", "hadm_id", "stay_id", "charttime", "itemid", "value", "valueuom"]


def converted(rows: pd.DataFrame, stays: pd.DataFrame) -> pd.DataFrame:
    """The same job on rows of wanted items: join, times, numbers, Fahrenheit."""
    rows = rows.merge(stays[["subject_id", "hadm_id", "stay_id"]])
    rows = rows.assign(charttime=pd.to_datetime(rows.charttime), variable=rows.itemid.map(NAMES))
    number = pd.to_numeric(rows.value, errors="coerce")
    warm = (rows.variable == "Temperature") & (number >= 79)
    number = number.where(~warm, (number - 32) * 5 / 9)
    part = rows.assign(number=number)[number.notna() | rows.itemid.isin(TEXTS)]
    return part[["stay_id", "charttime", "variable", "number", "value"]]


def in_pandas(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """Chunks of pandas."""
    texts = {"value": str, "valueuom": str, "charttime": str}
    chunks = pd.read_csv(
        raw / "icu/chartevents.csv.gz", usecols=COLUMNS, dtype=texts, chunksize=1_000_000
    )
    parts = (converted(chunk[chunk.itemid.isin(NAMES)], stays) for chunk in chunks)
    return _written(parts, work)


def in_pyarrow(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """Batches of pyarrow's stream reader, converted by pandas."""
    texts = dict.fromkeys(("value", "valueuom", "charttime"), pa.string())
    reader = csv.open_csv(
        raw / "icu/chartevents.csv.gz",
        read_options=csv.ReadOptions(use_threads=False, block_size=1 << 24),
        convert_options=csv.ConvertOptions(include_columns=COLUMNS, column_types=texts),
    )
    items = pa.array(list(NAMES))
    kept = (batch.filter(pc.is_in(batch["itemid"], items)) for batch in reader)
    return _written((converted(batch.to_pandas(), stays) for batch in kept), work)


def in_polars(raw: Path, stays: pd.DataFrame, work: Path) -> int:
    """The whole table in polars, converted by pandas."""
    import polars

    table = polars.read_csv(
        raw / "icu/chartevents.csv.gz",
        columns=COLUMNS,
        schema_overrides=dict.fromkeys(("value", "valueuom", "charttime"), polars.String),
    )
    kept = table.filter(polars.col("itemid").is_in(list(NAMES)))
    return _written([converted(pd.DataFrame(kept.to_dict(as_series=False)), stays)], work)


def _written(parts: Iterable[pd.DataFrame], work: Path) -> int:
    """Write each part to disk; return the rows of all."""
    records = 0
    for part in parts:
        part.to_parquet(work / "part.parquet")
        records += len(part)
    return records


READERS: dict[str, Callable[[Path, pd.DataFrame, Path], int]] = {
    "ours": ours,
    "gunzip": gunzip,
    "pyarrow": in_pyarrow,
    "pandas": in_pandas,
    "polars": in_polars,
}


def measure(name: str, raw: Path) -> dict[str, float]:
    """Run one reader in this process."""
    stays, _ = select_cohort(read_admissions(raw, True, {}), RULES)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        records = READERS[name](raw, stays, Path(folder))
        cpu = time.process_time() - begin
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1e6
    return {"records": records, "cpu": cpu, "peak_gb": peak}


def in_own_process(name: str, raw: Path) -> dict[str, float]:
    """Run one reader in a new process, on one core."""
    line = [sys.executable, "-m", "tests.bench.event_pass", f"--reader={name}", f"--raw={raw}"]
    one = {**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, env=one, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--used", type=float, default=0.25, help="share of rows of used items")
    parser.add_argument("--only", default="ours,gunzip,pyarrow,pandas,polars")
    parser.add_argument("--reader", help="run this reader on --raw and print what it took")
    parser.add_argument("--raw", type=Path)
    options = parser.parse_args()
    if options.reader:
        print(json.dumps(measure(options.reader, options.raw)))
        return
    names = [n for n in options.only.split(",") if n != "polars" or find_spec("polars")]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        write_tables(raw, options.rows, options.used)
        packed = (raw / "icu/chartevents.csv.gz").stat().st_size
        for _ in range(options.rounds):
            for name in names:
                runs[name].append(in_own_process(name, raw))
    print(f"{options.rows:,} rows, {packed / 1e6:.0f} MB packed, {options.rounds} rounds")
    print(
        f"{'':8} {'CPU s':>8} {'s per 20 M rows':>16} {'records':>12} {'peak GB':>8} {'to ours':>8}"
    )
    cpu = {name: statistics.median(run["cpu"] for run in runs[name]) for name in names}
    for name in names:
        last, whole = runs[name][-1], cpu[name] / options.rows * 20e6
        ratio = cpu[name] / cpu[names[0]]
        line = f"{name:8} {cpu[name]:8.2f} {whole:16.2f} {last['records']:12,}"
        print(f"{line} {last['peak_gb']:8.2f} {ratio:8.2f}")
    print(json.dumps({"rows": options.rows, "packed_bytes": packed, "runs": runs}))


if __name__ == "__main__":
    main()
