"""Z-scores per lead, for NumPy arrays on the host and JAX arrays on the device alike."""

from typing import Any


def varies(signal: Any, inside: Any | None = None) -> Any:
    """Tell which leads hold more than one value (where `inside` is not 0): bool [..., lead, 1]."""
    if inside is None:
        return signal.max(axis=-1, keepdims=True) > signal.min(axis=-1, keepdims=True)
    xp = signal.__array_namespace__()
    highest = xp.where(inside > 0, signal, -xp.inf).max(axis=-1, keepdims=True)
    return highest > xp.where(inside > 0, signal, xp.inf).min(axis=-1, keepdims=True)


def standardize(signal: Any, inside: Any | None = None, where: Any | None = None) -> Any:
    """Give every lead mean 0 and standard deviation 1 (over n, not n - 1) along time.

    A constant lead, or one that is not finite, gives zeros.

    Args:
        signal: [..., lead, samples], float.
        inside: 1 for samples of the record and 0 for padding, broadcast against `signal`; padding
            takes no part and becomes 0. None: all are inside.
        where: bool [..., lead, 1], leads that are zero where false; None: those that vary. Give
            the `varies` of the raw signal when `signal` was filtered, since a filtered constant
            is rounding noise.
    """
    xp = signal.__array_namespace__()
    weights = xp.ones_like(signal) if inside is None else xp.broadcast_to(inside, signal.shape)
    kept = xp.where(weights > 0, signal, 0)
    count = xp.maximum(weights.sum(axis=-1, keepdims=True), 1)
    centred = (kept - kept.sum(axis=-1, keepdims=True) / count) * weights
    variance = (centred * centred).sum(axis=-1, keepdims=True) / count
    usable = (variance > 0) & xp.isfinite(variance)
    usable = usable & (varies(signal, inside) if where is None else where)
    return xp.where(usable, centred / xp.sqrt(xp.where(usable, variance, 1)), 0)
