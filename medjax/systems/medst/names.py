"""Published names of the networks of MedST and MGCA, and ours."""

from medjax.nn.resnet import RESNETS, SMALL_RESNETS, ResNetSize
from medjax.nn.torch_names import (
    Layer,
    attention_layers,
    bert_layers,
    resnet_layers,
    under,
    vit_layers,
)
from medjax.nn.vit import VITS, ViTConfig


def view_vit_layers(layers: int) -> list[Layer]:
    """The table of `ViewViT`: timm's names, and those of the lateral films' expert."""
    table = vit_layers(layers)
    for index in range(layers):
        name, path = f"blocks.{index}", (f"blocks_{index}",)
        table += [
            Layer(f"{name}.norm2_l", (*path, "lateral_norm"), "layer_norm"),
            Layer(f"{name}.mlp_l.fc1", (*path, "lateral_mlp", "hidden"), "linear"),
            Layer(f"{name}.mlp_l.fc2", (*path, "lateral_mlp", "output"), "linear"),
        ]
    return table


def head_layers(published: str, path: tuple[str, ...], kind: str) -> list[Layer]:
    """The table of a `ProjectionHead`; kind: "linear", or "pointwise" where it reads tokens."""
    name = f"{published}.head"
    return [
        Layer(f"{name}.0", (*path, "hidden"), kind),
        Layer(f"{name}.1", (*path, "hidden_norm"), "batch_norm"),
        Layer(f"{name}.3", (*path, "output"), kind),
        Layer(f"{name}.4", (*path, "output_norm"), "batch_norm"),
    ]


def heads_layers() -> list[Layer]:
    """The table of an encoder's two heads."""
    return [
        *head_layers("global_embed", ("global_head",), "linear"),
        *head_layers("local_embed", ("local_head",), "pointwise"),
    ]


def image_encoder_layers(backbone: str | ViTConfig) -> list[Layer]:
    """The table of `ImageEncoder`."""
    if isinstance(backbone, ViTConfig) or backbone in VITS:
        config = backbone if isinstance(backbone, ViTConfig) else VITS[backbone]
        network = view_vit_layers(config.layers)
    else:
        small = SMALL_RESNETS.get(backbone)
        size = RESNETS[backbone] if small is None else ResNetSize(small)
        network = resnet_layers(size.stage_sizes, size.bottleneck)
    return [*under(network, "model", ("network",)), *heads_layers()]


def text_encoder_layers(layers: int) -> list[Layer]:
    """The table of `TextEncoder`."""
    return [*under(bert_layers(layers), "model", ("bert",)), *heads_layers()]


IDLE = ("embed_la.", ".crossattention.", ".pooler.", "_local_atten_layer.", "position_ids")
"""Parts of the names of published arrays that never have an effect: we hold none of them, but for
the layers of attention where a network has these."""
ATTENTION = {
    "word_local_atten_layer": "word_attention",
    "patch_local_atten_layer": "patch_attention",
    "word_element_wise_multi_head": "word_weights",
    "patch_element_wise_multi_head": "patch_weights",
}


def network_layers(backbone: str | ViTConfig, text_layers: int) -> list[Layer]:
    """The table of `MedST` and `MGCA`."""
    table = [
        *under(image_encoder_layers(backbone), "img_encoder_q", ("image_encoder",)),
        *under(text_encoder_layers(text_layers), "text_encoder_q", ("text_encoder",)),
    ]
    for published, ours in ATTENTION.items():
        table += attention_layers(published, ("local_alignment", ours))
    return [*table, Layer("prototype_layer", ("prototype_layer",), "linear")]


def probe_layers(hidden: bool) -> list[Layer]:
    """The table of `Probe`, with a layer between or without."""
    name = "linear_layer.block_forward"
    if not hidden:
        return [Layer(f"{name}.2", ("output",), "linear")]
    return [
        Layer(f"{name}.2", ("hidden",), "linear"),
        Layer(f"{name}.3", ("hidden_norm",), "batch_norm"),
        Layer(f"{name}.6", ("output",), "linear"),
    ]


def setr_decoder_layers(stages: int = 4) -> list[Layer]:
    """The table of the `Decoder` of segmentation."""
    table = []
    for index in range(stages):
        name, path = f"decoder_{index + 1}", (f"ups_{index}",)
        table += [
            Layer(f"{name}.0", (*path, "conv"), "conv"),
            Layer(f"{name}.1", (*path, "norm"), "batch_norm"),
        ]
    return [*table, Layer("final_out", ("head",), "conv")]


def neck_layers(scales: int = 3, blocks: int = 6) -> list[Layer]:
    """The table of the detector's `Neck`."""

    def block(published: str, path: tuple[str, ...]) -> list[Layer]:
        return [
            Layer(f"{published}.conv", (*path, "conv"), "conv"),
            Layer(f"{published}.bn", (*path, "norm"), "batch_norm"),
        ]

    table = []
    for scale in range(scales):
        if scale:
            table += block(f"embedding{scale}_cbl", (f"links_{scale - 1}",))
        name, path = f"embedding{scale}", (f"scales_{scale}",)
        for index in range(blocks):
            table += block(f"{name}.{index}", (*path, f"blocks_{index}"))
        table.append(Layer(f"{name}.conv_out", (*path, "head"), "conv"))
    return table
