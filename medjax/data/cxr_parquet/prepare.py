"""Parquet of films and reports (image, findings, impression), as on the Hugging Face hub."""

import argparse
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from medjax.data.arguments import whole_number
from medjax.data.cxr_parquet.blocks import BORDER, LINKED, block_splits, group_sizes, groups_of
from medjax.data.cxr_parquet.image_links import ImageRule, image_links, thumbnail
from medjax.data.cxr_parquet.text_links import TextRule, normalise_text, text_links
from medjax.data.tables import integers, read_table
from medjax.data.xray.film import Film
from medjax.data.xray.gather import Gathered, prepare_gathered, splits_of
from medjax.data.xray.options import add_image_options
from medjax.data.xray.store import Source
from medjax.errors import UserError, nearest

SOURCE = Source(
    "Chest radiographs with findings and impression of their reports, from Parquet files.",
    "",
    "that of the files",
)
COLUMNS = ("image", "findings", "impression")
PATIENT = re.compile(r"p(\d+)/s(\d+)")
UNPACKED = ".parquet_images"
SUFFIX = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}
BATCH = 64
"""Rows in memory at once."""
LIMIT = (
    "limit: the file names no patients. Rows with the same report or the same film are kept in one "
    "split, but two films of one patient with other words and another posture cannot be "
    "recognised, so patients do leak between splits, to an unknown degree; numbers on these sets "
    "are no estimate for new patients. Give --subjects=FILE (row, subject_id) where you have it."
)


class Row(NamedTuple):
    """A row of the files, its image unpacked."""

    path: str
    """Of the unpacked image, relative to the folder of those."""
    named: str
    """The path that the file gives of the image, "" for none."""
    findings: str
    impression: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--subjects", type=Path, help="CSV file of row (from 0, all files end to end), subject_id"
    )
    parser.add_argument(
        "--border",
        type=whole_number(0),
        default=50,
        help="rows dropped at each border of two splits, without patients",
    )
    parser.add_argument(
        "--split_groups",
        choices=("near_duplicates", "none"),
        default="near_duplicates",
        help="none, as published: neighbouring rows whatever they hold",
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the set `xray` and the manifest; images are unpacked beside them for the while."""
    paths = sorted(args.raw.rglob("*.parquet"))
    if not paths:
        raise UserError(f"{args.raw}: no Parquet file; fetch those of the data set")
    folder = args.out / UNPACKED
    total = sum(count_rows(path) for path in paths)
    wanted = min(args.limit or total, total)
    if args.dry_run:
        print(f"dry run: {wanted:,} of {total:,} rows in {len(paths)} files; nothing written")
        return
    progress = tqdm(unpack(paths, folder, wanted), total=wanted, desc="unpack", disable=None)
    rows = list(progress)
    gathered = gather(args, folder, rows, {path.name: path for path in paths})
    prepare_gathered(args, folder, gathered, SOURCE)
    shutil.rmtree(folder, ignore_errors=True)
    if "limit" in gathered.facts:
        print(LIMIT)


def count_rows(path: Path) -> int:
    """Return the number of rows of a file that has the COLUMNS.

    Raises:
        UserError: no such file, or not these columns.
    """
    try:
        schema = pq.read_schema(path)
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException) as e:
        raise UserError(f"{path}: not a readable Parquet file ({e}); fetch it again") from e
    for name in COLUMNS:
        if name not in schema.names:
            raise UserError(f"{path}: no column {name!r}{nearest(name, schema.names)}")
    return rows


def unpack(paths: list[Path], folder: Path, wanted: int) -> Iterator[Row]:
    """Yield the first rows of the files end to end, their images written into a folder.

    Raises:
        UserError: a damaged file, or a row without image bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for path in paths:
        try:
            for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=list(COLUMNS)):
                for row in batch.to_pylist():
                    if number == wanted:
                        return
                    yield _unpack_row(row, folder, number, path)
                    number += 1
        except (OSError, pa.ArrowException) as e:
            raise UserError(f"{path}: damaged Parquet file ({e}); fetch it again") from e


def _unpack_row(row: dict[str, Any], folder: Path, number: int, path: Path) -> Row:
    image = row["image"] if isinstance(row["image"], dict) else {}
    data = image.get("bytes")
    if not data:
        raise UserError(f"{path}, row {number}: no image bytes")
    suffix = next((s for magic, s in SUFFIX.items() if data.startswith(magic)), ".jpg")
    file = folder / f"{number:07d}{suffix}"
    if not file.is_file() or file.stat().st_size != len(data):
        file.write_bytes(data)
    return Row(file.name, image.get("path") or "", row["findings"] or "", row["impression"] or "")


def gather(
    args: argparse.Namespace, folder: Path, rows: list[Row], inputs: dict[str, Path]
) -> Gathered:
    """Find subjects and splits of the rows, by the best that is known of them."""
    named = [PATIENT.search(row.named) for row in rows]
    studies = [int(match[2]) if match else 0 for match in named]
    facts: dict[str, Any] = {}
    if args.subjects is not None:
        subjects = read_subjects(args.subjects, len(rows))
        inputs[args.subjects.name] = args.subjects
    elif all(named):
        subjects = [int(match[1]) for match in named if match]
    else:
        return _without_patients(args, folder, rows, inputs)
    splits, rule = splits_of(args, [str(subject) for subject in subjects])
    return Gathered(
        _films(rows, splits, subjects, studies), (), rule, inputs, _reports(rows), facts=facts
    )


def read_subjects(path: Path, rows: int) -> list[int]:
    """Read the subject of every row.

    Raises:
        UserError: a missing row, or a field that is no integer.
    """
    table = read_table(path, ("row", "subject_id"))
    numbers, subjects = (integers(table[name], path).tolist() for name in ("row", "subject_id"))
    of_row = dict(zip(numbers, subjects))
    missing = [row for row in range(rows) if row not in of_row]
    if missing:
        raise UserError(f"{path}: no row {missing[0]}; it must have all of 0 to {rows - 1}")
    return [of_row[row] for row in range(rows)]


def _without_patients(
    args: argparse.Namespace, folder: Path, rows: list[Row], inputs: dict[str, Path]
) -> Gathered:
    """Splits of neighbouring rows, near-duplicates kept together; the group is the subject."""
    text_rule, image_rule = TextRule(), ImageRule()
    by_rule: dict[str, set[tuple[int, int]]] = {"text": set(), "image": set()}
    if args.split_groups == "near_duplicates":
        texts = [normalise_text(f"{row.findings} {row.impression}") for row in rows]
        by_rule["text"] = set(text_links(texts, text_rule))
        progress = tqdm(rows, desc="thumbnails", disable=None)
        thumbnails = np.stack([_thumbnail(folder / row.path) for row in progress])
        by_rule["image"] = set(image_links(thumbnails, image_rule))
    groups = groups_of(len(rows), by_rule["text"] | by_rule["image"])
    border = args.border if args.split_groups == "near_duplicates" else 0
    splits = ["all"] * len(rows) if args.unlabelled else block_splits(groups, border)
    dropped = Counter(split for split in splits if split in (BORDER, LINKED))
    kept = [i for i, split in enumerate(splits) if split not in (BORDER, LINKED)]
    films = _films(rows, splits, groups.tolist(), [0] * len(rows))
    reasons = {BORDER: "near a border of two splits", LINKED: "the like of a row of another split"}
    counts, before = [], len(rows)
    for name, reason in reasons.items():
        after = before - dropped[name]
        counts.append({"rule": name, "in": before, "out": after, "reason": reason})
        before = after
    facts = {
        "split_groups": args.split_groups,
        "groups": group_sizes(groups),
        "links": {name: len(pairs) for name, pairs in by_rule.items()},
        "thresholds": {"text": text_rule._asdict(), "image": image_rule._asdict()},
        "limit": LIMIT,
    }
    rule = f"{args.split_groups}: blocks of neighbouring rows"
    return Gathered(
        [films[i] for i in kept], (), rule, inputs, _reports(rows), counts=counts, facts=facts
    )


def _thumbnail(path: Path) -> np.ndarray:
    """A film that cannot be read has a thumbnail of one grey, which is like no other."""
    try:
        return thumbnail(path)
    except UserError:
        return np.zeros((64, 64), np.uint8)


def _films(
    rows: list[Row], splits: list[str], subjects: list[int], studies: list[int]
) -> list[Film]:
    every = zip(rows, splits, subjects, studies)
    return [
        Film(Path(row.path).stem, row.path, split, subject, study, "", 0, ())
        for row, split, subject, study in every
    ]


def _reports(rows: list[Row]) -> Callable[[Film], dict[str, str]]:
    sections = ((row.findings.strip(), row.impression.strip()) for row in rows)
    texts = {
        Path(row.path).stem: {"findings": findings, "impression": impression}
        for row, (findings, impression) in zip(rows, sections)
    }
    return lambda film: texts[film.dicom_id]
