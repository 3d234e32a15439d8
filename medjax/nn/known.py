"""Networks and functions by name, as a config may ask for them: plain values, without JAX."""

from typing import NamedTuple


class ResNetSize(NamedTuple):
    """What tells the published sizes apart."""

    stage_sizes: tuple[int, ...]
    bottleneck: bool = False


RESNETS = {
    "resnet18": ResNetSize((2, 2, 2, 2)),
    "resnet34": ResNetSize((3, 4, 6, 3)),
    "resnet50": ResNetSize((3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetSize((3, 4, 23, 3), bottleneck=True),
}

SMALL_RESNETS = {"resnet4": (1,), "resnet10": (1, 1, 1, 1)}
"""Stage sizes of networks smaller than any published one, of basic blocks, for demos and tests."""


class ViTConfig(NamedTuple):
    """Sizes of a vision transformer; the defaults are ViT-B/16."""

    image_size: int = 224
    """Height and width, a multiple of `patch_size`."""
    patch_size: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    class_token: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0
    drop_path: float = 0.0
    """Probability that the last block's branches are left out for an image (stochastic depth,
    Huang et al. 2016); it rises linearly from 0 at the first block."""

    @property
    def patches(self) -> int:
        """Number of patches of an image."""
        return (self.image_size // self.patch_size) ** 2


VITS = {
    "vit_tiny_patch16_224": ViTConfig(width=192, heads=3),
    "vit_small_patch16_224": ViTConfig(width=384, heads=6),
    "vit_base_patch16_224": ViTConfig(),
    "vit_large_patch16_224": ViTConfig(width=1024, layers=24, heads=16),
}
"""By timm's names."""

KERAS_ACTIVATIONS = (
    *("elu", "gelu", "leaky_relu", "linear", "mish", "relu", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "swish", "tanh"),
)
"""The names in `medjax.nn.activations.KERAS`."""
