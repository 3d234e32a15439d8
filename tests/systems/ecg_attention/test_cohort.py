"""A risk cohort: its folds keep subjects together, its batches are of one shape."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION
from medjax.errors import UserError
from medjax.systems.ecg_attention.batches import Sizes
from medjax.systems.ecg_attention.cohort import Cohort, CohortBatches, cohort_folds

FOLDS = ConfigDict({"folds": 2, "validation_share": 0.2})


def cohort(n: int = 90, subjects: int = 70, samples: int = 20) -> Cohort:
    generator = np.random.default_rng(0)
    event = (generator.random(n) < 0.3).astype(float)
    event[::15] = np.nan
    return Cohort(
        signals=np.broadcast_to(np.arange(n)[:, None, None], (n, 2, samples)).astype(np.float32),
        length=np.full(n, samples, np.int32),
        recorded=np.ones((n, 2), bool),
        event=event,
        time=generator.integers(1, 50, n).astype(float),
        record_id=np.arange(n).astype(str),
        subject_id=(np.arange(n) % subjects).astype(str),
        split=np.where(np.arange(n) % 3, "train", "test"),
        sampling_rate=100.0,
        digest="one",
    )


def batches(data: Cohort, on_device: bool = False) -> CohortBatches:
    parts = cohort_folds(data, FOLDS, seed=1)[0]
    sizes = Sizes(8, 16, 24)
    return CohortBatches(data, parts, sizes, 12, 1, stratified=True, on_device=on_device)


def test_folds_hold_each_known_record_once_and_no_subject_twice():
    data = cohort()
    folds = cohort_folds(data, FOLDS, seed=1)
    tests = np.concatenate([parts["test"] for parts in folds])
    np.testing.assert_array_equal(np.sort(tests), np.flatnonzero(data.known))
    for parts in folds:
        whole = np.concatenate(list(parts.values()))
        np.testing.assert_array_equal(np.sort(whole), np.flatnonzero(data.known))
        subjects = [set(data.subject_id[rows]) for rows in parts.values()]
        assert not (subjects[0] & subjects[1] or subjects[1] & subjects[2])
        assert not subjects[0] & subjects[2]
        shares = [np.mean(data.event[rows]) for rows in parts.values()]
        assert max(shares) - min(shares) < 0.2


def test_without_folds_and_for_other_data_the_sets_own_splits_stand():
    data = cohort()
    (own,) = cohort_folds(data, ConfigDict({"folds": 0, "validation_share": 0.2}), 1)
    assert set(own) == {"train", "test"}
    assert not np.isnan(data.event[own["train"]]).any()
    (other,) = cohort_folds(data, FOLDS, 1, trained_on="another")
    assert sum(map(len, other.values())) == 90  # records of unknown outcome are predicted too
    assert len(cohort_folds(data, FOLDS, 1, trained_on="one")) == 2


def test_a_cohort_without_outcomes_is_said():
    data = cohort()
    with pytest.raises(UserError, match="names no outcomes"):
        cohort_folds(data._replace(event=np.full(90, np.nan)), FOLDS, 1)


@pytest.mark.parametrize("on_device", [False, True])
def test_batches_are_of_one_shape_and_hold_what_they_say(on_device):
    data = cohort()
    made = batches(data, on_device)
    seen = []
    for plan in made.plan("train", 0):
        batch = made.collate("train", 0, plan, slice(0, 12))
        assert {len(column) for column in batch.values()} == {12}
        mask, rows = batch["mask"], made.parts["train"][plan.indices]
        assert mask.sum() == len(rows)
        np.testing.assert_array_equal(batch["event"][mask], data.event[rows])
        numbers = batch["index"] if on_device else batch["signal"][:, 0, 0]
        np.testing.assert_array_equal(numbers[mask], rows)
        seen += list(rows)
    np.testing.assert_array_equal(np.sort(seen), made.parts["train"])
    assert set(made.resident()) == ({"cohort"} if on_device else set())
    order = np.concatenate([plan.indices for plan in made.plan("test", EVALUATION)])
    np.testing.assert_array_equal(order, np.arange(len(made.parts["test"])))


def test_every_epoch_has_batches_of_its_own_with_events_in_proportion():
    data = cohort()
    made = batches(data)
    first, again, later = (made.plan("train", epoch) for epoch in (0, 0, 1))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)
    assert any(list(a.indices) != list(b.indices) for a, b in zip(first, later, strict=True))
    events = [data.event[made.parts["train"][plan.indices]].sum() for plan in first]
    assert max(events) - min(events) <= 1
