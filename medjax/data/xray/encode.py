"""Films read, shrunk and encoded in parallel, in a fixed order, within bounded memory."""

import collections
import contextlib
import hashlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple, TypeVar

from medjax.data.images import encode_jpeg, read_grey, resolve_under, shrink_to_width
from medjax.errors import UserError

R = TypeVar("R")


class Encoding(NamedTuple):
    """How films are stored."""

    width: int = 512
    """Wider films are resized to this width (pixels)."""
    quality: int = 75
    """JPEG quality."""


class Encoded(NamedTuple):
    """A film as JPEG bytes, or the reason why it cannot be read."""

    data: bytes
    error: str = ""


def encode_film(root: Path, encoding: Encoding, relative: str, sha256: str = "") -> Encoded:
    """Read the film `root`/`relative` and return its JPEG bytes; never raises for a bad file.

    A film with another digest than `sha256` (hexadecimal; "" for none) counts as bad.
    """
    try:
        path = resolve_under(root, relative)
        if sha256:
            _check_digest(path, sha256)
        pixels = read_grey(path)
    except (UserError, OSError) as e:
        return Encoded(b"", str(e))
    return Encoded(encode_jpeg(shrink_to_width(pixels, encoding.width), encoding.quality))


def _check_digest(path: Path, sha256: str) -> None:
    with open(path, "rb") as f:
        if hashlib.file_digest(f, "sha256").hexdigest() != sha256:
            raise UserError(f"{path}: differs from its listed digest; fetch the file again")


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[Executor | None]:
    """Processes for `ordered_map`; None, for work in this process, when one is enough.

    Raises:
        UserError: when a worker process dies.
    """
    if workers == 1:
        yield None
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    except BrokenProcessPool:
        raise UserError(
            "a worker process died, mostly for want of memory; run again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ordered_map(
    function: Callable[..., R], items: Iterable[tuple], pool: Executor | None, in_flight: int
) -> Iterator[R]:
    """Yield `function(*item)` of every item in order, at most `in_flight` results waiting."""
    if pool is None:
        yield from itertools.starmap(function, items)
        return
    remaining = iter(items)
    flying: collections.deque[Future[R]] = collections.deque(
        pool.submit(function, *item) for item in itertools.islice(remaining, in_flight)
    )
    while flying:
        yield flying.popleft().result()
        flying.extend(pool.submit(function, *item) for item in itertools.islice(remaining, 1))
