"""Who stands in the batches of a stage, and that a batch is the same wherever its signals lie."""

import numpy as np
import pytest

from medjax.data.batching import EVALUATION
from medjax.run.system import with_resident
from medjax.systems.crossmodal.batches import Batches, Passes
from medjax.systems.crossmodal.data import mean_signals
from tests.systems.crossmodal.cohorts import COUNTS, make_cohort

BOTH = ("ecg", "mri")


def rows(batches, split, epoch):
    return [list(plan.indices) for plan in batches.plan(split, epoch)]


def flat(lists):
    return [row for rows in lists for row in rows]


@pytest.mark.parametrize(
    ("modalities", "participants", "train"),
    [(("ecg",), "any", 11), (("mri",), "any", 9), (BOTH, "any", 13), (BOTH, "all", 7)],
)
def test_a_stage_takes_those_who_have_what_it_reads(modalities, participants, train):
    cohort = make_cohort()
    batches = Batches(cohort, modalities, Passes(4, 3), 1, participants=participants)
    taken = flat(rows(batches, "train", EVALUATION))
    assert len(taken) == len(set(taken)) == train
    there = {"ecg": cohort.splits["train"].has_ecg, "mri": cohort.splits["train"].has_mri}
    need = np.stack([there[m] for m in modalities])
    assert (need.all(0) if participants == "all" else need.any(0))[taken].all()


def test_a_training_pass_is_shuffled_whole_batches_and_another_in_every_epoch():
    batches = Batches(make_cohort(), BOTH, Passes(4, 3), 1)
    first, second = rows(batches, "train", 0), rows(batches, "train", 1)
    assert [len(x) for x in first] == [4, 4, 4] and first != second
    assert first == rows(Batches(make_cohort(), BOTH, Passes(4, 3), 1), "train", 0)
    assert len(set(flat(first))) == 12


def test_an_epoch_of_steps_goes_on_where_the_one_before_ended():
    endless = Batches(make_cohort(), BOTH, Passes(4, 3, steps=6), 1)
    passes = Batches(make_cohort(), BOTH, Passes(4, 3), 1)
    by_steps = rows(endless, "train", 0) + rows(endless, "train", 1)
    by_passes = flat(rows(passes, "train", epoch) for epoch in range(4))
    assert by_steps == by_passes
    odd = Batches(make_cohort(), BOTH, Passes(4, 3, steps=5), 1)
    assert rows(odd, "train", 0) + rows(odd, "train", 1) == by_passes[:10]


def test_evaluation_covers_everyone_once_or_as_many_steps_as_asked():
    everyone = Batches(make_cohort(), BOTH, Passes(4, 4), 1)
    assert flat(rows(everyone, "test", EVALUATION)) == list(range(COUNTS["test"]))
    some = Batches(make_cohort(), BOTH, Passes(4, 2, evaluation_steps={"validation": 2}), 1)
    assert [len(x) for x in rows(some, "validation", EVALUATION)] == [2, 2]
    assert len(flat(rows(some, "test", EVALUATION))) == COUNTS["test"]


def test_signals_on_the_device_are_those_of_the_host_and_padding_is_marked():
    cohort = make_cohort()
    host = Batches(cohort, BOTH, Passes(4, 4), 1)
    device = Batches(cohort, BOTH, Passes(4, 4), 1, residence="device")
    for split in ("train", "test"):
        plan = host.plan(split, EVALUATION)[-1]
        one = host.collate(split, EVALUATION, plan, slice(0, 4))
        other = device.collate(split, EVALUATION, plan, slice(0, 4))
        other = device.with_signals(with_resident(other, device.resident()))
        valid = one["mask"]
        assert valid.tolist() == [True] * len(plan.indices) + [False] * (4 - len(plan.indices))
        for name in ("ecg", "mri", "has_ecg", "has_mri", "number"):
            np.testing.assert_array_equal(one[name][valid], other[name][valid])
        np.testing.assert_array_equal(one["ecg"][~one["has_ecg"]], 0)


def test_the_mean_signal_is_of_those_of_the_train_split_who_have_it():
    cohort = make_cohort()
    train = cohort.splits["train"]
    means = mean_signals(cohort, BOTH)
    expected = train.ecg(np.flatnonzero(train.has_ecg)).mean(0)
    np.testing.assert_allclose(means["ecg"], expected, atol=1e-6)
    del cohort.splits["train"]
    assert mean_signals(cohort, BOTH) == {}
