"""From jobs of a source to the prepared folder: processes, dry run, limit, manifest."""

import argparse
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from medjax.data.ecg.labels import OwnLabels, labelled, read_labels
from medjax.data.ecg.recording import Dropped, Recording
from medjax.data.ecg.write import EcgDescription, write_ecg
from medjax.data.manifest import describe_run, print_manifest, write_manifest
from medjax.data.space import check_space
from medjax.data.workers import ordered_map

SAMPLE = 6
"""Recordings that are read for an estimate."""
FACTS_BYTES = 600
"""What a recording takes beside its samples, about."""


class Plan(NamedTuple):
    """A set that is to be written."""

    description: EcgDescription
    jobs: Sequence[Any]
    """What to read, one a recording, in the order of their ids; sent to worker processes."""
    read: Callable[[Any], Recording | Dropped]
    """Reads one job; sent to worker processes too."""
    name_of: Callable[[Any], str] = str
    """How errors call a job."""


def prepare_sets(
    args: argparse.Namespace,
    plans: Sequence[Plan],
    inputs: Mapping[str, Path],
    counts: Sequence[Mapping[str, Any]],
    split_rule: str,
    fields: Mapping[str, Any] | None = None,
) -> None:
    """Write the sets of `plans` and the manifest; with --dry_run only print what to expect.

    Args:
        args: the options of the command.
        plans: one a set.
        inputs: name -> table that was read, for the digests of the manifest.
        counts: what the rules of the source let in and out before anything was read.
        split_rule: how recordings were split, in words.
        fields: published-or-ours choices, for the manifest.

    Raises:
        UserError: the disk is too small, or as `write_ecg` says.
    """
    own = read_labels(args.labels, args.duration_unit) if args.labels else None
    if own:
        plans = [plan._replace(description=_with_labels(plan, own)) for plan in plans]
        inputs = {**inputs, "labels": args.labels}
        if args.split == "published" and not args.unlabelled:
            split_rule = own.rule_of_splits(split_rule)
    counts = list(counts)
    limited = [plan._replace(jobs=_limited(plan, args.limit, counts)) for plan in plans]
    expected = [_estimate(plan, args.workers) for plan in limited]
    check_space(args.out, sum(size for size, _ in expected))
    if args.dry_run:
        for plan, (size, seconds) in zip(limited, expected):
            print(
                f"dry run: {plan.description.name}, {len(plan.jobs):,} recordings, about "
                f"{size / 1e6:,.1f} MB and {seconds / 60:,.1f} min; nothing written"
            )
        return
    sets = {}
    for plan in limited:
        with contextlib.closing(
            ordered_map(plan.read, plan.jobs, args.workers, plan.name_of)
        ) as read:
            shown = tqdm(read, total=len(plan.jobs), unit=" recordings", disable=None)
            met: set[str] = set()
            told = labelled(shown, own, met) if own else shown
            written = write_ecg(args, plan.description, told)
        sets[plan.description.name] = written.entry
        counts += written.counts
        if own:
            counts.append(_rows_met(plan.description.name, own, met))
    for table in args.out.glob("*.parquet"):
        if table.stem not in sets:
            table.unlink()
    manifest = {
        **describe_run(args, inputs),
        "counts": counts,
        "sets": sets,
        "split_rule": split_rule,
        "fields": dict(fields or {}),
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)
    for name, entry in sets.items():
        for note, number in entry["recordings_with"].items():
            print(f"{name}: {number:,} recordings with: {note}")


def _with_labels(plan: Plan, own: OwnLabels) -> EcgDescription:
    """The description of a set that holds the labels of the table, where it has some."""
    return plan.description._replace(labels=own.names or plan.description.labels)


def _rows_met(name: str, own: OwnLabels, met: set[str]) -> dict[str, Any]:
    """How many rows of the label table are of a recording."""
    return {
        "rule": "row of labels",
        "in": len(own.fields),
        "out": len(met),
        "reason": f"{name}: no recording of it",
    }


def _limited(plan: Plan, limit: int | None, counts: list) -> Sequence[Any]:
    """The jobs that --limit leaves; adds the rule to `counts`."""
    if limit is None or len(plan.jobs) <= limit:
        return plan.jobs
    reason = f"{plan.description.name}: beyond the first {limit} recordings"
    counts.append({"rule": "limit", "in": len(plan.jobs), "out": limit, "reason": reason})
    return plan.jobs[:limit]


def _estimate(plan: Plan, workers: int) -> tuple[int, float]:
    """Return (bytes, seconds) that a set will take, from a few of its recordings."""
    count, form = len(plan.jobs), plan.description.form
    chosen = [plan.jobs[i] for i in sorted({i * count // SAMPLE for i in range(SAMPLE)})[:count]]
    start = time.monotonic()
    for job in chosen:
        plan.read(job)
    seconds = (time.monotonic() - start) / max(len(chosen), 1) * count / max(workers, 1)
    samples = len(form.leads) * form.samples * (2 if form.storage == "int16" else 4)
    return (samples + FACTS_BYTES) * count, seconds
