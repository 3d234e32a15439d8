"""Where a finding is on prepared films: the masks and boxes of the set `regions`, film by film."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medjax.data.boxes import nearest_mask
from medjax.data.prepared import open_set, read_manifest
from medjax.data.xray.regions import NAME, read_places
from medjax.errors import UserError


class Places(NamedTuple):
    """The films of a split on which a finding has a place."""

    position: np.ndarray
    """int64 [places], rising: the film in the split."""
    number: np.ndarray
    """int64 [places]: the record of its mask."""
    records: Any

    def mask(self, row: int, shape: Sequence[int] | None = None) -> np.ndarray:
        """Return the mask of a place, uint8 [height, width] of 0 and 1; nearest to `shape`."""
        mask = (self.records[int(self.number[row])]["mask"] > 0).astype(np.uint8)
        return mask if shape is None else nearest_mask(mask, shape)


def placed_labels(root: Path) -> tuple[str, ...]:
    """Return the findings for which prepared films have places, () for none."""
    sets = read_manifest(root)["sets"]
    return tuple(sets[NAME]["labels"]) if NAME in sets else ()


def open_places(root: Path, split: str, label: str, dicom_ids: np.ndarray) -> Places:
    """Return the places of a finding on the films of a split; none where it has no place.

    dicom_ids: text [films], in their order.
    """
    places = read_places(root, split).get(label, {})
    positions = {dicom: i for i, dicom in enumerate(dicom_ids)}
    pairs = sorted((positions[d], number) for d, number in places.items() if d in positions)
    position, number = np.asarray(pairs, np.int64).reshape(-1, 2).T
    records = open_set(root, NAME, fields=("mask",)).splits[split] if pairs else ()
    return Places(position, number, records)


def read_shares(
    root: Path, split: str, label: str, dicom_ids: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Return the boxes of a finding on each film of a split, float32 [box, 4], no row for none.

    Left, top, width and height, as shares of the film; dicom_ids: text [films], in their order.

    Raises:
        UserError: the places were given as masks, or prepared before boxes were kept.
    """
    found = [np.zeros((0, 4), np.float32)] * len(dicom_ids)
    places = open_places(root, split, label, dicom_ids)
    if not len(places.position):
        return tuple(found)
    prepared = open_set(root, NAME)
    if "boxes" not in prepared.info.features:
        raise UserError(f"{root}: places of {label} without their boxes; prepare the films again")
    records = open_set(root, NAME, fields=("boxes",)).splits[split]
    for position, number in zip(places.position.tolist(), places.number.tolist()):
        found[position] = records[number]["boxes"]
        if not len(found[position]):
            raise UserError(
                f"{root}: film {dicom_ids[position]} has a mask of {label} and no boxes; to detect "
                "boxes, prepare films whose places are given as boxes"
            )
    return tuple(found)
