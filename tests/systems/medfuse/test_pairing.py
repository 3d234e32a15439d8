"""Items of a pass: which stays, with or without films, how often."""

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.systems.medfuse.pairing import MODES, pairing

STAYS = np.arange(100, 140)
LINKED = np.array([139, 101, 105, 110, 999])
PAIRED = np.array([1, 5, 10, 39])
UNPAIRED = np.setdiff1d(np.arange(40), PAIRED)


def items(mode, ratio=1.0, sampling="each_once", seed=0):
    return pairing(mode, STAYS, LINKED, ratio, sampling, np.random.default_rng(seed))


def test_paired_modes_differ_only_in_the_film():
    with_film, without = items("paired_ehr_cxr"), items("paired_ehr")
    np.testing.assert_array_equal(with_film.positions, PAIRED)
    np.testing.assert_array_equal(without.positions, PAIRED)
    assert with_film.use_image.all() and not without.use_image.any()


@pytest.mark.parametrize(("mode", "image"), [("partial_ehr", False), ("radiology", True)])
def test_whole_lists(mode, image):
    result = items(mode)
    np.testing.assert_array_equal(result.positions, np.arange(40))
    assert (result.use_image == image).all()


@pytest.mark.parametrize("sampling", ["each_once", "random_with_replacement"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0])
def test_partial_counts_and_films(ratio, sampling):
    positions, use_image = items("partial_ehr_cxr", ratio, sampling)
    assert len(positions) == len(use_image) == 4 + int(ratio * 36)
    np.testing.assert_array_equal(positions[use_image], PAIRED)
    assert np.isin(positions[~use_image], UNPAIRED).all()


def test_each_once_takes_none_twice_and_all_at_ratio_one():
    half = items("partial_ehr_cxr", 0.5).positions
    assert len(np.unique(half)) == len(half)
    np.testing.assert_array_equal(np.sort(items("partial_ehr_cxr").positions), np.arange(40))


def test_with_replacement_repeats_some():
    drawn = items("partial_ehr_cxr", 1.0, "random_with_replacement").positions[4:]
    assert len(np.unique(drawn)) < len(drawn)


@pytest.mark.parametrize("sampling", ["each_once", "random_with_replacement"])
def test_epochs_differ_and_repeat(sampling):
    first, again, other = (items("partial_ehr_cxr", 0.5, sampling, s).positions for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("mode", MODES)
def test_empty_split(mode):
    empty = np.array([], np.int64)
    for sampling in ("each_once", "random_with_replacement"):
        result = pairing(mode, empty, LINKED, 1.0, sampling, np.random.default_rng(0))
        assert len(result.positions) == len(result.use_image) == 0


@pytest.mark.parametrize(
    ("mode", "ratio", "sampling", "words"),
    [
        ("paired", 1.0, "each_once", "did you mean"),
        ("partial_ehr_cxr", 1.0, "once", "unpaired_sampling"),
        ("partial_ehr_cxr", 1.5, "each_once", "1.5"),
        ("partial_ehr_cxr", -0.1, "random_with_replacement", "-0.1"),
    ],
)
def test_wrong_options_are_named(mode, ratio, sampling, words):
    with pytest.raises(UserError, match=words):
        items(mode, ratio, sampling)
