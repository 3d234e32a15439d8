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
        rows = as_rows(x.astype(self.dtype)) @ kernel.astype(self.dtype)
        if self.use_bias:
            bias = self.param("bias", self.bias_init or default, (self.features,), jnp.float32)
            rows = rows + bias.astype(self.dtype)
        return rows.reshape(*x.shape[:-1], self.features)


def as_rows(x: jax.Array) -> jax.Array:
    """Return x [..., features] as [row, features].

    Between the matrix products of a network rows are faster on CPU than arrays of more axes: XLA
    gives a product its operands as rows, and what is added up or normalised with more axes is
    worked out anew for every product that reads it, the whole sum of a residual stream as well, in
    the gradients of kernels column by column.
    """
    return x.reshape(-1, x.shape[-1])
