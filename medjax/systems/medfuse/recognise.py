"""Which of MedFuse's networks published weights are of, told by their names and shapes."""

from collections.abc import Iterable, Mapping

from medjax.errors import UserError
from medjax.weights.converter import Model, Shapes
from medjax.weights.image_networks import describe_network, make_network, network_shapes

NETWORK = "cxr_model.vision_backbone."
RECIPE = {
    "dim": 256,
    "layers": 2,
    "num_classes": 25,
    "vision_num_classes": 14,
    "channels": 76,
    "mmtm_ratio": 4,
}
"""Sizes where a partial file does not tell them."""
KINDS = {"mmtm": ("mmtm", "joint_cls."), "daft": ("daft_layer_",)}
TOKENS = ("missing_token", "sep_token", "cls_token")


def describe(shapes: Shapes) -> Model:
    """Return {"kind", "backbone", "dim", "layers", ...} of a file of MedFuse's weights.

    kind: "fusion" (each modality alone, early, joint and MedFuse itself have the same weights),
    "tokens", "mmtm" or "daft".

    Raises:
        UserError: the names are not MedFuse's.
    """
    if not any(name.startswith(("ehr_model.", "cxr_model.")) for name in shapes):
        raise UserError("it holds neither an ehr_model nor a cxr_model: it is no file of MedFuse")
    network = {n.removeprefix(NETWORK): s for n, s in shapes.items() if n.startswith(NETWORK)}
    image = describe_network(network) if network else {"backbone": "resnet34"}
    layers = 0
    while any(name.startswith(f"ehr_model.layer{layers}.") for name in shapes):
        layers += 1
    sizes = {
        "dim": _size(shapes, 1, (f"ehr_model.layer{i}.weight_hh_l0" for i in range(layers))),
        "layers": layers,
        "channels": _size(shapes, 1, ("ehr_model.layer0.weight_ih_l0",)),
    }
    model = {"stage_sizes": [], "width": 64, **image, **_known(sizes), "kind": _kind(shapes)}
    towards_image = _size(shapes, 0, _linear("projection")) == make_network(model).features
    plain = model["kind"] in ("fusion", "tokens")
    radiology = plain and towards_image and make_network(model).features != model["dim"]
    return {
        **model,
        **_known(_heads(shapes, radiology)),
        "labels": "radiology" if radiology else "task",
        "mmtm_ratio": _ratio(shapes, model),
    }


def _ratio(shapes: Shapes, model: Model) -> int:
    """Return MMTM's ratio, the smallest that gives the width of every block's squeeze."""
    squeezed = {
        2 * (channels + model["dim"]): width
        for index, channels in enumerate(_maps(model))
        if (width := _size(shapes, 0, _linear(f"mmtm{index}.fc_squeeze")))
    }
    for ratio in range(1, max(squeezed, default=0) + 1):
        if all(int(joined / ratio) == width for joined, width in squeezed.items()):
            return ratio
    return RECIPE["mmtm_ratio"]


def _heads(shapes: Shapes, radiology: bool) -> dict[str, int | None]:
    """Return the numbers of classes; the fusion LSTM's head has those of one or the other."""
    series = ["ehr_model.dense_layer", "fused_cls.0", "joint_cls.0"]
    image = ["cxr_model.classifier.0"]
    (image if radiology else series).append("lstm_fused_cls.0")
    return {
        "num_classes": _size(shapes, 0, _linear(*series)),
        "vision_num_classes": _size(shapes, 0, _linear(*image)),
    }


def _known(sizes: Mapping[str, int | None]) -> dict[str, int]:
    return {name: value or RECIPE[name] for name, value in sizes.items()}


def _kind(shapes: Shapes) -> str:
    for kind, beginnings in KINDS.items():
        if any(name.startswith(beginnings) for name in shapes):
            return kind
    return "tokens" if any(name in shapes for name in TOKENS) else "fusion"


def _linear(*names: str) -> list[str]:
    return [f"{name}.{suffix}" for name in names for suffix in ("bias", "weight")]


def _size(shapes: Shapes, axis: int, names: Iterable[str]) -> int | None:
    for name in names:
        if len(shapes.get(name, ())) > axis:
            return shapes[name][axis]
    return None


def published_shapes(model: Model) -> Shapes:
    """Return every name of the published network with its shape."""
    image = make_network(model).features
    dim, classes, channels = model["dim"], model["num_classes"], model["channels"]
    shapes: dict[str, tuple[int, ...]] = {}
    for index in range(model["layers"]):
        shapes |= _lstm(f"ehr_model.layer{index}", dim if index else channels, dim)
    shapes |= _dense("ehr_model.dense_layer", dim, classes)
    shapes |= {NETWORK + name: shape for name, shape in network_shapes(model).items()}
    shapes |= _dense("cxr_model.classifier.0", image, model["vision_num_classes"])
    if model["kind"] == "mmtm":
        return shapes | _mmtm(model, image)
    if model["kind"] == "daft":
        return shapes | _daft(model)
    tokens = dict.fromkeys(TOKENS, (dim,)) if model["kind"] == "tokens" else {}
    radiology = model["labels"] == "radiology"
    first, heads = (image, model["vision_num_classes"]) if radiology else (dim, classes)
    return {
        **tokens,
        **shapes,
        **(_dense("projection", dim, image) if radiology else _dense("projection", image, dim)),
        **_dense("fused_cls.0", 2 * dim, classes),
        **_dense("lstm_fused_cls.0", image, heads),
        **_lstm("lstm_fusion_layer", first, image),
    }


def _dense(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    weight: dict[str, tuple[int, ...]] = {f"{name}.weight": (outputs, inputs)}
    return weight | ({f"{name}.bias": (outputs,)} if bias else {})


def _lstm(name: str, inputs: int, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.weight_ih_l0": (4 * width, inputs),
        f"{name}.weight_hh_l0": (4 * width, width),
        f"{name}.bias_ih_l0": (4 * width,),
        f"{name}.bias_hh_l0": (4 * width,),
    }


def _maps(model: Model) -> list[int]:
    """Channels after the stem and after each stage of the image network."""
    network = make_network(model)
    stages = len(network.stage_sizes)
    return [model["width"], *(network.features // 2**i for i in range(stages - 1, -1, -1))]


def _mmtm(model: Model, image: int) -> dict[str, tuple[int, ...]]:
    dim, shapes = model["dim"], _dense("joint_cls.0", 2 * image, model["num_classes"])
    for index, channels in enumerate(_maps(model)):
        squeezed = int(2 * (channels + dim) / model["mmtm_ratio"])
        shapes |= _dense(f"mmtm{index}.fc_squeeze", channels + dim, squeezed)
        shapes |= _dense(f"mmtm{index}.fc_visual", squeezed, channels)
        shapes |= _dense(f"mmtm{index}.fc_skeleton", squeezed, dim)
    return shapes | _dense("projection", dim, image)


def _daft(model: Model) -> dict[str, tuple[int, ...]]:
    dim = model["dim"]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, channels in enumerate(_maps(model)):
        name, squeezed = f"daft_layer_{index}.aux", int((16 + channels) / 7)
        shapes |= _dense(f"{name}.aux_base", channels + dim, squeezed, bias=False)
        shapes |= _dense(f"{name}.aux_out", squeezed, 2 * dim, bias=False)
    return shapes
