"""The pickle that `torch.save` would write, for dictionaries of arrays and plain values.

Written opcode by opcode (protocol 2); there is nothing in it but data and PyTorch's own
`_rebuild_tensor_v2`.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Reference(NamedTuple):
    """A storage by name."""

    kind: str
    """"FloatStorage"."""
    key: str
    numbers: int


def write_pickle(value: Any, refer: Callable[[np.ndarray], Reference]) -> bytes:
    """Return the pickle of a value: dictionaries, lists, tuples, arrays, texts, numbers, None.

    Args:
        value: what to write.
        refer: stores an array and returns what refers to it.

    Raises:
        ValueError: a value of another type.
    """
    parts = [b"\x80\x02"]
    _write(value, refer, parts.append)
    return b"".join([*parts, b"."])


def _write(
    value: Any, refer: Callable[[np.ndarray], Reference], put: Callable[[bytes], None]
) -> None:
    if value is None:
        put(b"N")
    elif isinstance(value, bool | np.bool_):
        put(b"\x88" if value else b"\x89")
    elif isinstance(value, int):
        _write_integer(value, put)
    elif isinstance(value, float):
        put(b"G" + struct.pack(">d", value))
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        put(b"X" + struct.pack("<I", len(text)) + text)
    elif isinstance(value, Mapping):
        put(b"ccollections\nOrderedDict\n)R(")
        for key, inner in value.items():
            _write(key, refer, put)
            _write(inner, refer, put)
        put(b"u")
    elif isinstance(value, list | tuple):
        put(b"(" if isinstance(value, tuple) else b"](")
        for inner in value:
            _write(inner, refer, put)
        put(b"t" if isinstance(value, tuple) else b"e")
    elif isinstance(value, np.ndarray):
        _write_tensor(value, refer, put)
    else:
        raise ValueError(f"a {type(value).__name__} cannot stand in a file of weights")


def _write_integer(value: int, put: Callable[[bytes], None]) -> None:
    if -(2**31) <= value < 2**31:
        put(b"J" + struct.pack("<i", value))
        return
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    put(b"\x8a" + struct.pack("<B", len(data)) + data)


def _write_tensor(
    array: np.ndarray, refer: Callable[[np.ndarray], Reference], put: Callable[[bytes], None]
) -> None:
    """Write `_rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())`."""
    storage = refer(array)
    strides = [1] * array.ndim
    for axis in range(array.ndim - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(array.shape[axis + 1], 1)
    put(b"ctorch._utils\n_rebuild_tensor_v2\n((")
    _write("storage", refer, put)
    put(f"ctorch\n{storage.kind}\n".encode())
    for name in (storage.key, "cpu", storage.numbers):
        _write(name, refer, put)
    put(b"tQ")
    view: tuple[Any, ...] = (0, tuple(array.shape), tuple(strides), False, {})
    for part in view:
        _write(part, refer, put)
    put(b"tR")
