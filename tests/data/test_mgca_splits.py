"""Splits of COVIDx, RSNA and CheXpert: patients stand on one side, unless rows are asked for."""

import numpy as np
import pytest

from medjax.data import mgca_splits
from medjax.data.mgca_splits import (
    chexpert_parts,
    covidx_by_patient,
    covidx_by_row,
    rsna_parts,
    subset,
)
from medjax.errors import UserError


def test_covidx_patients_are_on_one_side_and_tested_ones_on_none() -> None:
    generator = np.random.default_rng(0)
    patients = [f"p{i}" for i in generator.integers(0, 40, 200)]
    tested = [p in ("p1", "p2") and i % 2 == 0 for i, p in enumerate(patients)]
    parts = covidx_by_patient(patients, tested)
    sides = [{patients[i] for i in part} for part in parts]
    assert not (sides[0] & sides[1] or sides[2] & (sides[0] | sides[1]))
    assert set(parts.test) == set(np.flatnonzero(tested))
    drawn = len(parts.validation) / (len(parts.train) + len(parts.validation))
    assert 0.2 <= drawn < 0.25
    again = covidx_by_patient(patients, tested)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again))


def test_covidx_rows_and_rsna_patients_are_all_placed_once() -> None:
    by_row = covidx_by_row([False] * 50 + [True] * 10)
    assert [len(part) for part in by_row] == [40, 10, 10]
    assert sorted(np.concatenate(by_row)) == list(range(60)) and min(by_row.test) == 50
    parts = rsna_parts(26684)
    assert [len(part) for part in parts] == [18678, 4003, 4003]
    assert len(set(np.concatenate(parts))) == 26684


def test_subsets_are_drawn_alike() -> None:
    assert len(set(subset(100, 0.1))) == 10
    assert np.array_equal(subset(100, 0.1), subset(100, 0.1))
    assert not np.array_equal(subset(100, 0.1), subset(100, 0.1, seed=1))


@pytest.mark.parametrize("by_patient", [True, False])
def test_chexpert_keeps_lone_labels_and_draws_for_validation(by_patient, monkeypatch) -> None:
    monkeypatch.setattr(mgca_splits, "CHEXPERT_EACH", 3)
    monkeypatch.setattr(mgca_splits, "CHEXPERT_VALIDATION", 40)
    generator = np.random.default_rng(0)
    patients = [f"p{i}" for i in generator.integers(0, 80, 200)]
    tested = [i < 10 for i in range(200)]
    alone = generator.integers(-1, 5, 200)
    parts = chexpert_parts(patients, tested, alone, by_patient)
    assert parts.test.tolist() == list(range(10))
    placed = np.concatenate(parts)
    assert len(set(placed)) == len(placed) and set(placed) < set(range(200))
    left = np.setdiff1d(np.arange(10, 200), placed)
    sides = [{patients[i] for i in part} for part in parts]
    if by_patient:
        assert not (sides[0] & sides[1] or sides[2] & (sides[0] | sides[1]))
        assert not {patients[i] for i in left} & (sides[0] | sides[1])
        assert 40 <= len(parts.validation) < 50
        for label in range(5):
            assert (alone[left] == label).sum() >= 3
    else:
        assert sides[0] & sides[1] and len(parts.validation) == 40
        assert [(alone[left] == label).sum() for label in range(5)] == [3] * 5 and len(left) == 15
    again = chexpert_parts(patients, tested, alone, by_patient)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again))


def test_too_few_films_of_chexpert_are_told() -> None:
    with pytest.raises(UserError, match="validation: 2, of which"):
        chexpert_parts(["a", "b", "c"], [True, False, False], [-1, -1, -1])
