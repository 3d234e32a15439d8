"""Transposed convolutions over one, two or three axes, channels last."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.nn.convolution import conv, each
from medjax.nn.initializers import uniform


def conv_transpose(
    x: jax.Array,
    kernel: jax.Array,
    strides: int | Sequence[int],
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
) -> jax.Array:
    """Return PyTorch's transposed convolution of x [batch, *spatial, in].

    Position i of x adds x[i] @ kernel[t] to position i * stride + t - padding. An axis of n becomes
    (n - 1) * stride - 2 * padding + size + output_padding long.

    It runs as one plain convolution with a set of output channels for each residue of a position
    by the strides (Shi et al. 2016), which are then interleaved: the same sums, without the zeros
    that XLA would put between the positions of x and that make its gradients slow on CPU.

    Args:
        kernel: [*size, in, out], not mirrored (PyTorch's weight has the order [in, out, *size]).
    """
    axes = kernel.ndim - 2
    inputs, outputs = kernel.shape[-2:]
    size, strides, low = kernel.shape[:-2], each(strides, axes), each(padding, axes)
    extra = each(output_padding, axes)
    counts = [-(-k // s) for k, s in zip(size, strides)]

    fill = [(0, count * s - k) for count, s, k in zip(counts, strides, size)]
    phases = jnp.pad(kernel, (*fill, (0, 0), (0, 0)))
    phases = phases.reshape(*(n for pair in zip(counts, strides) for n in pair), inputs, outputs)
    taps, residues = range(0, 2 * axes, 2), range(1, 2 * axes, 2)
    phases = jnp.flip(phases.transpose(*taps, 2 * axes, *residues, 2 * axes + 1), range(axes))
    y = conv(x, phases.reshape(*counts, inputs, -1), 1, [(n - 1, n - 1) for n in counts])

    y = y.reshape(*y.shape[:-1], *strides, outputs)
    between = (n for axis in range(1, axes + 1) for n in (axis, axis + axes))
    positions = [n * s for n, s in zip(y.shape[1:], strides)]
    y = y.transpose(0, *between, 2 * axes + 1).reshape(x.shape[0], *positions, outputs)

    shape = zip(x.shape[1:], strides, low, size, extra)
    lengths = [(n - 1) * s - 2 * p + k + e for n, s, p, k, e in shape]
    beyond = [max(p + n - have, 0) for p, n, have in zip(low, lengths, positions)]
    y = jnp.pad(y, ((0, 0), *((0, n) for n in beyond), (0, 0)))
    return y[:, *(slice(p, p + n) for p, n in zip(low, lengths))]


class ConvTranspose(nn.Module):
    """A transposed convolution over as many axes as `size` has numbers; the bias can be left out.

    Kernel and bias are drawn from U(-b, b) with b = 1 / sqrt(features * values of the kernel),
    PyTorch's default, unless initialisers are given.
    """

    features: int
    size: Sequence[int]
    strides: int | Sequence[int]
    padding: int | Sequence[int] = 0
    output_padding: int | Sequence[int] = 0
    use_bias: bool = True
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, *spatial, in] to [batch, *positions, features]."""
        shape = (*self.size, x.shape[-1], self.features)
        default = uniform((self.features * math.prod(self.size)) ** -0.5)
        kernel = self.param("kernel", self.kernel_init or default, shape, jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv_transpose(x, kernel, self.strides, self.padding, self.output_padding)
        if not self.use_bias:
            return y
        bias = self.param("bias", self.bias_init or default, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)
