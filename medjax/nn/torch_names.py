"""PyTorch's names and layouts of layers, and ours: one table serves both directions.

A table is a list of `Layer`s; `from_torch` and `to_torch` read it. Tables of whole networks are
made by functions (`resnet_layers`) and set under a prefix by `under`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from medjax.errors import UserError

StateDict = Mapping[str, np.ndarray]


class Layer(NamedTuple):
    """One layer under its two names."""

    published: str
    """Prefix of its names in a state dict, "layer1.0.conv1"."""
    path: tuple[str, ...]
    """Path of its module in our tree."""
    kind: str
    """"conv", "conv_transpose", "pointwise" (a one-dimensional convolution of one tap, a matrix
    here), "channel_scale" (the same, grouped by channel), "linear", "batch_norm", "layer_norm",
    "embedding", "attention_input", "lstm", "keras_layer" and "keras_norm" (in Keras' names and
    layouts), "fixed" (which modality a coordinate is of), or "parameter": one array that belongs
    to no layer, whose whole name and path stand here."""
    stack: int = 0
    """Number of equal layers whose arrays lie stacked on a first axis in ours; the published
    prefix then has a * in place of their index."""


class _Leaf(NamedTuple):
    collection: str
    name: str
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _conv_to_ours(kernel: np.ndarray) -> np.ndarray:
    """[out, in, *space] -> [*space, in, out]."""
    return np.moveaxis(kernel, (1, 0), (-2, -1))


def _conv_to_torch(kernel: np.ndarray) -> np.ndarray:
    """[*space, in, out] -> [out, in, *space]."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _transpose_conv_to_ours(kernel: np.ndarray) -> np.ndarray:
    """[in, out, *space] -> [*space, in, out]."""
    return np.moveaxis(kernel, (0, 1), (-2, -1))


def _transpose_conv_to_torch(kernel: np.ndarray) -> np.ndarray:
    """[*space, in, out] -> [in, out, *space]."""
    return np.moveaxis(kernel, (-2, -1), (0, 1))


def _pointwise_to_ours(kernel: np.ndarray) -> np.ndarray:
    """[out, in, 1] -> [in, out]."""
    return kernel[..., 0].transpose()


def _pointwise_to_torch(kernel: np.ndarray) -> np.ndarray:
    """[in, out] -> [out, in, 1]."""
    return kernel.transpose()[..., None]


def _scale_to_ours(kernel: np.ndarray) -> np.ndarray:
    """[channel, 1, 1] -> [channel]."""
    return kernel[:, 0, 0]


def _scale_to_torch(scale: np.ndarray) -> np.ndarray:
    """[channel] -> [channel, 1, 1]."""
    return scale[:, None, None]


_LEAVES: dict[str, dict[str, _Leaf]] = {
    "conv": {
        "weight": _Leaf("params", "kernel", _conv_to_ours, _conv_to_torch),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "conv_transpose": {
        "weight": _Leaf("params", "kernel", _transpose_conv_to_ours, _transpose_conv_to_torch),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "pointwise": {
        "weight": _Leaf("params", "kernel", _pointwise_to_ours, _pointwise_to_torch),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "channel_scale": {
        "weight": _Leaf("params", "scale", _scale_to_ours, _scale_to_torch),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "linear": {
        "weight": _Leaf("params", "kernel", np.transpose, np.transpose),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "batch_norm": {
        "weight": _Leaf("params", "scale", _same, _same),
        "bias": _Leaf("params", "bias", _same, _same),
        "running_mean": _Leaf("batch_stats", "mean", _same, _same),
        "running_var": _Leaf("batch_stats", "var", _same, _same),
    },
    "layer_norm": {
        "weight": _Leaf("params", "scale", _same, _same),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "embedding": {"weight": _Leaf("params", "embedding", _same, _same)},
    "attention_input": {
        "in_proj_weight": _Leaf("params", "kernel", np.transpose, np.transpose),
        "in_proj_bias": _Leaf("params", "bias", _same, _same),
    },
    "keras_layer": {
        "kernel": _Leaf("params", "kernel", _same, _same),
        "bias": _Leaf("params", "bias", _same, _same),
    },
    "keras_norm": {
        "gamma": _Leaf("params", "scale", _same, _same),
        "beta": _Leaf("params", "bias", _same, _same),
        "moving_mean": _Leaf("batch_stats", "mean", _same, _same),
        "moving_variance": _Leaf("batch_stats", "var", _same, _same),
    },
    "fixed": {"coordinate_index": _Leaf("fixed", "coordinate_index", _same, _same)},
    "lstm": {
        "weight_ih_l0": _Leaf("params", "input_kernel", np.transpose, np.transpose),
        "weight_hh_l0": _Leaf("params", "recurrent_kernel", np.transpose, np.transpose),
        "bias_ih_l0": _Leaf("params", "input_bias", _same, _same),
        "bias_hh_l0": _Leaf("params", "recurrent_bias", _same, _same),
    },
}
_COUNTER = "num_batches_tracked"
"""BatchNorm's step counter: without effect where the momentum is fixed, so we hold none."""


class _Array(NamedTuple):
    published: str
    key: tuple[str, ...]
    to_ours: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]
    place: int | None
    """In a stack."""


def _prefixes(layer: Layer) -> list[tuple[int | None, str]]:
    """Return a layer's published prefix, or that of each layer of a stack with its place."""
    if not layer.stack:
        return [(None, layer.published)]
    return [(i, layer.published.replace("*", str(i))) for i in range(layer.stack)]


def _arrays(layer: Layer) -> list[_Array]:
    """Return every array that a layer may hold, under both its names."""
    if layer.kind == "parameter":
        return [_Array(layer.published, ("params", *layer.path), _same, _same, None)]
    return [
        _Array(
            f"{prefix}.{suffix}",
            (leaf.collection, *layer.path, leaf.name),
            leaf.to_ours,
            leaf.to_torch,
            place,
        )
        for place, prefix in _prefixes(layer)
        for suffix, leaf in _LEAVES[layer.kind].items()
    ]


def _counters(layer: Layer) -> list[str]:
    if layer.kind != "batch_norm":
        return []
    return [f"{prefix}.{_COUNTER}" for _, prefix in _prefixes(layer)]


def names_of(layer: Layer) -> list[str]:
    """Return every published name that a layer may have, counters too."""
    return [*(array.published for array in _arrays(layer)), *_counters(layer)]


def under(layers: Iterable[Layer], published: str, path: tuple[str, ...]) -> list[Layer]:
    """Set a table under a prefix of both names."""
    return [
        layer._replace(published=f"{published}.{layer.published}", path=path + layer.path)
        for layer in layers
    ]


def from_torch(layers: Sequence[Layer], state_dict: StateDict) -> dict[str, Any]:
    """Return Flax variables of a state dict.

    Layers of the table that the state dict does not hold are left out. Where two names are of one
    array, the later one counts, as it does for PyTorch.

    Raises:
        UserError: a name that the table does not know, or a stack that is not whole.
    """
    known = {array.published: array for layer in layers for array in _arrays(layer)}
    counters = {name for layer in layers for name in _counters(layer)}
    flat: dict[tuple[str, ...], np.ndarray] = {}
    stacks: dict[tuple[str, ...], dict[int, np.ndarray]] = {}
    for name, value in state_dict.items():
        if name in counters:
            continue
        if name not in known:
            raise UserError(f"weight {name!r} belongs to no layer of this network")
        array = known[name]
        ours = np.asarray(array.to_ours(np.asarray(value)), order="C")
        if array.place is None:
            flat[array.key] = ours
        else:
            stacks.setdefault(array.key, {})[array.place] = ours
    expected = {array.key: array for array in known.values()}  # the last of each stack
    for key, stack in stacks.items():
        last = expected[key]
        if len(stack) != (last.place or 0) + 1:
            raise UserError(f"weight {last.published!r} and those before it are not all there")
        flat[key] = np.stack([stack[place] for place in sorted(stack)])
    return traverse_util.unflatten_dict(flat)


def to_torch(layers: Sequence[Layer], variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the state dict of Flax variables, the table's layers in order.

    BatchNorm's `num_batches_tracked` is 0.

    Raises:
        UserError: a variable that the table does not know.
    """
    flat = traverse_util.flatten_dict(dict(variables))
    named: set[tuple[str, ...]] = set()
    state_dict: dict[str, np.ndarray] = {}
    for layer in layers:
        found = False
        for array in _arrays(layer):
            if array.key in flat:
                value = np.asarray(flat[array.key])
                if array.place is not None:
                    value = value[array.place]
                state_dict[array.published] = np.asarray(array.to_torch(value), order="C")
                named.add(array.key)
                found = True
        if found:
            state_dict |= {name: np.zeros((), np.int64) for name in _counters(layer)}
    if unknown := flat.keys() - named:
        raise UserError(f"variable {'/'.join(min(unknown))!r} has no published name")
    return state_dict


def resnet_layers(stage_sizes: Sequence[int], bottleneck: bool = False) -> list[Layer]:
    """The table of `medjax.nn.resnet.ResNet` in torchvision's names."""
    layers = [
        Layer("conv1", ("stem", "Convolution_0"), "conv"),
        Layer("bn1", ("stem", "BatchNorm_0"), "batch_norm"),
    ]
    for stage, depth in enumerate(stage_sizes):
        for block in range(depth):
            name = f"layer{stage + 1}.{block}"
            path = (f"stages_{stage}", f"blocks_{block}")
            for index in range(3 if bottleneck else 2):
                layers += [
                    Layer(f"{name}.conv{index + 1}", (*path, f"convs_{index}"), "conv"),
                    Layer(f"{name}.bn{index + 1}", (*path, f"norms_{index}"), "batch_norm"),
                ]
            if block == 0 and (bottleneck or stage > 0):
                layers += [
                    Layer(f"{name}.downsample.0", (*path, "shortcut_conv"), "conv"),
                    Layer(f"{name}.downsample.1", (*path, "shortcut_norm"), "batch_norm"),
                ]
    return layers


def densenet_layers(stage_sizes: Sequence[int] = (6, 12, 24, 16)) -> list[Layer]:
    """The table of `medjax.nn.densenet.DenseNet` in torchvision's names."""
    layers = [
        Layer("features.conv0", ("stem_conv",), "conv"),
        Layer("features.norm0", ("stem_norm",), "batch_norm"),
    ]
    for stage, depth in enumerate(stage_sizes):
        for index in range(depth):
            name = f"features.denseblock{stage + 1}.denselayer{index + 1}"
            path = (f"blocks_{stage}", f"layers_{index}")
            for half in range(2):
                layers += [
                    Layer(f"{name}.norm{half + 1}", (*path, f"norms_{half}"), "batch_norm"),
                    Layer(f"{name}.conv{half + 1}", (*path, f"convs_{half}"), "conv"),
                ]
        if stage < len(stage_sizes) - 1:
            name, module = f"features.transition{stage + 1}", f"transitions_{stage}"
            layers += [
                Layer(f"{name}.norm", (module, "BatchNorm_0"), "batch_norm"),
                Layer(f"{name}.conv", (module, "Convolution_0"), "conv"),
            ]
    layers.append(Layer(f"features.norm{len(stage_sizes) + 1}", ("last_norm",), "batch_norm"))
    return layers


def bert_layers(layers: int) -> list[Layer]:
    """The table of `medjax.nn.bert.Bert` in the names of the Hugging Face `BertModel`."""
    table = [
        Layer("embeddings.word_embeddings", ("embeddings", "word"), "embedding"),
        Layer("embeddings.position_embeddings", ("embeddings", "position"), "embedding"),
        Layer("embeddings.token_type_embeddings", ("embeddings", "token_type"), "embedding"),
        Layer("embeddings.LayerNorm", ("embeddings", "norm"), "layer_norm"),
    ]
    for index in range(layers):
        names = {
            "attention.self.query": ("query", "linear"),
            "attention.self.key": ("key", "linear"),
            "attention.self.value": ("value", "linear"),
            "attention.output.dense": ("attention_output", "linear"),
            "attention.output.LayerNorm": ("attention_norm", "layer_norm"),
            "intermediate.dense": ("intermediate", "linear"),
            "output.dense": ("output", "linear"),
            "output.LayerNorm": ("output_norm", "layer_norm"),
        }
        table += [
            Layer(f"encoder.layer.{index}.{name}", (f"layers_{index}", module), kind)
            for name, (module, kind) in names.items()
        ]
    return [*table, Layer("pooler.dense", ("pooler",), "linear")]


def vit_layers(layers: int) -> list[Layer]:
    """The table of `medjax.nn.vit.ViT` in timm's names."""
    table = [
        Layer("cls_token", ("class_token",), "parameter"),
        Layer("pos_embed", ("positions",), "parameter"),
        Layer("patch_embed.proj", ("embedding",), "conv"),
    ]
    parts = {
        "norm1": (("attention_norm",), "layer_norm"),
        "attn.qkv": (("attention", "input"), "linear"),
        "attn.proj": (("attention", "output"), "linear"),
        "norm2": (("mlp_norm",), "layer_norm"),
        "mlp.fc1": (("mlp", "hidden"), "linear"),
        "mlp.fc2": (("mlp", "output"), "linear"),
    }
    for index in range(layers):
        table += [
            Layer(f"blocks.{index}.{name}", (f"blocks_{index}", *path), kind)
            for name, (path, kind) in parts.items()
        ]
    return [*table, Layer("norm", ("norm",), "layer_norm")]


def attention_layers(published: str, path: tuple[str, ...]) -> list[Layer]:
    """The table of `medjax.nn.attention.MultiHeadAttention` in the names of PyTorch's."""
    return [
        Layer(published, (*path, "input"), "attention_input"),
        Layer(f"{published}.out_proj", (*path, "output"), "linear"),
    ]
