"""PTB-XL (100 or 500 Hz) with statements and reports, and the median beats of PTB-XL+."""

import argparse
import functools
from pathlib import Path
from typing import Any, NamedTuple

from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.options import STRIP_RATE, STRIP_SECONDS, add_ecg_arguments, form_of
from medjax.data.ecg.prepare_sets import Plan, prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform, drop
from medjax.data.ecg.write import EcgDescription, Source, split_rule
from medjax.data.ptbxl.medians import (
    RATE,
    SCALE,
    SECONDS,
    SOURCES,
    UNITS,
    find_medians,
    median_path,
)
from medjax.data.ptbxl.tables import (
    DATABASE,
    STATEMENTS,
    SUPERCLASSES,
    Patient,
    find_root,
    is_record_path,
    read_database,
    read_superclasses,
    split_of,
    superclass_labels,
)
from medjax.data.subject_split import hash_split
from medjax.data.wfdb.samples import read_record
from medjax.errors import UserError

PTBXL = Source(
    "Twelve-lead electrocardiograms of PTB-XL, 10 s, with SCP statements and reports.",
    "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific "
    "Data 7, 154, 2020; doi 10.13026/kfzx-aw45",
    "CC BY 4.0",
)
MEDIANS = Source(
    "Median beats of PTB-XL+ with the SCP statements and reports of PTB-XL.",
    "Strodthoff et al., PTB-XL+, a comprehensive electrocardiographic feature dataset, Scientific "
    "Data 10, 279, 2023; doi 10.13026/nqsf-pc74",
    "CC BY 4.0",
)


class Job(NamedTuple):
    """A record that is to be read."""

    path: Path
    """Of its header."""
    patient: Patient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--signal",
        choices=("rhythm", "median", "both"),
        default="rhythm",
        help="10 s strips of PTB-XL, median beats of PTB-XL+, or a set of each",
    )
    parser.add_argument("--medians", type=Path, help="folder of PTB-XL+ (looked for in --raw)")
    parser.add_argument(
        "--median_source", choices=SOURCES, default="12sl", help="algorithm of the median beats"
    )
    parser.add_argument(
        "--quality",
        choices=("all", "high"),
        default="all",
        help="high: train and validate on recordings validated by a human and without noise",
    )
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `rhythm` and `median`, as --signal says, and the manifest."""
    root = find_root(args.raw)
    patients = read_database(root / DATABASE)
    superclass_of = {} if args.unlabelled else read_superclasses(root / STATEMENTS)
    counts: list[dict[str, Any]] = []
    if args.quality == "high":
        kept = [p for p in patients if p.clean or _split(p, args) == "test"]
        reason = "not validated by a human, or noise noted (test recordings stay)"
        counts.append(_rule("quality", patients, kept, reason))
        patients = kept
    labels = () if args.unlabelled else SUPERCLASSES
    plans = [
        _plan(args, signal, root, patients, labels, superclass_of, counts)
        for signal in ("rhythm", "median")
        if args.signal in (signal, "both")
    ]
    inputs = {name: root / name for name in (DATABASE, STATEMENTS) if (root / name).exists()}
    published = "strat_fold (1 to 8 train, 9 validation, 10 test)"
    prepare_sets(args, plans, inputs, counts, split_rule(args, published, "patient"))


def _plan(
    args: argparse.Namespace,
    signal: str,
    root: Path,
    patients: list[Patient],
    labels: tuple[str, ...],
    superclass_of: dict[str, str],
    counts: list[dict[str, Any]],
) -> Plan:
    """One set; adds the rule of files that are missing to `counts`.

    Raises:
        UserError: no file of this signal is there.
    """
    if signal == "rhythm":
        form, scale, unit, source = form_of(args, STRIP_RATE, STRIP_SECONDS), 1.0, "mV", PTBXL
        jobs = _strips(root, patients, form.sampling_rate)
        reason = "rhythm: no such record file"
    else:
        form, unit = form_of(args, RATE, SECONDS), UNITS[args.median_source]
        scale, source = SCALE[args.median_source], MEDIANS
        folders = (args.medians,) if args.medians else (args.raw, root)
        place = find_medians(folders, args.median_source)
        paths = [place / f"{median_path(args.median_source, p.ecg_id)}.hea" for p in patients]
        jobs = [Job(*pair) for pair in zip(paths, patients)]
        reason = "median: no median beat"
    present = [job for job in jobs if job.path.exists()]
    counts.append(_rule("file on disk", jobs, present, reason))
    if not present:
        raise UserError(
            f"{root}: none of the {len(jobs):,} {signal} records of {DATABASE} is there, as "
            f"{jobs[0].path.name if jobs else 'any'}; fetch the record folders beside the table"
        )
    if len(present) < len(jobs):
        print(f"{reason} for {len(jobs) - len(present):,} of {len(jobs):,} rows; they are left out")
    description = EcgDescription(signal, form, source, unit, labels)
    read = functools.partial(read_job, form, scale, superclass_of)
    return Plan(description, present, read, lambda job: str(job.path))


def _strips(root: Path, patients: list[Patient], rate: float) -> list[Job]:
    """The records of 100 Hz where these suffice or are all that is there, else those of 500 Hz.

    Raises:
        UserError: a path that leads out of the folder.
    """
    names = {100: [p.strip_100 for p in patients], 500: [p.strip_500 for p in patients]}
    order = (100, 500) if rate <= 100 else (500, 100)
    for name in (*names[100], *names[500]):
        if not is_record_path(name):
            raise UserError(f"{root / DATABASE}: a file name that is no path of a record; mend it")
    folders = {key: paths[0].split("/")[0] for key, paths in names.items() if paths}
    chosen = next((key for key in order if (root / folders.get(key, "")).is_dir()), order[0])
    headers = [root / f"{name}.hea" for name in names[chosen]]
    return [Job(*pair) for pair in zip(headers, patients)]


def read_job(
    form: Form, scale: float, superclass_of: dict[str, str], job: Job
) -> Recording | Dropped:
    """Read one record; a record that cannot be used is left out and counted."""
    patient = job.patient
    try:
        record = read_record(job.path, form.samples / form.sampling_rate)
        steps = record.scale * scale
        signal = conform(record.values, record.names, record.rate, form, steps)
    except RecordFault as fault:
        return drop(str(patient.ecg_id), job.path, fault)
    return Recording(
        str(patient.ecg_id),
        patient.patient_id,
        signal._replace(notes=(*record.notes, *signal.notes)),
        split_of(patient.fold),
        patient.fold,
        patient.age,
        patient.sex,
        labels=superclass_labels(patient.statements, superclass_of) if superclass_of else (),
        statements=patient.statements,
        report=patient.report,
    )


def _split(patient: Patient, args: argparse.Namespace) -> str:
    """The split that the recording will get."""
    if args.unlabelled:
        return "all"
    return hash_split(patient.patient_id) if args.split == "hash" else split_of(patient.fold)


def _rule(rule: str, before: list, after: list, reason: str) -> dict[str, Any]:
    """What a rule let in and out, for the manifest."""
    return {"rule": rule, "in": len(before), "out": len(after), "reason": reason}
