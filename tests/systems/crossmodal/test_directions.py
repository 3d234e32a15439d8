"""Directions of phenotypes: what separates, what does not, and how alike modalities point."""

import numpy as np
import pytest

from medjax.systems.crossmodal.directions import (
    angle,
    direction,
    direction_metrics,
    is_high,
    separation,
)
from medjax.systems.crossmodal.latents import Latents
from medjax.systems.crossmodal.probing import Labels

N, WIDTH = 300, 20
RNG = np.random.default_rng(0)
MASS = RNG.normal(size=N)
NOISE = RNG.normal(size=(2, N, WIDTH))
IDS = np.array([f"{i:03}" for i in range(N)])


def test_numbers_are_split_at_the_median_and_answers_between_them() -> None:
    np.testing.assert_array_equal(is_high(np.array([5, 1, 3, 9.0])), [True, False, False, True])
    np.testing.assert_array_equal(is_high(np.array([0, 1, 1.0])), [False, True, True])
    assert not len(is_high(np.zeros(0)))


def test_the_direction_is_that_of_the_signal() -> None:
    axis = np.eye(WIDTH)[3]
    found = direction(NOISE[0] + 3 * np.outer(MASS, axis), MASS > 0)
    assert np.linalg.norm(found) == pytest.approx(1) and angle(found, axis) < 15
    assert angle(axis, -axis) == pytest.approx(180)
    assert not direction(np.ones((4, 2)), np.array([True, False, True, False])).any()


def test_only_what_is_there_separates_held_out_participants() -> None:
    signal = NOISE[0] + np.outer(MASS, np.eye(WIDTH)[3])
    t, p = separation(signal, MASS > 0)
    assert t > 5 and p < 1e-6
    # On the participants that the direction was made of, noise would separate as well.
    wide = RNG.normal(size=(N, 200))
    high = RNG.permutation(MASS > 0)
    along = wide @ direction(wide, high)
    assert along[high].mean() - along[~high].mean() > 1
    assert abs(separation(wide, high)[0]) < 3


def test_modalities_that_share_a_space_point_alike() -> None:
    axis = np.eye(WIDTH)[3]
    shared = {n: x + 3 * np.outer(MASS, axis) for n, x in zip(("ecg", "mri"), NOISE)}
    has = {"ecg": np.arange(N) % 5 > 0, "mri": np.arange(N) % 7 > 0}
    values = np.stack([MASS, np.where(np.arange(N) < 3, 1.0, np.nan)], 1)
    labels = Labels(IDS[::-1], ("lv_mass", "rare"), values[::-1])
    found = direction_metrics(Latents(IDS, shared, has), labels)
    assert found["direction/ecg_to_mri/angle/lv_mass"].value < 30
    assert found["direction/mri/t/lv_mass"].value > 5
    assert found["direction/mri/t/lv_mass"].n == has["mri"].sum()
    assert "fewer than 5" in (found["direction/ecg/t/rare"].reason or "")
    apart = {"ecg": shared["ecg"], "mri": np.roll(shared["mri"], 5, axis=1)}
    found = direction_metrics(Latents(IDS, apart, has), labels)
    assert 60 < found["direction/ecg_to_mri/angle/lv_mass"].value < 120
