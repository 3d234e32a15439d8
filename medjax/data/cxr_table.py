"""Chest X-rays listed in any CSV table: an image path and label columns a row."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.reports import STORED, report_fields
from medjax.data.subject_split import HASH_RULE, hash_split
from medjax.data.tables import LABEL_VALUES, SPLIT_NAMES, coded, read_table, refuse_repeats
from medjax.data.xray.film import Film
from medjax.data.xray.gather import Gathered, prepare_gathered, subject_numbers
from medjax.data.xray.options import add_image_options
from medjax.data.xray.regions import add_region_options, read_regions
from medjax.data.xray.store import Source
from medjax.errors import UserError, nearest

SOURCE = Source(
    "Chest radiographs of a table, with its labels (1, 0, -1 uncertain, -2 empty).",
    "",
    "that of the images",
)

LABEL_SHARE = 0.9
"""A column of which this share is 0, 1 or -1 is meant to be a label."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--table", default="labels.csv", help="CSV file, relative to --raw")
    parser.add_argument(
        "--join", default="", help="CSV file of the same images, as of their reports, to add"
    )
    parser.add_argument("--image_column", default="image", help="column of image paths")
    parser.add_argument(
        "--patient_column", help="column of patients (patient or subject_id, where there)"
    )
    parser.add_argument("--study_column", help="column of study numbers (study_id, where there)")
    parser.add_argument("--view_column", help="column of view positions (view, where there)")
    parser.add_argument("--split_column", help="column of splits (split, where there)")
    parser.add_argument("--labels", default="", help="label columns a,b,c (all of 0, 1, -1, empty)")
    add_image_options(parser, quality=95)
    add_region_options(parser)


def prepare(args: argparse.Namespace) -> None:
    """Write the set `xray`, the set `regions` where places are given, and the manifest."""
    root = args.images or args.raw
    path = args.raw / args.table
    table = read_table(path, None)
    if args.join:
        table = join(table, args.raw / args.join, path, args.image_column)
    films, labels, split_rule = read_films(table, path, args)
    reports = read_reports(table, args.image_column)
    tables = (path, *(args.raw / name for name in (args.join, args.boxes, args.masks) if name))
    gathered = Gathered(
        films,
        labels,
        split_rule,
        {table.name: table for table in tables},
        lambda film: reports[film.path],
        read_regions(args, root, films),
    )
    prepare_gathered(args, root, gathered, SOURCE)


def read_films(
    table: pd.DataFrame, path: Path, args: argparse.Namespace
) -> tuple[list[Film], tuple[str, ...], str]:
    """Turn the rows of a table into films, their label names and the rule of their splits.

    Raises:
        UserError: a named column that is missing, an image listed twice, a label or split of
            unknown value, no labels.
    """
    images = _column(table, path, args.image_column, "image")
    if images is None:
        raise UserError(f"{path}: no column 'image'; name the one of image paths by --image_column")
    refuse_repeats(images, path)
    patients = _column(table, path, args.patient_column, "patient", "subject_id")
    subjects = images if patients is None else patients
    studies = _column(table, path, args.study_column, "study_id")
    view = _column(table, path, args.view_column, "view")
    splits, rule = _splits(table, path, args, subjects)
    given = (images, patients, studies, view)
    taken = {str(column.name) for column in given if column is not None}
    names = () if args.unlabelled else _label_names(table, path, args.labels, taken)
    codes = [coded(table[name], LABEL_VALUES, path) for name in names]
    labels = np.array(codes, np.int8).reshape(len(names), len(table)).T
    views = [""] * len(table) if view is None else view
    numbers = [0] * len(table) if studies is None else subject_numbers(studies)
    rows = zip(images, splits, subject_numbers(subjects), numbers, views, labels)
    films = [
        Film(image, image, split, subject, study, film_view, 0, tuple(label.tolist()))
        for image, split, subject, study, film_view, label in rows
    ]
    return films, names, rule


def read_reports(table: pd.DataFrame, image_column: str) -> dict[str, dict[str, str]]:
    """Return image -> fields of its report: those columns that are named as a stored section is.

    A column `report` is the whole text; the sections that have no column are read from it.
    """
    columns = {name: table[name] for name in STORED if name in table}
    texts = table.get("report", [""] * len(table))
    found = {}
    for image, text, *sections in zip(table[image_column], texts, *columns.values()):
        given = {name: section.strip() for name, section in zip(columns, sections)}
        found[image] = (report_fields(text) if text.strip() else {}) | given
    return found


def join(table: pd.DataFrame, path: Path, first: Path, image_column: str) -> pd.DataFrame:
    """Add the columns of another table, by image; empty where it lacks the image.

    Raises:
        UserError: one of the tables has no such column, or repeats an image, or the other names
            none of the images.
    """
    if image_column not in table:
        raise UserError(f"{first}: no column {image_column!r}")
    more = read_table(path, None)
    if image_column not in more:
        close = nearest(image_column, map(str, more.columns))
        raise UserError(f"{path}: no column {image_column!r}{close}")
    refuse_repeats(more[image_column], path)
    if not more[image_column].isin(table[image_column]).any():
        first_named = next(iter(more[image_column]), "")
        raise UserError(
            f"{path}: names none of the images of {first}; its first is {first_named!r}"
        )
    added = [image_column, *(name for name in more if name not in table)]
    return table.merge(more[added], on=image_column, how="left").fillna("")


def _column(table: pd.DataFrame, path: Path, name: str | None, *defaults: str) -> pd.Series | None:
    """The column that was named, or the first default one that is there; else None."""
    if name is None or name in defaults:
        wanted = defaults if name is None else (name,)
        return next((table[column] for column in wanted if column in table), None)
    if name not in table.columns:
        raise UserError(f"{path}: no column {name!r}{nearest(name, map(str, table.columns))}")
    return table[name]


def _splits(
    table: pd.DataFrame, path: Path, args: argparse.Namespace, subjects: pd.Series
) -> tuple[Sequence[str], str]:
    """The split of every row and the rule by which it was found."""
    if args.unlabelled:
        return ["all"] * len(table), "one split for prediction"
    column = _column(table, path, args.split_column, "split")
    if column is not None and args.split == "published":
        return list(coded(column, SPLIT_NAMES, path)), f"column {column.name}"
    by = "image path" if subjects.name == args.image_column else "patient"
    split_of = {subject: hash_split(subject) for subject in subjects.unique()}
    return [split_of[s] for s in subjects], HASH_RULE.format(by)


def _label_names(table: pd.DataFrame, path: Path, given: str, taken: set[str]) -> tuple[str, ...]:
    """The label columns: those given, or all that hold nothing but 0, 1, -1 and empty fields.

    Raises:
        UserError: no such column, or one that was not given and is a label but for a few cells.
    """
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    for name in names:
        if name not in table.columns:
            raise UserError(f"{path}: no column {name!r}{nearest(name, map(str, table.columns))}")
    if not names:
        names = tuple(
            name for name in table.columns if name not in taken and _is_label(table[name], path)
        )
    if not names and not {"report", *STORED} & set(table.columns):
        raise UserError(
            f"{path}: neither label columns nor reports; name labels by --labels, or give "
            "--unlabelled"
        )
    return names


def _is_label(texts: pd.Series, path: Path) -> bool:
    """Whether all fields of a column that are not empty hold 0, 1 or -1.

    Raises:
        UserError: nearly all do; one wrong cell would silently take the label away.
    """
    stripped = texts.str.strip()
    filled = int((stripped != "").sum())
    wrong = np.flatnonzero(~stripped.isin(list(LABEL_VALUES)).to_numpy(dtype=bool))
    if len(wrong) and (filled - len(wrong)) / filled >= LABEL_SHARE:
        raise UserError(
            f"{path}, row {wrong[0] + 2}: column {texts.name!r} looks like a label but holds "
            "none of 0, 1, -1 here; correct the cell, or name the label columns by --labels"
        )
    return filled > 0 and not len(wrong)
