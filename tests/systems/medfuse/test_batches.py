"""Batches of MedFuse: planned, deterministic, fixed in shape, the same by rows as whole."""

from pathlib import Path

import numpy as np
import pytest

from medjax.data.batching import EVALUATION
from medjax.errors import UserError
from medjax.run.words import load_config
from medjax.systems.medfuse.batches import Batches, bucket
from medjax.systems.medfuse.data import NO_FILM, Data, Films, Stays, normalise
from medjax.systems.medfuse.system import build

CONFIG = Path(__file__).parents[3] / "configs" / "medfuse.py"
NORMALIZER = {
    "name": "fit_train",
    "columns": [f"channel {i}" for i in range(12)] + [f"c->{i}" for i in range(64)],
    "means": list(np.linspace(1, 2, 76)),
    "stds": [2.0] * 76,
}


def make_stays(count: int, films: int, seed: int = 0) -> Stays:
    """Draw stays of 20 to 130 hours; the first ones have a film."""
    rng = np.random.default_rng(seed)
    hours = rng.integers(20, 130, count)
    records = [{"series": rng.normal(size=(h, 76)).astype(np.float32)} for h in hours]
    film = np.where(np.arange(count) < films, np.arange(count), NO_FILM)
    labels = rng.integers(0, 2, (count, 3)).astype(np.uint8)
    names = np.asarray([f"{i}_episode1_timeseries.csv" for i in range(count)], dtype=object)
    hour = np.where(film == NO_FILM, np.inf, rng.uniform(0, 40, count)).astype(np.float32)
    ids, age = np.arange(count), rng.uniform(18, 95, count)
    return Stays(records, 100 + ids, ids, names, hours, labels, film, age, hour)


def make_films(count: int) -> Films:
    """Draw grey films with two labels."""
    rng = np.random.default_rng(5)
    records = [{"image": rng.integers(0, 256, (90, 80), dtype=np.uint8)} for _ in range(count)]
    ids = np.asarray([f"film{i}" for i in range(count)], dtype=object)
    return Films(records, ids, np.arange(count), rng.integers(0, 2, (count, 2)).astype(np.float32))


def make_data(stays: int = 23, films: int = 9) -> Data:
    """Return the same splits for train, validation and test."""
    splits = ("train", "validation", "test")
    return Data(
        {split: make_stays(stays, films) for split in splits},
        {split: make_films(max(films, 1)) for split in splits} if films else {},
        ("a", "b", "c"),
        ("d", "e"),
        NORMALIZER,
    )


def make_batches(data: Data, stage: str = "fusion", **overrides: str) -> Batches:
    """Return the batches of a stage of the smoke config."""
    config = load_config(CONFIG, ("smoke",), overrides)
    return Batches(config, config[stage], data, data.normalizer)


def test_training_shuffles_by_epoch_and_drops_the_partial_batch():
    batches = make_batches(make_data())
    first, again, other = (batches.plan("train", epoch) for epoch in (0, 0, 1))
    assert [len(plan.indices) for plan in first] == [8, 8]
    np.testing.assert_array_equal(
        np.concatenate([p.indices for p in first]), np.concatenate([p.indices for p in again])
    )
    assert any((a.indices != b.indices).any() for a, b in zip(first, other))


def test_evaluation_sees_every_example_once():
    batches = make_batches(make_data())
    indices = np.concatenate([plan.indices for plan in batches.plan("test", EVALUATION)])
    assert sorted(indices) == list(range(23))


def test_selection_looks_at_stays_with_a_film_where_there_are_any():
    ratio = {"data.val_unpaired_ratio": "0.0"}
    paired = make_batches(make_data(), **ratio).plan("validation", EVALUATION)
    assert sorted(np.concatenate([plan.indices for plan in paired])) == list(range(9))
    alone = make_batches(make_data(films=0), **ratio).plan("validation", EVALUATION)
    assert len(np.concatenate([plan.indices for plan in alone])) == 23


@pytest.mark.parametrize("sampling", ["each_once", "random_with_replacement"])
@pytest.mark.parametrize(("ratio", "unpaired"), [("0.0", 0), ("0.5", 7), ("1.0", 14)])
def test_the_share_of_unpaired_stays_is_drawn_anew_each_epoch(sampling, ratio, unpaired):
    """The experiment of the paper's figure: --config.fusion.data.data_ratio."""
    options = {"fusion.data.data_ratio": ratio, "data.unpaired_sampling": sampling}
    batches = make_batches(make_data(), **options)
    first, again, other = (batches.examples("train", epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert sorted(first[:9]) == list(range(9)) and (first[9:] >= 9).all()
    assert len(first) == 9 + unpaired
    drawn_anew = ratio == "0.5" or (sampling == "random_with_replacement" and unpaired)
    assert np.array_equal(np.sort(first), np.sort(other)) != bool(drawn_anew)
    held_out = [np.sort(batches.examples("test", epoch)) for epoch in (EVALUATION, 0)]
    np.testing.assert_array_equal(*held_out)
    assert len(held_out[0]) == 23, "the share is one of the training stays"


def test_a_plan_is_padded_to_the_first_bucket_that_holds_it():
    assert [bucket(h, (48, 96)) for h in (1, 48, 49, 96, 97, 300)] == [48, 48, 96, 96, 192, 384]
    batches, data = make_batches(make_data()), make_data()
    for plan in batches.plan("train", 0):
        longest = data.stays["train"].hours[plan.indices].max()
        assert plan.bucket >= longest and plan.bucket in (48, 192)


def test_rows_of_a_batch_are_the_rows_of_the_whole_batch():
    batches = make_batches(make_data())
    plan = batches.plan("test", EVALUATION)[-1]
    whole = batches.collate("test", EVALUATION, plan, slice(0, plan.size))
    parts = [
        batches.collate("test", EVALUATION, plan, slice(start, start + plan.size // 4))
        for start in range(0, plan.size, plan.size // 4)
    ]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, np.concatenate([part[name] for part in parts]))
    assert whole["mask"].sum() == len(plan.indices) < plan.size


def test_a_batch_holds_what_its_stays_hold():
    data = make_data()
    batches = make_batches(data)
    plan = batches.plan("train", 3)[0]
    batch = batches.collate("train", 3, plan, slice(0, plan.size))
    stays = data.stays["train"]
    for row, position in enumerate(plan.indices):
        hours = stays.hours[position]
        assert batch["length"][row] == hours
        expected = normalise(stays.records[position]["series"], NORMALIZER)
        np.testing.assert_array_equal(batch["series"][row, :hours], expected)
        assert not batch["series"][row, hours:].any()
        assert batch["has_image"][row] == (position < 9)
        assert batch["image"][row].any() == (position < 9)
        np.testing.assert_array_equal(batch["labels"][row], stays.labels[position])


def test_augmentation_depends_on_epoch_and_film_alone():
    batches = make_batches(make_data())
    plans = batches.plan("train", 0)
    plan = next(p for p in plans if (p.indices < 9).any())
    one, other = (batches.collate("train", e, plan, slice(0, 8))["image"] for e in (0, 1))
    again = batches.collate("train", 0, plan, slice(0, 8))["image"]
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_the_image_encoders_stage_reads_films_and_their_labels():
    data = make_data()
    batches = make_batches(data, "cxr")
    plan = batches.plan("train", 0)[0]
    batch = batches.collate("train", 0, plan, slice(0, plan.size))
    assert batch["has_image"].all() and batch["series"].shape[1] == 1
    np.testing.assert_array_equal(batch["labels"], data.films["train"].labels[plan.indices])
    assert batches.label_names() == ("d", "e")


def test_normalising_leaves_masks_and_one_hots_alone():
    series = np.ones((4, 76), np.float32)
    normalised = normalise(series, NORMALIZER)
    np.testing.assert_array_equal(normalised[:, 12:], 1)
    np.testing.assert_allclose(normalised[0, :12], (1 - np.linspace(1, 2, 76)[:12]) / 2, rtol=1e-6)
    with pytest.raises(UserError, match="76 columns and the normaliser 3"):
        normalise(series, {"columns": ["a", "b", "c"], "means": [0] * 3, "stds": [1] * 3})


@pytest.mark.parametrize(
    ("words", "data", "sentence"),
    [
        (("smoke", "radiology"), make_data(films=0), "xray_dir"),
        (("smoke", "joint"), make_data(films=0), "needs stays that have an image"),
        (("smoke", "uni_ehr_all"), make_data()._replace(stays={}), "data.dir"),
        (("smoke",), make_data(films=0)._replace(stay_labels=()), "--unlabelled.*--mode=predict"),
        (
            ("smoke", "medfuse_random_init"),
            make_data(films=0)._replace(films={"train": make_films(3)}),
            "no stay has an image.*--ehr",
        ),
    ],
)
def test_a_stage_without_its_data_says_what_to_give(words, data, sentence):
    config = load_config(CONFIG, words)
    with pytest.raises(UserError, match=sentence):
        build(config, config.stages[0], data, None)
