"""The replication's older notebook: one vector of a film against one of its report."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.losses.alignment import unit
from medjax.nn.linear import Linear
from medjax.systems.medklip.encoder import ImageEncoder

TEMPERATURE = 0.07


class ClipHead(nn.Module):
    """Projects vectors of frozen encoders to one space, as CLIP does (Radford et al. 2021)."""

    dim: int = 512
    initial_log_scale: float = math.log(1 / TEMPERATURE)
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.image = Linear(self.dim, dtype=self.dtype)
        self.text = Linear(self.dim, dtype=self.dtype)
        start = nn.initializers.constant(self.initial_log_scale)
        self.log_scale = self.param("log_scale", start, (), jnp.float32)

    def __call__(self, image: jax.Array, text: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return unit vectors [batch, dim] of image and text, and the scale of their products.

        image: [batch, image width]; text: [rows, text width], as many or others.
        """
        return unit(self.image(image)), unit(self.text(text)), jnp.exp(self.log_scale)


class ClipModel(nn.Module):
    """A frozen image network and the head that learns."""

    encoder: ImageEncoder
    dim: int = 512

    def setup(self) -> None:
        self.head = ClipHead(self.dim)

    def __call__(
        self, images: jax.Array, text: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Read films and texts as `ClipHead` does.

        images: uint8 [batch, height, width, 1 or 3], brought to -1 to 1; text: [rows, text width].
        """
        scaled = images.astype(jnp.float32) / 127.5 - 1
        shown = jnp.broadcast_to(scaled, (*scaled.shape[:3], 3))
        return self.head(self.encoder.summary(shown), text)
