"""Films with masks and boxes: what is read, geometry, turning, which films train, padding."""

from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION, generator
from medjax.errors import UserError
from medjax.run.system import BatchPlan
from medjax.systems.medst.data.labelled import open_labelled
from medjax.systems.medst.data.masks import Turn, square_mask, turned
from medjax.systems.medst.data.regions import (
    MaskBatches,
    chosen_finding,
    places_of,
    training_films,
)
from medjax.systems.medst.demo import prepare_demo

SIDE = 32
ALWAYS = Turn(probability=1.0)


@pytest.fixture(scope="module")
def siim(tmp_path_factory):
    options = ConfigDict({"patients": 1, "siim": 24, "seed": 2, "width": 40})
    folder = prepare_demo(tmp_path_factory.mktemp("demo"), options, "siim")
    films = open_labelled(folder)
    return SimpleNamespace(
        folder=folder, films=films, places=places_of(folder, films, "Pneumothorax")
    )


def test_the_demo_makes_only_what_is_asked_for(siim) -> None:
    assert [path.name for path in siim.folder.parent.iterdir()] == ["siim"]


def test_patients_stay_in_one_split_and_films_with_the_label_have_a_mask(siim) -> None:
    subjects = [set(part.subject_id.tolist()) for part in siim.films.splits.values()]
    assert len(subjects) == 3 and sum(map(len, subjects)) == len(set.union(*subjects))
    for split, part in siim.films.splits.items():
        assert np.flatnonzero(part.labels[:, 0]).tolist() == siim.places[split].position.tolist()


def test_masks_lie_on_what_is_dark_and_rows_of_padding_are_empty(siim) -> None:
    batches = MaskBatches(siim.films, siim.places, SIDE, (8, 16), 3)
    (plan, *_) = batches.plan("train", EVALUATION)
    batch = batches.collate("train", EVALUATION, BatchPlan(plan.indices[:12], 16), slice(0, 16))
    assert batch["image"].shape == (16, SIDE, SIDE, 1) and batch["region"].shape == (16, SIDE, SIDE)
    assert batch["mask"].sum() == 12
    assert not batch["image"][12:].any() and not batch["region"][12:].any()
    placed = np.isin(plan.indices[:12], siim.places["train"].position)
    assert batch["region"][:12].any((1, 2)).tolist() == placed.tolist() and 0 < placed.sum() < 12
    for image, mask in zip(batch["image"][:12][placed], batch["region"][:12][placed] > 0):
        assert image[mask].mean() < image[~mask].mean()


def test_draws_belong_to_the_film_and_the_epoch(siim) -> None:
    batches = MaskBatches(siim.films, siim.places, SIDE, (4, 4), 3, turn=ALWAYS)
    plan = BatchPlan(np.arange(4), 4)
    whole = batches.collate("train", 0, plan, slice(0, 4))
    half = batches.collate("train", 0, plan, slice(2, 4))
    np.testing.assert_array_equal(whole["image"][2:], half["image"])
    np.testing.assert_array_equal(whole["region"][2:], half["region"])
    assert (whole["image"] != batches.collate("train", 1, plan, slice(0, 4))["image"]).any()
    seen = batches.collate("train", EVALUATION, plan, slice(0, 4))["image"]
    assert (whole["image"] != seen).any()


def test_a_mask_follows_its_film_or_is_padded_as_published() -> None:
    mask = np.zeros((40, 20), np.uint8)
    mask[:20] = 1
    stretched = square_mask(mask, 8)
    assert stretched[:4].all() and not stretched[4:].any()
    padded = square_mask(mask, 8, "padded")
    assert padded[:4, 2:6].all() and padded.sum() == 16
    square = np.eye(16, dtype=np.uint8)
    np.testing.assert_array_equal(square_mask(square, 8), square_mask(square, 8, "padded"))


def test_a_film_and_its_mask_turn_alike() -> None:
    mask = np.zeros((41, 41), np.uint8)
    mask[10:20, 15:35] = 1
    turn = ALWAYS._replace(shift=0.1)
    for seed in range(5):
        image, moved = turned(mask * np.uint8(200), mask, generator(seed), turn)
        assert (moved != mask).any() and set(np.unique(moved)) == {0, 1}
        agreed = ((image > 100) == (moved > 0)).mean()
        assert agreed > 0.97
    never = turned(mask, mask, generator(0), ALWAYS._replace(probability=0.0))
    assert all(kept is mask for kept in never)


def test_as_many_films_without_the_finding_train_as_with_it() -> None:
    placed = np.array([1, 5, 7])
    kept = training_films(20, placed, "as_positives", 1.0, 0)
    assert len(kept) == 6 and set(placed) <= set(kept.tolist()) and len(set(kept.tolist())) == 6
    assert len(training_films(4, placed[:1], "as_positives", 1.0, 0)) == 2
    assert training_films(20, placed, "all", 1.0, 0).tolist() == list(range(20))
    assert len(training_films(20, placed, "all", 0.1, 0)) == 2
    assert len(training_films(20, placed, "all", 0.01, 0)) == 1
    assert set(training_films(20, placed, "as_positives", 0.5, 0)) <= set(kept)


def test_films_without_places_are_read_and_other_findings_refused(siim) -> None:
    batch = MaskBatches(siim.films, {}, SIDE, (4, 4), 3).collate(
        "test", EVALUATION, BatchPlan(np.arange(2), 4), slice(0, 4)
    )
    assert "region" not in batch and batch["mask"].sum() == 2
    with pytest.raises(UserError, match="did you mean 'Pneumothorax'"):
        chosen_finding("s", "Pneumothorx", siim.folder)
