"""Gather finished runs into one table: ``python -m medjax.tables RUN RUN ... [--out=F.csv]``.

A row a run, with the mean AUROC and AUPRC of its last stage and their intervals, on every set it
was scored on. `RUN/STAGE` takes another stage, `NAME=RUN` names the row.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from medjax.command_line import Parser, refuse_unknown, run_command
from medjax.errors import UsageError
from medjax.metrics.tables import to_markdown
from medjax.run.report.comparison import compare, read_model, write_table

PROGRAM = "python -m medjax.tables"
EXAMPLE = f"{PROGRAM} MedFuse=runs/medfuse Joint=runs/medfuse-joint --out=comparison.csv"


def make_parser() -> Parser:
    """Return the parser of the command line."""
    description = (__doc__ or "").split("\n")[0]
    parser = Parser(prog=PROGRAM, description=description, epilog=f"Example: {EXAMPLE}")
    parser.add_argument("runs", nargs="+", metavar="[NAME=]RUN[/STAGE]", help="finished runs")
    parser.add_argument("--split", default="test", help="whose results to compare (test)")
    parser.add_argument("--out", type=Path, help="FILE.csv; FILE.md is written beside it")
    return parser


def gather(argv: Sequence[str]) -> None:
    """Print the table, and write it where `--out` says."""
    parser = make_parser()
    if not argv or argv[0] in ("--help", "-h"):
        print(parser.format_help(), end="")
        return
    refuse_unknown(argv, ("--split", "--out"))
    args = parser.parse_args(argv)
    if args.out is not None and args.out.suffix != ".csv":
        raise UsageError(f"--out={args.out}: name a file that ends in .csv")
    models = [read_model(text, args.split) for text in args.runs]
    table = compare(models, args.split)
    print(to_markdown(table), end="")
    for model in models:
        if model.note:
            print(model.note, file=sys.stderr)
    if args.out is not None:
        write_table(table, args.out.parent, args.out.stem)


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code: 0, 1 a run cannot be read, 2 bad command line."""
    return run_command(gather, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
