"""Films that are stored twice: thumbnails of nearly the same hash that correlate."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.fft import dctn

from medjax.data.images import read_film

SIDE, LOW = 64, 16
"""Pixels of a thumbnail, and of the square of lowest frequencies that its hash is made of."""
SEED = 0
"""Of the order of the bits, which is the same on every machine."""
BLOCK = 512
"""Films compared at once."""


class ImageRule(NamedTuple):
    """When two films are taken for one."""

    bits: int = 16
    """Bits of 256 in which the hashes may differ."""
    correlation: float = 0.98
    """Of the thumbnails, at least."""


def thumbnail(path: Path) -> np.ndarray:
    """Read a film as grey thumbnail, uint8 [64, 64].

    Raises:
        UserError: an unreadable image.
    """
    film, _ = read_film(path, scale=lambda width, height: SIDE / min(width, height))
    return np.asarray(film.resize((SIDE, SIDE), Image.Resampling.BOX))


def hash_bits(thumbnails: np.ndarray) -> np.ndarray:
    """Return bool [n, 256] of thumbnails [n, 64, 64]: low frequencies above their median."""
    low = dctn(thumbnails.astype(np.float32), axes=(1, 2))[:, :LOW, :LOW].reshape(-1, LOW * LOW)
    return low > np.median(low, axis=1, keepdims=True)


def image_links(thumbnails: np.ndarray, rule: ImageRule) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows whose thumbnails uint8 [n, 64, 64] are linked.

    Hashes that differ in at most `rule.bits` bits are equal in one of as many and one parts, so
    only films of an equal part are compared.
    """
    if len(thumbnails) < 2:
        return
    bits = hash_bits(thumbnails)
    packed = np.packbits(bits, axis=1)
    unit = _standardised(thumbnails)
    seen: set[tuple[int, int]] = set()
    order = np.random.default_rng(SEED).permutation(bits.shape[1])
    for part in np.array_split(order, rule.bits + 1):
        keys = np.packbits(bits[:, part], axis=1)
        _, number = np.unique(keys, axis=0, return_inverse=True)
        by_key = np.argsort(number.ravel(), kind="stable")
        starts = np.flatnonzero(np.diff(number.ravel()[by_key])) + 1
        for rows in np.split(by_key, starts):
            for pair in _close(rows, packed, rule.bits):
                if pair not in seen:
                    seen.add(pair)
                    if float(unit[pair[0]] @ unit[pair[1]]) >= rule.correlation:
                        yield pair


def _close(rows: np.ndarray, packed: np.ndarray, bits: int) -> Iterator[tuple[int, int]]:
    """Pairs of some rows whose packed hashes differ in at most so many bits."""
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        different = np.bitwise_count(packed[block][:, None] ^ packed[rows][None]).sum(axis=2)
        for i, j in np.argwhere(different <= bits):
            if block[i] < rows[j]:
                yield int(block[i]), int(rows[j])


def _standardised(thumbnails: np.ndarray) -> np.ndarray:
    """Rows of zero mean and unit length, float32 [n, 4096]; zeros for a film of one grey."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
