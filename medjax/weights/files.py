"""The front: a file of published weights as arrays by name, whatever its format, and back.

The format is told by the file's first bytes; a suffix that promises another one is refused. What
stands in the file besides weights (optimisers, hyper-parameters) is neither built nor run.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from medjax.errors import UsageError, UserError, nearest
from medjax.files import write_atomic
from medjax.weights import keras, safetensors, torch_legacy, torch_zip
from medjax.weights.errors import MalformedError
from medjax.weights.state_dict import find_state_dict, nested
from medjax.weights.tensors import Tensor, read_tensor
from medjax.weights.unpickle import Opaque

TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".tar", ".th", ".pkl")
SAFETENSORS_SUFFIX = ".safetensors"
H5_SUFFIX = ".h5"
LARGEST_GROWTH = 8
"""Of the tensors' bytes over the file's: views may share numbers, but not without end."""
Scalar = str | int | float | bool | None


class Weights(NamedTuple):
    """What a file holds."""

    tensors: dict[str, np.ndarray]
    """By published name, in the file's order and types; not to be written to."""
    container: str = ""
    """The key of the dictionary that holds them, "state_dict"; "" where they stand alone, "*" where
    there are several sets, each under its own key."""
    extra: Mapping[str, Scalar] = {}
    """Numbers and texts beside them: the epoch, the best score."""
    ignored: tuple[str, ...] = ()
    """Names among the weights whose value is no tensor that can be read."""
    format: str = ""
    description: Any = None
    """What the file says of the model itself, JSON values."""


class _TorchFile(Protocol):
    def structure(self) -> Any: ...

    def data(self, tensor: Tensor) -> np.ndarray: ...


def read_weights(path: Path, sets: Collection[str] = ()) -> Weights:
    """Read a file of weights.

    sets: keys of several dictionaries of weights in one file that belong together; each name then
    begins with its key.

    Raises:
        UserError: the file is missing, is no such file or damaged, or holds no weights.
    """
    start = _first_bytes(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".keras" or start.startswith(keras.MAGIC):
            return _checked(_read_keras(path))
        if start.startswith((torch_zip.MAGIC, torch_legacy.MAGIC)):
            if suffix == SAFETENSORS_SUFFIX:
                raise MalformedError("it is a PyTorch file: name it .pth")
            if start.startswith(torch_zip.MAGIC):
                return _checked(_read_torch(path, torch_zip.open_zip, "PyTorch zip", sets))
            return _checked(_read_torch(path, torch_legacy.open_legacy, "PyTorch legacy", sets))
        if suffix == SAFETENSORS_SUFFIX or safetensors.looks_like_safetensors(start):
            if suffix in TORCH_SUFFIXES and suffix != ".bin":
                raise MalformedError("it is a safetensors file: name it .safetensors")
            return _checked(_read_safetensors(path))
        raise MalformedError(_what_it_is(start))
    except MalformedError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({error.strerror})") from None
    except MemoryError:
        raise UserError(f"{path}: it asks for more memory than there is") from None


def write_weights(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    extra: Mapping[str, Scalar] | None = None,
    container: str = "",
) -> None:
    """Write weights in the format that the suffix names: .safetensors, .h5, or PyTorch's zip.

    Args:
        path: where to.
        tensors: by published name.
        extra: numbers and texts beside them; in a safetensors file as texts.
        container: the key under which PyTorch's file holds the weights; needed with `extra`.

    Raises:
        UsageError: an unknown suffix.
    """
    check_writable(path)
    extra = dict(extra or {})
    if path.suffix.lower() == H5_SUFFIX:
        texts = {name: v for name, v in extra.items() if isinstance(v, str)}
        write_atomic(path, lambda p: keras.write_h5(p, tensors, texts))
        return
    if path.suffix.lower() == SAFETENSORS_SUFFIX:
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in extra.items()}
        write_atomic(path, lambda p: safetensors.write_safetensors(p, tensors, texts))
        return
    container = container or ("state_dict" if extra else "")
    content = {**extra, **nested(tensors, container)} if container else tensors
    write_atomic(path, lambda p: torch_zip.write_zip(p, content))


def check_writable(path: Path) -> None:
    """Raise UsageError unless the suffix names a format that can be written."""
    known = (*TORCH_SUFFIXES, SAFETENSORS_SUFFIX, H5_SUFFIX)
    if path.suffix.lower() not in known:
        raise UsageError(
            f"{path}: the suffix {path.suffix!r} names no format of weights; end it in "
            f"{', '.join(known)}{nearest(path.suffix, known)}"
        )


def _read_torch(
    path: Path,
    open_file: Callable[[Path], AbstractContextManager[_TorchFile]],
    name: str,
    sets: Collection[str],
) -> Weights:
    with open_file(path) as file:
        container, entries, extra = find_state_dict(file.structure(), sets)
        tensors = {n: v for n, v in entries.items() if isinstance(v, Tensor)}
        total, size = sum(t.nbytes for t in tensors.values()), path.stat().st_size
        if total > LARGEST_GROWTH * size:
            raise MalformedError(f"its tensors claim {total:,} bytes in a file of {size:,}")
        arrays = {n: read_tensor(t, file.data(t)) for n, t in tensors.items()}
    ignored = tuple(
        f"{n} ({v.name})" if isinstance(v, Opaque) else n
        for n, v in entries.items()
        if n not in tensors
    )
    return Weights(arrays, container, extra, ignored, name)


def _read_keras(path: Path) -> Weights:
    found = keras.read_keras(path)
    if not found.tensors:
        raise MalformedError("it holds no weights")
    return Weights(found.tensors, extra=found.texts, format="Keras", description=found.description)


def _read_safetensors(path: Path) -> Weights:
    tensors, texts = safetensors.read_safetensors(path)
    if not tensors:
        raise MalformedError("it holds no tensor")
    return Weights(tensors, "", texts, (), "safetensors")


def _checked(weights: Weights) -> Weights:
    """Refuse names that cannot be shown; leave out values that JSON cannot hold."""
    if not all(name.isprintable() for name in (*weights.tensors, *weights.ignored)):
        raise MalformedError("the name of a weight is no readable text")
    extra = {
        name: value
        for name, value in weights.extra.items()
        if name.isprintable() and not (isinstance(value, float) and not math.isfinite(value))
    }
    return weights._replace(extra=extra)


def _first_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file of weights")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:
            return file.read(512)
    except OSError as error:
        raise UserError(f"{path}: it cannot be read ({error.strerror})") from None


def _what_it_is(start: bytes) -> str:
    """Say what a file is that is no file of weights."""
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the weights: fetch them with `git lfs pull`"
    if start.lstrip()[:1] == b"<":
        return "it is a web page, not weights: the download has gone wrong"
    if start[257:262] == b"ustar":
        return "it is a tar archive: unpack it, or save it anew with a PyTorch of this decade"
    if start.startswith(b"\x80"):
        return "it is a pickle that PyTorch's torch.save did not write; nothing of it was run"
    if start.startswith(b"\x1f\x8b"):
        return "it is packed with gzip: unpack it first"
    return "it is neither a PyTorch file nor safetensors"
