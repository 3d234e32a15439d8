"""From what a source gathered of its tables to a prepared folder: the part that sources share."""

import argparse
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medjax.data.manifest import describe_run, describe_set, print_manifest, write_manifest
from medjax.data.paths import resolve_under
from medjax.data.subject_split import HASH_RULE, hash_fraction, hash_split
from medjax.data.xray.film import Film
from medjax.data.xray.options import describe_encoding, encoding_of
from medjax.data.xray.regions import Region, store_regions
from medjax.data.xray.run import store_films
from medjax.data.xray.store import NAME, Source
from medjax.errors import UserError

IMAGES = (".png", ".jpg", ".jpeg", ".dcm")


def no_report(film: Film) -> Mapping[str, str]:
    """The report of a film without one."""
    del film
    return {}


class Gathered(NamedTuple):
    """All that the tables of a source say."""

    films: Sequence[Film]
    labels: tuple[str, ...]
    split_rule: str
    inputs: Mapping[str, Path]
    """The tables that were read, by name."""
    reports: Callable[[Film], Mapping[str, str]] = no_report
    """A film -> the fields of its report that there are."""
    regions: Sequence[Region] = ()
    counts: Sequence[Mapping[str, Any]] = ()
    """What rules before these let in and out."""
    facts: Mapping[str, Any] = {}
    """More entries of the manifest."""


def prepare_gathered(
    args: argparse.Namespace, root: Path, gathered: Gathered, source: Source
) -> None:
    """Write the sets `xray` and, where there are places, `regions`; then the manifest.

    root: the folder that the paths of the films start from.

    Raises:
        UserError: none of the images is there, or as `store_films` and `store_regions` say.
    """
    counts = list(gathered.counts)
    films = list(gathered.films)
    present = [film for film in films if _exists(root, film.path)]
    counts.append(_count("image on disk", films, present, "no such image file"))
    if args.limit:
        kept = sorted(present, key=lambda film: film.dicom_id)[: args.limit]
        counts.append(_count("limit", present, kept, f"beyond the first {args.limit} images"))
        present = kept
    if not present:
        tables = ", ".join(str(path) for path in gathered.inputs.values())
        raise UserError(
            f"{tables}: none of the {len(films):,} listed images is under {root}; name their "
            "folder by --images"
        )
    stored = store_films(args, root, present, source, gathered.reports)
    if stored is None:
        return
    summary, bad = stored
    lost = {film.dicom_id for film in bad}
    readable = [film for film in present if film.dicom_id not in lost]
    counts.append(_count("readable", present, readable, "the image cannot be decoded"))
    encoding = describe_encoding(encoding_of(args))
    sets = {NAME: describe_set(summary, gathered.labels, **encoding)}
    if gathered.regions:
        sets |= store_regions(args.out, root, readable, gathered.regions, source)
    manifest = {
        **describe_run(args, gathered.inputs),
        "counts": counts,
        "sets": sets,
        "split_rule": gathered.split_rule,
        "fields": {},
        "bad_images": [film._asdict() for film in bad],
        **gathered.facts,
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def _count(rule: str, before: Sequence, after: Sequence, reason: str) -> dict[str, Any]:
    return {"rule": rule, "in": len(before), "out": len(after), "reason": reason}


def _exists(root: Path, relative: str) -> bool:
    """Whether the image is there; a path that leads out of the root is an error."""
    try:
        resolve_under(root, relative)
    except FileNotFoundError:
        return False
    return True


def subject_numbers(subjects: Iterable[str]) -> list[int]:
    """Return integers as they are; other ids by the first 63 bits of their SHA-256."""
    texts = [str(subject) for subject in subjects]
    if all(text.isdecimal() and len(text) <= 18 for text in texts):
        return [int(text) for text in texts]
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return [int.from_bytes(digest[:8], "big") >> 1 for digest in digests]


def find_images(root: Path) -> dict[str, str]:
    """Return stem -> path relative to `root` of every image below it; the first of a stem."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in IMAGES:
            found.setdefault(path.stem, path.relative_to(root).as_posix())
    return found


def splits_of(
    args: argparse.Namespace, subjects: Sequence[str], tested: Sequence[bool] | None = None
) -> tuple[list[str], str]:
    """Return the split of every film and the rule by which it was found.

    Subjects with a film that is published as a test film are test subjects; the others, or all of
    them with --split=hash or without such a list, go by the hash of the subject.
    """
    if args.unlabelled:
        return ["all"] * len(subjects), "one split for prediction"
    rule = HASH_RULE.format("patient")
    if tested is None or args.split == "hash":
        return [hash_split(subject) for subject in subjects], rule
    listed = {subject for subject, is_test in zip(subjects, tested) if is_test}
    splits = [
        "test" if subject in listed else _train_or_validation(subject) for subject in subjects
    ]
    return splits, "published test list; of the others 10 % of the patients are validation"


def _train_or_validation(subject: str) -> str:
    """Tell by the hash of a subject, of those that are no test subjects."""
    return "validation" if hash_fraction(f"validation {subject}") < 0.1 else "train"
