"""Encoded films kept on disk in parts while a set is made, so that a killed run can go on.

A part is a Parquet file that appears whole or not at all. Its name is a digest of everything that
its contents follow from: the encoding, the libraries, and path, size and time of change of each
film. So whatever changed since is encoded anew, and parts may be made anywhere: by the processes of
this machine or by those of a cluster that sees the same folders.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import PIL
import pyarrow as pa
import pyarrow.parquet as pq

import medjax
from medjax import files
from medjax.data.xray.encode import Encoded, Encoding, Job

FILMS_A_PART = 256


class Part(NamedTuple):
    """Films that are kept together."""

    path: Path
    jobs: tuple[Job, ...]


def plan_parts(folder: Path, root: Path, encoding: Encoding, jobs: Sequence[Job]) -> list[Part]:
    """Cut films under `root` into parts that lie in `folder`."""
    cuts = range(0, len(jobs), FILMS_A_PART)
    groups = [tuple(jobs[start : start + FILMS_A_PART]) for start in cuts]
    return [Part(folder / f"{_digest(root, encoding, group)}.parquet", group) for group in groups]


def _digest(root: Path, encoding: Encoding, jobs: Sequence[Job]) -> str:
    """Digest of what the films of a part depend on."""
    versions = (medjax.__version__, PIL.__version__)
    films = [(*job, *_state(root / job.path)) for job in jobs]
    text = json.dumps([versions, str(root.resolve()), encoding, films])
    return hashlib.sha256(text.encode()).hexdigest()


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change of a file; zeros where it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def keep_part(part: Part, films: Sequence[Encoded]) -> None:
    """Write a part, unless one of its films is unreadable: such a part is tried anew."""
    if any(film.error for film in films):
        return
    images = pa.array([list(film.images) for film in films], pa.list_(pa.binary()))
    table = pa.table({"images": images})
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    files.write_atomic(part.path, lambda path: pq.write_table(table, path, **options))


def read_part(part: Part) -> list[Encoded] | None:
    """Return the films of a part that was kept; None where there is none, or a damaged one."""
    try:
        table = pq.read_table(part.path, partitioning=None)
        films = [Encoded(tuple(images)) for images in table.column("images").to_pylist()]
    except (OSError, KeyError, pa.ArrowException):
        return None
    return films if len(films) == len(part.jobs) else None


def encoded_films(
    parts: Sequence[Part],
    encode: Callable[[Job], Encoded],
    encode_all: Callable[[Iterable[Job]], Generator[Encoded, None, None]],
) -> Generator[Encoded, None, None]:
    """Yield all films in order: those of kept parts as they are, the others as they are encoded.

    Args:
        parts: what to yield.
        encode: one film -> what is stored of it.
        encode_all: films -> the same of each in order, perhaps by several processes.

    Raises:
        UserError: a worker died or hung; names the film.
    """
    kept = {part.path for part in parts if part.path.exists()}
    jobs = (job for part in parts if part.path not in kept for job in part.jobs)
    with contextlib.closing(encode_all(jobs)) as fresh:
        for part in parts:
            if part.path in kept:
                yield from read_part(part) or map(encode, part.jobs)
                continue
            made = []
            for film in itertools.islice(fresh, len(part.jobs)):
                made.append(film)
                yield film
            keep_part(part, made)
