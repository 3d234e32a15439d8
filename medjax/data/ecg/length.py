"""Records that are shorter than the network takes: padding on both sides."""

import numpy as np

from medjax.errors import UserError

ODD_DIFFERENCE = ("right", "short")
"""Where the odd sample of a padding goes: on the right, or nowhere (one sample short)."""


def padding(samples: int, wanted: int, odd: str = "right") -> tuple[int, int]:
    """Return the zeros before and after `samples` that make `wanted` of them, half on each side.

    Raises:
        UserError: there are more samples than wanted.
    """
    if samples > wanted:
        raise UserError(f"{samples} samples do not fit into {wanted}; ask for more or cut them")
    left = (wanted - samples) // 2
    return left, left if odd == "short" else wanted - samples - left


def pad(signal: np.ndarray, wanted: int, odd: str = "right") -> np.ndarray:
    """Pad [..., samples] with zeros on both sides to [..., wanted]; with odd="short" the length
    is wanted - 1 where the difference is odd.

    Raises:
        UserError: there are more samples than wanted.
    """
    sides = padding(signal.shape[-1], wanted, odd)
    return np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [sides])
