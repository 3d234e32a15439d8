"""Raw files -> prepared sets: python -m medjax.prepare SOURCE --raw=DIR --out=DIR [options]

A source is a module of `medjax/data`, or a folder there with a `prepare.py`, that has

    add_arguments(parser) -> None     its own options
    prepare(args) -> None             reads `args.raw`, writes sets and, last, the manifest

`args` also holds the options common to all sources (`_add_common`). Only the chosen source is
imported.
"""

import argparse
import ast
import contextlib
import fcntl
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import medjax.data
from medjax.command_line import Defaults, Parser, refuse_unknown, run_command
from medjax.data.arguments import whole_number
from medjax.data.manifest import MANIFEST, other_options, read_manifest
from medjax.errors import UsageError, UserError, nearest

PROGRAM = "python -m medjax.prepare"


class Source(NamedTuple):
    """Something that can be prepared."""

    name: str
    module: str
    summary: str
    """First line of the module's docstring."""


def find_sources(folder: Path, package: str) -> dict[str, Source]:
    """Return the sources of a package's folder by name, read without importing them."""
    sources = {}
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/prepare.py")]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if {"add_arguments", "prepare"} <= functions:
            inner = path.name == "prepare.py" and path.parent != folder
            name = path.parent.name if inner else path.stem
            module = f"{package}.{name}.prepare" if inner else f"{package}.{name}"
            summary = (ast.get_docstring(tree) or "").split("\n")[0]
            sources[name] = Source(name, module, summary)
    return sources


def _add_common(parser: argparse.ArgumentParser) -> None:
    """The options of every source."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--raw", type=Path, required=True, help="folder of the raw files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the prepared sets")
    parser.add_argument(
        "--workers", type=whole_number(0), default=cores, help="processes; 0 or 1 for this one"
    )
    parser.add_argument(
        "--limit", type=whole_number(1), help="stop after this many subjects or images"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="write nothing; show expected rows, disk and time"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what was prepared with other options"
    )
    parser.add_argument(
        "--split",
        choices=("published", "hash"),
        default="published",
        help="published lists where they hold for the data, or a hash of the subject",
    )
    parser.add_argument("--unlabelled", action="store_true", help="prepare for prediction only")


def parse(argv: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """Import the source that `argv` names and parse its options.

    Raises:
        UsageError: unknown source or option (with the nearest right name), missing or stray
            argument, a raw folder that does not exist, an `--out` that was prepared otherwise.
    """
    sources = find_sources(Path(medjax.data.__path__[0]), medjax.data.__name__)
    name = argv[0]
    if name.startswith("-"):
        raise UsageError(
            f"the first argument is the source, not {name}; run `{PROGRAM}` for a list"
        )
    if name not in sources:
        known = ", ".join(sources)
        raise UsageError(f"unknown source {name!r}{nearest(name, sources)} (sources: {known})")
    source = sources[name]
    module = importlib.import_module(source.module)
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=source.summary,
        allow_abbrev=False,
        formatter_class=Defaults,
    )
    _add_common(parser)
    module.add_arguments(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    refuse_unknown(argv[1:], options)
    args = parser.parse_args(argv[1:])
    args.source, args.workers = name, max(args.workers, 1)
    _check_folders(args)
    return module, args


def _check_folders(args: argparse.Namespace) -> None:
    """Refuse folders that are missing, the same, or hold what was prepared otherwise."""
    if not args.raw.is_dir():
        raise UsageError(f"--raw={args.raw}: no such folder")
    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out={args.out} is a file; name a folder")
    if args.out.resolve() == args.raw.resolve():
        raise UsageError("--raw and --out are the same folder; name another --out")
    if (args.out / MANIFEST).exists():
        manifest = read_manifest(args.out)
        other = manifest.get("source")
        if other != args.source:
            raise UsageError(f"--out={args.out} holds the prepared {other}; name another --out")
        differing = other_options(manifest, args)
        if differing and not (args.overwrite or args.dry_run):
            raise UsageError(
                f"--out={args.out} was prepared with {', '.join(differing)}; name another --out, "
                "or replace it with --overwrite"
            )


@contextlib.contextmanager
def _sole_writer(out: Path) -> Iterator[None]:
    """Make `out` and hold a lock on it, which ends with the process.

    Raises:
        UserError: when another process prepares into the same folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{out}: another process is preparing into this folder; wait or name another"
            ) from None
        yield
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            out.rmdir()  # only when nothing was written


def overview() -> str:
    """The text shown without arguments: the sources and one example."""
    sources = find_sources(Path(medjax.data.__path__[0]), medjax.data.__name__)
    width = max(map(len, sources), default=0)
    lines = [f"  {s.name:<{width}}  {s.summary}" for s in sources.values()]
    example = f"{PROGRAM} mimic_iv --raw=mimic-iv-3.1 --out=prepared/mimic_iv"
    return "\n".join(
        [__doc__.split("\n")[0], "", "Sources:", *lines, "", "Example:", f"  {example}", ""]
        + [f"Options of a source: {PROGRAM} SOURCE --help"]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 bad data, 2 bad command line, 130 interrupted."""
    return run_command(_command, sys.argv[1:] if argv is None else argv)


def _command(argv: Sequence[str]) -> None:
    if not argv or argv[0] in ("--help", "-h"):
        print(overview())
        return
    module, args = parse(argv)
    with contextlib.nullcontext() if args.dry_run else _sole_writer(args.out):
        module.prepare(args)


if __name__ == "__main__":
    sys.exit(main())
