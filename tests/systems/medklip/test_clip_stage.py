"""The older notebook's stage: which prompt is true, and what counts in a batch."""

from pathlib import Path

import numpy as np
import pytest

from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.losses import info_nce
from medjax.systems.medklip.clip_stage import batch_losses, results_of, true_prompts
from medjax.systems.medklip.data import Data, Films

REPORTS = ("No pneumonia.", "Cardiomegaly and pleural effusion.", "Clear.")


def data() -> Data:
    place = POSITIONS.index("unspecified")

    def told(entity: str, status: int) -> tuple[int, int, int]:
        return place, ENTITIES.index(entity), status

    triplets = [
        [told("pneumonia", 0)],
        [told("effusion", 1), told("cardiomegaly", 1)],
        [],
    ]
    rows = [np.array(t, np.int8).reshape(-1, 3) for t in triplets]
    ids = np.arange(4)
    report_row = np.array([0, 1, 2, -1], np.int32)
    films = Films((), ids, ids, ids, np.zeros((4, 0), np.float32), [*rows, None], report_row)
    return Data({"train": films}, (), REPORTS, (), Path())


def test_labels_hear_negation_and_several_may_hold() -> None:
    expected = [[0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    np.testing.assert_array_equal(true_prompts(data(), "train", "labels"), np.array(expected, bool))


def test_the_published_truth_is_the_first_prompt_in_the_report() -> None:
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    found = true_prompts(data(), "train", "first_prompt")
    np.testing.assert_array_equal(found, np.array(expected, bool))


def test_losses_of_rows_are_those_of_the_batch() -> None:
    generator = np.random.default_rng(7)
    image, text = generator.normal(size=(2, 4, 5)).astype(np.float32)
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text))
    mask = np.array([True, True, True, False])
    rows = batch_losses(3 * image @ text.T, mask)
    assert rows[:3].mean() == pytest.approx(float(info_nce(image, text, 3, mask=mask)), rel=1e-5)
    assert rows[3] == 0


def test_the_nearest_prompt_is_right_where_it_is_among_the_true_ones() -> None:
    truth = true_prompts(data(), "train", "labels")
    score = np.eye(4)[[3, 2, 0, 1]]
    found = results_of({"score": score}, truth)
    assert found["accuracy"].value == pytest.approx(2 / 3) and found["accuracy"].n == 3
    assert found["constant_accuracy"].value == pytest.approx(2 / 3)
    nothing = results_of({"score": score}, np.zeros((4, 4), bool))
    assert nothing["accuracy"].value is None
