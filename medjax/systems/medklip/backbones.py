"""Image networks by name."""

from medjax.nn.known import RESNETS, SMALL_RESNETS, VITS, ResNetSize, ViTConfig

SMALL_VITS = {"vit_nano_patch16": ViTConfig(width=64, layers=2, heads=4)}
"""Smaller than any published one, for demos and tests."""
BACKBONES = (*SMALL_RESNETS, *RESNETS, *SMALL_VITS, *VITS)


def resnet_size(backbone: str) -> ResNetSize:
    """Return the stages of a ResNet by name."""
    return RESNETS.get(backbone) or ResNetSize(SMALL_RESNETS[backbone])
