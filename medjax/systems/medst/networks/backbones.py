"""Image networks by name, for films of any size."""

from medjax.nn.known import RESNETS, SMALL_RESNETS, VITS, ViTConfig

SMALL_VITS = {
    "vit_nano_patch16": ViTConfig(width=64, layers=3, heads=4),
    "vit_pico_patch8": ViTConfig(patch_size=8, width=16, layers=1, heads=2, mlp_ratio=2.0),
}
"""Smaller than any published one, for demos and tests."""
TRANSFORMERS = VITS | SMALL_VITS
RESIDUAL = (*SMALL_RESNETS, *RESNETS)
BACKBONES = (*SMALL_VITS, *VITS, *RESIDUAL)


def backbone_of(name: str, side: int) -> str | ViTConfig:
    """Return what `ImageEncoder` takes for films of `side` x `side` pixels."""
    sizes = TRANSFORMERS.get(name)
    return name if sizes is None else sizes._replace(image_size=side)


def is_transformer(name: str) -> bool:
    """Whether a backbone is a vision transformer."""
    return name in TRANSFORMERS


def stages_of(name: str) -> int:
    """Return the number of stages of a ResNet."""
    return len(SMALL_RESNETS.get(name) or RESNETS[name].stage_sizes)
