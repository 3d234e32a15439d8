"""safetensors, in and out; the library checks the header, which may name no tensor twice."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
from safetensors.numpy import save_file

from medjax.weights.errors import MalformedError

LARGEST_HEADER = 100 * 10**6
"""Bytes; the library's own limit."""
LARGEST_SIZE = 2**40
"""Of one axis; a tensor without numbers may claim any."""

DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "U64": np.dtype(np.uint64),
    "I64": np.dtype(np.int64),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
}


def looks_like_safetensors(start: bytes) -> bool:
    """Tell whether a file that starts so can be one: a small length, then a JSON object."""
    return (
        len(start) > 8
        and struct.unpack("<Q", start[:8])[0] <= LARGEST_HEADER
        and (start[8:9] == b"{")
    )


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return (arrays by name, the file's own texts); arrays lie in the mapped file.

    Raises:
        MalformedError: the header is wrong in itself or does not fit the file.
    """
    header, start = _header(path)
    try:
        with safetensors.safe_open(path, "numpy"):
            pass  # opening compares types, shapes and places with one another and with the file
    except safetensors.SafetensorError as error:
        raise MalformedError(f"its header is wrong ({_first_line(error)})") from None
    texts = header.pop("__metadata__", {})
    empty = path.stat().st_size == start  # which no memory can be mapped of
    data = np.zeros(0, np.uint8) if empty else np.memmap(path, np.uint8, "r", start)
    return {name: _array(name, entry, data) for name, entry in header.items()}, texts


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header and where the numbers start; a name that stands twice is refused."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if length > min(LARGEST_HEADER, size - 8):
            raise MalformedError(f"its header claims {length:,} bytes in a file of {size:,}")
        try:
            header = json.loads(file.read(length), object_pairs_hook=_without_twins)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"its header is no JSON ({_first_line(error)})") from None
    if not isinstance(header, dict):
        raise MalformedError("its header is no JSON object")
    return header, 8 + length


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise MalformedError("its header names a tensor twice")
    return dict(pairs)


def _array(name: str, entry: Mapping[str, Any], data: np.ndarray) -> np.ndarray:
    if entry["dtype"] not in DTYPES:
        raise MalformedError(f"its tensor {name[:80]!r} is of type {entry['dtype']}, not read here")
    if max(entry["shape"], default=0) > LARGEST_SIZE:
        raise MalformedError(f"its tensor {name[:80]!r} has a size of {max(entry['shape']):,}")
    first, last = entry["data_offsets"]
    return data[first:last].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]
) -> None:
    """Write arrays and the file's own texts."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    save_file(whole, path, dict(texts) or None)
