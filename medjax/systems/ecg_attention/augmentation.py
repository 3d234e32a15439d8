"""Masks that hide parts of an ECG from the network in training, drawn on the device.

Whole leads: one of six sets of leads is kept. Regions: pieces around R peaks, and halves of leads,
become `mask_value`, as artefacts would; the network is not told of them unless
`mask_shows_regions`. Signals are [batch, lead, sample]; every draw comes from the key.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medjax.data.ecg.leads import LEADS, rows_of
from medjax.systems.ecg_attention.distortion import Distortion, distort

KEPT_LEADS = (
    (("I", "II"), 0.1),
    (("I", "II", "V2"), 0.1),
    (("I", "II", "III", "V2"), 0.1),
    (LEADS[:6], 0.1),
    (("I", "II", *LEADS[6:]), 0.1),
    (LEADS, 0.5),
)
"""Leads that stay visible, and how often that set is drawn."""


class Augmentation(NamedTuple):
    """Chances and sizes of the masks."""

    mask_whole_lead_prob: float
    lead_mask_prob: float
    """That a visible lead is masked around R peaks, and may lose a half."""
    region_mask_prob: float
    """Of each R peak in such a lead."""
    mask_length_range: tuple[float, float]
    """Seconds."""
    region_mask_min_samples: int
    mask_value: float
    random_drop_half_prob: float
    """Of such a lead."""
    mask_shows_regions: bool
    distortion: Distortion

    @property
    def wants_peaks(self) -> bool:
        """Whether R peaks must be known."""
        return self.lead_mask_prob > 0 and self.region_mask_prob > 0

    @property
    def masks_parts(self) -> bool:
        """Whether parts of visible leads are masked."""
        return self.wants_peaks or (self.lead_mask_prob > 0 and self.random_drop_half_prob > 0)


def kept_leads(leads: tuple[str, ...] = LEADS) -> tuple[np.ndarray, np.ndarray]:
    """Return bool [set, lead] of the leads that each set keeps, and the chance of each set."""
    table = np.zeros((len(KEPT_LEADS), len(LEADS)), bool)
    for row, (names, _) in enumerate(KEPT_LEADS):
        table[row, rows_of(names)] = True
    return table[:, rows_of(leads)], np.asarray([chance for _, chance in KEPT_LEADS])


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw numbers in [0, 1), flat: XLA compiles that ten times as fast for a CPU."""
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)


def draw_kept_leads(key: jax.Array, rows: int, leads: tuple[str, ...] = LEADS) -> jax.Array:
    """Draw one of the six sets for each row: bool [rows, lead]."""
    table, chance = kept_leads(leads)
    below = jnp.asarray(np.cumsum(chance)[:-1], jnp.float32)
    drawn = (jax.random.uniform(key, (rows,))[:, None] >= below).sum(1)
    return jnp.asarray(table)[drawn]


def region_bounds(
    anchor: jax.Array, length: jax.Array, samples: int
) -> tuple[jax.Array, jax.Array]:
    """Return [start, end) of regions of `length` around `anchor`, inside the record.

    A region that is cut at the front keeps its length to the right.
    """
    start = jnp.maximum(anchor - length // 2, 0)
    return start, jnp.minimum(start + length, samples)


def region_length(seconds: jax.Array, rate: float, min_samples: int) -> jax.Array:
    """Return the samples of a region that lasts so long, at least `min_samples`."""
    return jnp.maximum((seconds * rate).astype(jnp.int32), min_samples)


def in_regions(start: jax.Array, end: jax.Array, drawn: jax.Array, samples: int) -> jax.Array:
    """Tell which samples lie in a drawn region: thrice [..., region] -> bool [..., samples]."""
    time = jnp.arange(samples)
    inside = (start[..., None] <= time) & (time < end[..., None])
    return (inside & drawn[..., None]).any(-2)


def draw_regions(
    key: jax.Array, visible: jax.Array, peaks: jax.Array, samples: int, rate: float, o: Augmentation
) -> jax.Array:
    """Draw what is masked inside visible leads: bool [batch, lead, sample].

    visible: bool [batch, lead]; peaks: int [batch, peak], -1 where there is none.
    """
    of_lead, of_peak, of_length, of_half, of_side = jax.random.split(key, 5)
    shape = (*visible.shape, peaks.shape[1])
    lead = visible & (uniform(of_lead, visible.shape) < o.lead_mask_prob)
    drawn = uniform(of_peak, shape) < o.region_mask_prob
    drawn &= lead[..., None] & (peaks >= 0)[:, None, :]
    low, high = o.mask_length_range
    seconds = low + (high - low) * uniform(of_length, shape)
    length = region_length(seconds, rate, o.region_mask_min_samples)
    masked = in_regions(*region_bounds(peaks[:, None, :], length, samples), drawn, samples)
    dropped = lead & (uniform(of_half, lead.shape) < o.random_drop_half_prob)
    second = uniform(of_side, lead.shape) < 0.5
    in_second = jnp.arange(samples) >= samples // 2
    return masked | (dropped[..., None] & (second[..., None] == in_second))


def augment(
    key: jax.Array,
    signal: jax.Array,
    peaks: jax.Array,
    rate: float,
    options: Augmentation,
    leads: tuple[str, ...] = LEADS,
) -> tuple[jax.Array, jax.Array]:
    """Return the masked signals and what the network is told is visible, float32 as `signal`.

    Args:
        key: of this step.
        signal: [batch, lead, sample], standardised.
        peaks: int [batch, peak] samples of R peaks, -1 where there is none.
        rate: Hz.
        options: chances and sizes.
        leads: names of the leads.
    """
    rows, samples = signal.shape[0], signal.shape[-1]
    of_noise, of_whole, of_set, of_regions = jax.random.split(key, 4)
    if options.distortion.probability > 0:
        signal = distort(of_noise, signal, rate, options.distortion)
    whole = jax.random.bernoulli(of_whole, options.mask_whole_lead_prob, (rows,))
    visible = draw_kept_leads(of_set, rows, leads) | ~whole[:, None]
    shown = jnp.broadcast_to(visible[..., None], signal.shape)
    signal = jnp.where(shown, signal, 0)
    if options.masks_parts:
        masked = draw_regions(of_regions, visible, peaks, samples, rate, options)
        signal = jnp.where(masked, options.mask_value, signal)
        if options.mask_shows_regions:
            shown = shown & ~masked
    return signal, shown.astype(signal.dtype)
