"""Masks: geometry, frequencies, what is told to the network, and that keys decide everything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.data.ecg.leads import EIGHT_LEADS, LEADS
from medjax.systems.ecg_attention.augmentation import (
    Augmentation,
    augment,
    draw_kept_leads,
    in_regions,
    kept_leads,
    region_bounds,
    region_length,
)
from medjax.systems.ecg_attention.distortion import Distortion

NO_DISTORTION = Distortion(
    0.0, (0.0, 0.2), (5.0, 20.0), (0.0, 0.05), (5.0, 10.0), (0.0, 0.3), (5.0, 10.0), 3, (0.0, 0.5)
)
NONE = Augmentation(0.0, 0.0, 0.0, (0.08, 0.18), 0, 0.0, 0.0, False, NO_DISTORTION)
SIGNAL = jnp.asarray(np.random.default_rng(0).normal(size=(64, 12, 200)) + 3, jnp.float32)
PEAKS = jnp.asarray(np.tile([20, 90, 160, -1], (64, 1)))
KEY = jax.random.key(0)


def masked_by(**options):
    """The signal and mask under these options at 100 Hz."""
    return augment(KEY, SIGNAL, PEAKS, 100.0, NONE._replace(**options))


def test_without_masks_nothing_changes() -> None:
    signal, visible = masked_by()
    np.testing.assert_array_equal(signal, SIGNAL)
    assert (visible == 1).all()


def test_whole_leads_are_hidden_by_the_table() -> None:
    signal, visible = masked_by(mask_whole_lead_prob=1.0)
    table, _ = kept_leads()
    for row in range(len(SIGNAL)):
        assert any((visible[row, :, 0] == kept).all() for kept in table)
    np.testing.assert_array_equal(signal, np.where(visible == 1, SIGNAL, 0))
    assert (visible[..., :1] == visible).all()


def test_sets_of_leads_are_drawn_as_often_as_stated() -> None:
    drawn = np.asarray(draw_kept_leads(KEY, 20_000))
    table, chance = kept_leads()
    for kept, p in zip(table, chance, strict=True):
        assert abs((drawn == kept).all(1).mean() - p) < 0.015


def test_eight_leads_are_the_same_sets_without_the_derived_ones() -> None:
    table, _ = kept_leads(EIGHT_LEADS)
    full, _ = kept_leads()
    np.testing.assert_array_equal(table, full[:, [LEADS.index(lead) for lead in EIGHT_LEADS]])


def test_regions_lie_around_peaks_and_are_not_told() -> None:
    options = {"lead_mask_prob": 1.0, "region_mask_prob": 1.0, "mask_value": -9.0}
    signal, visible = masked_by(**options)
    masked = np.asarray(signal == -9)
    assert (visible == 1).all()
    for peak in (20, 90, 160):
        assert masked[:, :, peak].all()
    # 0.08 to 0.18 s at 100 Hz around three peaks.
    lengths = masked.sum(-1)
    assert lengths.min() >= 3 * 8 and lengths.max() <= 3 * 18 and np.ptp(lengths) > 5
    assert not masked[:, :, 40:70].any()
    _, told = masked_by(**options, mask_shows_regions=True)
    np.testing.assert_array_equal(told == 0, masked)


def test_half_of_a_lead_is_dropped() -> None:
    signal, _ = masked_by(lead_mask_prob=1.0, random_drop_half_prob=1.0)
    gone = np.asarray(signal == 0)
    first, second = gone[..., :100].all(-1), gone[..., 100:].all(-1)
    assert (first ^ second).all() and 0.4 < first.mean() < 0.6


def test_hidden_leads_have_no_regions() -> None:
    options = {"mask_whole_lead_prob": 1.0, "lead_mask_prob": 1.0, "region_mask_prob": 1.0}
    signal, visible = masked_by(**options, mask_value=5.0)
    hidden = np.asarray(visible == 0)
    assert hidden.any() and (np.asarray(signal)[hidden] == 0).all()


def test_regions_keep_inside_the_record() -> None:
    start, end = region_bounds(jnp.array([2, 50, 99]), jnp.array([20, 20, 20]), 100)
    np.testing.assert_array_equal(np.stack([start, end]), [[0, 40, 89], [20, 60, 100]])
    assert int(region_length(jnp.float32(0.1), 500.0, 80)) == 80
    inside = in_regions(start, end, jnp.array([True, False, True]), 100)
    np.testing.assert_array_equal(np.flatnonzero(inside), [*range(20), *range(89, 100)])


def test_the_key_alone_decides() -> None:
    options = NONE._replace(mask_whole_lead_prob=0.5, lead_mask_prob=0.2, region_mask_prob=0.2)
    one, again = (augment(KEY, SIGNAL, PEAKS, 100.0, options)[0] for _ in range(2))
    other, _ = augment(jax.random.key(1), SIGNAL, PEAKS, 100.0, options)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("rate", [100.0, 500.0])
def test_distortion_adds_bounded_noise_to_some_leads(rate) -> None:
    options = NONE._replace(distortion=NO_DISTORTION._replace(probability=0.5))
    signal, visible = augment(KEY, SIGNAL, PEAKS, rate, options)
    added = np.asarray(signal - SIGNAL)
    touched = np.abs(added).max(-1) > 0
    assert (visible == 1).all() and 0.8 < touched.mean() < 1
    assert np.isfinite(added).all() and 0.01 < added[touched].std() < 1.5
