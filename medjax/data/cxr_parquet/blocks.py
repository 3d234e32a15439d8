"""Splits of a file without patients: blocks of neighbouring rows, linked rows in one of them."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SPLITS = ("train", "validation", "test")
SHARES = (0.8, 0.9)
"""Shares of the rows at which a block ends."""
BORDER, LINKED = "border", "linked"
"""Why a row is dropped: it is near the end of a block, or linked to a row of an earlier one."""


def groups_of(rows: int, links: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return the number of the group of every row, int64 [rows]: what links connect."""
    pairs = np.array(list(links), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (rows, rows))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def block_splits(groups: np.ndarray, border: int) -> list[str]:
    """Return the split of every row, or BORDER or LINKED where it is dropped.

    Rows keep the order of the file; `border` rows around each end of a block are dropped, and rows
    of a later block whose group has a row in an earlier one: dropped, never moved.
    """
    rows = len(groups)
    ends = [round(rows * share) for share in SHARES]
    block = np.searchsorted(ends, np.arange(rows), side="right")
    splits = [SPLITS[b] for b in block]
    for end in ends:
        for row in range(max(end - border // 2, 0), min(end + (border + 1) // 2, rows)):
            splits[row] = BORDER
    first: dict[int, int] = {}
    for row, split in enumerate(splits):
        if split != BORDER and first.setdefault(int(groups[row]), int(block[row])) < block[row]:
            splits[row] = LINKED
    return splits


def group_sizes(groups: Sequence[int] | np.ndarray) -> dict[str, int]:
    """Count groups by their number of rows: {"1": ..., "2": ...}."""
    sizes, counts = np.unique(np.bincount(groups), return_counts=True)
    return {str(size): int(count) for size, count in zip(sizes, counts) if size}
