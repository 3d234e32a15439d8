"""Encoders and decoders: a residual stack, densely connected blocks, dense layers.

Of the residual stack, later convolutions may have other widths than the first: a 1x1 convolution
maps them back. The densely connected blocks follow Huang and others (2017), except that a block
gives its last convolution alone. Decoders upsample by repetition.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.activations import KERAS, Activation, tanh_gelu
from medjax.nn.batch_norm import BatchNorm
from medjax.nn.convolution import Conv
from medjax.nn.dropout import Dropout
from medjax.nn.initializers import glorot_uniform
from medjax.nn.linear import Linear
from medjax.nn.pooling import pool, upsample
from medjax.systems.crossmodal.architecture import Architecture

ZEROS = nn.initializers.zeros
EPSILON = 1e-3
"""Of both normalisations."""


def activation_of(options: Architecture) -> Activation:
    """Return the activation that an architecture names."""
    if options.activation == "gelu" and options.gelu_approximate:
        return tanh_gelu
    return KERAS[options.activation]


def normalized(
    kind: str, x: jax.Array, valid: jax.Array | None, train: bool, name: str
) -> jax.Array:
    """Normalise x [batch, ..., channels] in a module of this name, to be called in a module.

    Rows that are not `valid` [batch] count for no statistics.
    """
    if kind == "layer_norm":
        return nn.LayerNorm(EPSILON, dtype=x.dtype, use_fast_variance=False, name=name)(x)
    if kind == "batch_norm":
        norm = BatchNorm(0.01, EPSILON, dtype=x.dtype, unbiased=False, name=name)
        return norm(x, valid, train=train)
    return x


def regularized(kind: str, rate: float, x: jax.Array, train: bool) -> jax.Array:
    """Drop values, or whole channels ("spatial_dropout"), of x [batch, *spatial, channels]."""
    if kind == "none":
        return x
    shared = tuple(range(1, x.ndim - 1)) if kind == "spatial_dropout" else ()
    return Dropout(rate, shared)(x, train=train)


def dense_layers(
    options: Architecture, x: jax.Array, valid: jax.Array | None, train: bool
) -> jax.Array:
    """Map x [batch, inputs] to [batch, latent], in the layers of the module that calls."""
    for i, width in enumerate(options.dense_layers):
        x = Linear(width, glorot_uniform, ZEROS, x.dtype, name=f"dense{i}")(x)
        rate = options.dense_regularize_rate
        x = regularized(options.dense_regularize, rate, activation_of(options)(x), train)
        x = normalized(options.dense_normalize, x, valid, train, f"norm{i}")
    return x


def _conv(features: int, size: tuple[int, ...], x: jax.Array, name: str, dilation: int = 1):
    """Convolve x at stride 1 and the same size, in a module of this name."""
    layer = Conv(
        features,
        size,
        dilation=dilation,
        kernel_init=glorot_uniform,
        bias_init=ZEROS,
        dtype=x.dtype,
        name=name,
    )
    return layer(x)


class ResidualStack(nn.Module):
    """Convolutions of x [batch, *spatial, channels], each but the first beside a skip."""

    options: Architecture

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None, train: bool) -> jax.Array:
        o = self.options
        previous = x
        sizes = o.kernels(len(o.conv_layers))
        for i, (features, size) in enumerate(zip(o.conv_layers, sizes)):
            dilation = 2**i if o.conv_dilate else 1
            x = activation_of(o)(_conv(features, size, previous, f"conv{i}", dilation))
            x = normalized(o.conv_normalize, x, valid, train, f"norm{i}")
            x = regularized(o.conv_regularize, o.conv_regularize_rate, x, train)
            if i > 0:
                x = _conv(o.conv_layers[0], (1,) * o.axes, x, f"skip{i}") + previous
            previous = x
        return previous


class DenseBlock(nn.Module):
    """Convolutions of which each reads the block's input and all outputs before its own."""

    options: Architecture
    features: int
    size: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, valid: jax.Array | None, train: bool) -> jax.Array:
        o = self.options
        seen = [x]
        for i in range(o.block_size):
            x = jnp.concatenate(seen, -1) if i else x
            x = activation_of(o)(_conv(self.features, self.size, x, f"conv{i}"))
            x = regularized(o.conv_regularize, o.conv_regularize_rate, x, train)
            x = normalized(o.conv_normalize, x, valid, train, f"norm{i}")
            seen.append(x)
        return x


class Encoder(nn.Module):
    """x [batch, *spatial, channels] -> the residual stack's output, each block's, the latent."""

    options: Architecture
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, valid: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, ...]:
        o = self.options
        stack = len(o.conv_layers)
        sizes = o.kernels(stack + len(o.dense_blocks))[stack:]
        x = ResidualStack(o, name="residual")(x.astype(self.dtype), valid, train)
        outputs = [x]
        for i, (features, size) in enumerate(zip(o.dense_blocks, sizes)):
            x = pool(x, o.factors, o.pool_type)
            x = DenseBlock(o, features, size, name=f"block{i}")(x, valid, train)
            outputs.append(x)
        latent = dense_layers(o, x.reshape(len(x), -1), valid, train)
        return (*outputs, latent.astype(jnp.promote_types(latent.dtype, jnp.float32)))


class Decoder(nn.Module):
    """z [batch, latent] -> the start, each block's output, the signal [batch, *shape]."""

    options: Architecture
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z: jax.Array, valid: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, ...]:
        o = self.options
        x = Linear(math.prod(o.start), glorot_uniform, ZEROS, self.dtype, name="restructure")(z)
        x = normalized(o.conv_normalize, activation_of(o)(x), valid, train, "restructure_norm")
        x = x.reshape(len(x), *o.start)
        outputs = [x]
        sizes = o.kernels(len(o.dense_blocks))
        for i, (features, size) in enumerate(zip(o.dense_blocks, sizes)):
            x = upsample(x, o.factors)
            x = DenseBlock(o, features, size, name=f"block{i}")(x, valid, train)
            outputs.append(x)
        x = _conv(o.shape[-1], (1,) * o.axes, x, "label")
        return (*outputs, x.astype(jnp.promote_types(x.dtype, jnp.float32)))


class Merger(nn.Module):
    """The dense layers that the published unimodal autoencoder has behind its encoder."""

    options: Architecture

    @nn.compact
    def __call__(self, z: jax.Array, valid: jax.Array | None = None, *, train: bool) -> jax.Array:
        return dense_layers(self.options, z, valid, train)
