"""What an encoder and its decoder are made of: the options of one modality."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from medjax.errors import UsageError, nearest
from medjax.nn.known import KERAS_ACTIVATIONS
from medjax.systems.crossmodal.choices import NORMS, POOLS, REGULARIZERS

LISTS = ("conv_layers", "dense_blocks", "conv_width", "conv_x", "conv_y", "conv_z", "dense_layers")
NUMBERS = ("block_size", "pool_x", "pool_y", "pool_z")


@dataclass(frozen=True)
class Architecture:
    """An encoder and a decoder of signals [batch, *shape], the last axis the channels.

    The names are those of the published command line. Axes before the channels: one (time), two
    or three (space).
    """

    shape: tuple[int, ...]
    conv_layers: tuple[int, ...] = (32,)
    """Channels of the residual stack's convolutions."""
    dense_blocks: tuple[int, ...] = (32, 32, 32)
    """Channels of the densely connected blocks; each follows a pooling (or an upsampling)."""
    block_size: int = 3
    """Convolutions in a densely connected block."""
    conv_width: tuple[int, ...] = (71,)
    """Kernel widths of one-axis signals: one for each convolution of the residual stack, then one
    for each block; a shorter list is repeated."""
    conv_x: tuple[int, ...] = (3,)
    conv_y: tuple[int, ...] = (3,)
    conv_z: tuple[int, ...] = (2,)
    """Likewise, of signals with two axes (x, y) or three."""
    conv_dilate: bool = False
    """Dilate the i-th convolution of the residual stack by 2^i."""
    conv_normalize: str = "none"
    conv_regularize: str = "none"
    conv_regularize_rate: float = 0.0
    pool_type: str = "max"
    pool_x: int = 2
    pool_y: int = 2
    pool_z: int = 1
    dense_layers: tuple[int, ...] = (256,)
    """Widths of the dense layers that end in the latent vector."""
    dense_normalize: str = "none"
    dense_regularize: str = "none"
    dense_regularize_rate: float = 0.0
    activation: str = "swish"
    """By its name in Keras."""
    gelu_approximate: bool = False
    """Whether "gelu" is the approximation by tanh."""

    def __post_init__(self) -> None:
        """Refuse what no network can be made of (UsageError)."""
        _one_of("activation", self.activation, KERAS_ACTIVATIONS)
        for name, known in (("normalize", NORMS), ("regularize", REGULARIZERS)):
            _one_of(f"conv_{name}", getattr(self, f"conv_{name}"), known)
            _one_of(f"dense_{name}", getattr(self, f"dense_{name}"), known)
        _one_of("pool_type", self.pool_type, POOLS)
        if len(self.shape) not in (2, 3, 4):
            raise UsageError(f"a signal of shape {self.shape} has no one, two or three axes")
        for name in ("dense_blocks", "dense_layers", "conv_width", "conv_x", "conv_y", "conv_z"):
            if not getattr(self, name):
                raise UsageError(f"{name} needs one entry at least")
        for name in (*LISTS, *NUMBERS):
            value = getattr(self, name)
            if min(value if name in LISTS else (value,), default=1) < 1:
                raise UsageError(f"{name} is {value}: it must be 1 or more")
        for size, factor in zip(self.shape, self.factors):
            unit = factor ** len(self.dense_blocks)
            if size % unit:
                raise UsageError(
                    f"an axis of {size} is no multiple of {unit}: {len(self.dense_blocks)} "
                    f"dense_blocks pool it by {factor} each, and the decoder could not give it back"
                )

    @property
    def axes(self) -> int:
        """Axes of a signal beside its channels."""
        return len(self.shape) - 1

    @property
    def factors(self) -> tuple[int, ...]:
        """Of pooling, one for each axis."""
        return (self.pool_x, self.pool_y, self.pool_z)[: self.axes]

    @property
    def latent(self) -> int:
        """Width of the latent vector."""
        return self.dense_layers[-1]

    @property
    def start(self) -> tuple[int, ...]:
        """Shape of what the decoder begins with, channels last."""
        blocks = len(self.dense_blocks)
        spatial = (size // factor**blocks for size, factor in zip(self.shape, self.factors))
        return (*spatial, self.dense_blocks[-1])

    def kernels(self, count: int) -> list[tuple[int, ...]]:
        """Return the kernel sizes of `count` convolutions or blocks, in order."""
        lists = (self.conv_width,) if self.axes == 1 else (self.conv_x, self.conv_y, self.conv_z)
        return [tuple(sizes[i % len(sizes)] for sizes in lists[: self.axes]) for i in range(count)]


def check_architecture(options: Mapping[str, Any], axes: int) -> None:
    """Refuse options that no signal with so many axes beside its channels could have.

    Raises:
        UsageError: an option is unknown or below 1.
    """
    pools = [max(options[name], 1) for name in NUMBERS[1:]]
    shape = [pool ** len(options["dense_blocks"]) for pool in pools[:axes]]
    make_architecture(options, (*shape, 1))


def _one_of(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise UsageError(
            f"{name} {value!r} is none of {', '.join(known)}{nearest(value, list(known))}"
        )


def make_architecture(options: Mapping[str, Any], shape: tuple[int, ...]) -> Architecture:
    """Return the architecture that the section of a modality in a config describes.

    Args:
        options: fields of `Architecture` by name; others are left alone.
        shape: of one signal, [*spatial, channels].

    Raises:
        UsageError: an option is unknown or does not fit the shape.
    """
    known = [field.name for field in fields(Architecture) if field.name in options]
    return Architecture(**{**{name: options[name] for name in known}, "shape": tuple(shape)})
