"""MedFuse's two encoders: an LSTM over the ICU series, a convolutional network over the film."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.errors import UsageError, nearest
from medjax.nn.densenet import DenseNet
from medjax.nn.linear import Linear
from medjax.nn.lstm import LSTM
from medjax.nn.resnet import RESNETS, ResNet
from medjax.precision import at_least_float32

BACKBONES = (*RESNETS, "densenet121", "resnet")

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def standardise_film(film: jax.Array) -> jax.Array:
    """Turn grey films uint8 [batch, height, width] into float32 [batch, height, width, 3].

    Three equal channels in [0, 1], standardised by the ImageNet statistics.
    """
    grey = film.astype(jnp.float32)[..., None] / 255
    return (grey - jnp.array(_IMAGENET_MEAN)) / jnp.array(_IMAGENET_STD)


class SeriesEncoder(nn.Module):
    """Stacked LSTMs over the discretised ICU series (Hayat, Geras & Shamout 2022)."""

    dim: int = 256
    layers: int = 2
    dropout: float = 0.3
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.lstms = [
            LSTM(
                self.dim,
                input_init=nn.initializers.xavier_uniform(),
                recurrent_init=nn.initializers.orthogonal(),
                bias_init=nn.initializers.zeros,
                dtype=self.dtype,
            )
            for _ in range(self.layers)
        ]
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, series: jax.Array, length: jax.Array, *, train: bool) -> jax.Array:
        """Encode series [batch, time, channels] with true lengths [batch].

        Returns:
            The last layer's state at each row's end [batch, dim], with dropout in training.
        """
        return self.after_first(self.first(series, length), length, train=train)

    def states(self, series: jax.Array, length: jax.Array, *, train: bool) -> jax.Array:
        """Return the last layer's states [batch, time, dim], with dropout in training.

        A state is what `__call__` gives for the hours up to it.
        """
        states = self.first(series, length)
        for lstm in self.lstms[1:]:
            states, _ = lstm(states, length)
        return self.drop(states, deterministic=not train)

    def first(self, series: jax.Array, length: jax.Array) -> jax.Array:
        """Return the first layer's states [batch, time, dim], zero from each row's end on."""
        return self.lstms[0](series, length)[0]

    def after_first(self, states: jax.Array, length: jax.Array, *, train: bool) -> jax.Array:
        """Run the further layers over states of the first [batch, time, dim], as `__call__`.

        Where there is no further layer, the given states are read at each row's end.
        """
        last = state_at_end(states, length)
        for lstm in self.lstms[1:]:
            states, last = lstm(states, length)
        return self.drop(last, deterministic=not train)


def state_at_end(states: jax.Array, length: jax.Array) -> jax.Array:
    """Return states [batch, time, dim] at the last step of each row, zero for an empty row."""
    index = jnp.maximum(length - 1, 0)[:, None, None]
    last = jnp.take_along_axis(states, index, axis=1)[:, 0]
    return jnp.where(length[:, None] > 0, last, 0)


def make_backbone(
    name: str,
    *,
    stage_sizes: Sequence[int] = (),
    width: int = 64,
    groups: int = 1,
    dtype: jnp.dtype = jnp.float32,
) -> ResNet | DenseNet:
    """Return the image network of a name.

    "resnet" is a ResNet of basic blocks with the given stage sizes and width, for small machines;
    the published names fix both.

    Raises:
        UsageError: the name is not known.
    """
    if name in RESNETS:
        return ResNet(*RESNETS[name], groups=groups, dtype=dtype)
    if name == "densenet121":
        return DenseNet(groups=groups, dtype=dtype)
    if name == "resnet":
        return ResNet(tuple(stage_sizes), width=width, groups=groups, dtype=dtype)
    raise UsageError(
        f"backbone {name!r} is none of {', '.join(BACKBONES)}{nearest(name, BACKBONES)}"
    )


class Head(nn.Module):
    """A linear layer from features to logits, float32 at least whatever the features are."""

    classes: int
    xavier: bool = False
    """Xavier-uniform kernel and zero bias (the series encoder's head), else PyTorch's default."""

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        kernel = bias = None
        if self.xavier:
            kernel, bias = nn.initializers.xavier_uniform(), nn.initializers.zeros
        features = at_least_float32(features)
        return Linear(self.classes, kernel, bias, features.dtype, name="linear")(features)
