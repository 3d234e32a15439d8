"""What pre-training does with the encoders that it starts from: copies, or draws anew."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

EXPERT = {"mlp": "lateral_mlp", "mlp_norm": "lateral_norm"}
"""The lateral films' modules of a block by the frontal films' ones."""
NETWORK = ("image_encoder", "network")
STD = 0.02
Params = Mapping[str, Any]


def frontal_twin(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the path of what a parameter of a lateral expert is copied from, None for others.

    With such copies a network whose weights know one view reads both alike.
    """
    lateral = {twin: name for name, twin in EXPERT.items()}
    if path[:2] != NETWORK or not set(path) & set(lateral):
        return None
    return tuple(lateral.get(name, name) for name in path)


def wipe(key: jax.Array, params: Params) -> dict[str, Any]:
    """Return parameters drawn anew as the original does, over whatever was loaded.

    Kernels of linear layers and embeddings become N(0, 0.02^2), their biases 0, LayerNorm 1 and 0.
    Convolutions (patches, heads of tokens), the input of attention between words and patches, class
    token and positions keep what they have.
    """
    flat = traverse_util.flatten_dict(dict(params))
    keys = jax.random.split(key, len(flat))
    for (path, leaf), leaf_key in zip(list(flat.items()), keys):
        if _keeps(path):
            continue
        if path[-1] in ("kernel", "embedding"):
            drawn = jax.random.normal(leaf_key, (leaf.size,), leaf.dtype)
            flat[path] = (STD * drawn).reshape(leaf.shape)
        elif path[-1] == "scale":
            flat[path] = jnp.ones_like(leaf)
        elif path[-1] == "bias":
            flat[path] = jnp.zeros_like(leaf)
    return traverse_util.unflatten_dict(flat)


def _keeps(path: tuple[str, ...]) -> bool:
    """Whether the original leaves a parameter as it is."""
    convolutions = path[:3] == ("image_encoder", "network", "embedding") or "local_head" in path
    between = path[0] == "local_alignment" and "input" in path
    norms = path[-2] in ("hidden_norm", "output_norm") if len(path) > 1 else False
    return convolutions or between or norms
