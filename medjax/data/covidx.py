"""COVIDx: films of the lists train.txt and test.txt, with their classes."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from medjax.data.mgca_splits import Parts, covidx_by_patient, covidx_by_row
from medjax.data.tables import find_table
from medjax.data.xray.film import Film
from medjax.data.xray.gather import Gathered, prepare_gathered, splits_of, subject_numbers
from medjax.data.xray.options import add_image_options
from medjax.data.xray.store import Source
from medjax.errors import UserError, nearest

SOURCE = Source(
    "Chest radiographs of COVIDx with their class.",
    "Wang, Lin and Wong, COVID-Net, Scientific Reports 2020, arXiv:2003.09871",
    "that of the collections that COVIDx joins",
)
LISTS = {"train": ("train.txt", "train_COVIDx*.txt"), "test": ("test.txt", "test_COVIDx*.txt")}
THREE = ("normal", "pneumonia", "COVID-19")
TWO = ("negative", "positive")
"""Classes of versions 1 to 7, and from 8 on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--split_unit",
        choices=("patient", "row"),
        default="patient",
        help="what is drawn for validation, 20 %% of the training list; row: as MGCA and MedST "
        "publish, patients may be on both sides",
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the set `xray` and the manifest."""
    root = args.images or args.raw
    rows: list[tuple[str, str, str, bool]] = []
    inputs: dict[str, Path] = {}
    for part, patterns in LISTS.items():
        path = find_table(args.raw, *patterns)
        if path is None:
            raise UserError(f"{args.raw}: no {' or '.join(patterns)}")
        inputs[path.name] = path
        rows += [(*row, part == "test") for row in read_list(path, part)]
    labels, codes = classes_of([row[2] for row in rows], ", ".join(inputs))
    patients = [row[0] for row in rows]
    splits, rule, patients = split_rows(args, patients, [row[3] for row in rows])
    films = [
        Film(image, image, split, number, 0, "", 0, () if args.unlabelled else code)
        for (_, image, _, _), split, number, code in zip(
            rows, splits, subject_numbers(patients), codes
        )
        if split
    ]
    names = () if args.unlabelled else labels
    prepare_gathered(args, root, Gathered(films, names, rule, inputs), SOURCE)


def split_rows(
    args: argparse.Namespace, patients: Sequence[str], tested: Sequence[bool]
) -> tuple[list[str], str, list[str]]:
    """Return the split of every row, the rule, and whom the rows are of.

    A row of the training list whose patient is tested on has no split, "". Where single rows are
    drawn, each is a patient of its own.
    """
    if args.unlabelled or args.split == "hash":
        return *splits_of(args, patients), list(patients)
    if args.split_unit == "row":
        rule = "published lists; of the training list 20 % of the rows are validation"
        names = [f"{patient}/{row}" for row, patient in enumerate(patients)]
        return _named(covidx_by_row(tested), len(names)), rule, names
    rule = "published lists; of the training list patients of 20 % of the rows are validation"
    parts = covidx_by_patient(patients, tested)
    return _named(parts, len(patients)), rule, list(patients)


def _named(parts: Parts, rows: int) -> list[str]:
    splits = [""] * rows
    for name, positions in parts._asdict().items():
        for position in positions:
            splits[position] = name
    return splits


def read_list(path: Path, part: str) -> list[tuple[str, str, str]]:
    """Read lines "patient file class source": (source/patient, path of the image, class).

    The patients of different sources may bear the same number. File names may hold blanks.

    Raises:
        UserError: a line of fewer fields, or a file listed twice.
    """
    rows: dict[str, tuple[str, str, str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: unreadable ({e})") from e
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < 4:
            raise UserError(f"{path}, line {number}: expects patient, file, class and source")
        image = f"{part}/{' '.join(words[1:-2])}"
        if image in rows:
            raise UserError(f"{path}, line {number}: repeats image {image}; remove one")
        rows[image] = (f"{words[-1]}/{words[0]}", image, words[-2])
    return list(rows.values())


def classes_of(texts: list[str], where: str) -> tuple[tuple[str, ...], list[tuple[int, ...]]]:
    """Return the labels and the codes of every film.

    Of three classes the labels are these; of positive and negative COVID-19 alone.

    Raises:
        UserError: other classes, or those of both kinds of versions.
    """
    found = set(texts)
    if found <= set(THREE):
        return THREE, [tuple(int(text == name) for name in THREE) for text in texts]
    if found <= set(TWO):
        return ("COVID-19",), [(int(text == "positive"),) for text in texts]
    strange = sorted(found - {*THREE, *TWO})
    if strange:
        close = nearest(strange[0], [*THREE, *TWO])
        known = ", ".join((*THREE, *TWO))
        raise UserError(f"{where}: no class {strange[0]!r} of COVIDx ({known}){close}")
    raise UserError(f"{where}: classes of two versions of COVIDx: {', '.join(sorted(found))}")
