"""What a trained network looked at in some records: lead maps, paint, and its reconstruction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from medjax.systems.ecg_attention.model import Autoencoder
from medjax.systems.ecg_attention.saliency import smooth, time_saliency

Variables = Any
"""Flax variables of the network: {"params": ..., "batch_stats": ...}."""


class Explanation(NamedTuple):
    """Of n records, as long as the network takes them."""

    lead_maps: NDArray | None
    """[n, lead, lead]; None without lead attention."""
    paint: NDArray | None
    """[n, lead, time], `saliency.smooth`; None without temporal attention."""
    reconstruction: NDArray
    """[n, lead, time]"""


def make_explainer(
    network: Autoencoder, input_lead: str = "own", batchnorm: str = "eval"
) -> Callable[[Variables, NDArray, NDArray], Explanation]:
    """Return (variables, signal, visible) -> what the network looked at, compiled once.

    Signal and visible are [n, lead, time], as the network reads them; records are explained one by
    one, since each takes as many backward passes as it has leads and latent steps.

    Args:
        network: the autoencoder.
        input_lead: "own" or "first": see `time_saliency`.
        batchnorm: BatchNorm of the gradient by its running statistics ("eval") or by those of the
            one record ("batch", as published).
    """

    @jax.jit
    def explain_one(variables: Variables, signal: jax.Array, visible: jax.Array) -> Any:
        given: Any = network.apply(variables, signal[None], visible[None], train=False)
        (reconstruction, code), paint = given, None
        if code.time_attention is not None:
            features = residual_features(network, variables, visible, batchnorm)
            paint = time_saliency(features, signal, code.time_attention[0], input_lead)[None]
        return code.lead_attention, paint, reconstruction

    def explain(variables: Variables, signal: NDArray, visible: NDArray) -> Explanation:
        ones = [explain_one(variables, *record) for record in zip(signal, visible, strict=True)]
        joined = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(ones))
        lead_maps, paint, reconstruction = joined
        return Explanation(lead_maps, None if paint is None else smooth(paint), reconstruction)

    return explain


def residual_features(
    network: Autoencoder, variables: Variables, visible: jax.Array, batchnorm: str
) -> Callable[[jax.Array], jax.Array]:
    """Return signal [lead, time] -> the residual encoder's output [channel, lead, t].

    There is no dropout before it, so that batchnorm="batch" needs no random numbers.
    """
    batch = batchnorm == "batch"

    def features(network: Any, signal: jax.Array) -> jax.Array:
        return network.encoder.features(signal[None], visible[None], None, train=batch)

    def apply(signal: jax.Array) -> jax.Array:
        mutable = ["batch_stats"] if batch else False
        out: Any = network.apply(variables, signal, method=features, mutable=mutable)
        return jnp.moveaxis((out[0] if batch else out)[0], -1, 0)

    return apply
