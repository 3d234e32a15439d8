"""Cross-modal autoencoder: Keras files of encoders, decoders and whole models (.h5, .keras).

A `.h5` file is of 2023; `--back` writes weights that Keras loads by layer name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from medjax.errors import UserError
from medjax.nn.torch_names import Layer
from medjax.systems.crossmodal.architecture import make_architecture
from medjax.systems.crossmodal.keras_names import canonical, layer_names
from medjax.systems.crossmodal.model import CrossModal, make_init
from medjax.systems.crossmodal.names import MASK, TEMPERATURE, TENSOR_MAPS
from medjax.weights.converter import Converter, Fields, Model, Shapes, shapes_of
from medjax.weights.files import Weights
from medjax.weights.keras import find_coordinate_mask

SIGNALS = {"ecg": (600, 12), "mri": (96, 96, 50)}
"""Shapes of the published signals; those of other weights are told by their first dense layer."""
POOL = 2
MODEL_FIELDS = {
    "2023": {"gelu_approximate": True, "merge": "coordinate_fixed", "merge_eval": "as_training"},
    "current": {"gelu_approximate": False, "merge": "sample", "merge_eval": "as_training"},
}
"""How each generation of the original computes what no shape tells."""
DATA_FIELDS = {"mri_anchor": "top_left", "mri_normalize_region": "padded"}
MISSING_LEAD = {"2023": "zeros", "current": "reject"}


def named(weights: Weights) -> Weights:
    """Put canonical names, and a fixed mask of the model's description, in place of Keras' own."""
    if not weights.format.startswith("Keras"):
        return weights
    tensors = canonical(weights.tensors)
    widths = [x.shape[0] for name, x in tensors.items() if name.endswith(".restructure.kernel")]
    if TEMPERATURE in tensors and widths:
        mask = find_coordinate_mask(weights.description, widths[0])
        tensors |= {} if mask is None else {MASK: np.array(mask, np.int32)}
    return weights._replace(tensors=tensors, description=None)


def describe(shapes: Shapes) -> Model:
    """Return the sizes of the parts that the names are of, and which parts they are."""
    parts, modalities = [], {}
    for modality, tensor_map in TENSOR_MAPS.items():
        sides = [s for s in ("encoder", "decoder") if _has(shapes, f"{s}.{tensor_map}.")]
        if sides:
            parts += [f"{side}_{modality}" for side in sides]
            modalities[modality] = _sizes(shapes, tensor_map)
    if not parts:
        raise UserError("it holds no encoder or decoder of ECG or MRI")
    if _has(shapes, "merge.dense"):
        if len(modalities) > 1:
            raise UserError("it holds two modalities and dense layers between them: not published")
        parts.append(f"merger_{next(iter(modalities))}")
    parts += ["pair"] * (TEMPERATURE in shapes) + ["mask"] * (MASK in shapes)
    # Weights of a paired model, and those without their description, are of either generation;
    # the released ones are of 2023.
    return {"parts": parts, "modalities": modalities, "generation": "2023"}


def _has(shapes: Shapes, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in shapes)


def _sizes(shapes: Shapes, tensor_map: str) -> dict[str, Any]:
    """Return the options of `Architecture` that the shapes of one modality tell."""
    encoder, decoder = f"encoder.{tensor_map}", f"decoder.{tensor_map}"
    side = encoder if f"{encoder}.residual.conv0.kernel" in shapes else decoder

    def kernels(prefix: str) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        while f"{prefix}{len(found)}.kernel" in shapes:
            found.append(tuple(shapes[f"{prefix}{len(found)}.kernel"]))
        return found

    blocks: list[list[tuple[int, ...]]] = []
    while block := kernels(f"{side}.block{len(blocks)}.conv"):
        blocks.append(block)
    if not blocks:
        raise UserError(f"{side} has no convolutions in blocks")
    stack, dense = kernels(f"{encoder}.residual.conv"), kernels(f"{encoder}.dense")
    start = shapes.get(f"{decoder}.restructure.kernel")
    channels = stack[0][-2] if stack else shapes[f"{decoder}.label.kernel"][-1]
    flat = dense[0][0] if dense else (start or (0, 0))[1]
    axes = len(blocks[0][0]) - 2
    spatial = flat // blocks[-1][0][-1]
    size = round(spatial ** (1 / axes)) * POOL ** len(blocks)
    widths = [kernel[:axes] for kernel in (*stack, *(block[0] for block in blocks))]
    names = ("conv_width",) if axes == 1 else ("conv_x", "conv_y", "conv_z")[:axes]
    return {
        "shape": [*[size] * axes, channels],
        "conv_layers": [kernel[-1] for kernel in stack],
        "dense_blocks": [block[0][-1] for block in blocks],
        "block_size": len(blocks[0]),
        "dense_layers": [k[-1] for k in dense] or [(start or (1, 1))[0]],
        **{name: [width[i] for width in widths] for i, name in enumerate(names)},
        "conv_normalize": _norm(shapes, f"{side}.block0.norm0"),
        "dense_normalize": _norm(shapes, f"{encoder}.norm0"),
    }


def _norm(shapes: Shapes, name: str) -> str:
    if f"{name}.moving_mean" in shapes:
        return "batch_norm"
    return "layer_norm" if f"{name}.gamma" in shapes else "none"


def layers(model: Model) -> list[Layer]:
    """The table, in the order in which Keras makes the layers of a network."""
    table = []
    for modality, sizes in model["modalities"].items():
        tensor_map = TENSOR_MAPS[modality]
        for published, ours, name in _layers(sizes, tensor_map):
            path = (f"{ours}_{modality}", *name.split("."))
            norm = "keras_norm" if "norm" in path[-1] else "keras_layer"
            table.append(Layer(f"{published}.{name}", path, norm))
    table.append(Layer(TEMPERATURE, ("pair", "log_scale"), "parameter"))
    return [*table, Layer(MASK.rpartition(".")[0], ("mask",), "fixed")]


def _layers(sizes: Mapping[str, Any], tensor_map: str) -> Iterator[tuple[str, str, str]]:
    """Yield (published part, our part, layer)."""
    stack, dense = len(sizes["conv_layers"]), len(sizes["dense_layers"])
    blocks = [
        f"block{b}.{kind}{j}"
        for kind in ("conv", "norm")
        for b in range(len(sizes["dense_blocks"]))
        for j in range(sizes["block_size"])
    ]
    encoder = [f"residual.conv{i}" for i in range(stack)]
    encoder += [f"residual.skip{i}" for i in range(1, stack)]
    encoder += [f"residual.norm{i}" for i in range(stack)]
    last = [f"{kind}{i}" for kind in ("dense", "norm") for i in range(dense)]
    for name in (*encoder, *blocks, *last):
        yield f"encoder.{tensor_map}", "encoder", name
    for name in last:
        yield "merge", "merger", name
    for name in (*blocks, "restructure", "restructure_norm", "label"):
        yield f"decoder.{tensor_map}", "decoder", name


def network(model: Model) -> CrossModal:
    """The network of the sizes."""
    modalities = tuple(
        (name, make_architecture(_tuples(sizes), tuple(sizes["shape"])))
        for name, sizes in model["modalities"].items()
    )
    mergers = tuple(name for name, _ in modalities if f"merger_{name}" in model["parts"])
    return CrossModal(
        modalities,
        "coordinate_fixed" if "mask" in model["parts"] else "",
        mergers,
        0.0 if "pair" in model["parts"] else None,
    )


def _tuples(sizes: Mapping[str, Any]) -> dict[str, Any]:
    return {n: tuple(v) if isinstance(v, list) else v for n, v in sizes.items()}


def shapes(model: Model) -> Shapes:
    """Return every name of the published file with its shape."""
    made = jax.eval_shape(make_init(network(model)), jax.random.key(0))
    kept = {
        collection: {part: tree for part, tree in parts.items() if part in model["parts"]}
        for collection, parts in made.items()
    }
    return shapes_of(layers(model), kept)


def settings(model: Model) -> dict[str, Any]:
    """Return the fields of a stage that make its network the size of the weights."""
    return {
        f"model.{modality}.{name}": value
        for modality, sizes in model["modalities"].items()
        for name, value in _tuples(sizes).items()
        if name != "shape" and not (name == "conv_layers" and not value)
    }


def fields(model: Model) -> Fields:
    """Return what the weights need of the network and of their data: the generation's column."""
    generation = model["generation"]
    column = dict(MODEL_FIELDS[generation])
    gelu = column.pop("gelu_approximate")
    of_parts = {f"model.{name}.gelu_approximate": gelu for name in model["modalities"]}
    merger = any(part.startswith("merger_") for part in model["parts"])
    of_merge = {f"model.{name}": value for name, value in column.items()}
    if "mask" not in model["parts"]:
        of_merge = {}
    data = {**DATA_FIELDS, "ecg_missing_lead": MISSING_LEAD[generation]}
    return Fields({**of_parts, **of_merge, "model.unimodal_merger": merger}, data)


def of_stage(stage: Mapping[str, Any]) -> Model:
    """Return what the tables of names need, from the config of a stage."""
    names = ("conv_layers", "dense_blocks", "block_size", "dense_layers")
    modalities = {m: stage["model"][m] for m in TENSOR_MAPS if m in stage["model"]}
    return {
        "parts": [],
        "modalities": {m: {n: options[n] for n in names} for m, options in modalities.items()},
        "generation": "current",
    }


def bearing(model: Model) -> dict[str, tuple[str, ...]]:
    """Return the fields that an encoder or a decoder needs: those of its modality's network."""
    return {part: (f"model.{part.partition('_')[2]}.",) for part in model["parts"] if "_" in part}


CONVERTER = Converter(
    describe=describe,
    shapes=shapes,
    layers=layers,
    settings=settings,
    fields=fields,
    of_stage=of_stage,
    bearing=bearing,
    inward=named,
    outward=layer_names,
)
