"""Batches of films with laterals, captions and their place in time, for pre-training."""

from typing import Any, NamedTuple

import numpy as np

from medjax.data.batching import EVALUATION, generator
from medjax.errors import UserError
from medjax.run.system import BatchPlan
from medjax.systems.medst.data.films import Data, Films
from medjax.systems.medst.data.packing import Room, arrange, pack, surely_full
from medjax.systems.medst.data.pairs import NONE
from medjax.systems.medst.data.sequences import lay_out
from medjax.systems.medst.data.texts import TokenTable
from medjax.systems.medst.data.views import ViewOptions, read_views

ORDER, VIEW = 2, 3
"""Words of the random streams."""
FRONTAL, LATERAL, PRIOR = range(3)


class Options(NamedTuple):
    """What stands in a batch, and how."""

    train: Room
    """Of a training batch: films, laterals and chunks that it has room for."""
    evaluation: Room
    view: ViewOptions = ViewOptions()
    parts: int = 1
    """Equal parts of a batch, each with its laterals in front: a multiple of the devices, unless
    every row has a place for a lateral film."""
    shortest_sequence: int = 2
    """Films from which a chunk is a sequence; published 4."""
    align_laterals: bool = True
    """Published False: laterals keep the order of the chunks while films of whole sequences go
    first, so that they stand beside films of other studies."""
    prior: bool = False
    """Whether the film of the visit before is read too."""
    validation_drop_last: bool = False
    """Published True."""


class Batches:
    """Plans and makes the batches of one stage; it holds the data and never changes."""

    def __init__(self, data: Data, captions: TokenTable, options: Options, seed: int) -> None:
        """Take open data and the tokens of `data.captions`.

        Raises:
            UserError: the parts are not equal, or a chunk has more films or laterals than a batch
                has room for.
        """
        self._data, self._captions = data, captions
        self._options, self._seed = options, seed
        self._chunks = {split: _Chunks.of(films) for split, films in data.splits.items()}
        for room in (options.train, options.evaluation):
            self._check(room)

    def _check(self, room: Room) -> None:
        parts, every = self._options.parts, room.places in (0, room.rows)
        if room.rows % parts or room.places % parts:
            raise UserError(
                f"a batch of {room.rows} films with {room.places} lateral ones cannot be cut into "
                f"{parts} equal parts; change their numbers"
            )
        if not self._options.align_laterals and not every:
            raise UserError("align_laterals False needs a place for a lateral film in every row")
        for chunks in self._chunks.values():
            longest = int(chunks.lengths.max(initial=0))
            most = int(chunks.laterals.max(initial=0)) if room.places else 0
            if longest > room.rows or most > room.places:
                raise UserError(
                    f"a sequence of {longest} films with {most} lateral ones does not fit into a "
                    f"batch of {room.rows} with {room.places}; enlarge the batch"
                )

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits at hand, in their usual order."""
        return tuple(self._data.splits)

    def plan(self, split: str, epoch: int) -> list[BatchPlan]:
        """Return one pass of whole chunks: shuffled in training, where every epoch has as many
        full batches and what is left over is not seen; else in order.
        """
        chunks, evaluating = self._chunks[split], epoch == EVALUATION
        room = self._room(epoch)
        order = np.argsort(self._keys(split, epoch), kind="stable")
        lengths, laterals = chunks.lengths[order], chunks.laterals[order]
        if not room.places:
            laterals = np.zeros_like(laterals)
        batches = pack(lengths.tolist(), laterals.tolist(), room)
        dropping = split == "validation" and self._options.validation_drop_last
        if batches and (dropping or not evaluating):
            batches = batches[: surely_full(lengths.tolist(), laterals.tolist(), room)]
        return [self._batch(split, order[chosen], room) for chosen in batches]

    def _room(self, epoch: int) -> Room:
        return self._options.evaluation if epoch == EVALUATION else self._options.train

    def _keys(self, split: str, epoch: int) -> np.ndarray:
        """Return what chunks are ordered by, [chunk]."""
        count = len(self._chunks[split].lengths)
        if epoch == EVALUATION:
            return np.arange(count)
        return generator(self._seed, ORDER, epoch + 1).random(count)

    def _batch(self, split: str, chosen: np.ndarray, room: Room) -> BatchPlan:
        """Return the batch of some chunks, its films in the order of its rows."""
        films = self._data.splits[split]
        rows = np.concatenate([films.chunks[i] for i in chosen])
        if self._options.align_laterals:
            slots = self._slots(films, rows, room)
            return BatchPlan(rows[slots[slots >= 0]], room.rows)
        lengths = self._chunks[split].lengths[chosen].tolist()
        layout = lay_out(lengths, self._options.shortest_sequence, align_laterals=False)
        return BatchPlan(rows[layout.rows], room.rows)

    def _slots(self, films: Films, rows: np.ndarray, room: Room) -> np.ndarray:
        """Return which of these films stands in each row of the batch, int64 [row], -1: none."""
        if room.places in (0, room.rows) or not self._options.align_laterals:
            return np.where(np.arange(room.rows) < len(rows), np.arange(room.rows), -1)
        return arrange(films.lateral[rows] != NONE, room, self._options.parts)

    def collate(self, split: str, epoch: int, plan: BatchPlan, rows: slice) -> dict[str, Any]:
        """Return these rows of a batch, zero where a row is padding.

        image uint8 [rows, size, size, 1]; caption_ids int32, caption_mask bool and caption_words
        int32 (-1 none), all [rows, token]; study int32 [rows], of the split; sequence int32 [rows]
        (-1 none), step int32 [rows]; mask bool [rows].

        With places for laterals: lateral uint8 [places, size, size, 1], has_lateral bool [places],
        of the first rows of each part. With `Options.prior`: prior, as image, and has_prior.
        """
        films, chunks, room = self._data.splits[split], self._chunks[split], self._room(epoch)
        slots = self._slots(films, plan.indices, room)
        slots = np.pad(slots, (0, max(rows.stop - len(slots), 0)), constant_values=-1)[rows]
        mask = slots >= 0
        at = plan.indices[slots[mask]]
        count = len(slots)

        def spread(values: np.ndarray) -> np.ndarray:
            """Put the values of films [film, ...] at their rows."""
            column = np.zeros((count, *values.shape[1:]), values.dtype)
            column[mask] = values
            return column

        caption, tokens = films.caption[at], self._captions
        long = chunks.lengths[chunks.number[at]] >= self._options.shortest_sequence
        batch = {
            "image": spread(self._views(split, epoch, films.frontal[at], FRONTAL)),
            "caption_ids": spread(tokens.ids[caption]),
            "caption_mask": spread(tokens.mask[caption]),
            "caption_words": spread(tokens.words[caption] + 1) - 1,
            "study": spread(chunks.study[at]),
            "sequence": spread(np.where(long, chunks.number[at], -1) + 1) - 1,
            "step": spread(chunks.step[at]),
            "mask": mask,
        }
        if room.places:
            lateral = self._laterals(split, epoch, plan)
            first = self._first_rows(room)
            kept = (first >= rows.start) & (first < rows.stop)
            batch |= self._some("lateral", split, epoch, lateral[first[kept]], LATERAL)
        if self._options.prior:
            prior = np.full(count, NONE)
            prior[mask] = np.where(films.prior[at] == NONE, NONE, films.frontal[films.prior[at]])
            batch |= self._some("prior", split, epoch, prior, PRIOR)
        return batch

    def _first_rows(self, room: Room) -> np.ndarray:
        """Return the rows of the batch that lateral films have a place for, [place]."""
        parts = self._options.parts
        starts = np.arange(parts)[:, None] * (room.rows // parts)
        return (starts + np.arange(room.places // parts)).reshape(-1)

    def _laterals(self, split: str, epoch: int, plan: BatchPlan) -> np.ndarray:
        """Return the lateral film beside each row of the whole batch, NONE where there is none."""
        films, chunks, room = self._data.splits[split], self._chunks[split], self._room(epoch)
        slots = self._slots(films, plan.indices, room)
        there = slots >= 0
        lateral = np.full(len(slots), NONE, np.int64)
        if self._options.align_laterals:
            lateral[there] = films.lateral[plan.indices[slots[there]]]
            return lateral
        # The order of the chunks: by the key that they were shuffled with, then by time.
        number = chunks.number[plan.indices]
        joined = np.lexsort((chunks.step[plan.indices], self._keys(split, epoch)[number]))
        lateral[there] = films.lateral[plan.indices[joined]]
        return lateral

    def _some(
        self, name: str, split: str, epoch: int, numbers: np.ndarray, kind: int
    ) -> dict[str, np.ndarray]:
        """Return films of the store by their numbers, black where NONE, and which are there."""
        there = numbers != NONE
        size = self._options.view.size
        column = np.zeros((len(numbers), size, size, 1), np.uint8)
        column[there] = self._views(split, epoch, numbers[there], kind)
        return {name: column, f"has_{name}": there}

    def _views(self, split: str, epoch: int, numbers: np.ndarray, kind: int) -> np.ndarray:
        """Return views of films of the store, uint8 [film, size, size, 1]."""
        records, words = self._data.splits[split].records, (VIEW, epoch + 1, kind)
        draws = None if epoch == EVALUATION else (self._seed, *words)
        return read_views(records, self._data.image, numbers, self._options.view, draws)

    def identity(self, split: str, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return the id columns of a predictions table."""
        films = self._data.splits[split]
        return {
            "dicom_id": films.dicom_id[positions],
            "subject_id": films.subject_id[positions],
            "study_id": films.study_id[positions],
        }


class _Chunks(NamedTuple):
    """What is known of chunks and of the films in them, as arrays."""

    lengths: np.ndarray
    """int64 [chunk]"""
    laterals: np.ndarray
    """int64 [chunk], films with a lateral one."""
    number: np.ndarray
    """int32 [film], its chunk."""
    step: np.ndarray
    """int32 [film], its place there."""
    study: np.ndarray
    """int32 [film], the studies numbered from 0."""

    @classmethod
    def of(cls, films: Films) -> "_Chunks":
        count = len(films.frontal)
        number, step = np.zeros(count, np.int32), np.zeros(count, np.int32)
        for i, rows in enumerate(films.chunks):
            number[rows], step[rows] = i, np.arange(len(rows))
        pairs = np.stack([films.subject_id, films.study_id], 1)
        _, study = np.unique(pairs, axis=0, return_inverse=True)
        return cls(
            np.array([len(rows) for rows in films.chunks], np.int64),
            np.array([(films.lateral[rows] != NONE).sum() for rows in films.chunks], np.int64),
            number,
            step,
            study.reshape(-1).astype(np.int32),
        )
