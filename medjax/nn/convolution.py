"""Square convolutions as in torchvision's networks."""

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer


def convolution(
    features: int, size: int, stride: int, dtype: jnp.dtype, kernel_init: Initializer
) -> nn.Conv:
    """Return a size x size convolution without bias, padded by size // 2 on every side."""
    padding = size // 2
    return nn.Conv(
        features,
        (size, size),
        (stride, stride),
        padding=((padding, padding), (padding, padding)),
        use_bias=False,
        kernel_init=kernel_init,
        dtype=dtype,
    )
