"""The replication's losses and parts: what counts, what trains, where labels come from."""

from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.systems.medklip.data import Data, Films
from medjax.systems.medklip.fusion import FusionReading
from medjax.systems.medklip.replication import film_labels, losses, role

GENERATOR = np.random.default_rng(6)


def options(**loss) -> ConfigDict:
    section = {"alpha_position": 1.0, "alpha_semantic": 1.0} | loss
    train = {"backbone_trainable": True, "image_projection_trainable": True}
    return ConfigDict({"loss": section, "train": train})


def batch() -> dict:
    return {
        "labels": np.array([[1, 0, -1], [1, 1, 0]], np.float32),
        "position_index": np.array([[[0, 1], [2, 3], [0, 1]], [[1, 2], [-1, 0], [0, 2]]], np.int32),
        "position_book": GENERATOR.normal(size=(4, 5)).astype(np.float32),
        "report_book": GENERATOR.normal(size=(3, 5)).astype(np.float32),
        "report": np.array([2, -1], np.int32),
        "mask": np.array([True, True]),
    }


def reading() -> FusionReading:
    shapes = ((2, 3), (2, 3, 4), (2, 3, 5), (2, 5))
    return FusionReading(*(GENERATOR.normal(size=shape).astype(np.float32) for shape in shapes))


def test_the_three_losses_count_what_is_known() -> None:
    found, given = reading(), batch()
    terms = losses(found, given, options().loss)
    logits, labels = np.asarray(found.logits, np.float64), given["labels"]
    entropy = np.log1p(np.exp(logits)) - labels * logits
    assert terms.existence == pytest.approx(entropy[labels >= 0].mean(), rel=1e-5)
    rows = []
    for place in ((0, 0), (1, 0)):  # (1, 1) is present and has no position.
        candidates = given["position_book"][given["position_index"][place]]
        scores = candidates @ found.position[place]
        rows.append(np.log(np.exp(scores).sum()) - scores[0])
    assert terms.position == pytest.approx(np.mean(rows), rel=1e-5)
    report = given["report_book"][2]
    cosine = found.semantic[0] @ report
    cosine /= np.linalg.norm(found.semantic[0]) * np.linalg.norm(report)
    assert terms.semantic == pytest.approx(1 - cosine, rel=1e-4)
    total = terms.existence + terms.position + terms.semantic
    assert terms.total == pytest.approx(float(total), rel=1e-6)


def test_the_notebook_knows_existence_alone() -> None:
    terms = losses(reading(), batch(), options(alpha_position=0.0, alpha_semantic=0.0).loss)
    assert terms.total == terms.existence and terms.position == terms.semantic == 0


def test_what_trains() -> None:
    stage = options(alpha_semantic=0.0)
    assert role(stage, ("encoder", "network", "stem")) == "train"
    assert role(stage, ("semantic", "kernel")) == "unused"
    stage.train.update({"backbone_trainable": False, "image_projection_trainable": False})
    assert role(stage, ("encoder", "network", "stem")) == "frozen"
    assert role(stage, ("encoder", "output", "kernel")) == "frozen"
    assert role(stage, ("decoder", "blocks_0")) == "train"


def test_labels_by_substring_hear_no_negation() -> None:
    empty = np.zeros((3, 0), np.float32)
    ids = np.arange(3)
    rows = np.array([1, -1, 0], np.int32)
    films = Films((), ids, ids, ids, empty, [None, None, None], rows)
    data = Data({"train": films}, (), ("No effusion.", "Opacity."), (), Path())
    found = film_labels(data, "train", "substring")
    np.testing.assert_array_equal(found, [[1, 0, 0, 0, 0, 0], [-1] * 6, [0, 0, 0, 1, 0, 0]])
    assert film_labels(data, "train", "radgraph") is None
