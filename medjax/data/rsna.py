"""RSNA pneumonia challenge, stage 2: films (DICOM or converted), boxes of pneumonia, its label."""

import argparse

import numpy as np

from medjax.data.boxes import Box
from medjax.data.image_list import add_list_option, read_list
from medjax.data.mgca_splits import rsna_parts
from medjax.data.tables import decimals, read_table
from medjax.data.xray.film import Film
from medjax.data.xray.gather import (
    Gathered,
    find_images,
    prepare_gathered,
    splits_of,
    subject_numbers,
)
from medjax.data.xray.options import add_image_options
from medjax.data.xray.regions import Region
from medjax.data.xray.store import Source
from medjax.errors import UserError

SOURCE = Source(
    "Chest radiographs of the RSNA pneumonia detection challenge with boxes of pneumonia.",
    "Shih et al., Augmenting the National Institutes of Health Chest Radiograph Dataset with "
    "Expert Annotations of Possible Pneumonia, Radiology: Artificial Intelligence 2019",
    "that of the challenge",
)
TABLE = "stage_2_train_labels.csv"
LABEL = "Pneumonia"
SIDE = 1024
"""Pixels of the films on which boxes were drawn."""
BOX = ("x", "y", "width", "height")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--table", default=TABLE, help="CSV file of labels, relative to --raw")
    add_list_option(parser)
    parser.add_argument(
        "--mgca_split", action="store_true", help="70, 15 and 15 %% as MGCA and MedST draw them"
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `xray` and `regions`, and the manifest."""
    root = args.images or args.raw
    path = args.raw / args.table
    table = read_table(path, ("patientId", *BOX, "Target"))
    wrong = np.flatnonzero(~table["Target"].isin(("0", "1")).to_numpy(dtype=bool))
    if len(wrong):
        raise UserError(f"{path}, row {wrong[0] + 2}: column 'Target' is neither 0 nor 1")
    boxes = np.stack([decimals(table[name], path) for name in BOX], axis=1)
    targets: dict[str, int] = {}
    drawn: dict[str, list[Box]] = {}
    for patient, target, box in zip(table["patientId"], table["Target"], boxes):
        targets[patient] = max(int(target), targets.get(patient, 0))
        if np.isfinite(box).all():
            drawn.setdefault(patient, []).append(Box(*map(float, box)))
    patients = list(targets)
    images = find_images(root)
    splits, rule = _splits(args, patients)
    films = [
        Film(
            patient,
            images.get(patient, f"{patient}.dcm"),
            split,
            number,
            0,
            "",
            0,
            () if args.unlabelled else (targets[patient],),
        )
        for patient, split, number in zip(patients, splits, subject_numbers(patients))
    ]
    regions = [Region(p, LABEL, tuple(of), (SIDE, SIDE)) for p, of in drawn.items()]
    labels = () if args.unlabelled else (LABEL,)
    gathered = Gathered(films, labels, rule, {path.name: path}, regions=regions)
    prepare_gathered(args, root, gathered, SOURCE)


def _splits(args: argparse.Namespace, patients: list[str]) -> tuple[list[str], str]:
    """Return the split of every patient and the rule."""
    if not args.mgca_split or args.unlabelled:
        return splits_of(args, patients, read_list(args, patients))
    ordered = sorted(patients)
    parts = rsna_parts(len(ordered))._asdict()
    of = {ordered[i]: name for name, positions in parts.items() for i in positions}
    return [of[patient] for patient in patients], "as MGCA: 70 % train, 15 % validation, 15 % test"
