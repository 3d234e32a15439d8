"""Resizing of maps by interpolation between their corners, as two matrix products."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def resize_bilinear(x: jax.Array, size: Sequence[int]) -> jax.Array:
    """Bring x [batch, height, width, channels] to `size` (height, width), corners onto corners.

    Output position i lies at i (in - 1) / (out - 1), as in PyTorch with `align_corners`.
    """
    rows, columns = (
        jnp.asarray(_weights(before, after), x.dtype) for before, after in zip(x.shape[1:3], size)
    )
    x = jnp.einsum("oh,bhwc->bowc", rows, x, precision="highest")
    return jnp.einsum("ow,bhwc->bhoc", columns, x, precision="highest")


def _weights(before: int, after: int) -> np.ndarray:
    """Return [after, before]: what each output position takes of each input position."""
    places = np.arange(after) * ((before - 1) / max(after - 1, 1))
    low = np.minimum(places.astype(int), before - 1)
    high = np.minimum(low + 1, before - 1)
    share = places - low
    weights = np.zeros((after, before))
    np.add.at(weights, (np.arange(after), low), 1 - share)
    np.add.at(weights, (np.arange(after), high), share)
    return weights
