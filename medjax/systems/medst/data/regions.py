"""Batches of stretched films with the place of a finding: a mask, or boxes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medjax.data.batching import EVALUATION, generator, padded
from medjax.data.image_transforms import stretch
from medjax.data.mgca_splits import subset
from medjax.data.xray.places import Places, open_places, placed_labels, read_shares
from medjax.errors import UserError, nearest
from medjax.run.system import BatchPlan
from medjax.systems.medst.data.labelled import FilmBatches, Labelled
from medjax.systems.medst.data.masks import Turn, square_mask, turned
from medjax.systems.medst.data.views import ViewOptions

TURN = 7
"""Word of the random stream of turned films."""


def chosen_finding(name: str, finding: str, folder: Path) -> str:
    """Return the finding that a stage looks for; of films without any places it is only named.

    Raises:
        UserError: the films have places of other findings.
    """
    known = placed_labels(folder)
    if known and finding not in known:
        raise UserError(
            f"{name}.finding: the films of {folder} have no places of {finding!r}"
            f"{nearest(finding, known)} (they have those of {', '.join(known)})"
        )
    return finding


def places_of(folder: Path, films: Labelled, finding: str) -> dict[str, Places]:
    """Return split -> where a finding is on its films; {} where no places are known at all."""
    if finding not in placed_labels(folder):
        return {}
    return {
        split: open_places(folder, split, finding, part.dicom_id)
        for split, part in films.splits.items()
    }


def boxes_of(folder: Path, films: Labelled, finding: str) -> dict[str, tuple[np.ndarray, ...]]:
    """Return split -> the boxes of a finding on its films, as `read_shares`; {} as `places_of`.

    Raises:
        UserError: the places are no boxes.
    """
    if finding not in placed_labels(folder):
        return {}
    return {
        split: read_shares(folder, split, finding, part.dicom_id)
        for split, part in films.splits.items()
    }


def training_films(
    films: int, placed: np.ndarray, negatives: str, share: float, seed: int
) -> np.ndarray:
    """Return the positions of the training films that are used, at least one.

    Args:
        films: number of films of the split.
        placed: positions of those that have the finding.
        negatives: "all" of the others, or "as_positives": as many of them as have it.
        share: of these films, drawn as published.
        seed: of both draws.
    """
    kept = np.arange(films)
    if negatives == "as_positives" and len(placed):
        others = np.setdiff1d(kept, placed)
        drawn = others[subset(len(others), 1.0, seed)][: len(placed)]
        kept = np.sort(np.concatenate([placed, drawn]))
    if share < 1:
        kept = kept[subset(len(kept), share, seed)] if round(share * len(kept)) else kept[:1]
    return kept


class MaskBatches(FilmBatches):
    """Batches of films with the mask of a finding."""

    def __init__(
        self,
        films: Labelled,
        places: Mapping[str, Places],
        size: int,
        batch_sizes: tuple[int, int],
        seed: int,
        subset: Mapping[str, np.ndarray] | None = None,
        geometry: str = "as_image",
        turn: Turn | None = None,
    ) -> None:
        """Take open films and their places, of `places_of`.

        size: of the films in pixels; batch_sizes: in training and in evaluation; subset: positions
        of a split that are used; turn: in training, None: not at all.
        """
        super().__init__(films, ViewOptions(size, size), *batch_sizes, seed, subset)
        self._places, self._geometry, self._turn = places, geometry, turn
        self._row_of = {
            split: {int(p): row for row, p in enumerate(of.position)}
            for split, of in places.items()
        }

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image uint8 [rows, size, size, 1]; region uint8 [rows, size, size], where places are known;
        mask bool [rows].
        """
        at, count, size = plan.indices[rows], rows.stop - rows.start, self._view.size
        pairs = [self._pair(split, epoch, int(position)) for position in at]
        images = np.array([image for image, _ in pairs], np.uint8).reshape(-1, size, size, 1)
        batch = {"image": padded(images, count)}
        if self._places:
            regions = np.array([mask for _, mask in pairs], np.uint8).reshape(-1, size, size)
            batch["region"] = padded(regions, count)
        return batch | {"mask": np.arange(count) < len(at)}

    def _pair(self, split: str, epoch: int, position: int) -> tuple[np.ndarray, np.ndarray]:
        size = self._view.size
        film = self._films.splits[split].records[position][self._films.image]
        image, mask = stretch(film, size), np.zeros((size, size), np.uint8)
        row = self._row_of.get(split, {}).get(position)
        if row is not None:
            mask = square_mask(self._places[split].mask(row), size, self._geometry)
        if epoch == EVALUATION or self._turn is None:
            return image, mask
        return turned(image, mask, generator(self._seed, TURN, epoch + 1, position), self._turn)


class BoxBatches(FilmBatches):
    """Batches of films with the boxes of a finding."""

    def __init__(
        self,
        films: Labelled,
        boxes: Mapping[str, tuple[np.ndarray, ...]],
        size: int,
        batch_sizes: tuple[int, int],
        seed: int,
        subset: Mapping[str, np.ndarray] | None = None,
        shrink: float = 1.0,
    ) -> None:
        """Take open films and their boxes, of `boxes_of`; others as of `MaskBatches`.

        shrink: by which boxes are divided in every epoch of training but the first.
        """
        super().__init__(films, ViewOptions(size, size), *batch_sizes, seed, subset)
        self._boxes, self._shrink = boxes, shrink
        self._most = max((len(of) for part in boxes.values() for of in part), default=0) or 1

    def boxes(self, split: str, positions: np.ndarray) -> list[np.ndarray]:
        """Return the boxes of films as corners x1, y1, x2, y2 in shares of the film, [box, 4]."""
        found = [self._boxes[split][int(position)] for position in positions]
        return [np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1) for b in found]

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image uint8 [rows, size, size, 1]; mask bool [rows]; where boxes are known, boxes float32
        [rows, most, 5]: class 0, centre x and y, width and height as shares of the film; rows of
        zeros are none.
        """
        at, count, size = plan.indices[rows], rows.stop - rows.start, self._view.size
        films = self._films.splits[split].records
        images = [stretch(films[int(i)][self._films.image], size) for i in at]
        pixels = np.array(images, np.uint8).reshape(-1, size, size, 1)
        batch = {"image": padded(pixels, count), "mask": np.arange(count) < len(at)}
        if not self._boxes:
            return batch
        boxes = np.zeros((count, self._most, 5), np.float32)
        for row, position in enumerate(at):
            shares = self._boxes[split][int(position)]
            boxes[row, : len(shares), 1:3] = shares[:, :2] + shares[:, 2:] / 2
            boxes[row, : len(shares), 3:] = shares[:, 2:]
        if epoch != EVALUATION:
            boxes /= self._shrink**epoch
        return batch | {"boxes": boxes}
