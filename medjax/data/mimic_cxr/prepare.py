"""Chest X-rays of MIMIC-CXR-JPG (2.0.0, 2.1.0), linked to the ICU stays of a prepared MIMIC-IV."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.manifest import (
    MANIFEST,
    describe_run,
    describe_set,
    print_manifest,
    read_manifest,
)
from medjax.data.mimic_cxr.link_sets import write_links
from medjax.data.mimic_cxr.linking import link
from medjax.data.mimic_cxr.report_rules import read_rules
from medjax.data.mimic_cxr.reports import find_reports, open_reports
from medjax.data.mimic_cxr.select import (
    Selection,
    follow_ehr,
    hashed_split,
    published_split,
    read_stays,
    select,
)
from medjax.data.mimic_cxr.tables import (
    LABELLERS,
    LABELS,
    Tables,
    find_tables,
    read_labels,
    read_metadata,
    read_split,
)
from medjax.data.prepared import write_manifest
from medjax.data.xray.film import Film
from medjax.data.xray.options import add_image_options, describe_encoding, encoding_of
from medjax.data.xray.regions import add_region_options, read_regions, store_regions
from medjax.data.xray.run import splits_of, store_films
from medjax.data.xray.store import NAME, Source
from medjax.errors import UsageError, UserError, nearest

SOURCE = Source(
    "Chest radiographs of MIMIC-CXR-JPG with their reports and CheXpert or NegBio "
    "labels (1, 0, -1 uncertain, -2 not mentioned).",
    "Johnson et al., MIMIC-CXR-JPG, a large publicly available database of labeled chest "
    "radiographs, arXiv:1901.07042",
    "PhysioNet Credentialed Health Data License 1.5.0",
)
FIELDS = {
    "default": {
        "cxr_tie": "dicom_id",
        "truncated_indication_header": "indication",
        "custom_section_studies": "kept",
    },
    "published": {
        "cxr_tie": "unspecified",
        "truncated_indication_header": "impression",
        "custom_section_studies": "skipped",
    },
}
"""What --compat says, for the manifest."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--ehr", type=Path, help="prepared MIMIC-IV folder: its splits are followed, stays linked"
    )
    parser.add_argument(
        "--tasks", default="", help="tasks of --ehr to link films for (all that were prepared)"
    )
    parser.add_argument("--subset", default="", help="folders of patients, as p10,p11 (all)")
    parser.add_argument("--views", default="", help="view positions, as AP,PA (all)")
    parser.add_argument("--labeller", choices=LABELLERS, default="chexpert", help="label table")
    parser.add_argument(
        "--reports", type=Path, help="folder, zip or sectioned table of reports (looked for in raw)"
    )
    parser.add_argument(
        "--custom_rules",
        type=Path,
        help="JSON file of studies whose text stands under another head (see report_rules.py)",
    )
    add_image_options(parser, quality=75)
    add_region_options(parser)
    parser.add_argument(
        "--compat",
        choices=tuple(FIELDS),
        default="default",
        help="published: films are decoded exactly, reports cut as MedST does; the manifest "
        "records the published rules",
    )


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `xray`, `regions` where places are given, with --ehr `icu_links_<task>`; then
    the manifest.
    """
    if args.tasks and not args.ehr:
        raise UsageError("--tasks needs --ehr: films are linked to the stays of a prepared folder")
    stays = read_stays(args.ehr) if args.ehr else None
    tasks = _tasks(args.tasks, args.ehr) if args.ehr else {}
    root = args.images or args.raw
    tables = find_tables(args.raw, args.labeller)
    selection, split_rule = _split(args, tables, _select(args, tables, root), stays)
    films = _films(selection.films)
    place = find_reports(args.reports, args.raw, tables.reports, films)
    reports = open_reports(place, read_rules(args.custom_rules, args.compat == "published"))
    regions = read_regions(args, root, films)
    stored = store_films(args, root, films, SOURCE, reports.of)
    if stored is None:
        return
    summary, bad = stored
    readable = ~selection.films["dicom_id"].isin([film.dicom_id for film in bad])
    selection = selection.keep("readable", readable, "the image cannot be decoded")
    labels, encoding = () if args.unlabelled else LABELS, describe_encoding(encoding_of(args))
    sets = {NAME: describe_set(summary, labels, **encoding)}
    if regions:
        kept = set(selection.films["dicom_id"])
        readable_films = [film for film in films if film.dicom_id in kept]
        sets |= store_regions(args.out, root, readable_films, regions, SOURCE)
    counts = list(selection.counts)
    if stays is not None:
        for task, window in tasks.items():
            links = link(selection.films, stays, *window)
            written = write_links(args.out, task, splits_of(args), selection.films, links, SOURCE)
            sets[written.name] = describe_set(written)
            reason = f"no AP image in the window of the stay ({task})"
            counts.append({"rule": "link", "in": len(stays), "out": len(links), "reason": reason})
    manifest = {
        **describe_run(args, _inputs(args, tables, place)),
        "counts": counts,
        "reports": reports.describe(),
        "sets": sets,
        "split_rule": split_rule,
        "fields": FIELDS[args.compat],
        "bad_images": [film._asdict() for film in bad],
    }
    write_manifest(args.out, manifest)
    print_manifest(manifest)


def _tasks(text: str, ehr: Path) -> dict[str, tuple[float | None, str]]:
    """The tasks of --tasks, or all of the prepared stays: task -> (hours of its window, film).

    Where there are predictions at every hour a stay has its first film.
    """
    sets = read_manifest(ehr)["sets"]
    for task in _names(text):
        if task not in sets:
            known = ", ".join(sets)
            raise UsageError(
                f"--tasks: {ehr} has no set {task!r}{nearest(task, sets)} (prepared: {known})"
            )
    if any("window_hours" not in entry for entry in sets.values()):
        raise UserError(f"{ehr} was prepared by an earlier version; prepare it again")
    return {
        task: (sets[task]["window_hours"], "first" if sets[task]["hourly"] else "last")
        for task in _names(text) or sorted(sets)
    }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _select(args: argparse.Namespace, tables: Tables, root: Path) -> Selection:
    """Read the tables and apply the rules.

    Raises:
        UserError: no label table, or no film left; names the rule that took the last.
    """
    if tables.labels is None and not args.unlabelled:
        raise UserError(
            f"{args.raw}: no table mimic-cxr-2.0.0-{args.labeller}.csv.gz (or .csv); download it, "
            "or give --unlabelled"
        )
    films = read_metadata(tables.metadata)
    labels = read_labels(tables.labels) if tables.labels and not args.unlabelled else None
    selection = select(
        films,
        labels,
        lambda relative: (root / relative).is_file(),
        _names(args.subset),
        _names(args.views),
        args.limit,
    )
    if selection.films.empty:
        rule = next(count["rule"] for count in selection.counts if not count["out"])
        raise UserError(
            f"{root}: none of the {len(films):,} listed images is left after the rule {rule!r}; "
            "images are looked for at files/pXX/pXXXXXXXX/sXXXXXXXX/<dicom_id>.jpg"
        )
    return selection


def _split(
    args: argparse.Namespace, tables: Tables, selection: Selection, stays: pd.DataFrame | None
) -> tuple[Selection, str]:
    """Add the column `split`; return the rule by which it was found as well."""
    films = selection.films
    found = None
    if args.unlabelled:
        found = np.full(len(films), "all", dtype=object), "one split for prediction"
    elif stays is not None:
        found = follow_ehr(films["subject_id"], stays)
    elif args.split == "published" and tables.split is not None:
        found = published_split(films, read_split(tables.split))
    splits, rule = found or hashed_split(films["subject_id"])
    return selection._replace(films=films.assign(split=splits)), rule


def _films(films: pd.DataFrame) -> list[Film]:
    """The selected films with their labels."""
    names = [name for name in LABELS if name in films.columns]
    labels = films[names].to_numpy(np.int8)
    moments = films["study_time"].to_numpy("datetime64[s]")
    seconds = np.where(np.isnat(moments), 0, moments.astype(np.int64))
    columns = ("dicom_id", "path", "split", "subject_id", "study_id", "view")
    rows = zip(*(films[name].tolist() for name in columns), seconds.tolist(), labels.tolist())
    return [Film._make((*row, tuple(codes))) for *row, codes in rows]


def _inputs(args: argparse.Namespace, tables: Tables, reports: Path | None) -> dict[str, Path]:
    """The files that were read beside images and folders of reports, by name."""
    places = (args.raw / name for name in (args.boxes, args.masks) if name)
    read = (tables.metadata, tables.labels, tables.split, reports, args.custom_rules, *places)
    inputs = {path.name: path for path in read if path is not None and path.is_file()}
    return {**inputs, f"ehr/{MANIFEST}": args.ehr / MANIFEST} if args.ehr else inputs
