"""A single-layer LSTM over padded sequences."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from medjax.nn.initializers import uniform
from medjax.precision import at_least_float32


class LSTM(nn.Module):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) in PyTorch's form.

    Gates stand in the order input, forget, cell, output; the initial state is zero. The input and
    the recurrent bias are two parameters, although only their sum acts: Adam then moves the sum
    as it moves PyTorch's. All parameters are drawn from U(-b, b), b = 1 / sqrt(features), unless
    initialisers are given.
    """

    features: int
    input_init: Initializer | None = None
    recurrent_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Run over x [batch, time, inputs] with the rows' true lengths [batch] (0 is allowed).

        Returns:
            The hidden states [batch, time, features], zero from each row's end on, and the state
            at each row's end [batch, features], zero for an empty row.
        """
        default = uniform(self.features**-0.5)
        gates = 4 * self.features

        def parameter(name: str, init: Initializer | None, *shape: int) -> jax.Array:
            return self.param(name, init or default, shape, jnp.float32)

        w_input = parameter("input_kernel", self.input_init, x.shape[-1], gates)
        w_hidden = parameter("recurrent_kernel", self.recurrent_init, self.features, gates)
        bias = parameter("input_bias", self.bias_init, gates)
        bias = bias + parameter("recurrent_bias", self.bias_init, gates)
        w_input, w_hidden, bias = (p.astype(self.dtype) for p in (w_input, w_hidden, bias))

        def step(carry: tuple[jax.Array, jax.Array], now: tuple[jax.Array, jax.Array]):
            cell, hidden = carry
            inputs, time = now
            i, f, g, o = jnp.split(inputs @ w_input + hidden @ w_hidden + bias, 4, axis=-1)
            # The cell sums over time: float32 whatever the compute type.
            new_cell = nn.sigmoid(f) * cell + at_least_float32(nn.sigmoid(i) * nn.tanh(g))
            new_hidden = nn.sigmoid(o) * nn.tanh(new_cell).astype(self.dtype)
            alive = (time < length)[:, None]
            carry = jnp.where(alive, new_cell, cell), jnp.where(alive, new_hidden, hidden)
            return carry, jnp.where(alive, new_hidden, 0)

        batch, steps = x.shape[:2]
        start = (
            at_least_float32(jnp.zeros((batch, self.features), self.dtype)),
            jnp.zeros((batch, self.features), self.dtype),
        )
        times = (x.astype(self.dtype).swapaxes(0, 1), jnp.arange(steps))
        (_, last), states = jax.lax.scan(step, start, times)
        return states.swapaxes(0, 1), last
