"""Pickles of a dictionary of NumPy arrays, read and written without running what they say.

Read are the forms in which NumPy 1 and 2 pickle arrays and numbers, in every protocol; the bytes
are interpreted here, nothing that the file names is imported or called. Written is protocol 3 with
NumPy's long-lived names, which every NumPy reads.
"""

import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medjax.errors import UserError
from medjax.files import write_atomic
from medjax.weights.errors import MalformedError
from medjax.weights.unpickle import Constructor, Global, Stateful, read_pickle

KINDS = {
    f"{kind}{size}"
    for kind, sizes in {"f": "248", "i": "1248", "u": "1248"}.items()
    for size in sizes
} | {"b1"}
"""Types whose bytes are numbers."""
MOST_AXES = 8
SMALL = 2**31


class _Type(Stateful):
    """A NumPy dtype: little-endian until its state says otherwise."""

    def __init__(self, arguments: tuple[Any, ...]):
        name = arguments[0] if arguments else None
        if not isinstance(name, str) or name not in KINDS:
            raise MalformedError(f"it holds arrays of type {str(name)[:20]!r}, not of numbers")
        self.dtype = np.dtype(name)

    def set_state(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise MalformedError("it describes a type of numbers wrongly")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(Stateful):
    """An array, filled by its state."""

    value: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Take (version, shape, type, Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise MalformedError("it describes an array wrongly")
        _, shape, kind, fortran, content = state
        self.value = _array(content, kind, shape, "F" if fortran else "C")


def _array(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(content, bytes | bytearray):
        raise MalformedError("it holds arrays of something else than numbers")
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > MOST_AXES or not all(type(n) is int and 0 <= n < SMALL for n in sizes):
        raise MalformedError("it describes the shape of an array wrongly")
    if math.prod(sizes) * kind.dtype.itemsize != len(content):
        raise MalformedError("an array is cut short")
    return np.frombuffer(content, kind.dtype).reshape(sizes, order="F" if order == "F" else "C")


def _from_buffer(arguments: tuple[Any, ...]) -> _Array:
    """Answer `_frombuffer(bytes, type, shape, order)`, of protocol 5."""
    if len(arguments) != 4:
        raise MalformedError("it describes an array wrongly")
    array = _Array()
    array.value = _array(*arguments)
    return array


def _number(arguments: tuple[Any, ...]) -> int | float:
    """Answer `scalar(type, bytes)`."""
    if len(arguments) != 2:
        raise MalformedError("it describes a number wrongly")
    return _array(arguments[1], arguments[0], (), "C").item()


def _encode(arguments: tuple[Any, ...]) -> bytes:
    """Answer `_codecs.encode(text, "latin1")`: bytes in protocols that have none."""
    if len(arguments) != 2 or arguments[1] != "latin1" or not isinstance(arguments[0], str):
        raise MalformedError("it encodes a text strangely")
    try:
        return arguments[0].encode("latin1")
    except UnicodeEncodeError:
        raise MalformedError("it encodes a text strangely") from None


_OF_MODULE: dict[str, dict[str, Constructor]] = {
    "multiarray": {"_reconstruct": lambda arguments: _Array(), "scalar": _number},
    "numeric": {"_frombuffer": _from_buffer},
}
CONSTRUCTORS: dict[Global, Constructor] = {
    Global(f"numpy.{core}.{module}", name): constructor
    for core in ("core", "_core")
    for module, names in _OF_MODULE.items()
    for name, constructor in names.items()
} | {
    Global("numpy", "dtype"): _Type,
    Global("_codecs", "encode"): _encode,
    Global("collections", "OrderedDict"): lambda arguments: {},
}
"""What the interpreter may make."""


def read_arrays(path: Path) -> dict[str | int, np.ndarray]:
    """Read a pickled dictionary of arrays; a list or tuple stands for its first element.

    Raises:
        UserError: the file is missing or damaged, holds something else, or asks to run something.
    """
    try:
        with open(path, "rb") as file:
            saved = read_pickle(file, CONSTRUCTORS, _refuse)
        if not isinstance(saved, dict) or not saved:
            raise MalformedError("it holds no dictionary of arrays")
        return {key: _value(value) for key, value in saved.items()}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({error.strerror})") from None
    except MemoryError:
        raise UserError(f"{path}: it asks for more memory than there is") from None
    except MalformedError as error:
        raise UserError(f"{path}: {error}") from None


def _refuse(persistent_id: Any) -> Any:
    del persistent_id
    raise MalformedError("it refers to other files, which no pickle of arrays does")


def _value(value: Any) -> np.ndarray:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if not isinstance(value, _Array) or value.value is None:
        raise MalformedError("a value is no NumPy array: save arrays, not tensors or tables")
    return value.value


def write_arrays(path: Path, arrays: Mapping[int | str, np.ndarray]) -> None:
    """Write a dictionary of float32 arrays as a pickle that `pickle.load` gives back.

    Raises:
        ValueError: a key that is neither text nor a number that fits into 32 bits.
    """
    parts = [b"\x80\x03}"]
    put = parts.append
    for first, (key, array) in enumerate(arrays.items()):
        _put_key(key, put)
        _put_array(np.ascontiguousarray(array, "<f4"), first == 0, put)
        put(b"s")
    put(b".")
    write_atomic(path, lambda p: p.write_bytes(b"".join(parts)))


def _put_key(key: int | str, put: Callable[[bytes], None]) -> None:
    if isinstance(key, str):
        text = key.encode("utf-8")
        put(b"X" + struct.pack("<I", len(text)) + text)
    elif -SMALL <= key < SMALL:
        put(b"J" + struct.pack("<i", key))
    else:
        raise ValueError(f"the key {key} does not fit into 32 bits")


def _put_array(array: np.ndarray, first: bool, put: Callable[[bytes], None]) -> None:
    """Write `_reconstruct(ndarray, (0,), b"b")` and its state.

    The first array keeps function (0), arguments (1) and type (2) for the others.
    """
    if first:
        put(b"cnumpy.core.multiarray\n_reconstruct\nq\x00")
        put(b"cnumpy\nndarray\nK\x00\x85C\x01b\x87q\x01R")
    else:
        put(b"h\x00h\x01R")
    put(b"(K\x01(" + b"".join(b"J" + struct.pack("<i", size) for size in array.shape) + b"t")
    if first:
        put(b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R")
        put(b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbq\x02")
    else:
        put(b"h\x02")
    content = array.tobytes()
    put(b"\x89B" + struct.pack("<I", len(content)) + content + b"tb")
