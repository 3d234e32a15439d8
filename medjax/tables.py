"""Gather finished runs into one table: ``python -m medjax.tables RUN RUN ... [--out=F.csv]``.

A row a run, with the mean AUROC and AUPRC of its last stage and their intervals, on every set it
was scored on. `RUN/STAGE` takes another stage, `NAME=RUN` names the row.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from medjax.errors import UsageError, UserError
from medjax.metrics.tables import to_markdown
from medjax.run.report.comparison import compare, read_model, write_table

PROGRAM = "python -m medjax.tables"
EXAMPLE = f"{PROGRAM} MedFuse=runs/medfuse Joint=runs/medfuse-joint --out=comparison.csv"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """A wrong command line is one sentence."""
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = _Parser(
        prog=PROGRAM, description=(__doc__ or "").split("\n")[0], epilog=f"Example: {EXAMPLE}"
    )
    result.add_argument("runs", nargs="+", metavar="[NAME=]RUN[/STAGE]", help="finished runs")
    result.add_argument("--split", default="test", help="whose results to compare (test)")
    result.add_argument("--out", type=Path, help="FILE.csv; FILE.md is written beside it")
    return result


def gather(argv: Sequence[str]) -> None:
    """Print the table, and write it where `--out` says."""
    args = parser().parse_args(argv)
    if args.out is not None and args.out.suffix != ".csv":
        raise UsageError(f"--out={args.out}: name a file that ends in .csv")
    table = compare([read_model(text, args.split) for text in args.runs], args.split)
    print(to_markdown(table), end="")
    if args.out is not None:
        write_table(table, args.out.parent, args.out.stem)


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code: 0, 1 a run cannot be read, 2 bad command line."""
    try:
        gather(argv or ["--help"])
    except UserError as error:
        print(f"medjax: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except SystemExit:  # --help
        return 0
    except OSError as error:
        print(f"medjax: cannot use {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
