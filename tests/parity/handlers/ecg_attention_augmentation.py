"""Masks of the pre-training: regions around R peaks, sets of leads."""

import jax
import jax.numpy as jnp
import numpy as np

from medjax.data.ecg.leads import LEADS
from medjax.systems.ecg_attention.augmentation import (
    Augmentation,
    draw_regions,
    kept_leads,
    region_bounds,
)
from medjax.systems.ecg_attention.distortion import Distortion
from tests.parity.harness import Case, handles

PUBLISHED_MIN_SAMPLES = 80


@handles(
    "ecg_attention",
    "augmentation_masks",
    config={"sampling_rate", "mask_length_range_short", "mask_length_range_long"},
)
def augmentation_masks(case: Case) -> dict[str, np.ndarray]:
    signal, peaks = case.inputs["signal"], jnp.asarray(case.inputs["r_peaks"])
    samples = signal.shape[-1]

    def all_masked(seconds: list[float]) -> np.ndarray:
        nothing = Distortion(0.0, *[()] * 6, 0, ())
        options = Augmentation(
            0.0, 1.0, 1.0, tuple(seconds), PUBLISHED_MIN_SAMPLES, 0.0, 0.0, False, nothing
        )
        visible = jnp.ones((1, len(signal)), bool)
        rate = float(case.config["sampling_rate"])
        masked = draw_regions(jax.random.key(0), visible, peaks[None], samples, rate, options)
        return np.where(masked[0], options.mask_value, signal)

    anchors, lengths = case.inputs["region_anchor"], case.inputs["region_length"]
    bounds = region_bounds(jnp.asarray(anchors), jnp.asarray(lengths), samples)
    table, chance = kept_leads(LEADS)
    return {
        "region_start_end": np.stack(bounds, axis=-1),
        "all_regions_masked": all_masked(case.config["mask_length_range_short"]),
        "long_regions_masked": all_masked(case.config["mask_length_range_long"]),
        # Regions are not announced to the network.
        "all_regions_mask": np.ones((len(signal), 1)),
        "lead_table": table.astype(np.int64),
        "lead_table_probability": chance,
    }
