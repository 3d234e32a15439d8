"""Options of recordings that come as bare numbers: their rate, unit, leads and kind."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from medjax.data.arguments import positive_number
from medjax.data.ecg.leads import EIGHT_LEADS, LEADS, standard_name
from medjax.data.ecg.options import STRIP_RATE, form_of
from medjax.data.ecg.recording import Form
from medjax.errors import UsageError, UserError

MILLIVOLT = {"mV": 1.0, "uV": 1e-3, "V": 1e3}
"""Millivolt in each unit."""
UNITS = (*MILLIVOLT, "none")
LONGEST_BEAT = 3.0
"""Seconds up to which a recording is taken for one beat."""


def add_plain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what bare numbers are."""
    parser.add_argument(
        "--recorded_at", type=positive_number, default=500.0, help="Hz of the given signals"
    )
    parser.add_argument(
        "--unit", choices=UNITS, default="mV", help="of the given signals; stored in mV"
    )
    parser.add_argument(
        "--lead_names", help="I,II,V1,... in the order of the data (the usual 12 or 8)"
    )
    parser.add_argument(
        "--signal",
        choices=("median", "rhythm"),
        help=f"name of the set (median up to {LONGEST_BEAT:g} seconds, rhythm above)",
    )


def scale_of(unit: str) -> tuple[float, str]:
    """Return what one given unit is in the stored one, and the name of that."""
    return (MILLIVOLT[unit], "mV") if unit in MILLIVOLT else (1.0, unit)


def set_of(args: argparse.Namespace, samples: int) -> tuple[str, Form]:
    """Return name and form of the set of recordings of `samples`.

    The name is the one that was given, or goes by the length; strips are stored at the rate of
    all strips unless asked otherwise.
    """
    seconds = samples / args.recorded_at
    name = args.signal or ("median" if seconds <= LONGEST_BEAT else "rhythm")
    return name, form_of(args, STRIP_RATE if name == "rhythm" else args.recorded_at, seconds)


def lead_names(given: str | None, count: int) -> tuple[str, ...] | None:
    """Return the names of `count` unnamed leads; None when that is no usual number.

    Raises:
        UsageError: `given` lists another number of leads, one twice or none of the twelve.
    """
    if given is None:
        return {len(LEADS): LEADS, len(EIGHT_LEADS): EIGHT_LEADS}.get(count)
    names = tuple(name.strip() for name in given.split(","))
    known = [standard_name(name) for name in names]
    if len(names) != count:
        raise UsageError(f"--lead_names lists {len(names)} leads, the data hold {count}")
    if len(set(known) - {None}) < len(names):
        raise UsageError(f"--lead_names={given}: name each of I to V6 once at most")
    return names


def numbered(rows: int) -> list[str]:
    """Ids "000", "001", ...: their text order is that of the rows."""
    width = len(str(max(rows - 1, 0)))
    return [f"{row:0{width}d}" for row in range(rows)]


def find_files(root: Path, pattern: str, apart: Path | None = None) -> list[str]:
    """Return the paths below `root`, sorted, of the files that match, without `apart`.

    Raises:
        UserError: there are none, or a pattern that leads out of the folder.
    """
    try:
        found = sorted(path for path in root.glob(pattern) if path.is_file())
    except (NotImplementedError, ValueError) as e:
        raise UserError(f"--pattern={pattern}: {one_line(e)}; give one as **/*.csv") from e
    left_out = apart.resolve() if apart else None
    names = [str(path.relative_to(root)) for path in found if path.resolve() != left_out]
    if not names:
        raise UserError(f"{root}: no file matches {pattern}; name others by --pattern")
    return names


def one_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
