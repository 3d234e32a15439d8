"""Reading a csv or csv.gz table as blocks of whole rows, in bounded memory."""

import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from isal import igzip
from isal.igzip_lib import IsalError

from medjax.errors import UserError

BLOCK_BYTES = 1 << 20
"""Uncompressed bytes of a block, about 12,000 rows; what stays in the cache is faster."""
GIVE_UP_BYTES = 1 << 30


@dataclass
class Source:
    """An open table: its header names and, by iteration, blocks of whole rows as bytes."""

    path: Path
    columns: list[str]
    """Header names in lower case, in file order."""
    position: "HashedFile"
    blocks: Iterator[bytes] = field(repr=False)


class HashedFile(io.RawIOBase):
    """A file read once from front to back: knows the bytes read and their SHA-256."""

    def __init__(self, path: Path):
        self._file: BinaryIO = open(path, "rb", buffering=0)  # noqa: SIM115  closed in close()
        self._sha = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._sha.update(memoryview(buffer)[:count])
        self.bytes += count
        return count

    def digest(self) -> dict[str, Any]:
        """Return {"sha256", "bytes"} of what was read so far."""
        return {"sha256": self._sha.hexdigest(), "bytes": self.bytes}

    def close(self) -> None:
        self._file.close()
        super().close()


def open_table(path: Path, block_bytes: int = BLOCK_BYTES) -> Source:
    """Open a table, read its header, and return it with an iterator over the rest.

    A name ending in .gz is read as gzip (several members are one text). A byte-order mark,
    CRLF line ends, quoted names and upper case in the header are accepted.

    Raises:
        UserError: when the file is not there, not a regular file, empty, not gzip though named
            so, cut short, or fails its checksum (the last two also while iterating).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a folder that holds the table")
    raw = HashedFile(path)
    chunks = _chunks(path, raw, block_bytes)
    head = b""
    while b"\n" not in head:
        chunk = next(chunks, None)
        if chunk is None:
            break
        head += chunk
    line, _, rest = head.partition(b"\n")
    line = line.removeprefix(b"\xef\xbb\xbf")
    if not line.strip():
        raise UserError(f"{path}: empty table without a header; copy the file again")
    names = line.decode("utf-8", errors="replace").strip().split(",")
    columns = [name.strip().strip('"').strip().lower() for name in names]
    return Source(path, columns, raw, _whole_rows(path, rest, chunks))


def _chunks(path: Path, raw: HashedFile, size: int) -> Iterator[bytes]:
    """Yield the unpacked bytes of a file in pieces of `size`; closes the file at the end."""
    if os.path.getsize(path) == 0:
        raise UserError(f"{path}: the file is empty (0 bytes); copy it again")
    packed = path.suffix == ".gz"
    stream: Any = igzip.IGzipFile(fileobj=raw, mode="rb") if packed else raw
    with raw:
        while True:
            try:
                chunk = stream.read(size)
            except (EOFError, OSError, zlib.error, IsalError) as e:  # type: ignore[misc]  # stub
                raise UserError(
                    f"{path}: not a whole gzip file (near byte {raw.bytes:,} of "
                    f"{os.path.getsize(path):,}: {e}); copy the file again"
                ) from e
            if not chunk:
                return
            yield chunk


def _whole_rows(path: Path, start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Regroup chunks so that each ends with a whole row; a line end inside quotes ends none."""
    held = start[(cut := row_end(start)) :]
    if cut:
        yield start[:cut]
    for chunk in chunks:
        cut = row_end(chunk, held.count(b'"'))
        if cut:
            yield b"".join((held, memoryview(chunk)[:cut]))
            held = chunk[cut:]
            continue
        held += chunk
        if len(held) > GIVE_UP_BYTES:
            raise UserError(f"{path}: no end of row found in 1 GB; a quote is not closed")
    if held.strip():
        yield held if held.endswith(b"\n") else held + b"\n"


def row_end(data: bytes, quotes: int = 0) -> int:
    """Return the position behind the last row that ends in `data`, 0 where none does.

    `quotes` is the number of quotes between the start of the first row and `data`.
    """
    if b'"' in data:
        quotes += data.count(b'"')
    end = len(data)
    while True:
        newline = data.rfind(b"\n", 0, end)
        if newline < 0:
            return 0
        if quotes:
            quotes -= data.count(b'"', newline, end)
        if quotes % 2 == 0:
            return newline + 1
        end = newline
