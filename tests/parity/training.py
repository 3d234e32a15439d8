"""What the handlers of training cases share."""

from typing import Any

import jax
import numpy as np


def weight_outputs(
    expected: dict[str, np.ndarray], before: dict[str, np.ndarray], after: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What a training case tells of weights, for the tensors that it names.

    param, checksum, final: mean and mean of absolute values after the last step; update_abs_mean:
    mean of |after - before|; update_signed: mean of (after - before) * (+1, -1, +1, ...).
    """
    outputs = {}
    for key in expected:
        what, _, name = key.partition(":")
        if not name:
            continue
        new = after[name].astype(np.float64).ravel()
        change = new - before[name].astype(np.float64).ravel()
        signs = np.where(np.arange(change.size) % 2 == 0, 1.0, -1.0)
        outputs[key] = {
            "param": lambda new=new: np.array([new.mean(), np.abs(new).mean()]),
            "checksum": lambda new=new: np.array([new.mean(), np.abs(new).mean()]),
            "final": lambda new=new: np.array([new.mean(), np.abs(new).mean()]),
            "update_abs_mean": lambda change=change: np.abs(change).mean(),
            "update_signed": lambda change=change, signs=signs: (change * signs).mean(),
        }[what]()
    return outputs


def double(tree: Any) -> Any:
    """The tree with float64 in place of float32."""
    return jax.tree.map(
        lambda x: x.astype(np.float64) if np.asarray(x).dtype == np.float32 else x, tree
    )
