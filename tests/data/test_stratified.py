"""Stratified batches and nested folds: every row once, classes in proportion."""

import numpy as np
import pytest

from medjax.data.stratified import largest_batch, nested_folds, stratified_batches
from medjax.errors import UserError


@pytest.mark.parametrize(
    ("n", "share", "size"), [(100, 0.5, 16), (320, 0.04, 64), (90, 0.1, 80), (37, 0.3, 5)]
)
def test_batches_hold_every_row_once_and_every_class_in_proportion(n, share, size):
    classes = np.random.default_rng(n).random(n) < share
    generator = np.random.default_rng(0)
    batches, others = (stratified_batches(classes, size, generator) for _ in range(2))
    assert len(batches) == max(1, n // size)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n))
    sizes = [len(batch) for batch in batches]
    events = [int(classes[batch].sum()) for batch in batches]
    assert max(sizes) - min(sizes) <= 1 and max(events) - min(events) <= 1
    assert max(sizes) == largest_batch(n, size)
    if len(batches) > 1:
        assert any(list(a) != list(b) for a, b in zip(batches, others, strict=True))


def test_batches_come_from_the_generator():
    classes = np.arange(60) % 4 == 0
    first, again = (stratified_batches(classes, 10, np.random.default_rng(3)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_rare_class_misses_some_batches():
    classes = np.arange(50) == 7
    batches = stratified_batches(classes, 10, np.random.default_rng(0))
    assert sorted(int(classes[batch].sum()) for batch in batches) == [0, 0, 0, 0, 1]
    with pytest.raises(UserError, match="larger batches"):
        stratified_batches(np.arange(6) % 2, 1, np.random.default_rng(0))


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_cover_all_rows_once_as_tests(folds):
    classes = np.random.default_rng(1).random(203) < 0.12
    parts = nested_folds(classes, folds, seed=42)
    tests = np.concatenate([part.test for part in parts])
    np.testing.assert_array_equal(np.sort(tests), np.arange(203))
    for part in parts:
        np.testing.assert_array_equal(np.sort(np.concatenate(part)), np.arange(203))
        for rows in part:
            assert abs(classes[rows].sum() - classes.mean() * len(rows)) < 1.5
            assert (np.diff(rows) > 0).all()
        assert len(part.validation) == pytest.approx(0.2 * (203 - len(part.test)), abs=1)


def test_folds_depend_on_the_seed_alone():
    classes = np.arange(80) % 5 == 0
    one, again, other = (nested_folds(classes, 2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0].test, again[0].test)
    np.testing.assert_array_equal(one[1].validation, again[1].validation)
    assert list(one[0].test) != list(other[0].test)


def test_too_few_rows_for_the_folds():
    with pytest.raises(UserError, match="too few of class 1 \\(1\\)"):
        nested_folds(np.arange(20) == 3, 2, 0)
    with pytest.raises(UserError, match="two folds"):
        nested_folds(np.arange(20) % 2, 1, 0)
    with pytest.raises(UserError, match="validation"):
        nested_folds(np.arange(20) < 2, 2, 0)
