"""Options of `prepare` that all sources of ECG recordings share."""

import argparse

from medjax.data.arguments import positive_number, whole_number
from medjax.data.ecg.labels import add_label_arguments
from medjax.data.ecg.leads import EIGHT_LEADS, LEADS, leads_of
from medjax.data.ecg.recording import Form

STRIP_RATE, STRIP_SECONDS = 100.0, 10.0
"""Of a strip: what the published network for strips was trained on."""


def add_ecg_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say in what form recordings are stored, and of own labels."""
    parser.add_argument(
        "--sampling_rate",
        type=positive_number,
        help="Hz; others are resampled (strips: 100, median beats: the source's)",
    )
    parser.add_argument(
        "--seconds", type=positive_number, help="length; longer ones are cut (the source's)"
    )
    parser.add_argument(
        "--leads",
        type=int,
        choices=(len(LEADS), len(EIGHT_LEADS)),
        default=len(LEADS),
        help="12, or 8: I, II, V1 to V6",
    )
    parser.add_argument(
        "--storage",
        choices=("int16", "float32"),
        default="int16",
        help="int16 with a scale a lead, or float32 in twice the space",
    )
    parser.add_argument(
        "--max_bad_records",
        type=whole_number(0),
        default=0,
        help="damaged recordings that are left out before it is an error",
    )
    add_label_arguments(parser)


def form_of(args: argparse.Namespace, sampling_rate: float, seconds: float) -> Form:
    """Return the form that the options ask for; rate and length of the source where they do not."""
    rate = args.sampling_rate or sampling_rate
    samples = round((args.seconds or seconds) * rate)
    return Form(rate, max(samples, 1), leads_of(args.leads), args.storage)
