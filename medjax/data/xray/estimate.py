"""What preparing films will take, from a handful of them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medjax.data.xray.encode import Encoding, Job, encode_film

SAMPLE = 6


class Estimate(NamedTuple):
    """Expected size and duration."""

    films: int
    bytes: int
    """On disk when finished."""
    seconds: float


def estimate(root: Path, relatives: Sequence[str], encoding: Encoding, workers: int) -> Estimate:
    """Read a few films spread over `relatives` and scale up; unreadable ones do not count."""
    count = len(relatives)
    chosen = [relatives[i * count // SAMPLE] for i in range(SAMPLE)] if count else []
    start = time.monotonic()
    films = [encode_film(root, encoding, Job(relative)) for relative in dict.fromkeys(chosen)]
    seconds = time.monotonic() - start
    sizes = [sum(map(len, film.images)) for film in films if not film.error]
    share = count / max(len(films), 1)
    size = sum(sizes) // max(len(sizes), 1)
    return Estimate(count, size * count, seconds * share / workers)


def describe(expected: Estimate) -> str:
    """One line for --dry_run."""
    return (
        f"dry run: {expected.films:,} images, about {expected.bytes / 1e6:,.1f} MB and "
        f"{expected.seconds / 60:,.1f} min; nothing written"
    )
