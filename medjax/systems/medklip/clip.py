"""The replication's older notebook: one vector of a film against one of its report."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.losses.alignment import unit
from medjax.nn.linear import Linear

TEMPERATURE = 0.07


class ClipHead(nn.Module):
    """Projects vectors of frozen encoders to one space, as CLIP does (Radford et al. 2021)."""

    dim: int = 512
    initial_log_scale: float = math.log(1 / TEMPERATURE)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, text: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return unit vectors [batch, dim] of image and text, and the scale of their products.

        image: [batch, image width]; text: [batch, text width].
        """
        start = nn.initializers.constant(self.initial_log_scale)
        log_scale = self.param("log_scale", start, (), jnp.float32)
        image = Linear(self.dim, dtype=self.dtype, name="image")(image)
        text = Linear(self.dim, dtype=self.dtype, name="text")(text)
        return unit(image), unit(text), jnp.exp(log_scale)
