"""PyTorch's format before version 1.6: five pickles, then each storage with its length before it.

    magic number, protocol 1001, properties of the machine, the structure, keys of the storages,
    then for every key: int64 count, the numbers (always little-endian)

The format has no checksums: a changed number inside a tensor cannot be told.
"""

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medjax.weights.errors import MalformedError
from medjax.weights.tensors import CONSTRUCTORS, Storage, Tensor, storage_of
from medjax.weights.unpickle import Opaque, read_pickle

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = 1001


class _Bounded:
    """A file that is never asked for more bytes than it has."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size

    def read(self, size: int, /) -> bytes:
        return self._file.read(max(min(size, self._size - self._file.tell()), 0))

    def readline(self) -> bytes:
        return self._file.readline(2**16)

    def tell(self) -> int:
        return self._file.tell()


class LegacyWeights:
    """An open file: its structure, and its storages when asked for."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size
        self._storages: dict[str, Storage] = {}
        self._places: dict[str, int] = {}
        self._kept: dict[str, np.ndarray] = {}

    def structure(self) -> Any:
        """Return what was saved, tensors as `Tensor`."""
        if self._pickle() != MAGIC_NUMBER or self._pickle() != PROTOCOL:
            raise MalformedError("it does not begin as PyTorch's files do")
        self._pickle()
        saved = self._pickle()
        keys = self._pickle()
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise MalformedError("its list of storages is broken")
        self._find_storages(keys)
        return saved

    def data(self, tensor: Tensor) -> np.ndarray:
        """Return the bytes of a tensor's storage, uint8, in this machine's order."""
        key = tensor.storage.key
        if key not in self._places:
            raise MalformedError(f"it lacks storage {key[:20]}")
        if key not in self._kept:
            storage = self._storages[key]
            self._file.seek(self._places[key])
            raw = self._file.read(storage.numbers * _itemsize(storage))
            data = np.frombuffer(raw, np.uint8)
            if sys.byteorder == "big":
                data = data.reshape(-1, _itemsize(storage))[:, ::-1].reshape(-1)
            self._kept[key] = data
        return self._kept[key]

    def _pickle(self) -> Any:
        return read_pickle(_Bounded(self._file, self._size), CONSTRUCTORS, self._storage)

    def _storage(self, persistent_id: Any) -> Storage | Opaque:
        storage = storage_of(persistent_id)
        if isinstance(storage, Storage):
            known = self._storages.setdefault(storage.key, storage)
            if (known.dtype, known.numbers) != (storage.dtype, storage.numbers):
                raise MalformedError(f"it describes storage {storage.key[:20]} in two ways")
        return storage

    def _find_storages(self, keys: list[str]) -> None:
        """Note where every storage begins; its length must be the one that tensors rely on."""
        for key in keys:
            storage = self._storages.get(key)
            head = self._file.read(8)
            if storage is None or len(head) < 8:
                raise MalformedError("it is cut short, or its list of storages is broken")
            (count,) = struct.unpack("<q", head)
            place = self._file.tell()
            if count != storage.numbers or place + count * _itemsize(storage) > self._size:
                raise MalformedError(f"it is cut short: storage {key[:20]} is not whole")
            self._places[key] = place
            self._file.seek(place + count * _itemsize(storage))


def _itemsize(storage: Storage) -> int:
    return storage.dtype.itemsize if storage.dtype else 1


@contextmanager
def open_legacy(path: Path) -> Iterator[LegacyWeights]:
    """Open a file of PyTorch's old format."""
    with open(path, "rb") as file:
        yield LegacyWeights(file, path.stat().st_size)
