"""Published names of this system's networks: tables of `medjax.nn.torch_names`."""

from medjax.nn.torch_names import Layer, under
from medjax.systems.ecg_attention.decoders import MULTI_SCALE_WIDTHS
from medjax.systems.ecg_attention.xresnet import STAGES, STEM


def _convolutions(path: tuple[str, ...]) -> list[Layer]:
    return [
        layer
        for index in (1, 2)
        for layer in (
            Layer(f"conv{index}", (*path, f"conv{index}"), "conv"),
            Layer(f"bn{index}", (*path, f"norm{index}"), "batch_norm"),
        )
    ]


def _attention(published: str, norms: tuple[str, str], path: str, stack: int = 0) -> list[Layer]:
    """Return the names of one attention block, `published` its beginning: "time" or "lead"."""
    index = ".*" if stack else ""
    names = {
        f"{published}_mha{index}": (("attention", "input"), "attention_input"),
        f"{published}_mha{index}.out_proj": (("attention", "output"), "linear"),
        f"{norms[0]}{index}": (("norm1",), "layer_norm"),
        f"{published}_mlp{index}.fc1": (("mlp", "fc1"), "linear"),
        f"{published}_mlp{index}.fc2": (("mlp", "fc2"), "linear"),
        f"{norms[1]}{index}": (("norm2",), "layer_norm"),
    }
    return [Layer(name, (path, *place), kind, stack) for name, (place, kind) in names.items()]


def encoder_layers(leads: int, down_blocks: int) -> list[Layer]:
    """The table of `dual_attention.Encoder`."""
    stem = {"0": ("conv1", "conv"), "1": ("norm1", "layer_norm"), "3": ("conv2", "conv")}
    stem["4"] = ("norm2", "layer_norm")
    layers = [Layer(f"input_conv.{n}", ("stem", name), kind) for n, (name, kind) in stem.items()]
    for index in range(down_blocks):
        block = [*_convolutions(("main",)), Layer("idfunc_1", ("shortcut",), "conv")]
        layers += under(block, f"encoder.{index}", (f"blocks_{index}",))
    attention = [
        *_attention("time", ("time_norm_1", "mlp_norm_1"), "time", leads),
        *_attention("lead", ("norm2", "lead_norm_1"), "lead"),
        Layer("attention_pool_1.1", ("pool_mean",), "pointwise"),
        Layer("attention_pool_2.1", ("pool_max",), "pointwise"),
    ]
    return [
        *layers,
        *under(attention, "attention", ("attention",)),
        Layer("linear", ("linear",), "linear"),
        Layer("dense_mean", ("mean",), "linear"),
        Layer("dense_std", ("log_variance",), "linear"),
    ]


def attention_decoder_layers(up_blocks: int) -> list[Layer]:
    """The table of `dual_attention.AttentionDecoder`."""
    layers = [Layer(f"linear.{index}", (f"linear_{index}",), "linear") for index in range(2)]
    for index in range(up_blocks):
        block = [
            Layer("idfunc_0", ("up",), "conv_transpose"),
            Layer("idfunc_1", ("mix",), "conv"),
            *_convolutions(("main",)),
        ]
        layers += under(block, f"decoder.{index}", (f"blocks_{index}",))
    last = [*_convolutions(("main",)), Layer("idfunc_1", ("shortcut",), "conv")]
    return [
        *layers,
        *under(last, f"decoder.{up_blocks}", ("last",)),
        Layer("final_conv.0", ("output",), "channel_scale"),
    ]


def autoencoder_layers(leads: int, down_blocks: int, up_blocks: int) -> list[Layer]:
    """The table of the dual-attention network."""
    return [
        *under(encoder_layers(leads, down_blocks), "encoder", ("encoder",)),
        *under(attention_decoder_layers(up_blocks), "decoder", ("decoder",)),
    ]


def head_layers() -> list[Layer]:
    """The table of `heads.Head`."""
    return [
        Layer("model.0", ("norm1",), "batch_norm"),
        Layer("model.2", ("linear1",), "linear"),
        Layer("model.4", ("norm2",), "batch_norm"),
        Layer("model.6", ("linear2",), "linear"),
    ]


def projector_layers() -> list[Layer]:
    """The table of `heads.Projector`."""
    return [Layer("0", ("linear1",), "linear"), Layer("2", ("linear2",), "linear")]


def marcel_layers() -> list[Layer]:
    """The table of the network of `marcel_vae`."""
    encoder = [
        Layer("conv1.0", ("conv1",), "conv"),
        Layer("conv1.1", ("norm1",), "batch_norm"),
        Layer("conv2.0", ("conv2",), "conv"),
        Layer("conv2.1", ("norm2",), "batch_norm"),
        Layer("dense_mean", ("mean",), "linear"),
        Layer("dense_std", ("log_variance",), "linear"),
    ]
    decoder = [
        Layer("dense1", ("dense1",), "linear"),
        Layer("dense2", ("dense2",), "linear"),
        Layer("conv_transpose1.0", ("conv1",), "conv_transpose"),
        Layer("conv_transpose1.1", ("norm1",), "batch_norm"),
        Layer("conv_transpose2.0", ("conv2",), "conv_transpose"),
        Layer("conv_transpose2.1", ("norm2",), "batch_norm"),
    ]
    return [*under(encoder, "encoder", ("encoder",)), *under(decoder, "decoder", ("decoder",))]


def _conv_norm(published: str, path: tuple[str, ...]) -> list[Layer]:
    return [
        Layer(f"{published}.0", (*path, "conv"), "conv"),
        Layer(f"{published}.1", (*path, "norm"), "batch_norm"),
    ]


def xresnet_layers() -> list[Layer]:
    """The table of `xresnet.XResNet1d101`; a block's convolutions have two names each."""
    layers = []
    for index in range(len(STEM)):
        layers += _conv_norm(f"{index}", (f"stem_{index}",))
    block = 0
    for stage, depth in enumerate(STAGES):
        for index in range(depth):
            name, path = f"{len(STEM) + 1 + stage}.{index}", f"blocks_{block}"
            for published in ("convs", "convpath.0"):
                for conv in range(3):
                    layers += _conv_norm(f"{name}.{published}.{conv}", (path, f"convs_{conv}"))
            if block == 0:
                layers += _conv_norm(f"{name}.idpath.0", (path, "shortcut"))
            block += 1
    return under(layers, "encoder.encoder.0", ("encoder",))


def multi_scale_decoder_layers() -> list[Layer]:
    """The table of `decoders.MultiScaleDecoder`."""
    layers = [Layer("linear.0", ("linear",), "linear")]
    block = [
        Layer("idfunc_0", ("up",), "conv_transpose"),
        Layer("idfunc_1", ("mix",), "conv"),
        Layer("conv1", ("convs_0",), "conv"),
        Layer("conv2", ("convs_1",), "conv"),
    ]
    for index in range(len(MULTI_SCALE_WIDTHS)):
        layers += under(block, f"decoder.{index}", (f"blocks_{index}",))
    layers += [
        Layer("final_conv.0", ("output1",), "conv"),
        Layer("final_conv.3", ("output2",), "conv"),
    ]
    return under(layers, "decoder", ("decoder",))
