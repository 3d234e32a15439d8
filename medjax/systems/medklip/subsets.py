"""Shares of the training films for fine-tuning: seeded, and the smaller inside the larger."""

import numpy as np


def nested_subset(films: int, fraction: float, seed: int) -> np.ndarray:
    """Return the positions of int(fraction * films) films, at least one, int64, in rising order.

    Of one seed every subset lies inside those of larger fractions, from above 0 to 1.
    """
    count = max(int(fraction * films + 1e-9), 1)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(films)
    return np.sort(order[:count])
