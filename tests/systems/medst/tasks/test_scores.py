"""Scores of the downstream tasks: folds by patient, honest thresholds, both AUROCs."""

import numpy as np
import pandas as pd
import pytest

from medjax.errors import UserError
from medjax.systems.medst.tasks.sentence_similarity import read_sentences, score_similarity
from medjax.systems.medst.tasks.temporal_images import (
    CODES,
    FINDINGS,
    accuracy_percentages,
    fold_accuracies,
    label_column,
    read_pairs,
)
from medjax.systems.medst.tasks.zero_shot import Scores, score_films, score_zero_shot

GENERATOR = np.random.default_rng(0)


def pairs_table(patients: int = 30, films: int = 4) -> pd.DataFrame:
    rows = patients * films
    labels = GENERATOR.choice(list(CODES), rows)
    columns = {
        "dicom_id": [f"c{i}" for i in range(rows)],
        "previous_dicom_id": [f"p{i}" for i in range(rows)],
        "subject_id": np.repeat(np.arange(patients), films).astype(str),
    }
    return pd.DataFrame(columns | {label_column(name): labels for name in FINDINGS})


TABLE = pairs_table()
IMAGES = [*TABLE["dicom_id"], *TABLE["previous_dicom_id"]]


def test_what_can_be_read_off_the_films_is_found_by_either_unit() -> None:
    code = dict(zip(TABLE["dicom_id"], TABLE[label_column("edema")].map(CODES)))
    embeddings = {name: np.eye(3)[code.get(name, 0)] for name in IMAGES}
    for unit in ("patient", "row"):
        found = accuracy_percentages(TABLE, embeddings, 5, 42, unit)
        np.testing.assert_allclose(found, 100)


def test_patients_that_betray_themselves_help_only_where_rows_are_split() -> None:
    of_patient = {name: int(name[1:]) // 4 for name in IMAGES}
    table = TABLE.assign(**{label_column(n): np.repeat(GENERATOR.choice(list(CODES), 30), 4)
                            for n in FINDINGS})  # fmt: skip
    embeddings = {name: np.eye(30)[patient] for name, patient in of_patient.items()}
    pairs = read_pairs(table, 42)["edema"]
    by_row = fold_accuracies(pairs, embeddings, 5, 42, "row").mean()
    by_patient = fold_accuracies(pairs, embeddings, 5, 42, "patient").mean()
    assert by_row > 0.9 and by_patient < 0.6


def test_wrong_labels_and_images_are_named() -> None:
    with pytest.raises(UserError, match="'better' is none of improving, stable, worsening"):
        read_pairs(TABLE.replace("improving", "better"))
    with pytest.raises(UserError, match="240 images of the table are not there, 'c0' is one"):
        fold_accuracies(read_pairs(TABLE)["edema"], {}, 5, 42)
    with pytest.raises(UserError, match="temporal_image_folds 'film'"):
        fold_accuracies(read_pairs(TABLE)["edema"], {}, 5, 42, "film")


def test_sentences_are_scored_by_thresholds_of_other_folds() -> None:
    same = np.tile([0, 1], 30)
    sure = score_similarity(same, np.where(same, 0.8, 0.2))
    assert sure.auroc == sure.accuracy == sure.best_fold_on_all == 1
    assert sure.best_threshold == pytest.approx(0.2)
    chance = [score_similarity(same, GENERATOR.uniform(size=60)) for _ in range(20)]
    assert np.mean([c.best_fold_on_all for c in chance]) > np.mean([c.accuracy for c in chance])


def test_sentences_are_read_by_position() -> None:
    columns = ["id", "s1", "s2", "kind", "subset_name"]
    rows = [("0", "a", "b", "contradiction", "RadGraph"), ("1", "c", "d", "paraphrase", "swaps"),
            ("2", "e", "f", "paraphrase", "RadGraph")]  # fmt: skip
    pairs = read_sentences(pd.DataFrame(rows, columns=columns))
    assert (pairs.first, pairs.second, pairs.same.tolist()) == (["a", "e"], ["b", "f"], [0, 1])
    with pytest.raises(UserError, match="none of the subset RadGraph"):
        read_sentences(pd.DataFrame(rows[1:2], columns=columns))
    with pytest.raises(UserError, match="needs an id, two sentences"):
        read_sentences(pd.DataFrame(rows, columns=columns).iloc[:, :4])


def test_zero_shot_scores() -> None:
    positive, negative = np.array([[2.0, 0.0], [4.0, 0.0]]), np.array([[0.0, 3.0]])
    images = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    scores = score_films(images, positive, negative)
    np.testing.assert_allclose(scores.margin, [1, -1, 0.2])
    assert score_zero_shot([1, 0, 1], scores) == (1, 1, 1, 1)
    found = score_zero_shot([1, 0, 0, 1], Scores(np.array([2, 1.5, 1, 0.1]), np.ones(4)))
    assert found.accuracy == 0.5 and found.f1 == pytest.approx(0.5)
    assert found.auroc == pytest.approx(0.5) and found.auroc_hard == pytest.approx(0.5)
