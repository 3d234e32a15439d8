"""The cross-modal autoencoder in PyTorch, for the bench alone: channels first, published blocks."""

import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from medjax.systems.crossmodal.architecture import Architecture

CONV = {1: nn.Conv1d, 2: nn.Conv2d}
POOL: Mapping[tuple[str, int], Callable] = {
    ("max", 1): functional.max_pool1d,
    ("max", 2): functional.max_pool2d,
    ("average", 1): functional.avg_pool1d,
    ("average", 2): functional.avg_pool2d,
}
ACTIVATION = {"mish": functional.mish, "gelu": functional.gelu}


def convolution(inputs: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """A convolution of the same size; PyTorch pads sides by itself where the kernel is odd."""
    return CONV[len(size)](inputs, outputs, size, padding="same")


class DenseBlock(nn.Module):
    """Each convolution reads all before it; the last alone is given."""

    def __init__(self, options: Architecture, inputs: int, features: int, size: tuple[int, ...]):
        super().__init__()
        self.act = ACTIVATION[options.activation]
        for i in range(options.block_size):
            self.add_module(f"conv{i}", convolution(inputs + i * features, features, size))
        self.count = options.block_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        for i in range(self.count):
            x = self.act(getattr(self, f"conv{i}")(torch.cat(seen, 1) if i else x))
            seen.append(x)
        return x


class Residual(nn.Module):
    """The residual stack."""

    def __init__(self, options: Architecture):
        super().__init__()
        self.act, inputs = ACTIVATION[options.activation], options.shape[-1]
        first = options.conv_layers[0]
        sizes = options.kernels(len(options.conv_layers))
        for i, (features, size) in enumerate(zip(options.conv_layers, sizes)):
            self.add_module(f"conv{i}", convolution(inputs, features, size))
            if i:
                self.add_module(f"skip{i}", convolution(features, first, (1,) * len(size)))
            inputs = first
        self.count = len(sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(self.count):
            y = self.act(getattr(self, f"conv{i}")(x))
            x = getattr(self, f"skip{i}")(y) + x if i else y
        return x


class Encoder(nn.Module):
    """[batch, channels, *space] -> [batch, latent]"""

    def __init__(self, options: Architecture):
        super().__init__()
        stack = len(options.conv_layers)
        sizes = options.kernels(stack + len(options.dense_blocks))[stack:]
        self.residual, self.act = Residual(options), ACTIVATION[options.activation]
        self.pool = partial(POOL[options.pool_type, options.axes], kernel_size=options.factors)
        widths = (options.conv_layers[0], *options.dense_blocks)
        for i, (pair, size) in enumerate(zip(itertools.pairwise(widths), sizes)):
            self.add_module(f"block{i}", DenseBlock(options, *pair, size))
        self.count = len(sizes)
        (width,) = options.dense_layers
        self.dense0 = nn.Linear(math.prod(options.start), width)
        self.norm0 = nn.LayerNorm(width, 1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.residual(x)
        for i in range(self.count):
            x = getattr(self, f"block{i}")(self.pool(x))
        return self.norm0(self.act(self.dense0(x.flatten(1))))


class Decoder(nn.Module):
    """[batch, latent] -> [batch, channels, *space]"""

    def __init__(self, options: Architecture):
        super().__init__()
        *self.space, channels = options.start
        self.act = ACTIVATION[options.activation]
        self.restructure = nn.Linear(options.latent, math.prod(options.start))
        sizes = options.kernels(len(options.dense_blocks))
        widths = (channels, *options.dense_blocks)
        for i, (pair, size) in enumerate(zip(itertools.pairwise(widths), sizes)):
            self.add_module(f"block{i}", DenseBlock(options, *pair, size))
        self.count, self.factors = len(sizes), options.factors
        one = (1,) * options.axes
        self.label = convolution(options.dense_blocks[-1], options.shape[-1], one)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.act(self.restructure(z)).reshape(len(z), -1, *self.space)
        for i in range(self.count):
            x = functional.interpolate(x, scale_factor=list(map(float, self.factors)))
            x = getattr(self, f"block{i}")(x)
        return self.label(x)


class CrossModal(nn.Module):
    """Encoders and decoders by modality, and the temperature of the contrastive loss."""

    def __init__(self, modalities: Mapping[str, Architecture]):
        super().__init__()
        for name, options in modalities.items():
            self.add_module(f"encoder_{name}", Encoder(options))
            self.add_module(f"decoder_{name}", Decoder(options))
        self.log_scale = nn.Parameter(torch.tensor(2.6593)) if len(modalities) > 1 else None

    def encode(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, f"encoder_{name}")(x)

    def decode(self, name: str, z: torch.Tensor) -> torch.Tensor:
        return getattr(self, f"decoder_{name}")(z)


def load(network: CrossModal, params: Mapping, modalities: Mapping[str, Architecture]) -> None:
    """Give the network our parameters: kernels channels first, flat vectors channels first."""
    with torch.no_grad():
        for name, target in network.named_parameters():
            if name == "log_scale":
                continue
            part, *path, leaf = name.split(".")
            own = params[part]
            for step in path:
                own = own[step]
            start = modalities[part.partition("_")[2]].start
            array = np.asarray(own[_leaf(path[-1], leaf)])
            if path == ["dense0"] and leaf == "weight":
                array = np.moveaxis(array.reshape(*start, -1), -2, 0).reshape(array.shape)
            if path == ["restructure"]:
                array = np.moveaxis(array.reshape(-1, *start), -1, 1).reshape(array.shape)
            if leaf == "weight" and array.ndim > 1:
                array = np.moveaxis(array, (-1, -2), (0, 1))
            target.copy_(torch.tensor(np.ascontiguousarray(array)))


def _leaf(layer: str, leaf: str) -> str:
    if leaf == "weight":
        return "scale" if layer.startswith("norm") else "kernel"
    return "bias"


def log_cosh(error: torch.Tensor) -> torch.Tensor:
    """Mean of log cosh."""
    return (error + functional.softplus(-2 * error) - math.log(2)).mean()


def info_nce(left: torch.Tensor, right: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Symmetric cross entropy of matching pairs."""
    left, right = functional.normalize(left), functional.normalize(right)
    logits, truth = log_scale.exp() * left @ right.T, torch.arange(len(left))
    cross = functional.cross_entropy
    return (cross(logits, truth) + cross(logits.T, truth)) / 2
