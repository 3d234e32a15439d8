"""Canonical names of the published layers, and where they stand among our variables.

    encoder.<tensor map>.residual.conv0.kernel    params  encoder_ecg/residual/conv0/kernel
    decoder.<tensor map>.block0.norm1.gamma       params  decoder_ecg/block0/norm1/scale
    merge.dense0.bias                             params  merger_ecg/dense0/bias
    pair.contrastive_temperature                  params  pair/log_scale

Keras lays kernels out as we do: [*space, in, out] and [in, out].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from medjax.errors import UserError
from medjax.systems.crossmodal.published import TENSOR_MAPS

TEMPERATURE = "pair.contrastive_temperature"
MASK = "merge.coordinate_index"
"""Of the merge that keeps one modality for every coordinate."""
LEAVES = {
    "kernel": ("params", "kernel"),
    "bias": ("params", "bias"),
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}
"""(collection, name) of ours by Keras' name of an array."""

Path = tuple[str, ...]


def path_of(name: str, merged: str) -> Path:
    """Return (collection, *path) of ours for a canonical name.

    Args:
        name: canonical.
        merged: the modality whose latent the layers of "merge" read.

    Raises:
        UserError: the name is of no layer of this system.
    """
    if name == TEMPERATURE:
        return ("params", "pair", "log_scale")
    part, *middle, leaf = name.split(".")
    modalities = {tensor_map: modality for modality, tensor_map in TENSOR_MAPS.items()}
    if part == "merge":
        part, middle = "merger", [TENSOR_MAPS[merged], *middle]
    known = part in ("encoder", "decoder", "merger") and middle and middle[0] in modalities
    if not known or leaf not in LEAVES:
        raise UserError(f"{name!r} is no weight of the cross-modal autoencoder")
    collection, ours = LEAVES[leaf]
    return (collection, f"{part}_{modalities[middle[0]]}", *middle[1:], ours)


def name_of(path: Path) -> str:
    """Return the canonical name of one of our arrays, (collection, *path)."""
    if path == ("params", "pair", "log_scale"):
        return TEMPERATURE
    collection, top, *middle, leaf = path
    part, modality = top.split("_", 1)
    is_norm = "norm" in middle[-1]
    back = {
        ours: keras for keras, ours in LEAVES.items() if keras != ("bias" if is_norm else "beta")
    }
    prefix = ["merge"] if part == "merger" else [part, TENSOR_MAPS[modality]]
    return ".".join([*prefix, *middle, back[collection, leaf]])


def to_variables(weights: Mapping[str, np.ndarray], merged: str = "ecg") -> dict[str, Any]:
    """Return our variables from arrays by canonical name."""
    flat = {path_of(name, merged): array for name, array in weights.items()}
    return traverse_util.unflatten_dict(flat)


def from_variables(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return arrays by canonical name from our parameters and running statistics."""
    flat = traverse_util.flatten_dict(dict(variables))
    return {name_of(p): np.asarray(x) for p, x in flat.items() if p[0] != "fixed"}
