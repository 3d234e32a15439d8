"""Convolutions over one, two or three axes, channels last, with gradients fast on CPU too."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer

from medjax.nn import wide_convolution
from medjax.nn.initializers import uniform
from medjax.nn.kernel_gradient import kernel_gradient

SMALL_MAP = 4
"""Output positions up to which a convolution runs as one matrix product over its patches."""
LARGE_BATCH, LARGE_WORK = 1024, 2**26
"""Output positions of the whole batch, and multiplications, from which on CPU the gradient of a
kernel, or all of a wide one, is not left to XLA."""

Padding = str | int | Sequence[tuple[int, int]]
_AXES = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> jax.Array:
    """Convolve x [batch, *spatial, in] with a kernel [*size, in / groups, out].

    The spatial axes are one, two or three; strides and dilation are for all of them or one each.
    The padding is "VALID" (none), "SAME" (as in Keras: ceil(n / stride) positions, the odd element
    at the end), a number for every side (as in PyTorch), or a pair (low, high) for each axis.
    Values and gradients are those of `jax.lax.conv_general_dilated` up to rounding.
    """
    axes = kernel.ndim - 2
    strides, dilation = each(strides, axes), each(dilation, axes)
    spans = [spread * (n - 1) + 1 for spread, n in zip(dilation, kernel.shape)]
    sides: Sequence[tuple[int, int]]
    if isinstance(padding, str):
        sides = jax.lax.padtype_to_pads(x.shape[1:-1], spans, strides, padding)
    else:
        sides = [(padding, padding)] * axes if isinstance(padding, int) else padding
    pads = tuple((int(low), int(high)) for low, high in sides)
    plain = partial(_plain, strides=strides, padding=pads, dilation=dilation, groups=groups)
    special = groups > 1 or set(dilation) != {1} or min(map(min, pads)) < 0
    if special or not _is_large(y := jax.eval_shape(plain, x, kernel), kernel):
        return plain(x, kernel)
    if strides == (1,) and wide_convolution.is_worth(*y.shape[:2], *kernel.shape):
        return _wide_conv(x, kernel, pads)
    return _conv(x, kernel, strides, pads)


def each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return a number for each axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _plain(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: Sequence[tuple[int, int]],
    dilation: tuple[int, ...] | None = None,
    groups: int = 1,
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=_AXES[kernel.ndim - 2],
        feature_group_count=groups,
    )


def _is_large(y: jax.ShapeDtypeStruct, kernel: jax.Array) -> bool:
    """Whether XLA's own gradient of a kernel is slow on CPU, output and kernel being so large."""
    positions = math.prod(y.shape[:-1])
    return positions >= LARGE_BATCH and positions * kernel.size >= LARGE_WORK


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> jax.Array:
    """XLA's convolution; where it is compiled for CPU its kernel's gradient is our own."""
    return _plain(x, kernel, strides, padding)


def _conv_forward(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _plain(x, kernel, strides, padding), (x, kernel)


def _conv_backward(
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    residuals: tuple[jax.Array, jax.Array],
    dy: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals

    def native(x: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda w: _plain(x, w, strides, padding), kernel)(dy)[0]

    def ours(x: jax.Array, dy: jax.Array) -> jax.Array:
        return kernel_gradient(x, dy, kernel.shape[:-2], strides, padding)

    (d_x,) = jax.linear_transpose(lambda x: _plain(x, kernel, strides, padding), x)(dy)
    return d_x, jax.lax.platform_dependent(x, dy, cpu=ours, default=native)


_conv.defvjp(_conv_forward, _conv_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _wide_conv(x: jax.Array, kernel: jax.Array, padding: tuple[tuple[int, int], ...]) -> jax.Array:
    """Where it is compiled for CPU a way of fewer products; else XLA's convolution."""
    plain = partial(_plain, strides=(1,), padding=padding)
    return jax.lax.platform_dependent(x, kernel, cpu=_through(padding), default=plain)


def _through(padding: tuple[tuple[int, int], ...]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    return partial(wide_convolution.through_frequencies, padding=padding[0])


def _wide_conv_forward(
    x: jax.Array, kernel: jax.Array, padding: tuple[tuple[int, int], ...]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _wide_conv(x, kernel, padding), (x, kernel)


def _wide_conv_backward(
    padding: tuple[tuple[int, int], ...], residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def pull(
        way: Callable[[jax.Array, jax.Array], jax.Array],
        x: jax.Array,
        kernel: jax.Array,
        dy: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        # What the forward pass computed as well XLA computes once.
        return jax.vjp(way, x, kernel)[1](dy)

    plain = partial(_plain, strides=(1,), padding=padding)
    return jax.lax.platform_dependent(
        *residuals, dy, cpu=partial(pull, _through(padding)), default=partial(pull, plain)
    )


_wide_conv.defvjp(_wide_conv_forward, _wide_conv_backward)


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve x [batch, height, width, in] with a square kernel [size, size, in, out].

    It is padded by size // 2 on every side, as in torchvision's networks. A 1x1 kernel is a matrix
    product. So is a map of few positions, over its patches: there XLA's convolutions on CPU are up
    to forty times slower, and elsewhere it makes no difference.
    """
    size = kernel.shape[0]
    padding = size // 2
    height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[1:3])
    if size == 1:
        return pointwise(x[:, ::stride, ::stride], kernel[0, 0])
    if height * width > SMALL_MAP:
        return conv(x, kernel, stride, padding)
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (stride * np.arange(n)[:, None] + np.arange(size) for n in (height, width))
    patches = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    return patches.reshape(*patches.shape[:3], -1) @ kernel.reshape(-1, kernel.shape[-1])


def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return x [..., in] times kernel [in, out], the convolution by 1x1, with its gradient."""
    if math.prod(x.shape[:-1]) * kernel.size < LARGE_WORK:
        return x @ kernel
    return _pointwise(x, kernel)


@jax.custom_vjp
def _pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Where it is compiled for CPU its gradient is our own."""
    return x @ kernel


def _pointwise_forward(
    x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ kernel, (x, kernel)


def _pointwise_backward(
    residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def native(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.vjp(jnp.matmul, x, kernel)[1](dy)

    def ours(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        # XLA would compute dy anew inside both products, in one of them column by column. The
        # barriers have it computed once, and the narrower factor turned once.
        held = jax.lax.optimization_barrier(dy)
        left, right = x.reshape(-1, x.shape[-1]), held.reshape(-1, dy.shape[-1])
        if right.shape[1] < left.shape[1]:
            d_kernel = (jax.lax.optimization_barrier(right.T) @ left).T
        else:
            d_kernel = jax.lax.optimization_barrier(left.T) @ right
        return held @ kernel.T, d_kernel

    return jax.lax.platform_dependent(*residuals, dy, cpu=ours, default=native)


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


class Convolution(nn.Module):
    """A square convolution without bias, padded by size // 2 on every side."""

    features: int
    size: int
    stride: int
    kernel_init: Initializer
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, height, width, in] to [batch, ~height / stride, ~width / stride, out]."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


class Conv(nn.Module):
    """A convolution over as many axes as `size` has numbers: one, two or three.

    Strides, padding, dilation and groups are those of `conv`. Kernel and bias are drawn from
    U(-b, b) with b = 1 / sqrt(values under the kernel), PyTorch's default, unless initialisers are
    given.
    """

    features: int
    size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map [batch, *spatial, in] to [batch, *positions, features]."""
        shape = (*self.size, x.shape[-1] // self.groups, self.features)
        default = uniform(math.prod(shape[:-1]) ** -0.5)
        kernel = self.param("kernel", self.kernel_init or default, shape, jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = conv(x, kernel, self.strides, self.padding, self.dilation, self.groups)
        if not self.use_bias:
            return y
        bias = self.param("bias", self.bias_init or default, (self.features,), jnp.float32)
        return y + bias.astype(self.dtype)
