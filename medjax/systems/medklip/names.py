"""Published names of MedKLIP's networks and of the replication's, and ours."""

import re

from medjax.nn.torch_names import Layer, attention_layers, resnet_layers, under, vit_layers
from medjax.nn.vit import VITS
from medjax.systems.medklip.backbones import SMALL_VITS, resnet_size

CHILDREN = {"conv1": "0", "bn1": "1"} | {f"layer{i}": str(i + 3) for i in range(1, 5)}
_CHILD = re.compile(rf"^({'|'.join(CHILDREN)})(?=\.|$)")


def decoder_layers(layers: int) -> list[Layer]:
    """The table of `Decoder` in the names of PyTorch's `TransformerDecoder`."""
    table = []
    for index in range(layers):
        name, path = f"layers.{index}", (f"blocks_{index}",)
        table += attention_layers(f"{name}.self_attn", (*path, "self_attend"))
        table += attention_layers(f"{name}.multihead_attn", (*path, "cross_attend"))
        table += [
            Layer(f"{name}.linear1", (*path, "hidden"), "linear"),
            Layer(f"{name}.linear2", (*path, "output"), "linear"),
        ]
        table += [
            Layer(f"{name}.norm{i + 1}", (*path, f"norms_{i}"), "layer_norm") for i in range(3)
        ]
    return [*table, Layer("norm", ("last_norm",), "layer_norm")]


def network_layers(backbone: str, stages: int) -> list[Layer]:
    """The table of an encoder's network in torchvision's or timm's names."""
    vits = VITS | SMALL_VITS
    if backbone in vits:
        return vit_layers(vits[backbone].layers)
    sizes, bottleneck = resnet_size(backbone)
    return resnet_layers(sizes[:stages], bottleneck)


def numbered(name: str) -> str:
    """Return a name of a ResNet by the numbers of its children: conv1 is 0, layer1 is 4."""
    return _CHILD.sub(lambda child: CHILDREN[child[1]], name)


def features_layers(backbone: str, stages: int, path: tuple[str, ...]) -> list[Layer]:
    """The table of `res_features`; a transformer keeps timm's names, which nobody published."""
    network = network_layers(backbone, stages)
    if backbone not in VITS | SMALL_VITS:
        network = [layer._replace(published=numbered(layer.published)) for layer in network]
    return under(network, "res_features", path)


def medklip_layers(backbone: str = "resnet50", stages: int = 3, layers: int = 4) -> list[Layer]:
    """The table of `MedKLIP`."""
    return [
        Layer("disease_embedding_layer", ("query",), "linear"),
        Layer("cl_fc", ("position",), "linear"),
        *features_layers(backbone, stages, ("encoder", "network")),
        Layer("res_l1", ("encoder", "hidden"), "linear"),
        Layer("res_l2", ("encoder", "output"), "linear"),
        *under(decoder_layers(layers), "decoder", ("decoder",)),
        Layer("classifier", ("classifier",), "linear"),
    ]


def classifier_layers(backbone: str = "resnet50", stages: int = 3) -> list[Layer]:
    """The table of `Classifier`."""
    last = f"stages_{stages}"
    table = []
    for layer in features_layers(backbone, stages + 1, ()):
        first, *rest = layer.path
        path = ("last_stage", *rest) if first == last else ("network", first, *rest)
        table.append(layer._replace(path=path))
    return [*table, Layer("res_out", ("head",), "linear")]


def _conv_block(published: str, path: tuple[str, ...]) -> list[Layer]:
    return [
        Layer(f"{published}.conv", (*path, "conv"), "conv"),
        Layer(f"{published}.bn", (*path, "norm"), "batch_norm"),
    ]


def segmentation_layers(backbone: str = "resnet50") -> list[Layer]:
    """The table of `ResUNet`."""
    table = features_layers(backbone, 3, ("network",))
    for index in range(2):
        table += _conv_block(f"bridge.bridge.{index}", (f"bridge_{index}",))
    for index in range(4):
        name, path = f"up_blocks.{index}", (f"ups_{index}",)
        table.append(Layer(f"{name}.upsample", (*path, "up"), "conv_transpose"))
        for half in range(2):
            block = f"{name}.conv_block_{half + 1}"
            table += _conv_block(block, (*path, f"convs_{half}"))
    return [*table, Layer("seg_classifier", ("head",), "pointwise")]


def fusion_layers(layers: int = 2, backbone: str = "resnet50", stages: int = 4) -> list[Layer]:
    """The table of the replication's `Fusion`; the image network is in timm's names.

    The heads of the README's losses, which no published file has, keep our names.
    """
    return [
        *under(decoder_layers(layers), "fusion.decoder", ("decoder",)),
        Layer("fusion.exist_head", ("existence",), "linear"),
        Layer("img_proj", ("encoder", "output"), "linear"),
        Layer("proj_text", ("query",), "linear"),
        Layer("pos_head", ("position",), "linear"),
        Layer("sem_head", ("semantic",), "linear"),
        *under(network_layers(backbone, stages), "backbone", ("encoder", "network")),
    ]


def clip_layers() -> list[Layer]:
    """The table of the older notebook's `ClipHead`."""
    return [
        Layer("img_proj", ("image",), "linear"),
        Layer("txt_proj", ("text",), "linear"),
        Layer("logit_scale", ("log_scale",), "parameter"),
    ]
