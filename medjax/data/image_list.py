"""Published lists of test images: one name a line, or a table whose first column names them."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from medjax.errors import UserError


def add_list_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of a list of test images."""
    parser.add_argument(
        "--test_list",
        type=Path,
        help="file of the test images: a name a line, or a table whose first column has them "
        "(none: split by the hash of the patient)",
    )


def read_list(args: argparse.Namespace, names: Sequence[str]) -> list[bool] | None:
    """Return which of some images (by name or stem) the list of --test_list has; None without one.

    Raises:
        UserError: an unreadable list, or one that has none of them.
    """
    if args.test_list is None:
        return None
    listed = read_names(args.test_list)
    found = [name in listed or Path(name).stem in listed for name in names]
    if not any(found):
        raise UserError(f"{args.test_list}: names none of the {len(names):,} images")
    return found


def read_names(path: Path) -> set[str]:
    """Return the first field of every line, and its stem where it is a path."""
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise UserError(f"{path}: unreadable ({e})") from e
    names = {line[0].strip() for line in lines if line and line[0].strip()}
    return names | {Path(name).stem for name in names} | {Path(name).name for name in names}
