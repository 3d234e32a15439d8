"""Records of another length than the network takes: padding on both sides, or a window."""

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


def window_start(samples: int, wanted: int, generator: np.random.Generator | None) -> int:
    """Return where a window of `wanted` samples starts: at random, or in the middle without
    generator; 0 where the record is no longer than that.
    """
    room = samples - wanted
    if room <= 0:
        return 0
    return room // 2 if generator is None else int(generator.integers(0, room))


def fit(
    signal: np.ndarray, wanted: int, generator: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pad or cut [lead, samples] to `wanted` samples.

    Returns:
        [lead, wanted] and the same shape in float32: 1 for samples of the record, 0 for padding.
    """
    start = window_start(signal.shape[-1], wanted, generator)
    cut = signal[..., start : start + wanted]
    return pad(cut, wanted), pad(np.ones(cut.shape, np.float32), wanted)
