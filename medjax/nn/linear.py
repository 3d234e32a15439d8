"""A linear layer with PyTorch's default initialisation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.nn.initializers import uniform


class Linear(nn.Module):
    """x [..., inputs] -> x @ kernel + bias [..., features]; the bias can be left out.

    Kernel and bias are drawn from U(-b, b) with b = 1 / sqrt(inputs), PyTorch's default, unless
    initialisers are given.
    """

    features: int
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inputs = x.shape[-1]
        default = uniform(inputs**-0.5)
        kernel = self.param(
            "kernel", self.kernel_init or default, (inputs, self.features), jnp.float32
        )
        x = x.astype(self.dtype) @ kernel.astype(self.dtype)
        if not self.use_bias:
            return x
        bias = self.param("bias", self.bias_init or default, (self.features,), jnp.float32)
        return x + bias.astype(self.dtype)
