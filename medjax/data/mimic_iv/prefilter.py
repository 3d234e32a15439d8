"""Leaving out the rows of unwanted items before any of their fields is parsed.

Most rows of chartevents and labevents are of items that no channel uses. Where all rows of a block
have the same number of fields, the places of commas and line ends are those of the fields; the item
ids are read there, and only rows that may be wanted go on to the csv reader. Whatever is not that
plain goes on as well: rows with a quote, rows whose item id is more than digits, and all rows of a
block in which any has too few or too many fields. So the csv reader alone decides what is an error.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

COMMA, NEWLINE, QUOTE = b',\n"'
DIGITS = 8
"""An item id of more digits goes on to the csv reader; eight fill a machine word."""


class Wanted(NamedTuple):
    """The rows of a block that may be wanted."""

    rows: bytes
    left_out: int
    """Number of the other rows."""


def wanted_rows(block: bytes, fields: int, place: int, items: np.ndarray) -> Wanted:
    """Leave out the rows of a block whose item id is a plain number that is not wanted.

    Args:
        block: whole rows.
        fields: number of fields of a row.
        place: which field holds the item id.
        items: the wanted item ids, sorted.
    """
    everything = Wanted(block, 0)
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return everything  # the csv reader takes a lone carriage return for a line end
    if b'"' not in block:
        return _of_plain_rows(block, fields, place, items) or everything
    parts = _split_quoted(block)
    if parts is None:
        return everything
    plain, quoted = parts
    found = _of_plain_rows(plain, fields, place, items)
    return Wanted(found.rows + quoted, found.left_out) if found else everything


def _of_plain_rows(block: bytes, fields: int, place: int, items: np.ndarray) -> Wanted | None:
    """`wanted_rows` of rows without quotes; None where one has another number of fields."""
    data = np.frombuffer(block, np.uint8)
    newline = data == NEWLINE
    separators = np.flatnonzero(newline | (data == COMMA))
    rows = np.count_nonzero(newline)
    if len(separators) != rows * fields:
        return None
    ends = separators.reshape(rows, fields)
    if not newline[ends[:, -1]].all():
        return None
    before = ends[:, place - 1] if place else np.concatenate([[-1], ends[:-1, -1]])
    item = plain_numbers(data, before + 1, ends[:, place])
    keep = is_among(items, item) | (item < 0)
    return Wanted(_pick(block, ends[:, -1] + 1, keep), int(rows - keep.sum()))


def plain_numbers(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return int64: the numbers written at data[start:end], -1 where not 1 to 8 digits.

    The eight bytes before `end` are read as one word, in which the digits are summed by pairs, then
    by fours, then by eights (Lemire, "Quickly parsing eight digits", 2018).
    """
    if len(data) < DIGITS:
        return np.full(len(end), -1)
    words = np.ndarray((len(data) - DIGITS + 1,), "<u8", data.data, strides=(1,))
    length = end - start
    readable = (length > 0) & (length <= DIGITS) & (end >= DIGITS)
    blank = (8 * np.where(readable, DIGITS - length, 0)).astype(np.uint64)
    word = words[np.maximum(end - DIGITS, 0)] >> blank << blank
    digits = word - (np.uint64(0x3030303030303030) >> blank << blank)
    high = ((digits + np.uint64(0x7676767676767676)) | digits) & np.uint64(0x8080808080808080)
    digits = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    digits = (digits * np.uint64(100) + (digits >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    digits = (digits * np.uint64(10_000) + (digits >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return np.where(readable & (high == 0), digits.astype(np.int64), -1)


def is_among(items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return bool: whether each value is among the (small, non-negative) item ids."""
    known = np.zeros(int(items.max(initial=0)) + 2, bool)
    known[items] = True
    inside = (values >= 0) & (values < len(known))
    return known[np.where(inside, values, len(known) - 1)]


def _split_quoted(block: bytes) -> tuple[bytes, bytes] | None:
    """Return the rows without and those with quotes; None where quotes do not enclose fields."""
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == QUOTE)
    if len(quotes) % 2:
        return None
    opening, closing = quotes[::2], quotes[1::2]
    around = np.concatenate([[NEWLINE], data, [NEWLINE]])
    before, after = around[opening], around[closing + 2]
    if not (np.isin(before, list(b',\n"')).all() and np.isin(after, list(b',\r\n"')).all()):
        return None
    newlines = np.flatnonzero(data == NEWLINE)
    ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    quoted = np.zeros(len(ends), bool)
    quoted[np.searchsorted(ends, opening)] = True
    return _pick(block, ends + 1, ~quoted), _pick(block, ends + 1, quoted)


def _pick(block: bytes, ends: np.ndarray, keep: np.ndarray) -> bytes:
    """Return the rows that end at `ends` (exclusive) and where `keep` holds."""
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block)]
    rows = pa.Array.from_buffers(pa.binary(), len(ends), buffers)
    return rows.filter(pa.array(keep)).buffers()[2].to_pybytes()
