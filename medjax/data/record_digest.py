"""The digest of one decoded record, by which prepared sets are compared."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def record_digest(decoded: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of one decoded record (images as bytes), independent of field order."""
    sha = hashlib.sha256()
    for part in _canonical("", decoded):
        sha.update(part)
    return sha.digest()


def _canonical(name: str, value: Any) -> Iterator[bytes]:
    """Yield a value as bytes, each array with its name, type and shape before its contents."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _canonical(f"{name}/{key}", value[key])
    elif isinstance(value, list | tuple) and any(isinstance(v, bytes | Mapping) for v in value):
        for i, item in enumerate(value):
            yield from _canonical(f"{name}[{i}]", item)
    elif isinstance(value, bytes | str):
        text = value.encode() if isinstance(value, str) else value
        yield f"{name} text {len(text)}\n".encode()
        yield text
    else:
        array = np.asarray(value)
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        yield f"{name} {array.dtype.name} {array.shape}\n".encode()
        yield little.tobytes()
