"""Resting examinations that hold a strip of ten seconds and its median beat."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from medjax.data.ecg.options import STRIP_RATE, STRIP_SECONDS, form_of
from medjax.data.ecg.prepare_sets import Plan
from medjax.data.ecg.write import EcgDescription, Source
from medjax.errors import UsageError

RECORDED_AT = 500.0
"""Hz."""
FORMS = {"median": (RECORDED_AT, 1.2), "rhythm": (STRIP_RATE, STRIP_SECONDS)}
"""Set -> rate and length of its recordings unless asked otherwise."""


def add_signal_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which signals to keep, a set of each."""
    parser.add_argument(
        "--signal",
        choices=(*FORMS, "both"),
        default="median",
        help="median beats, rhythm strips of ten seconds, or both",
    )


def resting_plans(
    args: argparse.Namespace, source: Source, jobs: Sequence[Any], read: Callable[..., Any]
) -> list[Plan]:
    """Return a plan for each wanted set; `read` also takes `kind` (its name) and `form`.

    Raises:
        UsageError: one length for both sets.
    """
    kinds = tuple(FORMS) if args.signal == "both" else (args.signal,)
    if len(kinds) > 1 and args.seconds:
        raise UsageError(
            "--seconds is for one set; give it with --signal=rhythm or --signal=median"
        )
    plans = []
    for kind in kinds:
        form = form_of(args, *FORMS[kind])
        description = EcgDescription(kind, form, source)
        plans.append(Plan(description, jobs, partial(read, kind=kind, form=form)))
    return plans
