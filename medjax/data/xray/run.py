"""From films and the command's options to the written set: the part that all sources share."""

import argparse
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medjax.data.prepared import SetSummary
from medjax.data.space import check_space
from medjax.data.workers import Crew
from medjax.data.xray.beam import encode_on_beam
from medjax.data.xray.encode import Encoded, Job, encode_film
from medjax.data.xray.estimate import describe, estimate
from medjax.data.xray.film import Film
from medjax.data.xray.options import encoding_of, read_digests
from medjax.data.xray.parts import Part, encoded_films, plan_parts
from medjax.data.xray.store import BadImage, Source, write_films

PARTS = ".xray.parts"


def splits_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the splits of the sets that `args` ask for."""
    return ("all",) if args.unlabelled else ("train", "validation", "test")


def store_films(
    args: argparse.Namespace,
    root: Path,
    films: Sequence[Film],
    source: Source,
    report_of: Callable[[Film], Mapping[str, str]],
) -> tuple[SetSummary, list[BadImage]] | None:
    """Write the set `xray` as `args` ask; None after a dry run, which only prints what to expect.

    Films that a run of the same options encoded before it was stopped are not encoded again.

    Args:
        args: the options of the command.
        root: the folder that the paths of the films start from.
        films: all films.
        source: what the set says of its origin.
        report_of: a film -> the fields of its report that there are.

    Raises:
        UserError: the disk is too small, the engine is not installed, or as `write_films` says.
    """
    encoding, digests = encoding_of(args), read_digests(args.sha256)
    expected = estimate(root, [film.path for film in films], encoding, args.workers)
    check_space(args.out, expected.bytes)
    if args.dry_run:
        print(describe(expected))
        return None
    encode = functools.partial(encode_film, root, encoding)
    by_split = {split: [f for f in films if f.split == split] for split in splits_of(args)}
    parts = {
        split: plan_parts(args.out / PARTS, root, encoding, _jobs(of_split, digests))
        for split, of_split in by_split.items()
    }
    _encode_beforehand(args, [part for of_split in parts.values() for part in of_split], encode)
    with Crew(encode, args.workers, lambda job: str(root / job.path)) as crew:
        written = write_films(
            args.out,
            by_split,
            source,
            encoding.sizes,
            lambda split: encoded_films(parts[split], encode, crew.map),
            report_of,
            args.max_bad_images,
        )
    shutil.rmtree(args.out / PARTS, ignore_errors=True)
    return written


def _jobs(films: Sequence[Film], digests: Mapping[str, str]) -> list[Job]:
    return [Job(film.path, digests.get(film.path, "")) for film in films]


def _encode_beforehand(
    args: argparse.Namespace, parts: Sequence[Part], encode: Callable[[Job], Encoded]
) -> None:
    """Say what an earlier run has left to reuse; with --engine=beam have the rest encoded."""
    missing = [part for part in parts if not part.path.exists()]
    reused = sum(len(part.jobs) for part in parts) - sum(len(part.jobs) for part in missing)
    if reused:
        print(f"{reused:,} images were encoded by a run that was stopped; they are reused")
    if args.engine == "beam":
        encode_on_beam(missing, encode, args.beam_options)
