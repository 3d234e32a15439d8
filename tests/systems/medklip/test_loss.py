"""MedKLIP's losses: what counts, what does not, and what is there when nothing counts."""

import jax
import numpy as np
import pytest

from medjax.systems.medklip.loss import (
    existence_terms,
    mean_over,
    position_logits,
    position_terms,
    readme_losses,
)

GENERATOR = np.random.default_rng(3)
LOGITS = GENERATOR.normal(size=(3, 4, 2)).astype(np.float32)
LABELS = np.array([[1, 0, -1, 2], [1, 1, 0, -1], [-1, -1, 1, 1]], np.float32)


def existence_loss(logits, labels, mask=None, excluded=(), empty="zero"):
    return mean_over(existence_terms(logits, labels, excluded), mask, empty)


def position_loss(logits, labels):
    return mean_over(position_terms(logits, labels))


def entropy(logits: np.ndarray, label: int) -> float:
    return float(np.log(np.exp(logits).sum()) - logits[label])


def test_existence_counts_the_known_alone() -> None:
    known = [(b, q) for b, q in np.ndindex(3, 4) if LABELS[b, q] in (0, 1)]
    expected = np.mean([entropy(LOGITS[place], int(LABELS[place])) for place in known])
    assert existence_loss(LOGITS, LABELS) == pytest.approx(expected, rel=1e-6)
    padded = existence_loss(LOGITS, LABELS, np.array([True, True, False]))
    assert padded == pytest.approx(float(existence_loss(LOGITS[:2], LABELS[:2])), rel=1e-6)


def test_soft_labels_lie_between() -> None:
    soft = np.full((1, 1), 0.25, np.float32)
    one, zero = (existence_loss(LOGITS[:1, :1], np.full((1, 1), x, np.float32)) for x in (1, 0))
    found = existence_loss(LOGITS[:1, :1], soft)
    assert found == pytest.approx(float(0.25 * one + 0.75 * zero), rel=1e-6)


def test_excluded_entities_are_in_no_part() -> None:
    rest = [0, 2]
    expected = existence_loss(LOGITS[:, rest], LABELS[:, rest])
    assert existence_loss(LOGITS, LABELS, excluded=(1, 3)) == pytest.approx(
        float(expected), rel=1e-6
    )


def test_position_asks_for_the_first_candidate_of_what_is_present() -> None:
    vectors = GENERATOR.normal(size=(3, 4, 5)).astype(np.float32)
    book = GENERATOR.normal(size=(6, 5)).astype(np.float32)
    index = np.stack([GENERATOR.permutation(6)[:3] for _ in range(12)]).reshape(3, 4, 3)
    present = [place for place in np.ndindex(3, 4) if LABELS[place] == 1]
    rows = [entropy(book[index[place]] @ vectors[place], 0) for place in present]
    logits = position_logits(vectors, book, index)
    assert position_loss(logits, LABELS) == pytest.approx(np.mean(rows), rel=1e-5)
    index[..., 2] = -1
    fewer = [entropy(book[index[place][:2]] @ vectors[place], 0) for place in present]
    masked = position_loss(position_logits(vectors, book, index), LABELS)
    assert masked == pytest.approx(np.mean(fewer), rel=1e-5)


def test_nothing_known_gives_zero_or_nan_as_published() -> None:
    nothing = np.full((3, 4), -1, np.float32)
    value, gradient = jax.value_and_grad(existence_loss)(LOGITS, nothing)
    assert value == 0 and not np.asarray(gradient).any()
    assert np.isnan(existence_loss(LOGITS, nothing, empty="nan"))


def test_readme_losses_are_weighed() -> None:
    probability = np.array([[0.5]], np.float32)
    rows = GENERATOR.normal(size=(2, 3)).astype(np.float32)
    positions = GENERATOR.normal(size=(2, 4, 3)).astype(np.float32)
    arguments = (probability, np.ones((1, 1)), rows, positions, np.array([0, 1]), rows, -rows)
    terms = readme_losses(*arguments, 0.5, 0.25)
    assert terms.semantic == pytest.approx(2)
    assert terms.existence == pytest.approx(np.log(2), rel=1e-6)
    expected = terms.existence + 0.5 * terms.position + 0.25 * terms.semantic
    assert terms.total == pytest.approx(float(expected))
