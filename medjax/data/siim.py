"""SIIM-ACR pneumothorax: films (DICOM or converted) and masks, as run lengths or files."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from medjax.data.image_list import add_list_option, read_list
from medjax.data.tables import read_table
from medjax.data.xray.film import Film
from medjax.data.xray.gather import (
    Gathered,
    find_images,
    prepare_gathered,
    splits_of,
    subject_numbers,
)
from medjax.data.xray.options import add_image_options
from medjax.data.xray.regions import Region, read_mask
from medjax.data.xray.store import Source
from medjax.errors import UserError

SOURCE = Source(
    "Chest radiographs of the SIIM-ACR pneumothorax segmentation challenge with masks.",
    "Filice et al., Crowdsourcing pneumothorax annotations using machine learning annotations on "
    "the NIH chest X-ray dataset, Journal of Digital Imaging 2020",
    "that of the challenge",
)
TABLE, LABEL, SIDE = "train-rle.csv", "Pneumothorax", 1024
RUNS = "EncodedPixels"
NOTHING = "-1"
"""What stands for no pneumothorax."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this source."""
    parser.add_argument("--table", default=TABLE, help="CSV file, relative to --raw")
    parser.add_argument(
        "--masks", type=Path, help="folder of masks <image>.gif or .png (none: run lengths)"
    )
    add_list_option(parser)
    add_image_options(parser, quality=95)


def prepare(args: argparse.Namespace) -> None:
    """Write the sets `xray` and `regions`, and the manifest."""
    root = args.images or args.raw
    path = args.raw / args.table
    table = read_table(path, None)
    table.columns = table.columns.str.strip()
    stems = [str(image).strip() for image in table.iloc[:, 0]]
    regions = regions_of_files(stems, args.masks) if args.masks else regions_of_runs(table, path)
    images = find_images(root)
    names = list(dict.fromkeys(stems))
    splits, rule = splits_of(args, names, read_list(args, names))
    films = [
        Film(
            name,
            images.get(name, f"{name}.dcm"),
            split,
            number,
            0,
            "",
            0,
            () if args.unlabelled else (int(name in regions),),
        )
        for name, split, number in zip(names, splits, subject_numbers(names))
    ]
    labels = () if args.unlabelled else (LABEL,)
    gathered = Gathered(films, labels, rule, {path.name: path}, regions=list(regions.values()))
    prepare_gathered(args, root, gathered, SOURCE)


def regions_of_runs(table: pd.DataFrame, path: Path) -> dict[str, Region]:
    """Read run lengths: image -> region; several rows of one image are one region.

    Raises:
        UserError: no such column, or a row that is no list of offsets and lengths on the film.
    """
    if RUNS not in table:
        raise UserError(f"{path}: no column {RUNS!r}; name the folder of mask files by --masks")
    regions: dict[str, Region] = {}
    for row, (image, text) in enumerate(zip(table.iloc[:, 0], table[RUNS]), start=2):
        if text.strip() == NOTHING:
            continue
        try:
            runs = read_runs(text)
        except ValueError as e:
            raise UserError(f"{path}, row {row}: {e}") from None
        region = regions.get(image.strip(), Region(image.strip(), LABEL, size=(SIDE, SIDE)))
        regions[region.dicom_id] = region._replace(runs=(*region.runs, *runs))
    return regions


def read_runs(text: str, pixels: int = SIDE * SIDE) -> list[tuple[int, int]]:
    """Read offsets and lengths, each offset counted from the end of the run before it.

    Returns:
        (start, length) of every run, from the first pixel down the columns.

    Raises:
        ValueError: not such a list, or one that leaves the film.
    """
    numbers = [int(word) for word in text.split()]
    if not numbers or len(numbers) % 2 or min(numbers) < 0:
        raise ValueError("not a list of offsets and lengths")
    offsets, lengths = np.array(numbers[::2]), np.array(numbers[1::2])
    starts = np.cumsum(offsets) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    if starts[-1] + lengths[-1] > pixels:
        raise ValueError("runs beyond the last pixel")
    return [(int(start), int(length)) for start, length in zip(starts, lengths)]


def regions_of_files(stems: list[str], folder: Path) -> dict[str, Region]:
    """Find the masks of a folder: image -> region, of those that hold a pixel.

    Raises:
        UserError: an image without a mask file.
    """
    files = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".gif", ".png")}
    missing = [stem for stem in stems if stem not in files]
    if missing:
        raise UserError(f"--masks={folder}: no {missing[0]}.gif or .png")
    found = ((stem, files[stem]) for stem in dict.fromkeys(stems))
    return {stem: Region(stem, LABEL, mask=path) for stem, path in found if read_mask(path).any()}
