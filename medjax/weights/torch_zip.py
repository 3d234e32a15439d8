"""PyTorch's zip format: one pickle of the structure, one member a storage.

    <root>/data.pkl      the structure, with references to storages
    <root>/data/<key>    the bytes of a storage
    <root>/byteorder     "little" or "big"; little where it is absent
    <root>/version       "3"

Members are named only to be found inside the archive, never as paths of a disk.
"""

import io
import math
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from medjax.weights.errors import MalformedError
from medjax.weights.tensors import CONSTRUCTORS, STORAGES, Tensor, storage_of
from medjax.weights.torch_pickle import Reference, write_pickle
from medjax.weights.unpickle import read_pickle

MAGIC = b"PK\x03\x04"
LARGEST_STRUCTURE = 256 * 2**20
"""Bytes of data.pkl; those of published checkpoints have some 100 kB."""
LARGEST_RATIO = 100
"""Of unpacked to packed bytes; PyTorch packs nothing."""
ALIGNMENT = 64
"""Bytes at whose multiples storages start, so that others can map the file into memory."""
_PADDING = 0x4246
"""Id of the extra field that fills up to the alignment: "FB", as PyTorch has it."""
_LOCAL_HEADER, _EXTRA_HEADER = 30, 4
"""Bytes before a member's name, and before an extra field's content."""
_PAST = (1980, 1, 1, 0, 0, 0)
"""The time of every member: equal weights give equal bytes."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    OSError,
)
"""What `zipfile` raises on archives that are not whole, encrypted or of a form it cannot read."""


class ZipWeights:
    """An open file: its structure, and its storages when asked for."""

    def __init__(self, archive: zipfile.ZipFile, size: int):
        self._archive = archive
        self._members = _members(archive, size)
        structures = [name for name in self._members if name.endswith("/data.pkl")]
        if len(structures) != 1 or structures[0].count("/") != 1:
            raise MalformedError("it is a zip, but not one that PyTorch wrote")
        self._root = structures[0].removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in self._members:
            raise MalformedError(
                "it is a TorchScript program, not weights: save its state_dict() with PyTorch"
            )
        self._swapped = self._read("byteorder", 16, b"little") != sys.byteorder.encode()
        if self._members[structures[0]].file_size > LARGEST_STRUCTURE:
            raise MalformedError("its data.pkl is far larger than the structure of any weights")
        self._kept: dict[str, np.ndarray] = {}

    def structure(self) -> Any:
        """Return what was saved, tensors as `Tensor`."""
        pickled = self._read("data.pkl", LARGEST_STRUCTURE)
        return read_pickle(io.BytesIO(pickled), CONSTRUCTORS, storage_of)

    def data(self, tensor: Tensor) -> np.ndarray:
        """Return the bytes of a tensor's storage, uint8, in this machine's order."""
        storage, itemsize = tensor.storage, tensor.dtype.itemsize
        size = storage.numbers * (storage.dtype.itemsize if storage.dtype else 1)
        if storage.key not in self._kept:
            data = np.frombuffer(self._read(f"data/{storage.key}", size), np.uint8)
            if len(data) != size:
                raise MalformedError(
                    f"storage {storage.key[:20]} has {len(data)} bytes, not {size} as it says"
                )
            if self._swapped and itemsize > 1:
                data = data[: len(data) // itemsize * itemsize]
                data = data.reshape(-1, itemsize)[:, ::-1].reshape(-1)
            self._kept[storage.key] = data
        return self._kept[storage.key]

    def _read(self, name: str, most: int, default: bytes | None = None) -> bytes:
        member = self._members.get(self._root + name)
        if member is None:
            if default is None:
                raise MalformedError(f"its zip has no member {name[:40]!r}")
            return default
        if member.file_size > most:
            raise MalformedError(
                f"its member {name[:40]!r} has {member.file_size:,} bytes, not {most:,}"
            )
        try:
            return self._archive.read(member)
        except _BROKEN as error:
            raise MalformedError(f"its member {name[:40]!r} is damaged ({error})") from None


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name; none claims more bytes than the file can hold."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.filename in members:
            raise MalformedError(f"its zip holds {member.filename[:40]!r} twice")
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored and member.compress_type != zipfile.ZIP_DEFLATED:
            raise MalformedError("its zip is packed in a way that PyTorch does not use")
        most = member.compress_size * (1 if stored else LARGEST_RATIO)
        if member.compress_size > size or member.file_size > most:
            raise MalformedError(
                f"its member {member.filename[:40]!r} claims {member.file_size:,} bytes in a file "
                f"of {size:,}"
            )
        members[member.filename] = member
    return members


@contextmanager
def open_zip(path: Path) -> Iterator[ZipWeights]:
    """Open a file of PyTorch's zip format.

    Raises:
        MalformedError: it is not whole, or claims what it cannot hold.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise MalformedError(f"its zip is damaged or cut short ({error})") from None
    with archive:
        yield ZipWeights(archive, path.stat().st_size)


def write_zip(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested dictionaries of numpy arrays and plain values as `torch.save` does.

    The file reads with `torch.load(path, weights_only=True)`.
    """
    storages: list[np.ndarray] = []

    def refer(array: np.ndarray) -> Reference:
        kinds = [name for name, dtype in STORAGES.items() if dtype == array.dtype]
        if not kinds:
            raise ValueError(f"PyTorch has no storage for {array.dtype}")
        storages.append(array)
        return Reference(kinds[0], str(len(storages) - 1), math.prod(array.shape))

    pickled = write_pickle(content, refer)
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "archive/data.pkl", pickled)
        _add(archive, "archive/byteorder", b"little")
        for index, array in enumerate(storages):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            _add(archive, f"archive/data/{index}", np.ascontiguousarray(little).tobytes())
        _add(archive, "archive/version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a member, unpacked, whose bytes start at a multiple of the alignment."""
    member = zipfile.ZipInfo(name, _PAST)
    assert archive.fp is not None
    start = archive.fp.tell() + _LOCAL_HEADER + len(name) + _EXTRA_HEADER
    gap = -start % ALIGNMENT
    member.extra = struct.pack("<HH", _PADDING, gap) + b"Z" * gap
    archive.writestr(member, data)
