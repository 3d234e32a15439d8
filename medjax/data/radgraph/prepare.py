"""Triplets (finding, place, presence) of the reports of prepared films, by rules or RadGraph."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.manifest import (
    MANIFEST,
    describe_run,
    describe_set,
    print_manifest,
    read_manifest,
    write_manifest,
)
from medjax.data.prepared import SetSpec, open_set, write_set
from medjax.data.radgraph.annotation import Annotation, read_annotations
from medjax.data.radgraph.extract import extract
from medjax.data.radgraph.package import annotate, open_model
from medjax.data.radgraph.published_files import read_published, write_published
from medjax.data.radgraph.rules import PRESETS, Rules
from medjax.data.radgraph.triplets import STATUS, Triplet, annotated_triplets
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.data.reports import FIELDS
from medjax.errors import UsageError, UserError

NAME, VERSION = "triplets", "1.0.0"
EXTRACTORS = ("rules", "radgraph")
SECTIONS = "findings,impression"


class Report(NamedTuple):
    """The report of a film."""

    dicom_id: str
    study: str
    """Number of the study, "" where there is none."""
    text: str

    def names(self) -> list[str]:
        """Return the names under which annotations may have it.

        The package radgraph numbers the reports of a list, as rows of Parquet files are numbered.
        """
        number = [str(int(self.dicom_id))] if self.dicom_id.isdecimal() else []
        return [*([self.study] if self.study else []), self.dicom_id, *number]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source; --raw is a prepared folder of films with reports."""
    parser.add_argument(
        "--annotations", type=Path, help="RadGraph JSON file, of any release (none: extract)"
    )
    parser.add_argument(
        "--published_matrix", type=Path, help="folder of landmark_observation_{sids,adj_mtx}.npy"
    )
    parser.add_argument(
        "--extractor",
        choices=EXTRACTORS,
        default="rules",
        help="who reads the reports: rules that need nothing, or the package radgraph",
    )
    parser.add_argument(
        "--weights", type=Path, help="folder of the weights of --extractor=radgraph"
    )
    parser.add_argument(
        "--sections", default=SECTIONS, help="sections of the report that are read, in order"
    )
    parser.add_argument(
        "--compat",
        choices=tuple(PRESETS),
        default="default",
        help="published: the rules of MedKLIP's scripts, with NLTK and spaCy",
    )
    defaults = Rules()
    for name, choices in (
        ("sentence_lookup", ("annotation", "recount")),
        ("lemmatizer", ("table", "spacy")),
        ("anatomy_chain", ("all", "direct")),
        ("suggestive_only_observation", ("unspecified", "dropped")),
        ("cavoatrial_phrase", ("matches", "never")),
    ):
        ours = getattr(defaults, name)
        parser.add_argument(f"--{name}", choices=choices, help=f"({ours}, or as --compat says)")
    parser.add_argument(
        "--write_matrix", action="store_true", help="write the published files beside the set"
    )


def prepare(args: argparse.Namespace) -> None:
    """Write the set `triplets`, of the films of the prepared folder, and the manifest."""
    source = read_manifest(args.raw)
    sections = tuple(name.strip() for name in args.sections.split(","))
    unknown = [name for name in sections if name not in FIELDS]
    if unknown:
        raise UsageError(f"--sections: no section {unknown[0]!r} (known: {', '.join(FIELDS)})")
    if args.extractor == "radgraph" and not args.weights and not args.annotations:
        raise UsageError("--extractor=radgraph needs --weights=FOLDER, since nothing is downloaded")
    reports = read_reports(args.raw, sections, args.limit)
    count = sum(map(len, reports.values()))
    if args.dry_run:
        print(f"dry run: triplets of {count:,} reports; nothing written")
        return
    reads_texts = not (args.annotations or args.published_matrix)
    if reads_texts and not any(r.text for of_split in reports.values() for r in of_split):
        raise UserError(
            f"{args.raw}: none of the {count:,} films has a report: prepare them with their "
            "reports (--join=CSV, or --reports=FOLDER of mimic_cxr), or give --annotations"
        )
    found, rules = find_triplets(args, [r for of_split in reports.values() for r in of_split])
    of_split = {
        split: [(r, next((found[key] for key in r.names() if key in found), None)) for r in listed]
        for split, listed in reports.items()
    }
    known = {
        split: [(report, triplets) for report, triplets in pairs if triplets is not None]
        for split, pairs in of_split.items()
    }
    left = sum(map(len, known.values()))
    if not left:
        raise UserError(
            f"{args.annotations or args.published_matrix or args.raw}: no triplet of any of the "
            f"{count:,} films; studies are matched by number, other reports by dicom_id or row"
        )
    summary = write_set(
        args.out, spec(), {split: map(_example, pairs) for split, pairs in known.items()}
    )
    if args.write_matrix:
        write_published(args.out, [pair for pairs in known.values() for pair in pairs])
    inputs = {f"xray/{MANIFEST}": args.raw / MANIFEST}
    inputs |= {args.annotations.name: args.annotations} if args.annotations else {}
    manifest = {
        **describe_run(args, inputs),
        "counts": [
            {"rule": "has triplets", "in": count, "out": left, "reason": "no report was read"}
        ],
        "sets": {NAME: describe_set(summary)},
        "split_rule": source.get("split_rule", ""),
        "fields": {} if rules is None else rules._asdict(),
        "found": describe_triplets(t for pairs in known.values() for _, ts in pairs for t in ts),
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def read_reports(
    root: Path, sections: tuple[str, ...], limit: int | None
) -> dict[str, list[Report]]:
    """Read the reports of prepared films by split."""
    prepared = open_set(root, "xray", fields=("dicom_id", "study_id", "report"))
    found = {}
    for split, records in prepared.splits.items():
        count = len(records) if limit is None else min(limit, len(records))
        found[split] = [_report(records[i], sections) for i in range(count)]
    return found


def _report(record: Mapping[str, Any], sections: tuple[str, ...]) -> Report:
    """The text of the sections; that of the whole report where it has none of them."""
    texts = [record["report"][name].strip() for name in sections]
    text = " ".join(text for text in texts if text) or record["report"]["text"]
    study = int(record["study_id"])
    return Report(record["dicom_id"], str(study) if study else "", text.strip())


def find_triplets(
    args: argparse.Namespace, reports: list[Report]
) -> tuple[Mapping[str, list[Triplet]], Rules | None]:
    """Return study number or dicom_id -> triplets, and the rules by which they were made."""
    if args.published_matrix:
        return read_published(args.published_matrix), None
    rules = PRESETS[args.compat]
    given = {name: value for name in Rules._fields if (value := getattr(args, name)) is not None}
    rules = rules._replace(**given)
    return annotated_triplets(_annotations(args, reports), rules), rules


def _annotations(args: argparse.Namespace, reports: list[Report]) -> Iterable[Annotation]:
    if args.annotations:
        return read_annotations(args.annotations)
    texts = {report.dicom_id: report.text for report in reports if report.text}
    if args.extractor == "rules":
        return (extract(key, text) for key, text in texts.items())
    name = args.weights.name
    cache = args.out / f"annotations-{name}.jsonl"
    return annotate(texts, cache, name, lambda: open_model(args.weights))


def spec() -> SetSpec:
    """The set `triplets`."""
    return SetSpec(
        NAME,
        VERSION,
        {
            "dicom_id": tfds.features.Text(),
            "triplets": tfds.features.Tensor(shape=(None, 3), dtype=np.int8),
        },
        "Position, entity and status (0 absent, 1 present, 2 uncertain) that the report of each "
        "film of the set xray tells.",
        "Wu et al., MedKLIP, ICCV 2023, arXiv:2301.02228; Jain et al., RadGraph, arXiv:2106.14463",
        "that of the reports",
    )


def _example(pair: tuple[Report, list[Triplet]]) -> tuple[str, dict[str, Any]]:
    report, triplets = pair
    rows = np.asarray(triplets, np.int8).reshape(-1, 3)
    return report.dicom_id, {"dicom_id": report.dicom_id, "triplets": rows}


def describe_triplets(triplets: Iterable[Triplet]) -> dict[str, dict[str, int]]:
    """Count triplets by entity and by position, for the manifest."""
    names = {number: name for name, number in STATUS.items()}
    entities: Counter[str] = Counter()
    positions: Counter[str] = Counter()
    for position, entity, status in triplets:
        entities[f"{ENTITIES[entity]} {names[status]}"] += 1
        positions[POSITIONS[position]] += 1
    return {
        "entities": dict(sorted(entities.items())),
        "positions": dict(sorted(positions.items())),
    }


def read_triplets(root: Path, split: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield dicom_id and triplets int8 [n, 3] of the films of a split."""
    records = open_set(root, NAME).splits.get(split, ())
    for i in range(len(records)):
        yield records[i]["dicom_id"], np.asarray(records[i]["triplets"], np.int8)
