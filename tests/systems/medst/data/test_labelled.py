"""Films with labels: which are learned, what uncertain ones count as, changed training views."""

from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.errors import UserError
from medjax.systems.medst.data.labelled import (
    Labelled,
    LabelledFilms,
    _known,
    select_labels,
    uncertain_as,
)
from medjax.systems.medst.data.views import Augment, ViewOptions, augmented, training_view
from medjax.systems.medst.tasks.classification import labelled_films

NAMES = ("Edema", "Consolidation", "Fracture")
CODES = np.array([[1, 0, -1], [-1, -1, -2], [0, -2, 1]], np.int8)
FILM = np.tile(np.arange(40, dtype=np.uint8) * 6, (40, 1))


def films(rules) -> Labelled:
    ids = np.arange(3)
    part = LabelledFilms((), ids, ids, ids, ids, _known(CODES, NAMES, rules))
    return Labelled({"train": part}, NAMES, "image")


def test_uncertain_labels_count_as_told_and_others_are_left_out() -> None:
    rules = uncertain_as(("Edema",), ("Consolidation",))
    chosen = select_labels(films(rules), ("Consolidation", "Edema", "Fracture"))
    expected = [[0, 1, np.nan], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(chosen.splits["train"].labels, expected)
    assert select_labels(films(rules), ()).names == NAMES
    assert select_labels(films(rules)._replace(names=()), ("Edema",)).names == ()


def test_a_label_that_films_have_not_is_refused() -> None:
    data = SimpleNamespace(labelled=lambda name, rules: films(rules))
    stage = {"films": "chexpert", "uncertain_positive": (), "uncertain_negative": ()}
    with pytest.raises(UserError, match=r"probe\.labels: .*'Edem'; did you mean 'Edema'"):
        labelled_films("probe", ConfigDict({**stage, "labels": ("Edem",)}), data)


def test_views_are_flipped_blurred_and_jittered_each_by_its_chance() -> None:
    none = Augment(0.0, 0.4, 0.0, (0.1, 2.0), 0.0)
    assert not none.changes and Augment().changes
    draws = np.random.default_rng

    def of(**chance) -> np.ndarray:
        return augmented(FILM, draws(0), none._replace(**chance))

    np.testing.assert_array_equal(of(), FILM)
    np.testing.assert_array_equal(of(flip_probability=1.0), FILM[:, ::-1])
    blurred = of(blur_probability=1.0, blur=(3.0, 3.0))
    assert blurred.std() < FILM.std() and blurred.mean() == pytest.approx(FILM.mean(), abs=1)
    means = [
        augmented(FILM, draws(seed), none._replace(jitter_probability=1.0)).mean()
        for seed in range(40)
    ]
    assert min(means) < 0.75 * FILM.mean() and max(means) > 1.2 * FILM.mean()


def test_changes_do_not_move_what_is_cut_out() -> None:
    plain, flipped = (
        training_view(FILM, ViewOptions(40, 32, augment), np.random.default_rng(3))
        for augment in (None, Augment(0.0, 0.4, 0.0, (0.1, 2.0), 1.0))
    )
    np.testing.assert_array_equal(flipped, plain[:, ::-1])
    assert flipped.shape == (32, 32, 1) and flipped.flags.c_contiguous
