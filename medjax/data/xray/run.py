"""From films and the command's options to the written set: the part that all sources share."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from medjax.data.prepared import SetSummary
from medjax.data.xray.estimate import check_space, describe, estimate
from medjax.data.xray.film import Film
from medjax.data.xray.options import encoding_of, read_digests
from medjax.data.xray.store import BadImage, Source, write_films


def splits_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the splits of the sets that `args` ask for."""
    return ("all",) if args.unlabelled else ("train", "validation", "test")


def store_films(
    args: argparse.Namespace, root: Path, films: Sequence[Film], source: Source
) -> tuple[SetSummary, list[BadImage]] | None:
    """Write the set `xray` as `args` ask; None after a dry run, which only prints what to expect.

    Raises:
        UserError: the disk is too small, or as `write_films` says.
    """
    encoding, digests = encoding_of(args), read_digests(args.sha256)
    expected = estimate(root, [film.path for film in films], encoding, args.workers)
    check_space(args.out, expected.bytes)
    if args.dry_run:
        print(describe(expected))
        return None
    budget = args.max_bad_images
    return write_films(
        args.out, root, films, splits_of(args), source, encoding, args.workers, budget, digests
    )
