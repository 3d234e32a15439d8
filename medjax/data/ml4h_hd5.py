"""Resting ECGs in the HD5 files of ml4h (UK Biobank): median beats and strips."""

import argparse
from functools import partial
from pathlib import Path

from medjax.data.arguments import positive_number, whole_number
from medjax.data.ecg.fault import RecordFault
from medjax.data.ecg.ml4h_file import read_resting
from medjax.data.ecg.options import add_ecg_arguments
from medjax.data.ecg.plain import find_files
from medjax.data.ecg.prepare_sets import prepare_sets
from medjax.data.ecg.recording import Dropped, Form, Recording, conform, drop
from medjax.data.ecg.resting import RECORDED_AT, add_signal_arguments, resting_plans
from medjax.data.ecg.write import Source, split_rule

SOURCE = Source(
    "Resting ECGs of UK Biobank, from the HD5 files of ml4h.",
    "",
    "UK Biobank material transfer agreement",
)
LEADS_OF = {"median": "median", "rhythm": "strip"}
POOR = "poor data quality"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--pattern", default="**/*.hd5", help="files of --raw, one a participant")
    parser.add_argument(
        "--instance", type=whole_number(0), help="number of the examination (the first by name)"
    )
    parser.add_argument(
        "--drop_poor", action="store_true", help=f"leave out readings that say {POOR!r}"
    )
    parser.add_argument(
        "--microvolt",
        type=positive_number,
        default=1.0,
        help="what one stored unit is; ml4h keeps the numbers of the recorder, often 5 microvolt",
    )
    add_signal_arguments(parser)
    add_ecg_arguments(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets and the manifest."""
    names = find_files(args.raw, args.pattern)
    read = partial(
        read_record,
        root=args.raw,
        instance=args.instance,
        drop_poor=args.drop_poor,
        scale=args.microvolt / 1000,
    )
    plans = resting_plans(args, SOURCE, names, read)
    prepare_sets(args, plans, {}, [], split_rule(args, None, "participant"))


def read_record(
    name: str,
    root: Path,
    kind: str,
    form: Form,
    instance: int | None = None,
    drop_poor: bool = False,
    scale: float = 0.001,
) -> Recording | Dropped:
    """Read one set's part of a file `<participant>.hd5`."""
    record_id = Path(name).stem
    try:
        ecg = read_resting(root / name, LEADS_OF[kind], instance)
        if not ecg.leads:
            return Dropped(record_id, f"no {kind} leads in the file", damaged=False)
        if drop_poor and POOR in ecg.text.lower():
            return Dropped(record_id, "poor data quality by the reading", damaged=False)
        signal = conform(ecg.samples, ecg.leads, RECORDED_AT, form, scale)
    except RecordFault as fault:
        return drop(record_id, root / name, fault)
    return Recording(record_id, record_id, signal, report=ecg.text)
