"""Resting ECGs of UK Biobank (field 20205): one CardiologyXML file an examination."""

import argparse
from functools import partial
from pathlib import Path

from medjax.data.ecg.cardiology_xml import read_cardiology
from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.options import add_ecg_arguments
from medjax.data.ecg.plain import find_files
from medjax.data.ecg.prepare_sets import prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform, drop
from medjax.data.ecg.resting import add_signal_arguments, resting_plans
from medjax.data.ecg.write import Source, split_rule

SOURCE = Source("Resting ECGs of UK Biobank.", "", "UK Biobank material transfer agreement")
BLOCKS = {"median": "MedianSamples", "rhythm": "StripData"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--pattern", default="**/*.xml", help="files of --raw that are records")
    add_signal_arguments(parser)
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets and the manifest."""
    names = find_files(args.raw, args.pattern)
    plans = resting_plans(args, SOURCE, names, partial(read_record, root=args.raw))
    prepare_sets(args, plans, {}, [], split_rule(args, None, "participant"))


def read_record(name: str, root: Path, kind: str, form: Form) -> Recording | Dropped:
    """Read one set's part of a file.

    A file is called `<participant>_20205_<visit>_<number>.xml`: what stands before the first `_`
    is the subject, so that all visits of a participant stay in one split.
    """
    record_id = Path(name).stem
    try:
        ecg = read_cardiology(root / name)
        block = ecg.blocks.get(BLOCKS[kind])
        if block is None:
            return Dropped(record_id, f"no {BLOCKS[kind]} in the file", damaged=False)
        signal = conform(block.samples, block.leads, block.sampling_rate, form, block.millivolt)
    except RecordFault as fault:
        return drop(record_id, root / name, fault)
    return Recording(
        record_id,
        record_id.partition("_")[0],
        signal,
        age=ecg.age,
        sex=ecg.sex,
        report=ecg.diagnosis,
    )
