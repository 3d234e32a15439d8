"""The set `regions`: where findings are on the films of an X-ray store, as masks.

A region is the place of one finding on one film: drawn boxes, or a mask file. Masks have the pixels
of the film as it was given, or the size on which the boxes were drawn.
"""

import argparse
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from PIL import Image

from medjax.data.arguments import whole_number
from medjax.data.boxes import Box, box_mask
from medjax.data.images import MAX_PIXELS, read_grey
from medjax.data.manifest import describe_set
from medjax.data.paths import resolve_under
from medjax.data.prepared import SetSpec, open_set, read_manifest, write_stream
from medjax.data.tables import decimals, read_table
from medjax.data.xray.film import Film
from medjax.data.xray.store import Source
from medjax.errors import UserError

NAME = "regions"
VERSION = "1.1.0"
BOX_COLUMNS = ("x", "y", "w", "h")
SIZE_COLUMNS = ("image_width", "image_height")
IMAGE_NAMES, LABEL_NAMES = ("image", "dicom_id", "path"), ("label", "category_name")
SEPARATOR = "\x1f"


class Region(NamedTuple):
    """The place of one finding on one film, before it is drawn."""

    dicom_id: str
    label: str
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    """(height, width) on which the boxes are drawn; None: that of the film."""
    mask: Path | None = None
    """File of a mask, any value above 0 inside; None: the boxes."""
    runs: tuple[tuple[int, int], ...] = ()
    """(start, length) of stretches of pixels inside, down the columns; of a film of `size`."""


def add_region_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of tables of places."""
    parser.add_argument(
        "--boxes",
        default="",
        help="CSV file, relative to --raw, of image (or dicom_id), label (or category_name), "
        "x, y, w, h in pixels, and perhaps image_width, image_height",
    )
    parser.add_argument(
        "--box_pixels",
        type=whole_number(1),
        help="side of the square films on which boxes were drawn (that of each film)",
    )
    parser.add_argument(
        "--masks",
        default="",
        help="CSV file, relative to --raw, of image, label and path of a mask",
    )


def read_regions(args: argparse.Namespace, root: Path, films: Sequence[Film]) -> list[Region]:
    """Read the tables that `args` name: regions of these films, in their order.

    root: the folder that the paths of masks start from.

    Raises:
        UserError: a table without the columns, or none of whose images is known.
    """
    known = {film.dicom_id for film in films}
    regions: list[Region] = []
    if args.boxes:
        path = args.raw / args.boxes
        found = read_boxes_table(path, args.box_pixels)
        regions += _of_known(found, known, path)
    if args.masks:
        path = args.raw / args.masks
        table = read_table(path, ("image", "label", "mask"))
        found = [
            Region(image, label, mask=resolve_under(root, mask))
            for image, label, mask in table.itertuples(index=False)
        ]
        regions += _of_known(found, known, path)
    return regions


def _of_known(regions: Sequence[Region], known: set[str], path: Path) -> list[Region]:
    kept = [region for region in regions if region.dicom_id in known]
    if regions and not kept:
        raise UserError(f"{path}: names none of the images; the first is {regions[0].dicom_id!r}")
    return kept


def read_boxes_table(path: Path, pixels: int | None = None) -> list[Region]:
    """Read a table of boxes, several rows of one image and label being one region.

    pixels: side of the square on which they were drawn, where the table does not say.
    """
    table = read_table(path, BOX_COLUMNS, (*IMAGE_NAMES, *LABEL_NAMES, *SIZE_COLUMNS))
    names = [next((c for c in known if c in table), None) for known in (IMAGE_NAMES, LABEL_NAMES)]
    if None in names:
        raise UserError(f"{path}: needs a column of {' or '.join(IMAGE_NAMES)} and one of labels")
    named = table.rename(columns={str(names[0]): "image", str(names[1]): "label"})
    sizes: Sequence[tuple[int, int] | None] = [(pixels, pixels) if pixels else None] * len(table)
    if set(SIZE_COLUMNS) <= set(table.columns):
        width, height = (decimals(table[column], path).astype(int) for column in SIZE_COLUMNS)
        sizes = list(zip(height.tolist(), width.tolist()))
    return _grouped(named, path, sizes)


def grouped_boxes(table: pd.DataFrame, path: Path, size: tuple[int, int]) -> list[Region]:
    """Return one region for all boxes of an image and label; columns image, label, x, y, w, h.

    Raises:
        UserError: a field of a box is no number, or a side not above 0; names the row of `path`.
    """
    return _grouped(table, path, [size] * len(table))


def _grouped(
    table: pd.DataFrame, path: Path, sizes: Sequence[tuple[int, int] | None]
) -> list[Region]:
    numbers = np.stack([decimals(table[column], path) for column in BOX_COLUMNS], axis=1)
    empty = np.flatnonzero((numbers[:, 2:] <= 0).any(1))
    if len(empty):
        width, height = numbers[empty[0], 2:]
        raise UserError(
            f"{path}, row {empty[0] + 2}: a box of {width:g} by {height:g} pixels; correct the cell"
        )
    regions: dict[tuple[str, str], Region] = {}
    for image, label, box, size in zip(table["image"], table["label"], numbers, sizes):
        region = regions.get((image, label), Region(image, label, size=size))
        regions[image, label] = region._replace(boxes=(*region.boxes, Box(*map(float, box))))
    return list(regions.values())


def store_regions(
    out: Path, root: Path, films: Sequence[Film], regions: Iterable[Region], source: Source
) -> dict[str, Any]:
    """Write the set `regions` and return its entry of the manifest; films that are not there have
    none.

    Raises:
        UserError: a film whose size is wanted, or a mask, cannot be read.
    """
    by_id = {film.dicom_id: film for film in films}
    splits = {film.split for film in films}
    spec = SetSpec(
        NAME,
        VERSION,
        {
            "dicom_id": tfds.features.Text(),
            "label": tfds.features.Text(),
            "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
        },
        "Places of findings on the films of the set xray, as masks of 0 and 255; where they were "
        "given as boxes, also left, top, width and height of each, as shares of the film.",
        source.citation,
        source.license,
    )
    labels: set[str] = set()

    def examples() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        for region in regions:
            if region.dicom_id not in by_id:
                continue
            labels.add(region.label)
            film = by_id[region.dicom_id]
            mask = draw(region, lambda film=film: read_grey(resolve_under(root, film.path)).shape)
            buffer = io.BytesIO()
            Image.fromarray(mask * np.uint8(255)).save(buffer, "PNG")
            buffer.seek(0)
            example = {
                **{"dicom_id": region.dicom_id, "label": region.label, "mask": buffer},
                "boxes": shares_of(region.boxes, mask.shape),
            }
            yield film.split, f"{region.dicom_id}{SEPARATOR}{region.label}", example

    summary = write_stream(out, spec, splits, examples())
    return {NAME: describe_set(summary, sorted(labels))}


def draw(region: Region, film_shape: Any) -> np.ndarray:
    """Return the mask of a region, uint8 [height, width] of 0 and 1."""
    if region.mask is not None:
        return read_mask(region.mask)
    height, width = region.size or film_shape()
    if not region.runs:
        return box_mask(region.boxes, height, width)
    flat = np.zeros(height * width, np.uint8)
    for start, length in region.runs:
        flat[start : start + length] = 1
    return np.ascontiguousarray(flat.reshape(width, height).T)


def shares_of(boxes: Sequence[Box], shape: Sequence[int]) -> np.ndarray:
    """Return left, top, width and height of boxes as shares of a film of (height, width) `shape`.

    float32 [box, 4]
    """
    height, width = shape
    pixels = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.asarray(pixels / (width, height, width, height), np.float32)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask file, uint8 [height, width] of 0 and 1: 1 where the value is above 0.

    Raises:
        UserError: not a PNG, GIF or JPEG file, or a damaged one.
    """
    with open(path, "rb") as f:
        if not f.read(4).startswith(b"GIF8"):
            return (read_grey(path) > 0).astype(np.uint8)
    try:
        with Image.open(path, formats=("GIF",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{path}: over the limit of {MAX_PIXELS:,} pixels")
            return (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError) as e:
        raise UserError(f"{path}: damaged mask ({e}); fetch the file again") from e


def read_places(root: Path, split: str) -> dict[str, dict[str, int]]:
    """Return label -> film -> number of its record in the set `regions`; {} without the set."""
    if NAME not in read_manifest(root)["sets"]:
        return {}
    records = open_set(root, NAME, fields=("dicom_id", "label")).splits.get(split, ())
    places: dict[str, dict[str, int]] = {}
    for number in range(len(records)):
        record = records[number]
        places.setdefault(record["label"], {})[record["dicom_id"]] = number
    return places
