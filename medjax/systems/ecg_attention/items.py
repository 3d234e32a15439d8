"""From recordings to what the pre-training sees: target, network input, mask.

The target is the cleaned, standardised recording; the input is the recording itself, standardised
once (`input_cleaning` "target_only"), with parts masked in training. The cleaning is done on the
host in float64, or on the device as one matrix product; everything after it is on the device.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from medjax.data.ecg.cleaning import clean, clean_by_matrix
from medjax.data.ecg.leads import LEADS
from medjax.data.ecg.standardize import standardize, varies
from medjax.systems.ecg_attention.augmentation import Augmentation, augment


class InputOptions(NamedTuple):
    """How input and target are made of a recording."""

    input_cleaning: str = "target_only"
    """"shared": the input is the cleaned target."""
    input_standardise: str = "once_before_masking"
    """"again_after_masking": the masked input is standardised a second time."""
    skip_below_sum: float | None = None
    """A recording whose samples sum to less than this (in size) stays as it is."""


class Items(NamedTuple):
    """What one pass reads of a batch, each [batch, lead, time]."""

    target: jax.Array
    """Cleaned, standardised, 0 in padding."""
    signal: jax.Array
    """What the network is given."""
    visible: jax.Array
    """1 where the network is told that the signal shows the recording."""


class Window(NamedTuple):
    """Which samples of a recording stand in the `time_steps` of the network."""

    length: np.ndarray
    """int32 [batch]: samples of the recording."""
    offset: np.ndarray
    """int32 [batch]: the sample at time 0; negative where zeros stand before."""


def window(length: np.ndarray, time_steps: int, draws: np.ndarray | None = None) -> Window:
    """Pad recordings on both sides, the odd sample on the right; of longer ones take a piece.

    Args:
        length: [batch] samples.
        time_steps: of the network.
        draws: [batch] in [0, 1), where the piece begins; None: the middle.
    """
    room = np.asarray(length, np.int64) - time_steps
    start = room // 2 if draws is None else np.floor(draws * room).astype(np.int64)
    offset = np.where(room > 0, start, -(-room // 2))
    return Window(np.asarray(length, np.int32), offset.astype(np.int32))


def target_and_input(
    raw: np.ndarray, rate: float, options: InputOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return target and input float32 [lead, sample] of one recording, on the host."""
    raw = np.asarray(raw, np.float64)
    if options.skip_below_sum is not None and abs(raw.sum()) < options.skip_below_sum:
        return raw.astype(np.float32), raw.astype(np.float32)
    target = standardize(clean(raw, rate), where=varies(raw)).astype(np.float32)
    if options.input_cleaning == "shared":
        return target, target
    return target, standardize(raw).astype(np.float32)


def targets_and_inputs(
    raw: jax.Array, matrix: jax.Array, options: InputOptions
) -> tuple[jax.Array, jax.Array]:
    """Return the same on the device for [batch, lead, sample] of full length.

    matrix: of `medjax.data.ecg.cleaning.cleaning_matrix`.
    """
    target = standardize(clean_by_matrix(raw, matrix), where=varies(raw))
    signal = target if options.input_cleaning == "shared" else standardize(raw)
    if options.skip_below_sum is not None:
        skipped = jnp.abs(raw.sum((-2, -1), keepdims=True)) < options.skip_below_sum
        target, signal = (jnp.where(skipped, raw, x) for x in (target, signal))
    return target, signal


def place(x: jax.Array, length: jax.Array, offset: jax.Array, time_steps: int) -> jax.Array:
    """Bring [batch, lead, sample] to [batch, lead, time] as a `Window` says; 0 in padding."""
    sample = jnp.arange(time_steps) + offset[:, None]
    inside = (sample >= 0) & (sample < length[:, None])
    taken = jnp.take_along_axis(x, jnp.clip(sample, 0, x.shape[-1] - 1)[:, None, :], axis=-1)
    return jnp.where(inside[:, None, :], taken, 0)


def make_items(
    batch: Any,
    time_steps: int,
    options: InputOptions,
    masks: Augmentation | None = None,
    key: jax.Array | None = None,
    rate: float = 0.0,
    leads: tuple[str, ...] = LEADS,
) -> Items:
    """Return target, input and mask of a batch; `masks`, drawn with `key`, in training only.

    Args:
        batch: "target" and "signal" float [batch, lead, sample], "length" and "offset" int [batch],
            "recorded" bool [batch, lead] (a lead without data is not visible) and, for masks,
            "peaks" int [batch, peak].
        time_steps: of the network.
        options: whether the input is standardised again.
        masks: None: nothing is masked.
        key: for the masks.
        rate: Hz, for the masks.
        leads: names of the leads.
    """
    length, offset = batch["length"], batch["offset"]
    signal = batch["signal"]
    inside = jnp.arange(signal.shape[-1]) < length[:, None]
    visible = jnp.broadcast_to(batch["recorded"][..., None], signal.shape).astype(signal.dtype)
    if masks is not None and key is not None:
        signal, shown = augment(key, signal, batch["peaks"], rate, masks, leads)
        visible = visible * shown
    if options.input_standardise == "again_after_masking":
        signal = standardize(signal, inside[:, None, :].astype(signal.dtype))
    return Items(
        *(place(x, length, offset, time_steps) for x in (batch["target"], signal, visible))
    )
