"""Any folder of WFDB records (.hea), those of the PhysioNet/CinC challenges 2020 and 2021 too."""

import argparse
import collections
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medjax.data.arguments import whole_number
from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.options import STRIP_RATE, STRIP_SECONDS, add_ecg_arguments, form_of
from medjax.data.ecg.prepare_sets import Plan, prepare_sets
from medjax.data.ecg.recording import (
    Dropped,
    Form,
    Recording,
    conform,
    drop,
    standard_age,
    standard_sex,
)
from medjax.data.ecg.write import EcgDescription, Source, split_rule
from medjax.data.wfdb.header import read_header
from medjax.data.wfdb.samples import read_record
from medjax.errors import UserError

SOURCE = Source("Electrocardiograms of WFDB records.", "", "that of the records")


class Job(NamedTuple):
    """A record that is to be read."""

    record_id: str
    header: str
    """Path under the root, with suffix."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--subject",
        default="record",
        help="who a record is of: record, folder, or a comment of its header, as patient",
    )
    parser.add_argument(
        "--min_positives",
        type=whole_number(1),
        default=1,
        help="records that a code of `# Dx` needs to become a label",
    )
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the set `rhythm` and the manifest."""
    jobs = find_records(args.raw)
    if not jobs:
        raise UserError(f"{args.raw}: no WFDB header (*.hea) there; name the folder of the records")
    labels = (
        () if args.unlabelled else label_codes(args.raw, jobs[: args.limit], args.min_positives)
    )
    form = form_of(args, STRIP_RATE, STRIP_SECONDS)
    read = functools.partial(read_job, args.raw, form, labels, args.subject)
    plan = Plan(EcgDescription("rhythm", form, SOURCE, labels=labels), jobs, read, _name)
    prepare_sets(args, [plan], {}, [], split_rule(args, None, args.subject))


def find_records(root: Path) -> list[Job]:
    """Return the records of a folder and those below it, sorted by id.

    The id is the name of the header, with its folders where two headers have one name.
    """
    headers = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.hea"))
    names = collections.Counter(Path(header).stem for header in headers)
    jobs = []
    for header in headers:
        path = Path(header)
        alone = names[path.stem] == 1
        jobs.append(Job(path.stem if alone else path.with_suffix("").as_posix(), header))
    return sorted(jobs)


def label_codes(root: Path, jobs: Sequence[Job], least: int) -> tuple[str, ...]:
    """Return the codes that stand in `# Dx` of at least `least` headers, sorted."""
    counts: collections.Counter[str] = collections.Counter()
    for job in jobs:
        try:
            counts.update(set(codes_of(read_header(root / job.header).comments) or ()))
        except RecordFault:
            continue  # counted when the record is read
    return tuple(sorted(code for code, count in counts.items() if count >= least))


def codes_of(comments: dict[str, str]) -> list[str] | None:
    """Return the codes of the comment `Dx`; None where there is none."""
    if comments.get("dx", "").lower() in ("", "unknown"):
        return None
    return [code.strip() for code in comments["dx"].split(",") if code.strip()]


def read_job(
    root: Path, form: Form, labels: tuple[str, ...], subject: str, job: Job
) -> Recording | Dropped:
    """Read one record; a record that cannot be used is left out and counted."""
    path = root / job.header
    try:
        record = read_record(path, form.samples / form.sampling_rate)
        signal = conform(record.values, record.names, record.rate, form, record.scale)
        who = _subject(subject, job, record.comments)
    except RecordFault as fault:
        return drop(job.record_id, path, fault)
    signal = signal._replace(notes=(*record.notes, *signal.notes))
    codes = codes_of(record.comments)
    known = () if codes is None else [float(name in codes) for name in labels]
    return Recording(
        job.record_id,
        who,
        signal,
        age=standard_age(record.comments.get("age", "")),
        sex=standard_sex(record.comments.get("sex", "")),
        labels=known,
    )


def _subject(subject: str, job: Job, comments: dict[str, str]) -> str:
    """Who the record is of, as --subject says."""
    if subject == "record":
        return job.record_id
    if subject == "folder":
        return Path(job.header).parent.as_posix()
    if not comments.get(subject.lower()):
        raise RecordFault(f"a header without the comment `# {subject}:` that --subject names")
    return comments[subject.lower()]


def _name(job: Job) -> str:
    return job.header
