"""Whole chunks put into batches of one size, in which a fixed number of rows may have a lateral."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Room(NamedTuple):
    """What a batch has room for."""

    rows: int
    """Films."""
    places: int
    """Lateral films: 0 for none, or `rows` for all."""
    chunks: int = 0
    """0: as many as there is room for."""


def pack(lengths: Sequence[int], laterals: Sequence[int], room: Room) -> list[slice]:
    """Cut chunks, in their order, into as few batches as hold them.

    Args:
        lengths: films of each chunk, none above `room.rows`.
        laterals: lateral films of each chunk, none above `room.places`.
        room: of a batch.

    Returns:
        Which chunks stand in each batch.
    """
    batches, start, films, seen = [], 0, 0, 0
    for i, (length, lateral) in enumerate(zip(lengths, laterals, strict=True)):
        full = films + length > room.rows or seen + lateral > room.places
        if i > start and (full or (room.chunks and i - start >= room.chunks)):
            batches.append(slice(start, i))
            start, films, seen = i, 0, 0
        films, seen = films + length, seen + lateral
    return batches + ([slice(start, len(lengths))] if len(lengths) else [])


def surely_full(lengths: Sequence[int], laterals: Sequence[int], room: Room) -> int:
    """Return a number of batches that `pack` reaches in any order of the chunks, at least 1."""
    counts = [sum(lengths) // room.rows, 1]
    if room.places:
        counts.append(sum(laterals) // room.places)
    if room.chunks:
        counts.append(len(lengths) // room.chunks)
    return max(counts)


def arrange(has_lateral: np.ndarray, room: Room, parts: int = 1) -> np.ndarray:
    """Give every film a row, such that those with a lateral film lead each part of the batch.

    Films are spread evenly over the parts; arranging films again that stand in the order of their
    rows changes nothing.

    Args:
        has_lateral: bool [film], at most `room.places` of them True.
        room: of the batch.
        parts: consecutive equal parts of the batch.

    Returns:
        int64 [row]: the film that stands there, -1 where none does.
    """
    slots = np.full((parts, room.rows // parts), -1, np.int64)
    films = len(has_lateral)
    lateral, other = iter(np.flatnonzero(has_lateral)), iter(np.flatnonzero(~has_lateral))
    with_lateral = int(has_lateral.sum())
    for part in range(parts):
        count = films // parts + (part < films % parts)
        leading = with_lateral // parts + (part < with_lateral % parts)
        for row in range(count):
            slots[part, row] = next(lateral if row < leading else other)
    return slots.reshape(-1)
