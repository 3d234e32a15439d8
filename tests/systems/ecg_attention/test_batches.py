"""Batches: every recording once, the same items from host and device, peaks of lead II."""

import numpy as np
import pytest

from medjax.data.batching import EVALUATION
from medjax.data.ecg.leads import EIGHT_LEADS, LEADS
from medjax.errors import UserError
from medjax.run.system import with_resident
from medjax.systems.ecg_attention.batches import Batches, Sizes
from medjax.systems.ecg_attention.items import InputOptions
from tests.systems.ecg_attention.recordings import ecg_set

SIZES = Sizes(train=4, evaluation=3, time_steps=160)
ECG = ecg_set({"train": 11, "validation": 5})


def batches(residence: str = "host", leads=LEADS, sizes=SIZES, peaks=True, ecg=ECG):
    return Batches(ecg, leads, sizes, InputOptions(), 7, residence, peaks)


def made(of: Batches, split: str, epoch: int, plan):
    batch = of.collate(split, epoch, plan, slice(0, plan.size))
    return batch, of.with_samples(with_resident(batch, of.resident()))


def test_an_epoch_has_every_recording_at_most_once() -> None:
    one, other = (np.concatenate([p.indices for p in batches().plan("train", e)]) for e in (0, 1))
    assert len(one) == len(set(one)) == 8 and (one != other).any()
    evaluated = [p.indices for p in batches().plan("validation", EVALUATION)]
    np.testing.assert_array_equal(np.concatenate(evaluated), np.arange(5))


def test_fewer_recordings_than_a_batch_make_one() -> None:
    (plan,) = batches(sizes=Sizes(32, 32, 160)).plan("train", 0)
    assert sorted(plan.indices) == list(range(11)) and plan.size == 32
    batch = batches(sizes=Sizes(32, 32, 160)).collate("train", 0, plan, slice(0, 32))
    assert batch["mask"].sum() == 11 and (batch["target"][11:] == 0).all()


@pytest.mark.parametrize("leads", [LEADS, EIGHT_LEADS], ids=("12", "8"))
@pytest.mark.parametrize("split", ["train", "validation"])
def test_host_and_device_give_the_same_batches(split, leads) -> None:
    host, device = batches("host", leads), batches("device", leads)
    epoch = 0 if split == "train" else EVALUATION
    for plan in host.plan(split, epoch):
        (_, one), (sent, other) = (made(of, split, epoch, plan) for of in (host, device))
        assert "target" not in sent
        valid = one["mask"]
        for name in ("target", "signal"):
            np.testing.assert_allclose(np.asarray(other[name])[valid], one[name][valid], atol=2e-3)
        np.testing.assert_array_equal(np.asarray(other["peaks"])[valid], one["peaks"][valid])
        np.testing.assert_array_equal(other["number"], one["number"])


def test_rows_of_a_batch_are_the_same_in_parts() -> None:
    of = batches(sizes=Sizes(4, 4, 100))
    plan = of.plan("train", 3)[0]
    whole = of.collate("train", 3, plan, slice(0, 4))
    parts = [of.collate("train", 3, plan, slice(i, i + 2)) for i in (0, 2)]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, np.concatenate([p[name] for p in parts]))
    assert len(set(whole["offset"])) > 1  # pieces begin where each recording's draw says


def test_peaks_are_those_of_lead_two_only_where_wanted() -> None:
    plan = batches().plan("validation", EVALUATION)[0]
    peaks = batches().collate("validation", EVALUATION, plan, slice(0, 3))["peaks"]
    found = peaks[0][peaks[0] >= 0]
    assert all(np.abs(found - place).min() <= 2 for place in (30, 92))
    without = batches(peaks=False).collate("validation", EVALUATION, plan, slice(0, 3))
    assert without["peaks"].shape == (3, 0)


def test_recordings_of_several_lengths_stay_on_the_host() -> None:
    ecg = ecg_set({"train": 3})
    ecg.splits["train"].length[1] = 90
    plan = batches(ecg=ecg).plan("train", 0)[0]
    batch = batches(ecg=ecg).collate("train", 0, plan, slice(0, 4))
    row = int(np.flatnonzero(batch["length"] == 90)[0])
    assert (batch["target"][row, :, 90:] == 0).all()
    with pytest.raises(UserError, match="residence=host"):
        batches("device", ecg=ecg).resident()
