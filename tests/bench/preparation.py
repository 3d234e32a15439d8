"""The whole preparation of a MIMIC-IV folder beside a plain rendition in pandas.

    python -m tests.bench.preparation --raw=DIR [--rounds=3]

`ours` is `medjax.prepare mimic_iv` with one worker: both default tasks as sets, with manifest.
`pandas` does the same work the way a script would: whole tables in memory, one pivot table and one
array file a stay; it converts numbers, but checks nothing and encodes no categories. Each runs in a
process of its own; prints CPU seconds without imports and peak memory, then one line of JSON.
"""

import argparse
import contextlib
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from medjax import prepare as command
from medjax.data.mimic_iv.channels import load_channels
from medjax.data.mimic_iv.tables import find_table

KEYS = ["subject_id", "hadm_id"]
TABLES = ("outputevents", "chartevents", "labevents")
MORTALITY_HOURS = 48


def ours(raw: Path, out: Path) -> int:
    """Our command; returns the number of stays."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = command.main(["mimic_iv", f"--raw={raw}", f"--out={out}", "--workers=1"])
    if code:
        sys.exit(code)
    return len(pd.read_parquet(out / "stays.parquet"))


def in_pandas(raw: Path, out: Path) -> int:
    """The plain rendition; returns the number of stays."""
    stays, labels = _stays(raw)
    events = _events(raw, stays)
    hours = (events.charttime - events.intime).dt.total_seconds() / 3600
    events = events.assign(hour=hours)[(hours >= 0) & (hours <= 24 * events.los)]
    channels = load_channels()
    for stay_id, rows in events.groupby("stay_id"):
        grid = rows.assign(step=rows.hour.astype(int)).pivot_table(
            index="step", columns="variable", values="number", aggfunc="last"
        )
        steps = range(int(np.ceil(24 * rows.los.iloc[0])))
        grid = grid.reindex(index=steps, columns=list(channels.names))
        seen = grid.notna().to_numpy(np.float32)
        filled = grid.ffill().fillna(dict(zip(channels.names, channels.normal)))
        series = np.hstack([filled.to_numpy(np.float32), seen])
        np.save(out / f"phenotyping_{stay_id}.npy", series)
        if len(series) >= MORTALITY_HOURS:
            np.save(out / f"mortality_{stay_id}.npy", series[:MORTALITY_HOURS])
    labels.to_csv(out / "labels.csv")
    return len(stays)


def _stays(raw: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cohort and, for each stay, which codes it has."""
    stays = pd.read_csv(find_table(raw, "icustays"), parse_dates=["intime", "outtime"])
    stays = stays[stays.first_careunit == stays.last_careunit]
    times = ["admittime", "dischtime", "deathtime"]
    admissions = pd.read_csv(find_table(raw, "admissions"), parse_dates=times)
    patients = pd.read_csv(find_table(raw, "patients"), parse_dates=["dod"])
    stays = stays.merge(admissions, on=KEYS).merge(patients, on="subject_id")
    stays = stays[stays.groupby("hadm_id").stay_id.transform("size") == 1]
    stays = stays[stays.anchor_age >= 18]
    codes = pd.read_csv(find_table(raw, "diagnoses_icd"), dtype={"icd_code": str})
    titles = pd.read_csv(find_table(raw, "d_icd_diagnoses"), dtype={"icd_code": str})
    codes = codes.merge(titles, on=["icd_code", "icd_version"])
    of_stays = codes.merge(stays[[*KEYS, "stay_id"]], on=KEYS)
    return stays, pd.crosstab(of_stays.stay_id, of_stays.icd_code)


def _events(raw: Path, stays: pd.DataFrame) -> pd.DataFrame:
    """The numbers of wanted items of the stays' admissions."""
    channels = load_channels()
    names = {item: channels.names[entry.channel] for item, entry in channels.items.items()}
    parts = []
    for table in TABLES:
        columns = ["subject_id", "hadm_id", "charttime", "itemid", "value"]
        part = pd.read_csv(find_table(raw, table), usecols=columns, dtype={"value": str})
        parts.append(part[part.itemid.isin(names)])
    events = pd.concat(parts).merge(stays[[*KEYS, "stay_id", "intime", "los"]], on=KEYS)
    events = events.assign(
        charttime=pd.to_datetime(events.charttime),
        variable=events.itemid.map(names),
        number=pd.to_numeric(events.value, errors="coerce"),
    )
    warm = (events.variable == "Temperature") & (events.number >= 79)
    events["number"] = events.number.where(~warm, (events.number - 32) * 5 / 9)
    return events.dropna(subset="number").sort_values(["charttime", "number"])


READERS: dict[str, Callable[[Path, Path], int]] = {"ours": ours, "pandas": in_pandas}


def measure(name: str, raw: Path) -> dict[str, float]:
    """Run one of both in this process."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        stays = READERS[name](raw, Path(folder))
        cpu = time.process_time() - begin
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1e6
    return {"stays": stays, "cpu": cpu, "peak_gb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reader", help="run this one alone and print what it took")
    options = parser.parse_args()
    if options.reader:
        print(json.dumps(measure(options.reader, options.raw)))
        return
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    for _ in range(options.rounds):
        for name in READERS:
            line = [sys.executable, "-m", "tests.bench.preparation", f"--raw={options.raw}"]
            line.append(f"--reader={name}")
            done = subprocess.run(line, capture_output=True, text=True, check=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    cpu = {name: statistics.median(run["cpu"] for run in runs[name]) for name in READERS}
    print(f"{'':8} {'stays':>6} {'CPU s':>8} {'peak GB':>8} {'to ours':>8}")
    for name in READERS:
        last = runs[name][-1]
        ratio = cpu[name] / cpu["ours"]
        print(f"{name:8} {last['stays']:6} {cpu[name]:8.2f} {last['peak_gb']:8.2f} {ratio:8.2f}")
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
