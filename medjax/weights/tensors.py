"""Tensors as PyTorch's files describe them: a view, by offset and strides, of a named storage."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from medjax.weights.errors import MalformedError
from medjax.weights.unpickle import Constructor, Global, Opaque

MOST_AXES = 32
LARGEST_EMPTY = 2**31
"""Of a size of a tensor without numbers."""

STORAGES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
    "ComplexFloatStorage": np.dtype(np.complex64),
    "ComplexDoubleStorage": np.dtype(np.complex128),
}
"""PyTorch's names of storages with a type."""

DTYPES = {
    name: np.dtype(getattr(ml_dtypes, name, None) or name)
    for name in ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
    + ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
}
"""PyTorch's names of dtypes, of tensors whose storage has no type."""


class Storage(NamedTuple):
    """A run of numbers in the file."""

    key: str
    dtype: np.dtype | None
    """None for a storage of bytes, whose tensors name their own type."""
    numbers: int
    """How many (bytes where there is no type)."""
    start: int = 0
    """First number, of a storage that is itself a view."""


class Tensor(NamedTuple):
    """A tensor that is not read yet; it lies inside its storage."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Both in numbers."""

    @property
    def nbytes(self) -> int:
        """Bytes once read."""
        return math.prod(self.shape) * self.dtype.itemsize


def storage_of(persistent_id: Any) -> Storage | Opaque:
    """Return the storage that ("storage", type, key, place, count[, view]) names.

    Raises:
        MalformedError: it is none.
    """
    if not isinstance(persistent_id, tuple) or not persistent_id:
        raise MalformedError("it refers to what is no storage")
    if persistent_id[0] != "storage":
        return Opaque("a saved object that is no storage")
    if len(persistent_id) not in (5, 6) or not isinstance(persistent_id[2], str):
        raise MalformedError("it describes a storage wrongly")
    _, kind, key, _, count, *view = persistent_id
    if not isinstance(kind, Global):
        raise MalformedError("it describes a storage wrongly")
    start = 0
    if view and view[0] is not None:  # (key of the view, start, count): before PyTorch 0.4
        if not isinstance(view[0], tuple) or len(view[0]) != 3:
            raise MalformedError("it describes a storage wrongly")
        start = _whole(view[0][1])
    if kind.name == "UntypedStorage":
        return Storage(key, None, _whole(count), start)
    if kind.name not in STORAGES:
        return Opaque(f"a tensor of {kind.name[:80]}")
    return Storage(key, STORAGES[kind.name], _whole(count), start)


def read_tensor(tensor: Tensor, data: np.ndarray) -> np.ndarray:
    """Return a tensor as a view of its storage's bytes, uint8 [bytes], in this machine's order."""
    numbers = data[: len(data) // tensor.dtype.itemsize * tensor.dtype.itemsize].view(tensor.dtype)
    strides = tuple(stride * tensor.dtype.itemsize for stride in tensor.strides)
    first = numbers[tensor.storage.start + tensor.offset :]
    return np.lib.stride_tricks.as_strided(first, tensor.shape, strides, writeable=False)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise MalformedError("it gives a size that is no whole number")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > MOST_AXES:
        raise MalformedError("it gives a shape that is none")
    return tuple(map(_whole, value))


def _tensor(storage: Any, dtype: np.dtype | None, place: tuple[Any, ...]) -> Tensor | Opaque:
    """Return the tensor at (offset, sizes, strides) of a storage, which must hold all of it."""
    if isinstance(storage, Opaque):
        return storage
    if not isinstance(storage, Storage) or dtype is None:
        raise MalformedError("it makes a tensor of what is no storage")
    offset, shape, strides = _whole(place[0]), _sizes(place[1]), _sizes(place[2])
    if len(shape) != len(strides):
        raise MalformedError("a tensor has more sizes than strides")
    numbers = storage.numbers if storage.dtype else storage.numbers // dtype.itemsize
    if math.prod(shape):
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
        if storage.start + last >= numbers or math.prod(shape) > numbers:
            raise MalformedError(f"a tensor {list(shape)} does not fit into its {numbers} numbers")
    elif offset > numbers or max(shape) > LARGEST_EMPTY:
        raise MalformedError(f"a tensor {list(shape)} does not fit into its {numbers} numbers")
    used = tuple(stride if size > 1 else 1 for size, stride in zip(shape, strides))
    return Tensor(storage, dtype, offset, shape, used if math.prod(shape) else (1,) * len(shape))


def _rebuild(arguments: tuple[Any, ...]) -> Any:
    """Answer `_rebuild_tensor(_v2)`: storage, offset, size, stride, ..."""
    if len(arguments) < 4:
        raise MalformedError("it describes a tensor wrongly")
    storage = arguments[0]
    return _tensor(storage, getattr(storage, "dtype", None), arguments[1:4])


def _rebuild_untyped(arguments: tuple[Any, ...]) -> Any:
    """Answer `_rebuild_tensor_v3`: storage, offset, size, stride, gradient, hooks, dtype, ..."""
    if len(arguments) < 7 or not isinstance(arguments[6], Global):
        raise MalformedError("it describes a tensor wrongly")
    name = arguments[6].name
    if name not in DTYPES:
        return Opaque(f"a tensor of {name[:80]}")
    return _tensor(arguments[0], DTYPES[name], arguments[1:4])


def _first(arguments: tuple[Any, ...]) -> Any:
    """Answer `_rebuild_parameter`: the tensor itself."""
    if not arguments:
        raise MalformedError("it describes a parameter wrongly")
    return arguments[0]


def _of_type(arguments: tuple[Any, ...]) -> Any:
    """Answer `_rebuild_from_type_v2`: function, type, arguments, state."""
    if len(arguments) < 3 or not isinstance(arguments[2], tuple):
        raise MalformedError("it describes a tensor wrongly")
    known = isinstance(arguments[0], Global) and arguments[0] in CONSTRUCTORS
    return CONSTRUCTORS[arguments[0]](arguments[2]) if known else Opaque("a tensor of some class")


def _dictionary(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Answer `OrderedDict`: empty, or (of Python 2) a list of pairs."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    well = [p for p in pairs if isinstance(p, list | tuple) and len(p) == 2]
    return {p[0]: p[1] for p in well if isinstance(p[0], str | int)}


def _plain(kind: Callable[[Any], Any]) -> Constructor:
    """Answer a container's name with a plain one of what it is given."""

    def construct(arguments: tuple[Any, ...]) -> Any:
        given = arguments[0] if arguments else ()
        return kind(given) if isinstance(given, list | tuple) else Opaque("a container")

    return construct


CONSTRUCTORS: dict[Any, Constructor] = {
    Global("torch._utils", "_rebuild_tensor"): _rebuild,
    Global("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    Global("torch._utils", "_rebuild_tensor_v3"): _rebuild_untyped,
    Global("torch._utils", "_rebuild_parameter"): _first,
    Global("torch._utils", "_rebuild_parameter_with_state"): _first,
    Global("torch._tensor", "_rebuild_from_type_v2"): _of_type,
    Global("collections", "OrderedDict"): _dictionary,
    Global("collections", "defaultdict"): lambda arguments: {},
    Global("torch", "Size"): _plain(tuple),
}
"""What the interpreter may make."""
