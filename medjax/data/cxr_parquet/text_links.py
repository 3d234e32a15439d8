"""Reports that are told twice: equal texts, or texts that share most of their five-word runs."""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

DROPPED = re.compile(r"[\d_]+|[^\w\s]")
PERMUTATIONS, BANDS = 128, 32
PRIME = (1 << 61) - 1
SEED = 0
"""Of the permutations, which are the same on every machine."""


class TextRule(NamedTuple):
    """When two reports are taken for one."""

    run: int = 5
    """Words of a run."""
    jaccard: float = 0.8
    """Share of the runs of both that they have in common."""
    words: int = 25
    """A shorter text says too little: stock phrases of normal films would link them all."""
    rows: int = 10
    """A text that so many rows carry is a stock phrase."""


def normalise_text(text: str) -> str:
    """Return small letters and blanks alone: numbers, ___ and punctuation are left out."""
    return " ".join(DROPPED.sub(" ", text.lower()).split())


def text_links(texts: Sequence[str], rule: TextRule) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows whose texts, normalised before, are linked."""
    counts = Counter(texts)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        if len(text.split()) >= rule.words and counts[text] < rule.rows:
            rows[text].append(row)
    for same in rows.values():
        yield from ((same[0], row) for row in same[1:])
    different = list(rows)
    runs = [runs_of(text, rule.run) for text in different]
    for one, other in _candidates(runs):
        shared = len(runs[one] & runs[other])
        if shared >= rule.jaccard * len(runs[one] | runs[other]):
            yield rows[different[one]][0], rows[different[other]][0]


def runs_of(text: str, length: int) -> frozenset[str]:
    """Return all runs of some words of a text."""
    words = text.split()
    return frozenset(" ".join(words[i : i + length]) for i in range(len(words) - length + 1))


def _candidates(runs: Sequence[frozenset[str]]) -> set[tuple[int, int]]:
    """Pairs that agree in one of the bands of their MinHash: nearly all that share most runs."""
    generator = np.random.default_rng(SEED)
    scale, shift = generator.integers(1, 1 << 31, (2, PERMUTATIONS, 1), dtype=np.uint64)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for number, of_text in enumerate(runs):
        hashes = np.array([zlib.crc32(run.encode()) for run in of_text], np.uint64)
        # 31 bits times 32 bits: below 2 ** 63, so that nothing overflows.
        lowest = ((scale * hashes + shift) % np.uint64(PRIME)).min(axis=1)
        for band, part in enumerate(lowest.reshape(BANDS, -1)):
            buckets[band, part.tobytes()].append(number)
    return {pair for numbers in buckets.values() for pair in combinations(numbers, 2)}
