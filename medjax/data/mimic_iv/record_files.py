"""The records of one event table on disk, and how far they go, so that a killed run can go on.

A table has a file for each range of patients, to which records are appended, and a small note,
written now and then as a whole: how many groups of blocks are done, what was counted, and size and
checksum of every file. Bytes beyond the noted size are what a killed run had written since; they
are cut off. A note that does not fit the files or the raw table is not used.
"""

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

from medjax import files
from medjax.data.manifest import file_digest

SAVE_EVERY = 16
"""Groups of blocks between two notes, about half a gigabyte of text."""
CHUNK = 1 << 24


@dataclass
class Note:
    """How far a table is spilled."""

    raw_bytes: int
    raw_changed: int
    """Size and time of change (nanoseconds) of the raw table."""
    groups: int = 0
    read: dict[str, Any] = field(default_factory=dict)
    """{"sha256", "bytes"} of the raw table up to there."""
    done: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    """CRC-32 of each file."""


class RecordFiles:
    """The files of one table, open for what follows the last note."""

    def __init__(self, folder: Path, table: str, buckets: int, raw: Path):
        self.raw, self._path = raw, _note_path(folder, table)
        self._paths = [record_path(folder, table, bucket) for bucket in range(buckets)]
        self.note = self._noted() or self._restarted()

    def _restarted(self) -> Note:
        """Empty the files."""
        self._path.unlink(missing_ok=True)
        for path in self._paths:
            path.write_bytes(b"")
        state, none = self.raw.stat(), [0] * len(self._paths)
        return Note(state.st_size, state.st_mtime_ns, sizes=list(none), checksums=list(none))

    def restart(self) -> None:
        """Forget what a killed run has left."""
        self.note = self._restarted()

    def _noted(self) -> Note | None:
        """Return the note of a killed run and cut its files to it; None where it does not hold."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            note, state = Note(**json.loads(self._path.read_text())), self.raw.stat()
            same = (note.raw_bytes, note.raw_changed) == (state.st_size, state.st_mtime_ns)
            if not same or len(note.sizes) != len(self._paths):
                return None
            for path, size, checksum in zip(self._paths, note.sizes, note.checksums):
                if path.stat().st_size < size or checksum_of(path, size) != checksum:
                    return None
                os.truncate(path, size)
            if not note.done or file_digest(self.raw) == note.read:
                return note
        return None

    def append(self, parts: Mapping[int, bytes], counts: Counter[str], read: Any) -> None:
        """Append the records of one group of blocks, by bucket, and now and then write a note."""
        note = self.note
        for bucket, part in parts.items():
            with open(self._paths[bucket], "ab") as f:
                f.write(part)
            note.sizes[bucket] += len(part)
            note.checksums[bucket] = isal_zlib.crc32(part, note.checksums[bucket])
        note.groups, note.read = note.groups + 1, read
        note.counts = dict(Counter(note.counts) + counts)
        if note.groups % SAVE_EVERY == 0:
            self._write_note()

    def finish(self, read: dict[str, Any]) -> None:
        """Note that the whole table is spilled."""
        self.note.done, self.note.read = True, read
        self._write_note()

    def _write_note(self) -> None:
        files.write_json(self._path, asdict(self.note))


def checksum_of(path: Path, size: int) -> int:
    """Return the CRC-32 of the first bytes of a file."""
    checksum = 0
    with open(path, "rb") as f:
        while size and (part := f.read(min(CHUNK, size))):
            checksum, size = isal_zlib.crc32(part, checksum), size - len(part)
    return checksum


def _note_path(folder: Path, table: str) -> Path:
    return folder / f"{table}.json"


def record_path(folder: Path, table: str, bucket: int) -> Path:
    """Return the path of the records of a table and a range of patients."""
    return folder / f"{table}-{bucket:04d}.records"


def noted_checksums(folder: Path, tables: Sequence[str], bucket: int) -> list[int]:
    """Return the checksum of the records of each table in a range of patients."""
    notes = (json.loads(_note_path(folder, table).read_text()) for table in tables)
    return [note["checksums"][bucket] for note in notes]


def read_records(folder: Path, bucket: int, dtype: np.dtype) -> np.ndarray:
    """Return the records of all tables of a range of patients."""
    paths = sorted(folder.glob(f"*-{bucket:04d}.records"))
    return np.concatenate([np.zeros(0, dtype), *(np.fromfile(path, dtype) for path in paths)])


STATE = "state.json"


def open_work(out: Path, state: Mapping[str, Any]) -> Path:
    """Return the work folder in `out`, with what a killed run of the same state has left in it.

    What a run of another state has left is removed, and unfinished files of any run.
    """
    work = out / ".mimic_iv.partial"
    for path in _unfinished(out):
        if path.is_dir() and path != work:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    text = json.dumps(state, sort_keys=True)
    try:
        same = (work / STATE).read_text() == text
    except OSError:
        same = False
    if not same:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        files.write_text(work / STATE, text)
    return work


def _unfinished(out: Path) -> Iterator[Path]:
    """Yield what a killed run leaves in `out` under hidden names."""
    for pattern in (".*.partial", ".stays.parquet.*", ".manifest.json.*"):
        yield from sorted(out.glob(pattern))
