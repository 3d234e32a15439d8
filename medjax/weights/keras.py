"""Weights that Keras saved: `.h5` of Keras 2, `.keras` of Keras 3; and `.h5` back.

Arrays are named "layer/weight": "conv1d_3/kernel". What else stands in a file (the optimiser) is
not read, but for the model's own description, JSON, which nothing runs.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from medjax.data.ecg.fault import RecordFault
from medjax.data.hd5 import member, open_hd5
from medjax.weights.errors import MalformedError

MAGIC = b"\x89HDF\r\n"
SUFFIXES = (".h5", ".keras")
LARGEST_GROWTH = 8
"""Of the arrays' bytes over the file's."""
LARGEST_CONFIG = 2**24
OWN = ("backend", "keras_version", "model_config", "training_config")
"""Attributes that Keras itself writes."""
MOST_LAYERS = 10_000
ORDER = {
    "Conv1D": ("kernel", "bias"),
    "Conv2D": ("kernel", "bias"),
    "Conv3D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "LayerNormalization": ("gamma", "beta"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "ContrastiveLossLayer": ("contrastive_temperature",),
}
"""Names of a layer's arrays, which `.keras` numbers, by class."""


class KerasFile(NamedTuple):
    """What such a file holds."""

    tensors: dict[str, np.ndarray]
    """By "layer/weight"."""
    description: Any
    """The model's own, from JSON; None where there is none."""
    texts: Mapping[str, str]
    """Beside the weights: what `write_h5` was given."""


def read_keras(path: Path) -> KerasFile:
    """Read a file of weights or of a whole model.

    Raises:
        MalformedError: no such file, damaged, or one that leads elsewhere.
    """
    try:
        if zipfile.is_zipfile(path):
            return KerasFile(*_read_zip(path), {})
        with open_hd5(path) as file:
            tensors = dict(_legacy_arrays(file))
            _check_growth(tensors, path.stat().st_size)
            config = file.attrs.get("model_config")
            texts = {n: v for n, v in file.attrs.items() if isinstance(v, str) and n not in OWN}
            return KerasFile(tensors, _parse(config) if config is not None else None, texts)
    except RecordFault as fault:
        raise MalformedError(str(fault)) from None
    except (zipfile.BadZipFile, KeyError) as error:
        raise MalformedError("it is no whole Keras file") from error


def write_h5(
    path: Path, tensors: Mapping[str, np.ndarray], texts: Mapping[str, str] | None = None
) -> None:
    """Write arrays named "layer/weight" as Keras 2 saves weights (`load_weights` reads them).

    texts: attributes beside them, each below 64 KB, which Keras does not read.
    """
    layers: dict[str, list[str]] = {}
    for name in tensors:
        layers.setdefault(name.split("/")[0], []).append(name)
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["layer_names"] = np.array(list(layers), dtype="S")
        file.attrs["backend"] = np.bytes_("tensorflow")
        for name, text in (texts or {}).items():
            file.attrs[name] = text
        for layer, names in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{name}:0" for name in names], dtype="S")
            for name in names:
                group.create_dataset(f"{name}:0", data=tensors[name], track_times=False)


def _legacy_arrays(file: h5py.File) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a weights file, or of the weights in a file of a whole model."""
    root = member(file, "model_weights")
    root = file if root is None else root
    if not isinstance(root, h5py.Group) or len(root) > MOST_LAYERS:
        raise MalformedError("its weights are no group of layers")
    for layer in root:
        if layer == "optimizer_weights":
            continue
        for weight, array in _arrays(member(root, layer), 4):
            yield f"{layer}/{weight.partition(':')[0]}", array


def _arrays(place: Any, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, array) of all datasets below a group."""
    if not isinstance(place, h5py.Group) or depth == 0:
        raise MalformedError("a layer in it is no group of arrays")
    for name in place:
        found = member(place, name)
        if isinstance(found, h5py.Dataset):
            yield name, _array(found)
        else:
            yield from _arrays(found, depth - 1)


def _array(data: h5py.Dataset) -> np.ndarray:
    if data.external or data.is_virtual or data.chunks is not None:
        raise MalformedError("an array in it is packed, or lies in another file")
    if data.dtype.kind != "f" or data.nbytes > data.file.id.get_filesize():
        raise MalformedError("an array in it is larger than the file, or holds no numbers")
    return data[()]


def _read_zip(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """Read a `.keras` file: layers stand by class and number, in the order of the description."""
    with zipfile.ZipFile(path) as archive:
        config = _parse(_read_member(archive, "config.json", LARGEST_CONFIG))
        most = LARGEST_GROWTH * path.stat().st_size
        content = io.BytesIO(_read_member(archive, "model.weights.h5", most))
    return dict(_numbered_arrays(content, config)), config


def _numbered_arrays(content: BinaryIO, config: Any) -> Iterator[tuple[str, np.ndarray]]:
    try:
        layers = [(entry["class_name"], entry["name"]) for entry in config["config"]["layers"]]
    except (TypeError, KeyError):
        raise MalformedError("its config.json describes no functional model") from None
    seen: dict[str, int] = {}
    with open_hd5(content) as file:
        for kind, name in layers:
            place = seen.get(kind, 0)
            seen[kind] = place + 1
            if kind not in ORDER:
                continue
            group = f"{_snake(kind)}_{place}" if place else _snake(kind)
            found = member(file, "layers", group, "vars")
            if not isinstance(found, h5py.Group):
                continue
            for number, weight in enumerate(ORDER[kind]):
                data = member(found, str(number))
                if isinstance(data, h5py.Dataset):
                    yield f"{name}/{weight}", _array(data)


def _read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > most:
        raise MalformedError(f"its {name} unpacks to {info.file_size:,} bytes")
    return archive.read(info)


def _snake(kind: str) -> str:
    """ "LayerNormalization" -> "layer_normalization", "Conv1D" -> "conv1d"."""
    return "".join(
        f"_{c.lower()}" if i and c.isupper() and kind[i - 1].islower() else c.lower()
        for i, c in enumerate(kind)
    )


def _parse(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("its description of the model is no JSON") from None


def _check_growth(tensors: Mapping[str, np.ndarray], size: int) -> None:
    total = sum(array.nbytes for array in tensors.values())
    if total > LARGEST_GROWTH * size:
        raise MalformedError(f"its arrays claim {total:,} bytes in a file of {size:,}")


def find_coordinate_mask(config: Any, width: int) -> Sequence[int] | None:
    """Return which input each of `width` coordinates is gathered from, as the description says.

    A gather layer keeps its indices [(input, coordinate)] among its arguments.
    """
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pairs = all(isinstance(v, list) and len(v) == 2 for v in value)
            if pairs and len(value) == width and [v[1] for v in value] == list(range(width)):
                return [int(v[0]) for v in value]
            pending += value
    return None
