"""Existence and candidate positions of a report's matrix."""

import numpy as np

from medjax.systems.medklip.labels import MASKED, existence, position_candidates


def matrix(positions=51, entities=3):
    m = np.full((positions, entities), -1, np.float32)
    m[4, 0], m[6, 0], m[9, 0] = 1, 1, 0
    m[2, 1] = 0
    return m


def test_existence_is_the_strongest_word_on_an_entity():
    assert existence(matrix()).tolist() == [1, 0, -1]


def test_candidates_hold_one_true_position_and_seven_others():
    drawn = [position_candidates(matrix(), np.random.default_rng(i)) for i in range(200)]
    first = {int(rows[0, 0]) for rows in drawn}
    others = {int(p) for rows in drawn for p in rows[0, 1:]}
    assert first == {4, 6}
    assert others == set(range(51)) - {4, 6}
    assert all(len(set(row)) == 8 for rows in drawn for row in rows)
    assert {int(p) for rows in drawn for p in rows[2]} == set(range(51))


def test_too_few_other_positions_are_masked():
    m = matrix()
    m[:, 0] = 1
    m[:3, 0] = 0
    rows = position_candidates(m, np.random.default_rng(0))
    assert set(rows[0, 1:4]) == {0, 1, 2} and (rows[0, 4:] == MASKED).all()
    assert m[rows[0, 0], 0] == 1
