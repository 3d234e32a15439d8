"""Items: host and device agree, padding and windows, the published order of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.data.ecg.cleaning import cleaning_matrix
from medjax.systems.ecg_attention.items import (
    InputOptions,
    make_items,
    place,
    target_and_input,
    targets_and_inputs,
    window,
)

RNG = np.random.default_rng(0)
RATE, SAMPLES = 250.0, 120
OPTIONS = (
    InputOptions(),
    InputOptions(input_cleaning="shared"),
    InputOptions(input_cleaning="shared", skip_below_sum=1e-5),
)


def recordings(rows: int = 3) -> np.ndarray:
    """Wander, slow waves and noise in millivolt, one lead constant and one empty."""
    time = np.arange(SAMPLES) / RATE
    phase = RNG.uniform(0, 6, (rows, 12, 1))
    raw = np.sin(2 * np.pi * 4 * time + phase) + 0.7 * time + 0.1 * RNG.normal(size=(SAMPLES,))
    raw[1, 4], raw[1, 7] = 1.25, 0.0
    return raw.astype(np.float32)


@pytest.mark.parametrize("options", OPTIONS, ids=("default", "shared", "skip"))
def test_host_and_device_make_the_same_items(options) -> None:
    raw = recordings()
    matrix = jnp.asarray(cleaning_matrix(SAMPLES, RATE), jnp.float32)
    on_device = targets_and_inputs(jnp.asarray(raw), matrix, options)
    on_host = [np.stack(x) for x in zip(*(target_and_input(r, RATE, options) for r in raw))]
    for device, host in zip(on_device, on_host):
        np.testing.assert_allclose(device, host, atol=2e-3)
        assert (np.asarray(device)[1, [4, 7]] == 0).all() and (host[1, [4, 7]] == 0).all()


def test_the_input_is_the_recording_unless_shared() -> None:
    raw = recordings()[0]
    target, signal = target_and_input(raw, RATE, OPTIONS[0])
    assert np.abs(target - signal).max() > 0.1
    z = (raw - raw.mean(1, keepdims=True)) / raw.std(1, keepdims=True)
    np.testing.assert_allclose(signal, z, atol=1e-4)
    target, signal = target_and_input(raw, RATE, OPTIONS[1])
    np.testing.assert_array_equal(target, signal)


def test_a_recording_without_sum_is_left_alone_if_asked() -> None:
    raw = recordings()[0] - recordings()[0].mean()
    raw -= raw.mean(dtype=np.float64)
    options = InputOptions(skip_below_sum=1.0)
    for made in target_and_input(raw, RATE, options):
        np.testing.assert_array_equal(made, raw)


@pytest.mark.parametrize(
    ("length", "steps", "left"), [(600, 608, 4), (601, 608, 3), (608, 608, 0), (5, 8, 1)]
)
def test_short_recordings_stand_in_the_middle(length, steps, left) -> None:
    where = window(np.array([length]), steps)
    x = jnp.asarray(RNG.normal(size=(1, 2, length)), jnp.float32)
    placed = np.asarray(place(x, *map(jnp.asarray, where), steps))
    np.testing.assert_array_equal(placed[..., left : left + length], x)
    assert (np.delete(placed, np.arange(left, left + length), axis=-1) == 0).all()


def test_of_long_recordings_a_piece_is_taken() -> None:
    x = jnp.arange(30.0).reshape(1, 1, 30)
    middle = place(x, *map(jnp.asarray, window(np.array([30]), 10)), 10)
    np.testing.assert_array_equal(middle[0, 0], np.arange(10, 20))
    for draw, start in ((0.0, 0), (0.5, 10), (0.999, 19)):
        piece = place(x, *map(jnp.asarray, window(np.array([30]), 10, np.array([draw]))), 10)
        np.testing.assert_array_equal(piece[0, 0], np.arange(start, start + 10))
    double = window(np.array([20]), 10, np.array([0.3]))  # exactly twice the length
    assert double.offset[0] == 3


def test_padding_and_leads_without_data_are_not_visible() -> None:
    batch = {
        "target": jnp.ones((2, 12, 20)),
        "signal": jnp.ones((2, 12, 20)),
        "length": jnp.array([20, 14]),
        "offset": jnp.array([-2, -5]),
        "recorded": jnp.ones((2, 12), bool).at[0, 3].set(False),
    }
    items = make_items(batch, 24, InputOptions())
    assert (items.visible[0, 3] == 0).all() and float(items.visible[0, 2].sum()) == 20
    np.testing.assert_array_equal(np.flatnonzero(items.visible[1, 0]), np.arange(5, 19))
    np.testing.assert_array_equal(items.signal[1], items.target[1])


def test_again_after_masking_standardises_what_masks_left() -> None:
    signal = jnp.asarray(RNG.normal(size=(2, 12, 50)), jnp.float32)
    batch = {
        **{"target": signal, "signal": signal.at[:, 0].set(0), "length": jnp.array([50, 50])},
        **{"offset": jnp.zeros(2, int), "recorded": jnp.ones((2, 12), bool)},
    }
    again = InputOptions(input_standardise="again_after_masking")
    made = jax.jit(lambda b: make_items(b, 50, again))(batch).signal
    np.testing.assert_allclose(made[:, 1:].mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(made[:, 1:].std(-1), 1, atol=1e-4)
    assert (made[:, 0] == 0).all()
