"""Square convolutions, padded by size // 2 on every side as in torchvision's networks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer

SMALL_MAP = 4
"""Output positions up to which a convolution runs as one matrix product over its patches."""


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolve x [batch, height, width, in] with a square kernel [size, size, in, out].

    A 1x1 kernel is a matrix product. So is a map of few positions, over its patches: there XLA's
    convolutions on CPU are up to forty times slower, and elsewhere it makes no difference.
    """
    size = kernel.shape[0]
    padding = size // 2
    height, width = ((n + 2 * padding - size) // stride + 1 for n in x.shape[1:3])
    if size == 1:
        return x[:, ::stride, ::stride] @ kernel[0, 0]
    if height * width > SMALL_MAP:
        sides = ((padding, padding), (padding, padding))
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), sides, dimension_numbers=axes
        )
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (stride * np.arange(n)[:, None] + np.arange(size) for n in (height, width))
    patches = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    return patches.reshape(*patches.shape[:3], -1) @ kernel.reshape(-1, kernel.shape[-1])


class Convolution(nn.Module):
    """A convolution without bias."""

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
