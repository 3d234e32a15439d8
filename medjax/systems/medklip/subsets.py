"""Shares of the training films for fine-tuning: seeded, and the smaller inside the larger."""

import numpy as np

from medjax.errors import UserError


def nested_subset(films: int, fraction: float, seed: int) -> np.ndarray:
    """Return the positions of int(fraction * films) films, int64, in rising order.

    Of one seed every subset lies inside those of larger fractions.

    Raises:
        UserError: the share is none, or holds no film.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"train_fraction is {fraction}: it must be above 0 and at most 1")
    count = int(fraction * films + 1e-9)
    if not count:
        raise UserError(f"train_fraction {fraction} of {films} films is none: take more of them")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(films)
    return np.sort(order[:count])
