"""Vision transformers (Dosovitskiy et al. 2021) in timm's form: pre-norm, learned positions."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.nn.activations import gelu
from medjax.nn.attention import MultiHeadAttention
from medjax.nn.dropout import Dropout
from medjax.nn.initializers import uniform
from medjax.nn.known import VITS as VITS
from medjax.nn.known import ViTConfig as ViTConfig
from medjax.nn.linear import Linear, as_rows

EPSILON = 1e-6
"""Of LayerNorm."""
_normal = nn.initializers.normal(0.02)


class PatchEmbedding(nn.Module):
    """Images [batch, height, width, channels] -> patches [batch, patch, features], row by row."""

    patch_size: int
    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Raise ValueError where an image is not whole patches."""
        size, (batch, height, width, channels) = self.patch_size, images.shape
        if height % size or width % size:
            raise ValueError(f"an image of {height} x {width} has no whole patches of {size}")
        fan = size * size * channels
        kernel_shape = (size, size, channels, self.features)
        kernel = self.param("kernel", uniform(fan**-0.5), kernel_shape, jnp.float32)
        bias = self.param("bias", uniform(fan**-0.5), (self.features,), jnp.float32)
        # A convolution whose windows lie side by side is one matrix product.
        x = images.reshape(batch, height // size, size, width // size, size, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, fan).astype(self.dtype)
        x = x @ kernel.reshape(fan, -1).astype(self.dtype) + bias.astype(self.dtype)
        return x.reshape(batch, -1, self.features)


class Mlp(nn.Module):
    """Two linear layers with GELU between, dropout after each."""

    hidden: int
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        linear = partial(
            Linear, kernel_init=_normal, bias_init=nn.initializers.zeros, dtype=self.dtype
        )
        hidden = gelu(linear(self.hidden, name="hidden")(x))
        hidden = Dropout(self.dropout)(hidden, train=train)
        return Dropout(self.dropout)(linear(x.shape[-1], name="output")(hidden), train=train)


class Block(nn.Module):
    """Self-attention and a perceptron, each normalised first and added to its input."""

    config: ViTConfig
    drop_path: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        config = self.config
        self.attention_norm, self.mlp_norm = layer_norm(self.dtype), layer_norm(self.dtype)
        self.attention = MultiHeadAttention(
            config.heads,
            dropout=config.attention_dropout,
            input_bias=config.qkv_bias,
            input_init=_normal,
            output_init=_normal,
            dtype=self.dtype,
        )
        self.mlp = Mlp(round(config.width * config.mlp_ratio), config.dropout, self.dtype)
        self.dropout = Dropout(config.dropout)
        self.drop = Dropout(self.drop_path, shared=(1, 2))

    def __call__(
        self, x: jax.Array, allowed: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """x [batch, token, width] -> the same, attention [batch, head, token, token].

        allowed: bool, broadcast to the attention's shape.
        """
        x, attention = self.attend(x, allowed, train=train)
        return self.add(
            x, perceive(self.mlp_norm, self.mlp, x, train=train), train=train
        ), attention

    def attend(
        self, x: jax.Array, allowed: jax.Array | None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Do the first half: x with what attention adds, and the attention."""
        normed = self.attention_norm(as_rows(x)).reshape(x.shape)
        mixed, attention = self.attention(normed, allowed=allowed, train=train)
        return self.add(x, self.dropout(mixed, train=train), train=train), attention

    def add(self, x: jax.Array, change: jax.Array, *, train: bool) -> jax.Array:
        """Return x with a change of it, which stochastic depth may drop."""
        return (as_rows(x) + as_rows(self.drop(change, train=train))).reshape(x.shape)


def perceive(norm: nn.LayerNorm, mlp: Mlp, x: jax.Array, *, train: bool) -> jax.Array:
    """Normalise x [batch, token, width] and send it through a perceptron, as rows."""
    return mlp(norm(as_rows(x)), train=train).reshape(x.shape)


class ViT(nn.Module):
    """Images [batch, height, width, 3] -> tokens [batch, 1 + patch, width], the class token first.

    Without a class token there are the patches alone, row by row.
    """

    config: ViTConfig = ViTConfig()
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        config = self.config
        self.embedding = PatchEmbedding(config.patch_size, config.width, self.dtype)
        if config.class_token:
            shape = (1, 1, config.width)
            self.class_token = self.param("class_token", _normal, shape, jnp.float32)
        tokens = config.patches + config.class_token
        self.positions = self.param("positions", _normal, (1, tokens, config.width), jnp.float32)
        last = max(config.layers - 1, 1)
        self.blocks = [
            self.make_block(config.drop_path * index / last) for index in range(config.layers)
        ]
        self.norm = layer_norm(self.dtype)
        self.dropout = Dropout(config.dropout)

    def make_block(self, drop_path: float) -> Block:
        """Return one of the blocks, unnamed."""
        return Block(self.config, drop_path, self.dtype)

    def embed(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Return what the first block reads: patches, class token and positions.

        Raises:
            ValueError: images of another size than the positions are for.
        """
        x = self.embedding(images)
        if x.shape[1] != self.config.patches:
            raise ValueError(
                f"images of {images.shape[1]} x {images.shape[2]}, but this transformer is for "
                f"{self.config.image_size} x {self.config.image_size}"
            )
        if self.config.class_token:
            first = jnp.broadcast_to(self.class_token, (len(x), 1, x.shape[-1]))
            x = jnp.concatenate([first.astype(x.dtype), x], 1)
        return self.dropout(x + self.positions.astype(x.dtype), train=train)

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Return the tokens after the last norm; dropout draws from the rng "dropout"."""
        x = self.embed(images, train=train)
        for block in self.blocks:
            x, _ = block(x, train=train)
        return self.norm(x)


def layer_norm(dtype: jnp.dtype) -> nn.LayerNorm:
    """Return a LayerNorm; the fast variance, E[x^2] - E[x]^2, loses digits."""
    return nn.LayerNorm(EPSILON, dtype=dtype, use_fast_variance=False)
