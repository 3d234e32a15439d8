"""What a preparation tells: its forecast, its counts, its manifest."""

import argparse
import platform
import shutil
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

import medjax
from medjax.data.manifest import describe_options, describe_set, file_digest
from medjax.data.mimic_iv.normalizer import Normalizer
from medjax.data.mimic_iv.rules import Rules
from medjax.data.mimic_iv.spill import TABLES, Tally
from medjax.data.mimic_iv.stream import open_table
from medjax.data.mimic_iv.study import Cohort
from medjax.data.mimic_iv.tables import find_table
from medjax.data.mimic_iv.tasks import Task
from medjax.data.prepared import SetSummary
from medjax.errors import UserError

ROWS_A_SECOND = 2_000_000
"""Rows that one core reads of an event table (tests/bench/event_pass.py)."""
USED_SHARE = 0.25
"""Share of the rows that channels use."""
USED_ROWS_A_STEP = 15
"""How many of these fall into an hour of a stay."""
BYTES_A_USED_ROW = 24
STEPS_BYTES = 76 * 4
NO_TIME_REASON = "charttime not a time"
UNREADABLE_ROWS = (
    "wrong number of fields",
    *(f"{name} not a whole number" for name in ("subject_id", "hadm_id", "stay_id", "itemid")),
)
UNREADABLE_VALUES = ("not a number", "infinite value")
PASSED = ("rows", "n_events", "recovered", "no_icustay", "usable", "outside the stay")
"""Counters that are no rejections."""


class Forecast(NamedTuple):
    """What a preparation will read and write."""

    tables: dict[str, tuple[int, int]]
    """Path below the raw folder -> bytes, estimated rows."""
    rows: int
    disk: int
    """Bytes of work files and sets together."""


def forecast(raw: Path, tasks: int) -> Forecast:
    """Estimate rows and disk of a preparation from the first rows of every event table.

    Raises:
        UserError: when a table is missing.
    """
    paths = [find_table(raw, name) for name in TABLES]
    tables = {str(p.relative_to(raw)): (p.stat().st_size, _estimate_rows(p)) for p in paths}
    rows = sum(rows for _, rows in tables.values())
    steps = STEPS_BYTES / USED_ROWS_A_STEP * 2 * tasks  # once as work file, once in the set
    return Forecast(tables, rows, int(rows * USED_SHARE * (BYTES_A_USED_ROW + steps)))


def check_space(out: Path, disk: int) -> int:
    """Return the free bytes where `out` lies.

    Raises:
        UserError: when they are less than `disk`.
    """
    here = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(here).free
    if disk > free:
        raise UserError(
            f"{out}: {free / 1e9:.1f} GB free, about {disk / 1e9:.1f} GB needed; free some"
        )
    return free


def print_forecast(raw: Path, out: Path, workers: int, tasks: int) -> None:
    """Print the expected rows, disk and time of a preparation, and the free space.

    Raises:
        UserError: when a table is missing, or the free space does not suffice.
    """
    expected = forecast(raw, tasks)
    table = Table(title="expected")
    for title in ("table", "bytes", "rows"):
        table.add_column(title, justify="left" if title == "table" else "right")
    for name, (size, rows) in expected.tables.items():
        table.add_row(name, f"{size:,}", f"{rows:,}")
    console = Console()
    console.print(table)
    free = check_space(out, expected.disk)
    seconds = expected.rows / ROWS_A_SECOND / min(workers, 3)
    console.print(
        f"about {expected.rows:,} rows, {expected.disk / 1e9:.1f} GB of disk "
        f"({free / 1e9:.1f} GB free), {max(seconds, 1):,.0f} s with {workers} workers"
    )


def _estimate_rows(path: Path) -> int:
    """Estimate the rows of a table from its first block and its size."""
    source = open_table(path, 1 << 20)
    lines, unpacked = 0, 0
    for block in source.blocks:
        lines, unpacked = lines + block.count(b"\n"), unpacked + len(block)
        if unpacked >= 1 << 22:
            break
    read = max(source.position.bytes, 1)
    return int(lines * max(path.stat().st_size / read, 1.0))


def rejections(counts: Counter[str]) -> dict[str, int]:
    """Return the counters of one table that are rejections, by reason."""
    return {name: n for name, n in sorted(counts.items()) if name not in PASSED and n}


def check_error_rate(raw: Path, tally: Tally, limit: float) -> None:
    """Raise a UserError when more than `limit` of a table's used values could not be read."""
    for name, counts in tally.counts.items():
        unreadable = Counter(
            {
                reason: n
                for reason, n in rejections(counts).items()
                if reason in (*UNREADABLE_ROWS, NO_TIME_REASON)
                or reason.endswith(UNREADABLE_VALUES)
            }
        )
        bad, usable = unreadable.total(), counts["usable"]
        if bad > limit * (bad + usable) and bad > 100:
            worst = unreadable.most_common(1)[0][0]
            raise UserError(
                f"{raw}: {bad:,} of {bad + usable:,} rows of {name} cannot be read (most: {worst});"
                " check the table, or raise --max_error_rate"
            )


def manifest(
    args: argparse.Namespace,
    rules: Rules,
    cohort: Cohort,
    tally: Tally,
    excluded: dict[str, Counter[str]],
    sets: dict[Task, SetSummary],
    normalizers: dict[str, Normalizer],
    columns: tuple[str, ...],
) -> dict[str, Any]:
    """Return the manifest of the prepared folder."""
    return {
        "source": "mimic_iv",
        "medjax_version": medjax.__version__,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pandas", "pyarrow")},
        },
        **describe_options(args),
        "inputs": cohort.inputs
        | tally.inputs
        | {f"--{k}": file_digest(p) for k in ("labels", "channels") if (p := getattr(args, k))},
        "counts": [
            *cohort.counts,
            *(line for name in TABLES for line in _event_counts(name, tally.counts[name])),
            *(line for t in sets for line in _task_counts(t.name, cohort, excluded[t.name])),
        ],
        "sets": {
            task.name: describe_set(
                summary,
                cohort.label_names[task.name],
                hourly=task.hourly,
                window_hours=task.hours,
            )
            for task, summary in sets.items()
        },
        "normalizer": {task: n.to_dict(columns) for task, n in normalizers.items()},
        "values_outside_the_stay": {
            name: counts["outside the stay"] for name, counts in tally.counts.items()
        },
        "rejected_values": {
            name: {reason: n for reason, n in rejections(counts).items() if ": " in reason}
            for name, counts in tally.counts.items()
        },
        "fields": rules.to_dict(),
        "split_rule": cohort.split.rule,
    }


def _event_counts(name: str, counts: Counter[str]) -> list[dict[str, Any]]:
    """Return how many rows of an event table each rule let through."""
    left = counts["rows"]
    lines = [{"rule": name, "in": left, "out": left, "reason": "rows read"}]
    values: Counter[str] = Counter()
    for reason, n in rejections(counts).items():
        if ": " in reason:
            values[f"value: {reason.split(': ')[1]}"] += n
    unreadable = {reason: counts[reason] for reason in UNREADABLE_ROWS}
    other = left - sum(unreadable.values()) - counts["n_events"]
    steps = [
        *unreadable.items(),
        ("other items or patients", other),
        ("no admission", counts["empty_hadm"]),
        ("admission outside the cohort", counts["no_hadm_in_stay"]),
        ("another ICU stay", counts["icustay_missing_in_stays"]),
        (NO_TIME_REASON, counts[NO_TIME_REASON]),
        *sorted(values.items()),
    ]
    for reason, n in steps:
        if n:
            lines.append({"rule": name, "in": left, "out": left - n, "reason": reason})
            left -= n
    return lines


def _task_counts(task: str, cohort: Cohort, excluded: Counter[str]) -> list[dict[str, Any]]:
    """Return how many stays each rule of a task let through."""
    lines, left = [], len(cohort.stays)
    for reason, n in sorted(excluded.items()):
        if n:
            lines.append({"rule": task, "in": left, "out": left - n, "reason": reason})
            left -= n
    return lines
