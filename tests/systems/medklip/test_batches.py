"""Reading prepared films and triplets, and batches of them."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import ENTITIES
from medjax.data.randaugment import RandAugment
from medjax.errors import UserError
from medjax.systems.medklip.batches import EVALUATION, Batches, Options
from medjax.systems.medklip.data import EMPTY, LabelRules, known_labels, open_klip
from medjax.systems.medklip.demo import prepare_demo
from medjax.systems.medklip.views import ViewOptions, evaluation_view, training_view

PLAIN = ViewOptions(size=48, crop=None, flip=0.0, augment=None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    options = ConfigDict({"patients": 30, "seed": 1, "width": 48})
    return prepare_demo(tmp_path_factory.mktemp("demo"), options)


@pytest.fixture(scope="module")
def data(folders):
    return open_klip(*folders, invented=True)


def batches(data, targets="triplets", view=PLAIN, **options):
    return Batches(data, Options(8, 8, view, targets, **options), seed=3)


def first(batch_maker, split="train", epoch=0):
    plan = batch_maker.plan(split, epoch)[0]
    return plan, batch_maker.collate(split, epoch, plan, slice(0, plan.size))


def test_patients_stay_in_one_split(data):
    subjects = [set(films.subject_id) for films in data.splits.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 30


def test_batches_of_triplets(data):
    maker = batches(data)
    plan, batch = first(maker)
    films = data.splits["train"]
    assert batch["image"].shape == (8, 48, 48, 1) and batch["image"].dtype == np.uint8
    assert batch["mask"].all() and batch["position_index"].shape == (8, 75, 8)
    for row, film in enumerate(plan.indices):
        matrix = films.matrix(int(film))
        assert np.array_equal(batch["labels"][row], matrix.max(0))
        present = batch["labels"][row] == 1
        places = batch["position_index"][row][present]
        assert (matrix[places[:, 0], np.flatnonzero(present)] == 1).all()
        text = data.report_texts[batch["report"][row]]
        assert "no report" not in text and text == data.report_texts[films.report_row[film]]
    assert np.array_equal(films.existence()[plan.indices], batch["labels"])


def test_draws_depend_on_seed_epoch_and_film_alone(data):
    view = ViewOptions(size=32, augment=RandAugment())
    maker = batches(data, view=view)
    plan, whole = first(maker)
    part = maker.collate("train", 0, plan, slice(3, 6))
    for name in whole:
        assert np.array_equal(whole[name][3:6], part[name]), name
    later = maker.collate("train", 1, plan, slice(0, 8))
    assert (later["image"] != whole["image"]).any()
    assert (later["position_index"] != whole["position_index"]).any()
    assert np.array_equal(later["labels"], whole["labels"])


def test_a_partial_batch_is_padded_in_evaluation_and_left_out_in_training(data):
    maker = batches(data)
    plans = maker.plan("test", EVALUATION)
    assert sum(len(plan.indices) for plan in plans) == len(data.splits["test"].dicom_id)
    last = maker.collate("test", EVALUATION, plans[-1], slice(0, 8))
    assert last["mask"].sum() == len(plans[-1].indices) and len(last["image"]) == 8
    assert {len(plan.indices) for plan in maker.plan("train", 0)} == {8}
    again = maker.collate("test", EVALUATION, plans[-1], slice(0, 8))
    assert all(np.array_equal(last[name], again[name]) for name in last)


def test_validation_may_be_drawn_as_published(data):
    view = ViewOptions(size=48, augment=None)
    ours = batches(data, view=view)
    theirs = batches(
        data, view=view, validation_transform="training", validation_shuffle=True,
        validation_drop_last=True,
    )  # fmt: skip
    plan, still = first(ours, "validation", EVALUATION)
    assert (theirs.collate("validation", EVALUATION, plan, slice(0, 8))["image"]
            != still["image"]).any()  # fmt: skip
    order = np.concatenate([p.indices for p in theirs.plan("validation", EVALUATION)])
    assert not np.array_equal(order, np.arange(len(order)))


def test_batches_of_labels_and_of_a_subset(data):
    maker = Batches(data, Options(4, 4, PLAIN, "labels"), 0, {"train": np.array([5, 2, 7])})
    plan, batch = first(maker)
    assert sorted(plan.indices) == [2, 5, 7]
    assert batch["labels"].shape == (4, 9) and batch["known"][:3].all()
    assert not batch["known"][3].any() and batch["mask"].tolist() == [True] * 3 + [False]
    expected = data.splits["train"].labels[plan.indices]
    assert np.array_equal(batch["labels"][:3], expected)


def test_batches_of_places_follow_the_film(data):
    maker = batches(data, "region", region="Effusion")
    regions = data.regions("train", "Effusion")
    row = int(regions.position[0])
    _, batch = first(Batches(data, Options(1, 1, PLAIN, "region", "Effusion"), 0,
                                {"train": np.array([row])}))  # fmt: skip
    assert batch["labels"].tolist() == [[1]]
    assert np.array_equal(batch["region"][0], regions.mask(0, (48, 48)))
    flipped = ViewOptions(size=48, crop=None, flip=1.0, augment=None)
    _, turned = first(Batches(data, Options(1, 1, flipped, "region", "Effusion"), 0,
                              {"train": np.array([row])}))  # fmt: skip
    assert np.array_equal(turned["region"], batch["region"][..., ::-1])
    index = data.film_labels.index("Effusion")
    for split in maker.splits:
        placed = set(data.regions(split, "Effusion").position)
        assert placed == set(np.flatnonzero(data.splits[split].labels[:, index] == 1))


def test_without_triplets_a_batch_holds_images_alone(folders):
    bare = open_klip(folders[0])
    _, batch = first(batches(bare), "test", EVALUATION)
    assert set(batch) == {"image", "mask"} and not bare.has_triplets
    assert (bare.splits["test"].existence() == -1).all()
    assert bare.splits["test"].existence().shape[1] == len(ENTITIES)


def test_triplets_of_other_films_are_refused(folders, tmp_path):
    other = prepare_demo(tmp_path, ConfigDict({"patients": 3, "seed": 9, "width": 32}))
    renamed = open_klip(*other)
    assert renamed.has_triplets
    with pytest.raises(UserError, match="no prepared set"):
        open_klip(folders[0], folders[0])


def test_reports_are_numbered_once(data):
    rows = np.concatenate([films.report_row for films in data.splits.values()])
    assert set(rows) - {EMPTY} == set(range(len(data.report_texts)))
    assert len(set(data.report_texts)) == len(data.report_texts)
    assert len(data.texts("train")) == (data.splits["train"].report_row != EMPTY).sum()


def test_labels_that_are_neither_positive_nor_negative():
    codes = np.array([[1, 0, -1, -2]], np.int8)
    ours = known_labels(codes, LabelRules())
    assert np.isnan(ours[0, 2]) and ours[0, [0, 1, 3]].tolist() == [1, 0, 0]
    assert known_labels(codes, LabelRules(1.0, np.nan))[0, 2] == 1


def test_a_mask_is_cropped_with_the_film():
    film = np.zeros((60, 60), np.uint8)
    film[20:40, 10:30] = 255
    mask = (film > 0).astype(np.uint8)
    options = ViewOptions(size=60, flip=0.5, augment=None)
    for seed in range(20):
        view = training_view(film, np.random.default_rng(seed), options, mask)
        assert np.mean((view.image[..., 0] > 127) == (view.mask == 1)) > 0.97
    shown = evaluation_view(film, 30, mask)
    assert np.array_equal(shown.image[..., 0] > 127, shown.mask == 1)
