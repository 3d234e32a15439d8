"""CheXpert: films and 14 labels; the published validation patients are those tested on."""

import argparse
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from medjax.data.mgca_splits import chexpert_parts
from medjax.data.tables import LABEL_VALUES, coded, read_table, refuse_repeats
from medjax.data.xray.film import Film
from medjax.data.xray.gather import Gathered, prepare_gathered, splits_of, subject_numbers
from medjax.data.xray.options import add_image_options
from medjax.data.xray.store import Source
from medjax.errors import UserError

SOURCE = Source(
    "Chest radiographs of CheXpert with labels mined from their reports (1, 0, -1 uncertain, -2 "
    "not mentioned).",
    "Irvin et al., CheXpert, AAAI 2019, arXiv:1901.07031",
    "Stanford University Dataset Research Use Agreement",
)
LABELS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""Labels of the competition."""
NOT_MENTIONED = -2
TABLES = {"train.csv": False, "valid.csv": True, "test.csv": True}
"""Table -> whether its films are tested on."""
FRONTAL = "Frontal"
VIEW = ("Frontal/Lateral", "AP/PA")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--frontal", action="store_true", help="frontal films only")
    parser.add_argument(
        "--mgca_split",
        choices=("patient", "row"),
        help="5,000 films for validation and the films of 5x200 left out, as MGCA, by whole "
        "patients; row: as published, patients may be on both sides",
    )
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the set `xray` and the manifest."""
    root = args.images or args.raw
    paths = {args.raw / name: tested for name, tested in TABLES.items()}
    there = {path: tested for path, tested in paths.items() if path.is_file()}
    if not there:
        raise UserError(f"{args.raw}: none of {', '.join(TABLES)}")
    tables = [read_films(path, tested, args.unlabelled) for path, tested in there.items()]
    table = pd.concat(tables, ignore_index=True)
    before = len(table)
    if args.frontal:
        table = table[table["view"] != "LATERAL"].reset_index(drop=True)
    count = {"rule": "frontal", "in": before, "out": len(table), "reason": "a lateral film"}
    prefixed = not (root / str(table["image"].iloc[0])).is_file()
    splits, rule, patients = split_films(args, table)
    rows = zip(
        table["image"],
        splits,
        subject_numbers(patients),
        table["study"],
        table["view"],
        table["codes"],
    )
    films = [
        # The released paths begin with the name of the release, which may be unpacked otherwise.
        Film(image, _without_first(image) if prefixed else image, split, patient, study, view, 0,
             codes)
        for image, split, patient, study, view, codes in rows
        if split
    ]  # fmt: skip
    labels = () if args.unlabelled else LABELS
    inputs = {path.name: path for path in there}
    counts = [count] if args.frontal else []
    prepare_gathered(args, root, Gathered(films, labels, rule, inputs, counts=counts), SOURCE)


def split_films(args: argparse.Namespace, table: pd.DataFrame) -> tuple[list[str], str, list[str]]:
    """Return the split of every film, "" for none, the rule, and whom the films are of.

    Where single films are drawn, each is of a patient of its own.
    """
    patients, tested = table["patient"].tolist(), table["tested"].tolist()
    if args.mgca_split is None or args.unlabelled:
        return *splits_of(args, patients, tested), patients
    by_patient = args.mgca_split == "patient"
    if not by_patient:
        patients = [f"{patient}/{row}" for row, patient in enumerate(patients)]
    codes = np.array(table["codes"].tolist(), np.int8).reshape(len(table), len(LABELS))
    splits = [""] * len(table)
    parts = chexpert_parts(patients, tested, lone_label(codes).tolist(), by_patient)
    for name, positions in parts._asdict().items():
        for position in positions:
            splits[position] = name
    unit = "patients" if by_patient else "rows"
    rule = f"as MGCA: 5,000 films for validation, 5x200 left out, by {unit}; valid.csv is tested on"
    return splits, rule, patients


def lone_label(codes: np.ndarray) -> np.ndarray:
    """Return the number in COMPETITION of the one label that a film has, -1 without such.

    codes: int8 [film, label]; all other labels must be 0 or not mentioned.
    """
    columns = [LABELS.index(name) for name in COMPETITION]
    others_free = ((codes == 0) | (codes == NOT_MENTIONED)).sum(1) == len(LABELS) - 1
    has = codes[:, columns] == 1
    return np.where(others_free & has.any(1), has.argmax(1), -1)


def _without_first(path: str) -> str:
    return str(PurePosixPath(*PurePosixPath(path).parts[1:]))


def read_films(path: Path, tested: bool, unlabelled: bool) -> pd.DataFrame:
    """Read one table: image, patient, study number, view, tested, codes.

    Raises:
        UserError: a missing column, a path without patient and study, a label of unknown value.
    """
    names = () if unlabelled else LABELS
    table = read_table(path, ("Path", *names), VIEW)
    refuse_repeats(table["Path"], path)
    parts = table["Path"].str.extract(r"(patient(\d+))/study(\d+)/")
    wrong = np.flatnonzero(parts.isna().any(axis=1).to_numpy(dtype=bool))
    if len(wrong):
        raise UserError(f"{path}, row {wrong[0] + 2}: no patient and study in column 'Path'")
    codes = np.array([coded(table[name], LABEL_VALUES, path) for name in names], np.int8)
    rows = codes.reshape(len(names), len(table)).T.tolist()
    frontal = table.get(VIEW[0], pd.Series([FRONTAL] * len(table))) == FRONTAL
    projection = table.get(VIEW[1], pd.Series([""] * len(table)))
    return pd.DataFrame(
        {
            "image": table["Path"],
            "patient": parts[0],
            "study": [1000 * int(p) + int(s) for p, s in zip(parts[1], parts[2])],
            "view": np.where(frontal, projection, "LATERAL"),
            "tested": tested,
            "codes": [tuple(row) for row in rows],
        }
    )
