"""Segmentation and detection: boxes there and back, padding, empty films, shapes of networks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.losses.classification import sigmoid_cross_entropy
from medjax.losses.segmentation import focal_dice, focal_loss
from medjax.nn.vit import ViTConfig
from medjax.systems.medst.networks.detector import Detector
from medjax.systems.medst.networks.segmentation import Setr
from medjax.systems.medst.tasks.boxes import (
    anchors_of,
    decode,
    detection_loss,
    detections,
    keep_best,
    make_targets,
)

RNG = np.random.default_rng(0)
SIDE = 64
CELLS = (2, 4, 8)
BOXES = np.array([[[0, 0.3, 0.6, 0.4, 0.5], [0, 0.8, 0.2, 0.1, 0.15]], np.zeros((2, 5))])


def raw_of(targets, cells: int) -> np.ndarray:
    """The map that says exactly what the targets ask for."""
    sure = 20.0
    shares = [np.clip(t, 1e-6, 1 - 1e-6) for t in (targets.x, targets.y)]
    logits = [np.log(s / (1 - s)) for s in shares]
    confidence = np.where(targets.box > 0, sure, -sure)
    values = [*logits, targets.w, targets.h, confidence, np.full_like(confidence, sure)]
    return np.moveaxis(np.stack(values, -1), 1, 3).reshape(len(targets.box), cells, cells, -1)


def test_what_the_targets_ask_for_decodes_to_the_boxes() -> None:
    maps = []
    for scale, cells in enumerate(CELLS):
        targets = make_targets(BOXES, scale, SIDE, cells)
        raw = raw_of(targets, cells).astype(np.float32)
        parts = detection_loss(raw, targets)
        assert float(parts.w) == float(parts.h) == 0 and float(parts.classes) < 1e-6
        maps.append(raw)
    wanted = BOXES[0][:, 1:] * SIDE
    for found, expected in zip(detections(maps, SIDE), (wanted, wanted[:0])):
        found = found[np.argsort(found[:, 0])]
        np.testing.assert_allclose(found[:, :2], expected[:, :2] - expected[:, 2:] / 2, atol=1e-3)
        np.testing.assert_allclose(found[:, 2:4], expected[:, :2] + expected[:, 2:] / 2, atol=1e-3)


def test_a_box_goes_to_the_anchor_of_its_shape_and_to_its_cell() -> None:
    width, height = anchors_of(1, SIDE, 4)[2] / 4
    targets = make_targets(np.array([[[0, 0.6, 0.3, width, height]]]), 1, SIDE, 4)
    assert np.argwhere(targets.box).tolist() == [[0, 2, 1, 2]]
    assert targets.x.max() == pytest.approx(0.4) and targets.y.max() == pytest.approx(0.2)
    assert targets.w.max() == targets.h.max() == pytest.approx(0, abs=1e-6)
    assert targets.nothing[0, 2, 1, 2] == 0 and targets.nothing.sum() >= 3 * 16 - 3


def test_padding_rows_are_in_no_loss() -> None:
    raw = RNG.normal(size=(2, 4, 4, 18)).astype(np.float32)
    targets = make_targets(BOXES, 1, SIDE, 4)
    first = type(targets)(*(t[:1] for t in targets))
    alone = detection_loss(raw[:1], first)
    both = detection_loss(raw, targets, np.array([True, False]))
    np.testing.assert_allclose(both, alone, rtol=1e-5)


def test_of_overlapping_boxes_the_most_confident_stays() -> None:
    boxes = np.array(
        [
            [20, 20, 10, 10, 0.6, 0.9],
            [21, 20, 10, 10, 0.8, 0.9],
            [50, 50, 10, 10, 0.7, 0.9],
            [50, 50, 10, 10, 0.4, 0.9],
        ]
    )
    kept = keep_best(boxes)
    assert kept[:, 4].tolist() == [0.8, 0.7]
    assert keep_best(boxes, confidence=0.9).shape == (0, 7)
    assert len(keep_best(boxes, overlap=1.1)) == 3


def test_the_detector_gives_three_scales() -> None:
    model = Detector("resnet10", width=4)
    shape = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    init = partial(model.init, jax.random.key(0), train=False)
    variables = jax.eval_shape(init, shape)
    maps = jax.eval_shape(partial(model.apply, train=False), variables, shape)
    assert [m.shape for m in maps] == [(1, cells, cells, 18) for cells in CELLS]
    assert decode(np.zeros((1, 2, 2, 18)), 0, SIDE).shape == (1, 12, 6)


def test_setr_gives_a_logit_a_pixel() -> None:
    vit = ViTConfig(image_size=32, patch_size=16, width=8, layers=1, heads=2)
    model = Setr(vit, features=(6, 5, 4, 3))
    shape = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(partial(model.init, jax.random.key(0), train=False), shape)
    logits = jax.eval_shape(partial(model.apply, train=False), variables, shape)
    assert logits.shape == (2, 32, 32, 1)


def test_the_focal_loss_is_cross_entropy_without_gamma_and_ignores_padding() -> None:
    logits, target = RNG.normal(size=(3, 4, 4)), RNG.integers(0, 2, (3, 4, 4)).astype(float)
    plain = sigmoid_cross_entropy(logits, target).mean()
    np.testing.assert_allclose(focal_loss(logits, target, gamma=0.0), plain, rtol=1e-5)
    assert float(focal_loss(logits, target)) < float(plain)
    mask = np.array([True, True, False])
    padded = focal_dice(np.where(mask[:, None, None], logits, 50.0), target, mask)
    np.testing.assert_allclose(padded, focal_dice(logits[:2], target[:2]), rtol=1e-5)
