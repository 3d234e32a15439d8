"""Activations in the form that is fast on CPU, and by the names that Keras gives them."""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]


def gelu(x: jax.Array) -> jax.Array:
    """Return x times the normal distribution function of x (Hendrycks & Gimpel 2016), exact.

    By erf, as in PyTorch: `jax.nn.gelu` takes erfc, which XLA computes at several times the cost.
    """
    return 0.5 * x * (1 + jax.lax.erf(x * math.sqrt(0.5)))


def tanh_gelu(x: jax.Array) -> jax.Array:
    """Return the approximation of `gelu` by tanh (Hendrycks & Gimpel 2016, section 2)."""
    return jax.nn.gelu(x, approximate=True)


def mish(x: jax.Array) -> jax.Array:
    """Return x tanh(softplus x) (Misra 2019).

    With e = exp x the tanh is e (e + 2) / (e (e + 2) + 2): one exponential instead of three
    transcendental functions. Above 20 it is 1 in float32 and float64 alike.
    """
    e = jnp.exp(jnp.minimum(x, 20))
    n = e * (e + 2)
    return x * (n / (n + 2))


KERAS: Mapping[str, Activation] = {
    "elu": jax.nn.elu,
    "gelu": gelu,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.2),
    "linear": lambda x: x,
    "mish": mish,
    "relu": jax.nn.relu,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""Elementwise activations by their names in Keras."""
