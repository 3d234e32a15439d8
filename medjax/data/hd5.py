"""HD5 files from outside: nothing in them may lead to another file, nor ask for more than is there.

Only hard links are followed, datasets whose bytes lie in other files are refused, and shapes are
checked before anything is read.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault

MOST_CHUNK = 1 << 28
"""Bytes that one chunk may unpack to."""
MOST_TEXT = 100_000
MOST_DEPTH = 4


@contextlib.contextmanager
def open_hd5(file: Path | BinaryIO) -> Iterator[h5py.File]:
    """Open a file to read.

    Raises:
        RecordFault: not HDF5, or damaged, at the opening or at any read inside the context.
    """
    try:
        with h5py.File(file, "r") as opened:
            yield opened
    except RecordFault:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise RecordFault("not a readable HD5 file; fetch it again") from e


def member(group: h5py.Group, *path: str) -> h5py.Group | h5py.Dataset | None:
    """What lies at the end of a path of names, without following links; None for nothing.

    Raises:
        RecordFault: a soft or external link on the way.
    """
    found = group
    for name in path:
        link = found.get(name, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise RecordFault("a link to elsewhere; copy the data itself", f"{found.name}/{name}")
        found = found[name]
    return found


def dataset(group: h5py.Group, *path: str, key: str | None = None) -> h5py.Dataset | None:
    """The dataset at a path, or the first by name below it; None where there is none.

    Args:
        group: where the path starts.
        path: names of groups, the last perhaps of the dataset itself.
        key: which member of the last group to take, as "instance_2"; None for the first by name.

    Raises:
        RecordFault: a link to elsewhere, bytes in another file, groups in groups in groups, or
            chunks that unpack to more than memory should hold.
    """
    found = member(group, *path)
    for _ in range(MOST_DEPTH):
        if not isinstance(found, h5py.Group):
            break
        first = key or min(found, default=None)
        found, key = member(found, first) if first is not None else None, None
    place = f"{group.name}/{'/'.join(path)}"
    if isinstance(found, h5py.Group):
        raise RecordFault("groups in groups; leave it out", place)
    if found is None:
        return None
    if found.external or found.is_virtual:
        raise RecordFault("lies in another file; copy the data itself", str(found.name))
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > MOST_CHUNK:
        raise RecordFault("chunks too large to unpack; leave it out", str(found.name))
    return found


def numbers(data: h5py.Dataset, kind: str, dimensions: int, most: int) -> np.ndarray:
    """Read numbers, whose shape is checked first.

    Args:
        data: what to read.
        kind: what it should be, for the error: "a row of numbers".
        dimensions: how many it must have.
        most: values that it may hold.

    Raises:
        RecordFault: not numbers, other dimensions, empty, or too many values.
    """
    sized = data.ndim == dimensions and 0 < math.prod(data.shape) <= most
    if not sized or data.dtype.kind not in "fiu":
        raise RecordFault(f"not {kind}; leave it out", str(data.name))
    return data[()]


def text(data: h5py.Dataset | None) -> str:
    """The one text that a dataset holds, cut to `MOST_TEXT`; "" where it holds something else."""
    if data is None or data.size != 1 or h5py.check_string_dtype(data.dtype) is None:
        return ""
    value = np.asarray(data[()]).reshape(-1)[0]
    decoded = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return decoded[:MOST_TEXT]
