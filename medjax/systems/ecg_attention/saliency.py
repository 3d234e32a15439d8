"""Which samples of a lead the temporal attention rests on.

The attention of a lead weighs latent time steps, several samples wide each and blurred by the
convolutions before it. How far a sample reaches into a latent step is told by the gradient of the
residual encoder's output at that step, summed over channels, with respect to the input.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

SIGMA = 4.0
"""Samples; the width of the smoothing."""


def time_weights(time_attention: jax.Array) -> jax.Array:
    """Return how much each latent step is looked at: [..., t, t], rows queries, to [..., t]."""
    return time_attention.mean(-2)


def time_saliency(
    features: Callable[[jax.Array], jax.Array],
    signal: jax.Array,
    time_attention: jax.Array,
    input_lead: str = "own",
) -> jax.Array:
    """Return the unsmoothed saliency of one record: [lead, time], no value below 0.

    For lead l it is sum_j w_lj * max(0, d(sum_c features[c, l, j]) / d signal[row]), where w_lj is
    the mean over queries of the lead's temporal attention. All t gradients of a lead are one
    batched backward pass; lead follows lead, so that memory does not grow with their number.

    Args:
        features: signal [lead, time] -> the residual encoder's output [channel, lead, t].
        signal: [lead, time], as the network reads it.
        time_attention: [lead, t, t]
        input_lead: "own" or "first" (as published): which row of the gradient is taken.
    """
    leads, steps = time_attention.shape[:2]
    _, pull = jax.vjp(lambda x: features(x).sum(0), signal)

    def of_lead(lead: jax.Array, weights: jax.Array) -> jax.Array:
        at_step = jnp.zeros((steps, leads, steps), signal.dtype)
        at_step = at_step.at[jnp.arange(steps), lead, jnp.arange(steps)].set(1)
        (gradients,) = jax.vmap(pull)(at_step)  # [t, lead, time]
        row = lead if input_lead == "own" else 0
        return weights @ jnp.maximum(gradients[:, row], 0)

    weights = time_weights(time_attention)
    return jax.lax.map(lambda pair: of_lead(*pair), (jnp.arange(leads), weights))


def smooth(saliency: NDArray, sigma: float = SIGMA) -> NDArray[np.float64]:
    """Smooth [..., time] with a Gaussian of `sigma` samples, mirrored at the ends.

    Smoothing is linear: it does not matter that the published code smooths the gradient of each
    latent step before they are summed.
    """
    return gaussian_filter1d(np.asarray(saliency, np.float64), sigma, axis=-1)


def crop(padded: NDArray, samples: int) -> NDArray:
    """Return the middle `samples` of [..., time], which is what stands between the padding."""
    left = (padded.shape[-1] - samples) // 2
    return padded[..., left : left + samples]


def rescale(curve: NDArray) -> NDArray:
    """Map each row of [..., time] onto 0..1; a constant row becomes 0."""
    curve = np.asarray(curve, np.float64)
    low = curve.min(-1, keepdims=True)
    span = curve.max(-1, keepdims=True) - low
    return np.divide(curve - low, span, out=np.zeros_like(curve), where=span > 0)
