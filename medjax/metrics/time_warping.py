"""Dynamic time warping: how far two series are apart when time may stretch."""

import numpy as np
from numpy.typing import NDArray


def dynamic_time_warping(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Return the DTW distance of pairs of series (Sakoe and Chiba, 1978): [...].

    The square root of the least sum of squared differences along a warping path; steps go one on in
    either series or in both, and there is no window. Computed for all pairs at once, one
    anti-diagonal after the other.

    Args:
        first, second: [..., n], [..., m]; the leading axes pair the series.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    rows, columns = first.shape[-1], second.shape[-1]
    # cost[..., i] of a diagonal d is that of the cell (i - 1, d - i - 1); row 0 is outside.
    shape = (*first.shape[:-1], rows + 1)
    before, last = np.full(shape, np.inf), np.full(shape, np.inf)
    before[..., 0] = 0.0
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        square = np.square(first[..., i - 1] - second[..., diagonal - i - 1])
        reached = np.minimum(np.minimum(last[..., i], last[..., i - 1]), before[..., i - 1])
        current = np.full(shape, np.inf)
        current[..., i] = square + reached
        before, last = last, current
    return np.sqrt(last[..., rows])
