"""From the layer names of a Keras file to canonical ones, and back.

Keras numbers layers of a class in the order of their making ("conv1d", "conv1d_1", ...), from
wherever the process stood; paired files set "encode_block_<tensor map>" before them. The order is
known, so the n-th convolution of a file is known.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from medjax.errors import UserError
from medjax.systems.crossmodal.names import TEMPERATURE
from medjax.systems.crossmodal.published import TENSOR_MAPS

Arrays = Mapping[str, np.ndarray]
_NUMBERED = re.compile(r"^(conv[123]d|dense|layer_normalization|batch_normalization)(?:_(\d+))?$")


def canonical(tensors: Arrays) -> dict[str, np.ndarray]:
    """Return the arrays of a file, "layer/weight", by canonical name.

    Raises:
        UserError: the layers are none of a cross-modal autoencoder.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in tensors.items():
        layer, _, weight = name.partition("/")
        layers.setdefault(layer, {})[weight] = array
    named: dict[str, np.ndarray] = {}
    groups: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for layer, weights in layers.items():
        if layer.startswith("contrastive_loss_layer"):
            named[TEMPERATURE] = next(iter(weights.values())).reshape(1)
            continue
        group, rest = _split_prefix(layer)
        groups.setdefault(group, {})[rest] = weights
    for members in groups.values():
        for name, layer in _places(members):
            named |= {f"{name}.{weight}": array for weight, array in members[layer].items()}
    return named


def _split_prefix(layer: str) -> tuple[str, str]:
    """Return (prefix, layer's own name)."""
    for tensor_map in TENSOR_MAPS.values():
        for side in ("encode", "decode"):
            prefix = f"{side}_block_{tensor_map}"
            if layer.startswith(prefix):
                return prefix, layer.removeprefix(prefix)
    return "", layer


def _places(layers: Mapping[str, Arrays]) -> Iterator[tuple[str, str]]:
    """Yield (canonical layer, layer in the file) of an encoder, a decoder, or a whole network."""
    found = [
        (tensor_map, f"embed_{tensor_map}_continuous", f"output_{tensor_map}_continuous")
        for tensor_map in TENSOR_MAPS.values()
    ]
    found = [entry for entry in found if entry[1] in layers or entry[2] in layers]
    if len(found) != 1:
        raise UserError("its layers are of no single encoder, decoder or autoencoder")
    ((tensor_map, embed, output),) = found
    ordered = _families(layers)
    convs = [name for n in (1, 2, 3) for name in ordered.get(f"conv{n}d", [])]
    dense, norms = ordered.get("dense", []), ordered.get("layer_normalization", [])
    norms = norms or ordered.get("batch_normalization", [])
    encoder, decoder = f"encoder.{tensor_map}", f"decoder.{tensor_map}"
    encoded, decoded = _split_convs(convs, layers, embed in layers, output in layers)
    names: list[tuple[str, str]] = [
        *((f"{encoder}.{name}", layer) for name, layer in encoded),
        *((f"{decoder}.{name}", layer) for name, layer in decoded),
    ]
    stacks = [(encoder, embed)] * (embed in layers) + [("merge", "embed")] * ("embed" in layers)
    hidden = len(dense) - (output in layers)
    if hidden < 0 or (hidden % len(stacks) if stacks else hidden):
        raise UserError("its dense layers are not those of this system")
    depth = hidden // len(stacks) if stacks else 0
    remaining = iter(dense)
    for part, last in stacks:
        of_stack = [*(next(remaining) for _ in range(depth)), last]
        names += [(f"{part}.dense{i}", layer) for i, layer in enumerate(of_stack)]
    if output in layers:
        names += [(f"{decoder}.restructure", next(remaining)), (f"{decoder}.label", output)]
    return iter([*names, *_norms(names, norms, encoder, decoder)])


def _norms(
    names: Sequence[tuple[str, str]], norms: Sequence[str], encoder: str, decoder: str
) -> list[tuple[str, str]]:
    """Return the places of normalisations: behind all convolutions, all dense layers, or both."""
    of_conv = [name for name, _ in names if name.rpartition(".")[2].startswith("conv")]
    of_dense = [name for name, _ in names if name.rpartition(".")[2].startswith("dense")]
    start = [f"{decoder}.restructure_norm"] if f"{decoder}.restructure" in dict(names) else []
    slots = {
        part: [name.replace("conv" if kind else "dense", "norm") for name in chosen]
        for part, kind, chosen in (("conv", True, of_conv), ("dense", False, of_dense))
    }
    encoded = [name for name in slots["conv"] if name.startswith(encoder)]
    rest = [name for name in slots["conv"] if not name.startswith(encoder)] + start
    for choice in (
        [],
        slots["dense"],
        [*encoded, *rest],
        [*encoded, *slots["dense"], *rest],
    ):
        if len(choice) == len(norms):
            return list(zip(choice, norms, strict=True))
    raise UserError("its normalisations are not those of this system")


def _families(layers: Mapping[str, Arrays]) -> dict[str, list[str]]:
    """Return the layers of each class in the order of their making."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in layers:
        if match := _NUMBERED.match(name):
            found.setdefault(match[1], []).append((int(match[2] or 0), name))
    return {family: [name for _, name in sorted(members)] for family, members in found.items()}


def _split_convs(
    convs: Sequence[str], layers: Mapping[str, Arrays], encoder: bool, decoder: bool
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the places of the convolutions in an encoder and in a decoder."""
    shapes = {name: layers[name]["kernel"].shape for name in convs}
    skips = sum(set(shapes[name][:-2]) == {1} for name in convs) if encoder else 0
    stack = skips + 1 if encoder else 0
    residual, between, rest = convs[:stack], convs[stack : stack + skips], convs[stack + skips :]
    if any(set(shapes[name][:-2]) != {1} for name in between):
        raise UserError("its convolutions are not those of this system")
    encoded = [(f"residual.conv{i}", name) for i, name in enumerate(residual)]
    encoded += [(f"residual.skip{i + 1}", name) for i, name in enumerate(between)]
    blocks = _blocks(rest, shapes)
    if encoder and decoder and len(blocks) % 2:
        raise UserError("its encoder and decoder have unlike numbers of blocks")
    count = len(blocks) // (1 + decoder) if encoder else 0
    return encoded + _in_blocks(blocks[:count]), _in_blocks(blocks[count:])


def _in_blocks(blocks: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    return [
        (f"block{b}.conv{j}", name)
        for b, block in enumerate(blocks)
        for j, name in enumerate(block)
    ]


def _blocks(convs: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> list[list[str]]:
    """Group convolutions of which each reads the outputs of those before it in its block."""
    blocks: list[list[str]] = []
    for name in convs:
        inputs, features = shapes[name][-2:]
        if blocks:
            first = shapes[blocks[-1][0]]
            if features == first[-1] and inputs == first[-2] + len(blocks[-1]) * features:
                blocks[-1].append(name)
                continue
        blocks.append([name])
    return blocks


def layer_names(tensors: Arrays) -> dict[str, np.ndarray]:
    """Return canonical arrays as "layer/weight", numbered as in a fresh process for each modality.

    Arrays of two modalities get the prefixes of a paired model. A fixed mask stands in no layer of
    Keras and is left out.
    """
    maps = [m for m in TENSOR_MAPS.values() if any(f".{m}." in name for name in tensors)]
    found: dict[str, np.ndarray] = {}
    for tensor_map in maps:
        counts: dict[str, int] = {}
        layers: dict[str, str] = {}
        merged = ("merge.dense", "merge.norm")
        own = {
            name: array
            for name, array in tensors.items()
            if f".{tensor_map}." in name or name.startswith(merged)
        }
        own = dict(sorted(own.items(), key=lambda item: _made(item[0])))
        last = max((n for n in own if ".dense" in n), default="").rpartition(".")[0]
        for name, array in own.items():
            layer, _, weight = name.rpartition(".")
            if layer not in layers:
                layers[layer] = _layer_name(layer, last, own, counts, tensor_map)
            side = f"{layer[:6].removesuffix('r')}_block_{tensor_map}" if len(maps) > 1 else ""
            found[f"{side}{layers[layer]}/{weight}"] = array
    if TEMPERATURE in tensors:
        found["contrastive_loss_layer/contrastive_temperature"] = tensors[TEMPERATURE]
    return found


def _made(name: str) -> tuple[int, int, bool, list[int]]:
    """Return what orders canonical names as Keras makes their layers, within a class."""
    part, rest = name.split(".", 1)
    group = 0 if ".residual." in rest else 1 if ".block" in rest else 2
    numbers = [int(number) for number in re.findall(r"(?:block|conv|skip|norm|dense)(\d+)", rest)]
    return ("encoder", "merge", "decoder").index(part), group, ".skip" in rest, numbers


def _layer_name(layer: str, last: str, own: Arrays, counts: dict[str, int], tensor_map: str) -> str:
    """Return Keras' name of a canonical layer; `counts` of its class moves on."""
    stem = layer.rpartition(".")[2]
    if stem == "label":
        return f"output_{tensor_map}_continuous"
    if stem == last.rpartition(".")[2] and stem.startswith("dense"):
        return "embed" if layer.startswith("merge") else f"embed_{tensor_map}_continuous"
    if "norm" in stem:
        batch = f"{layer}.moving_mean" in own
        family = "batch_normalization" if batch else "layer_normalization"
    elif stem.startswith(("dense", "restructure")):
        family = "dense"
    else:
        family = f"conv{own[f'{layer}.kernel'].ndim - 2}d"
    number = counts.get(family, 0)
    counts[family] = number + 1
    return f"{family}_{number}" if number else family
