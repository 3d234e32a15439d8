"""NIH ChestX-ray14: films, 14 labels, the published test list, and the boxes of some findings."""

import argparse
from pathlib import Path

import pandas as pd

from medjax.data.image_list import read_names
from medjax.data.radgraph.vocabulary import CHESTXRAY14
from medjax.data.tables import find_table, integers, read_table, refuse_repeats
from medjax.data.xray.film import Film
from medjax.data.xray.gather import Gathered, find_images, prepare_gathered, splits_of
from medjax.data.xray.options import add_image_options
from medjax.data.xray.regions import Region, grouped_boxes
from medjax.data.xray.store import Source
from medjax.errors import UserError, nearest

SOURCE = Source(
    "Chest radiographs of NIH ChestX-ray14 with labels mined from their reports.",
    "Wang et al., ChestX-ray8, CVPR 2017, arXiv:1705.02315",
    "no restriction; cite the paper and acknowledge the NIH Clinical Center",
)
TABLES, BOXES, TEST_LIST = "Data_Entry_2017*.csv", "BBox_List_2017*.csv", "test_list*.txt"
LABELS = tuple(CHESTXRAY14)
NO_FINDING = "No Finding"
BOX_NAMES = {"Infiltrate": "Infiltration"}
"""Names in the table of boxes -> those of the labels."""
SIDE = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument(
        "--test_list", type=Path, help="file of the test images (test_list.txt in --raw)"
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `xray` and, where the table of boxes is there, `regions`; the manifest."""
    root = args.images or args.raw
    path = find_table(args.raw, TABLES)
    if path is None:
        raise UserError(f"{args.raw}: no {TABLES}; fetch it from the NIH's folder")
    table = read_table(path, ("Image Index", "Finding Labels", "Patient ID", "View Position"))
    refuse_repeats(table["Image Index"], path)
    found = [codes_of(text, path, row) for row, text in enumerate(table["Finding Labels"], 2)]
    test_list = args.test_list or find_table(args.raw, TEST_LIST)
    listed = read_names(test_list) if test_list else None
    images = table["Image Index"].tolist()
    tested = None if listed is None else [image in listed for image in images]
    if tested is not None and not any(tested):
        raise UserError(f"{test_list}: names none of the images of {path}")
    patients = integers(table["Patient ID"], path).tolist()
    splits, rule = splits_of(args, [str(patient) for patient in patients], tested)
    files = find_images(root)
    rows = zip(images, splits, patients, table["View Position"], found)
    films = [
        Film(
            image,
            files.get(Path(image).stem, image),
            split,
            patient,
            0,
            view,
            0,
            () if args.unlabelled else codes,
        )
        for image, split, patient, view, codes in rows
    ]
    boxes = find_table(args.raw, BOXES)
    inputs = {p.name: p for p in (path, boxes, test_list) if p is not None}
    labels = () if args.unlabelled else LABELS
    regions = read_boxes(boxes) if boxes is not None else []
    gathered = Gathered(films, labels, rule, inputs, regions=regions)
    prepare_gathered(args, root, gathered, SOURCE)


def codes_of(text: str, path: Path, row: int) -> tuple[int, ...]:
    """Read "Mass|Nodule" or "No Finding": 1 or 0 for each of LABELS.

    Raises:
        UserError: another name.
    """
    names = set() if text == NO_FINDING else set(text.split("|"))
    unknown = sorted(names - set(LABELS))
    if unknown:
        close = nearest(unknown[0], LABELS)
        raise UserError(f"{path}, row {row}: no finding {unknown[0]!r}{close}")
    return tuple(int(label in names) for label in LABELS)


def read_boxes(path: Path) -> list[Region]:
    """Read the table of boxes, whose head "Bbox [x,y,w,h]" spreads over four columns.

    Raises:
        UserError: other columns, or a number that is none.
    """
    table = read_table(path, None)
    heads = [str(name).strip() for name in table.columns]
    if len(heads) < 6 or heads[:2] != ["Image Index", "Finding Label"]:
        raise UserError(f"{path}: expects Image Index, Finding Label and four columns of a box")
    named = table.iloc[:, :6].set_axis(["image", "label", "x", "y", "w", "h"], axis=1)
    named["label"] = named["label"].replace(BOX_NAMES)
    return grouped_boxes(pd.DataFrame(named), path, (SIDE, SIDE))
