"""Boxes: what is read, targets of a batch, losses of films, what is kept and shown."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.batching import EVALUATION
from medjax.errors import UsageError
from medjax.metrics.detection import FilmBoxes
from medjax.metrics.detection_figure import detection_figure
from medjax.run.system import BatchPlan
from medjax.run.words import load_config
from medjax.systems.medst.data.labelled import open_labelled
from medjax.systems.medst.data.regions import BoxBatches, boxes_of
from medjax.systems.medst.demo import prepare_demo
from medjax.systems.medst.tasks.boxes import BoxLoss, detection_loss
from medjax.systems.medst.tasks.detection import (
    film_losses,
    found_in,
    quality,
    suppress,
    targets_in,
    targets_of,
    written,
)
from medjax.systems.medst.tasks.overlays import BoxOverlay, box_page
from tests.systems.medst.test_run import CONFIG

RNG = np.random.default_rng(0)
SIDE = 32
WEIGHTS = BoxLoss()


@pytest.fixture(scope="module")
def rsna(tmp_path_factory):
    options = ConfigDict({"patients": 1, "rsna": 20, "seed": 2, "width": 40})
    folder = prepare_demo(tmp_path_factory.mktemp("demo"), options, "rsna")
    films = open_labelled(folder)
    return SimpleNamespace(films=films, boxes=boxes_of(folder, films, "Pneumonia"))


def batches(rsna, **options) -> BoxBatches:
    return BoxBatches(rsna.films, rsna.boxes, SIDE, (8, 16), 3, **options)


def test_films_with_the_label_have_boxes_and_padding_rows_none(rsna) -> None:
    made, labels = batches(rsna), rsna.films.splits["train"].labels[:, 0]
    (plan,) = made.plan("train", EVALUATION)
    batch = made.collate("train", EVALUATION, plan, slice(0, 16))
    count = len(plan.indices)
    assert count < 16 and batch["mask"].tolist() == [True] * count + [False] * (16 - count)
    assert batch["boxes"].any((1, 2)).tolist() == (labels > 0).tolist() + [False] * (16 - count)
    assert not batch["image"][count:].any()
    corners = made.boxes("train", plan.indices)
    for row, film in zip(batch["boxes"], corners):
        for box, (left, top, right, bottom) in zip(row, film):
            centre = [(left + right) / 2, (top + bottom) / 2]
            np.testing.assert_allclose(box, [0, *centre, right - left, bottom - top], atol=1e-6)
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def test_published_boxes_shrink_from_the_second_epoch_on(rsna) -> None:
    plan = BatchPlan(np.arange(8), 8)
    of = [batches(rsna, shrink=1024).collate("train", e, plan, slice(0, 8)) for e in (-1, 0, 1)]
    seen, first, second = (batch["boxes"] for batch in of)
    np.testing.assert_array_equal(first, seen)
    np.testing.assert_allclose(second, first / 1024)
    once = batches(rsna).collate("train", 5, plan, slice(0, 8))["boxes"]
    np.testing.assert_array_equal(once, first)


def test_the_loss_of_a_batch_is_the_mean_of_its_films_and_padding_is_in_none() -> None:
    boxes = np.zeros((3, 2, 5), np.float32)
    boxes[0, 0] = (0, 0.3, 0.6, 0.4, 0.5)
    batch = targets_of(boxes, SIDE, WEIGHTS)
    assert batch["scale2_box"].shape == (3, 3, 4, 4) and batch["scale2_box"].sum() == 1
    maps = [jnp.asarray(RNG.normal(size=(3, n, n, 18)), jnp.float32) for n in (1, 2, 4)]
    each = film_losses(maps, targets_in(batch), WEIGHTS)
    for mask in (np.array([True, True, False]), np.ones(3, bool)):
        scales = zip(maps, targets_in(batch))
        total = sum(float(detection_loss(m, t, mask).total) for m, t in scales)
        assert total == pytest.approx(float(each[mask].mean()), rel=1e-5)
    more = film_losses(maps, targets_in(batch), BoxLoss(box_weight=5.0))
    assert more[0] > each[0] and more[1] == each[1]


def test_kept_boxes_are_shares_of_the_film_and_falling() -> None:
    boxes = np.zeros((2, 4, 6))
    boxes[0, :3] = [[8, 8, 8, 8, 0.6, 1], [24, 24, 8, 4, 0.9, 1], [8, 9, 8, 8, 0.4, 1]]
    kept = suppress(boxes, SIDE, 0.5, 0.5, 3)
    assert kept.shape == (2, 3, 5)
    corners, confidence = found_in(kept[0])
    np.testing.assert_allclose(corners * SIDE, [[20, 22, 28, 26], [4, 4, 12, 12]])
    np.testing.assert_allclose(confidence, [0.9, 0.6], rtol=1e-6)
    assert len(found_in(kept[1])[0]) == 0 and written(*found_in(kept[1])) == ""
    told = written(corners, confidence).split("|")
    assert told[1] == "0.6000;0.1250;0.1250;0.2500;0.2500"
    assert len(found_in(suppress(boxes, SIDE, 0.5, 0.5, 1)[0])[0]) == 1


def test_pages_and_curves_show_what_was_found() -> None:
    box, none = np.array([[0.1, 0.2, 0.6, 0.9]]), np.zeros((0, 4))
    hit, missed = FilmBoxes(box, box, np.array([0.9])), FilmBoxes(box, none, none[:, 0])
    alarm = FilmBoxes(none, box, np.array([0.7]))
    assert [quality(film) for film in (hit, missed, alarm)] == pytest.approx([1, 0, 0.3])
    film = np.zeros((8, 8, 1), np.uint8)
    overlays = [BoxOverlay(film, box, hit.confidence, box), BoxOverlay(film, none, none[:, 0])]
    first, second = box_page(overlays, "title").get_axes()
    assert first.get_title() == "1 found\n1 there" and second.get_title() == "0 found\nnot known"
    assert len(first.get_lines()) == 2 and first.texts[0].get_text() == "0.90"
    (axes,) = detection_figure([hit, missed, alarm], "title").get_axes()
    assert [tuple(line.get_xdata()) for line in axes.get_lines()] == [(0, 0.5, 0.5, 0.5)] * 3
    (axes,) = detection_figure([missed], "title").get_axes()
    assert all(set(line.get_ydata()) == {0} for line in axes.get_lines())


def test_only_a_resnet_of_four_stages_finds_boxes() -> None:
    fields = {"pretrain.model.backbone": "vit_nano_patch16"}
    with pytest.raises(UsageError, match="vit_nano_patch16: boxes are found on the maps"):
        load_config(CONFIG, ("smoke", "detect_rsna"), fields)
    with pytest.raises(UsageError, match="multiple of 32"):
        fields = {"data.image.crop": "40", "data.image.canvas": "48"}
        load_config(CONFIG, ("smoke", "detect_rsna"), fields)
    fields = {"data.dir": ".", "text.vocabulary": "captions"}
    config = load_config(CONFIG, ("detect_rsna", "published"), fields)
    assert config.pretrain.model.method == "mgca"
    assert config.detect_rsna_1.model.backbone == "resnet50"
    assert config.detect_rsna_1.train.global_batch_size == 8


def test_published_scoring_is_chosen_by_name() -> None:
    told = load_config(CONFIG, ("smoke", "detect_rsna"), {"compat": "published"})
    assert told.evaluation.detection_map == "films_with_both"
    assert told.data.box_scaling == "every_access"
