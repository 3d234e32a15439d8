"""Dual attention: over the time steps of each lead, and over the leads (Chen et al. 2024)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.typing import Initializer

from medjax.nn.activations import gelu
from medjax.nn.dropout import Dropout
from medjax.nn.initializers import glorot_uniform, kaiming_in, uniform
from medjax.nn.linear import Linear
from medjax.precision import at_least_float32
from medjax.systems.ecg_attention.sizes import HEADS

EXPANSION = 4
"""Width of a perceptron's hidden layer, in widths of its input."""


class DropoutAxes(NamedTuple):
    """The axes that share a dropout mask, at each place of the encoder."""

    time_code: tuple[int, ...]
    """Of [batch, lead, time, channel]."""
    time_mlp: tuple[int, ...]
    """Of [batch, lead, time, channel]."""
    lead_code: tuple[int, ...]
    """Of [batch, lead, channel]."""
    lead_mlp: tuple[int, ...]
    """Of [batch, lead, channel]."""
    pool: tuple[int, ...]
    """Of [batch, time, channel]."""


def dropout_axes(placement: str, batchwise: bool) -> DropoutAxes:
    """Return the axes for "uniform", one kind everywhere, or the "published" mixture.

    As published, batch-wise dropout of the time branch's perceptrons takes time for the batch: a
    mask of each row, shared by the steps; the code of the leads is always dropped batch-wise, that
    of time only without the flag, and the lead branch's perceptron never.
    """
    batch = (0,)
    if placement == "published":
        return DropoutAxes(() if batchwise else batch, (2,) if batchwise else (), batch, (), ())
    return DropoutAxes(*[batch if batchwise else ()] * 5)


def position_code(positions: int, width: int) -> np.ndarray:
    """Return sines in the even columns and cosines in the odd, [positions, width]."""
    angle = np.arange(positions)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(positions, width).astype(np.float32)


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017), perhaps with weights for each of a stack."""

    stack: int | None = None
    """Number of sets of weights, for x [batch, stack, position, channel]; None: one set, for
    x [batch, position, channel]."""
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, forbidden: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Return what is attended to, like x, and the attention [..., query, key], mean of heads.

        forbidden: bool [batch, heads or 1, 1, key], keys that nobody may read.
        """
        width = x.shape[-1]
        # PyTorch draws the three input projections as one matrix of 4 * width ends.
        bound = (6 / (4 * width)) ** 0.5
        projected = StackedLinear(3 * width, self.stack, uniform(bound), self.dtype, name="input")(
            x
        )
        heads = projected.reshape(*x.shape[:-1], 3, HEADS, width // HEADS)
        query, key, value = (heads[..., i, :, :] for i in range(3))
        scores = jnp.einsum("...qhd,...khd->...hqk", query, key) * (width // HEADS) ** -0.5
        scores = at_least_float32(scores)
        if forbidden is not None:
            scores = jnp.where(forbidden, -jnp.inf, scores)
        probability = jax.nn.softmax(scores, axis=-1)
        read = jnp.einsum("...hqk,...khd->...qhd", probability.astype(self.dtype), value)
        out = StackedLinear(width, self.stack, dtype=self.dtype, name="output")(
            read.reshape(x.shape)
        )
        return out, probability.mean(-3)


class StackedLinear(nn.Module):
    """A linear layer, or one for each of a stack: x [batch, stack, position, channel].

    Kernels are drawn Xavier-uniform unless an initialiser is given; biases are zero.
    """

    features: int
    stack: int | None
    kernel_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        zeros = nn.initializers.zeros
        init = self.kernel_init or glorot_uniform
        lead = () if self.stack is None else (self.stack,)
        shape = (*lead, x.shape[-1], self.features)
        kernel = self.param("kernel", _stacked(init, self.stack), shape, jnp.float32)
        bias = self.param("bias", zeros, (*lead, self.features), jnp.float32)
        kernel, bias = kernel.astype(self.dtype), bias.astype(self.dtype)
        if self.stack is None:
            return x @ kernel + bias
        return jnp.einsum("bspi,sio->bspo", x, kernel) + bias[:, None]


def _stacked(init: Initializer, stack: int | None) -> Initializer:
    """Draw every kernel of a stack by itself, so that its ends are counted rightly."""
    if stack is None:
        return init

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.vmap(lambda key: init(key, shape[1:], dtype))(jax.random.split(key, stack))

    return draw


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016), perhaps with a scale and bias for each of a stack."""

    stack: int | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1],) if self.stack is None else (self.stack, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        if self.stack is not None:
            scale, bias = scale[:, None], bias[:, None]
        x = at_least_float32(x)
        deviation = x - x.mean(-1, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.square(deviation).mean(-1, keepdims=True) + 1e-5)
        return (deviation * inverse * scale + bias).astype(self.dtype)


class Perceptron(nn.Module):
    """Linear, GELU, dropout, linear, dropout, perhaps for each of a stack."""

    rate: float
    shared: tuple[int, ...] = ()
    """Axes of x that share a dropout mask."""
    stack: int | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        width = x.shape[-1]
        hidden = StackedLinear(EXPANSION * width, self.stack, dtype=self.dtype, name="fc1")(x)
        hidden = Dropout(self.rate, self.shared, name="hidden_dropout")(gelu(hidden), train=train)
        out = StackedLinear(width, self.stack, dtype=self.dtype, name="fc2")(hidden)
        return Dropout(self.rate, self.shared, name="output_dropout")(out, train=train)


class AttentionBlock(nn.Module):
    """Position code, attention and perceptron, each with LayerNorm before and a residual around."""

    rate: float
    code_shared: tuple[int, ...]
    mlp_shared: tuple[int, ...]
    stack: int | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, forbidden: jax.Array | None = None, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Map x [batch, (stack,) position, channel]; return also the attention, mean of heads."""
        x = x + jnp.asarray(position_code(*x.shape[-2:]), x.dtype)
        x = Dropout(self.rate, self.code_shared, name="code_dropout")(x, train=train)
        attended, attention = Attention(self.stack, self.dtype, name="attention")(
            LayerNorm(self.stack, self.dtype, name="norm1")(x), forbidden
        )
        x = attended + x
        mlp = Perceptron(self.rate, self.mlp_shared, self.stack, self.dtype, name="mlp")
        return x + mlp(LayerNorm(self.stack, self.dtype, name="norm2")(x), train=train), attention


class Attended(NamedTuple):
    """What dual attention gives; an attention is None where its branch is off."""

    pooled: jax.Array
    """[batch, pool_dim]."""
    lead: jax.Array | None
    """[batch, lead, lead], rows query, columns key."""
    time: jax.Array | None
    """[batch, lead, time, time]."""


class DualAttention(nn.Module):
    """Attention over time and over leads, their sum pooled by its mean and maximum over time."""

    pool_dim: int
    lead_attention: bool = True
    time_attention: bool = True
    serial: bool = False
    """Lead attention reads the output of time attention; otherwise both read the features, and
    their outputs are added."""
    ablated_lead_branch: str = "duplicate"
    """Without lead attention, what is added to the time branch: itself ("duplicate") or "none"."""
    rate: float = 0.2
    axes: DropoutAxes = dropout_axes("uniform", batchwise=False)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, forbidden: jax.Array | None, *, train: bool) -> Attended:
        """Map features x [batch, lead, time, channel].

        forbidden: bool [batch, heads or 1, 1, lead], leads that no other may read.
        """
        time, time_map = x, None
        if self.time_attention:
            block = AttentionBlock(
                self.rate,
                self.axes.time_code,
                self.axes.time_mlp,
                x.shape[1],
                self.dtype,
                name="time",
            )
            time, time_map = block(x, train=train)
        lead, lead_map = time, None
        if self.lead_attention:
            block = AttentionBlock(
                self.rate, self.axes.lead_code, self.axes.lead_mlp, None, self.dtype, name="lead"
            )
            lead, lead_map = self._across_leads(block, time if self.serial else x, forbidden, train)
        alone = not self.lead_attention and self.ablated_lead_branch == "none"
        joined = lead if self.serial or alone else lead + time
        return Attended(self._pool(joined, train), lead_map, time_map)

    def _across_leads(
        self, block: nn.Module, x: jax.Array, forbidden: jax.Array | None, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        batch, leads, steps, channels = x.shape
        flat = x.swapaxes(2, 3).reshape(batch, leads, channels * steps)
        flat, attention = block(flat, forbidden, train=train)
        return flat.reshape(batch, leads, channels, steps).swapaxes(2, 3), attention

    def _pool(self, x: jax.Array, train: bool) -> jax.Array:
        batch, leads, steps, channels = x.shape
        flat = x.transpose(0, 2, 3, 1).reshape(batch, steps, channels * leads)
        halves = []
        for name, reduce in (("mean", jnp.mean), ("max", jnp.max)):
            given = flat
            if not self.lead_attention and not self.time_attention:
                dropout = Dropout(self.rate, self.axes.pool, name=f"{name}_dropout")
                given = dropout(flat, train=train)
            width = channels * leads
            linear = Linear(
                self.pool_dim // 2,
                kaiming_in,
                uniform(width**-0.5),
                self.dtype,
                name=f"pool_{name}",
            )
            halves.append(reduce(linear(given), axis=1))
        return jnp.concatenate(halves, axis=-1)
