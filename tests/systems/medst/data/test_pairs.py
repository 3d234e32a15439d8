"""Pairs of views with captions, sequences in time, the layout of a batch."""

import numpy as np
import pandas as pd
import pytest

from medjax.errors import UserError
from medjax.systems.medst.data.all_text import all_texts
from medjax.systems.medst.data.pairs import pair_films
from medjax.systems.medst.data.sequences import lay_out, make_chunks

FILMS = pd.DataFrame(
    [
        (1, 10, "LATERAL", "", "Lungs are clear."),
        (1, 10, "PA", "", "Lungs are clear."),
        (1, 10, "LL", "", "Lungs are clear."),
        (1, 10, "AP", "", "Lungs are clear."),
        (1, 11, "PA", "", ""),
        (2, 12, "PA", "Nodule of 4.5 mm.", ""),
        (2, 13, "PA", "Clear.", ""),
        (2, 14, "LATERAL", "No change seen.", ""),
    ],
    columns=["subject_id", "study_id", "view", "impression", "findings"],
)


def test_frontal_films_get_the_first_lateral_one_of_their_study() -> None:
    table, counts = pair_films(FILMS)
    assert table["frontal"].tolist() == [1, 3, 5] and table["lateral"].tolist() == [0, 0, -1]
    assert table["caption"].tolist() == ["lungs are clear"] * 2 + ["nodule of 4.5 mm"]
    assert [(c["rule"], c["in"], c["out"]) for c in counts] == [
        ("frontal", 8, 5),
        ("sections", 5, 4),
        ("caption", 4, 3),
    ]
    assert pair_films(FILMS, False).table["caption"].iloc[-1] == "nodule of 5 mm"
    assert pair_films(FILMS[:0]).table.empty


SUBJECT = np.array(["b", "a", "a", "a", "a", "a", "a"])
TIME = np.array([0, 5, 1, 1, 3, 4, 2])
STUDY = np.array([9, 5, 1, 1, 3, 4, 2])
VIEW = np.array(["PA", "PA", "AP", "PA", "PA", "PA", "AP"])


def chunks(unit: str, length: int = 4) -> list[list[int]]:
    return [c.tolist() for c in make_chunks(SUBJECT, TIME, STUDY, VIEW, unit, length)]


def test_a_study_gives_one_film_to_its_patient_s_sequence() -> None:
    assert chunks("study") == [[3, 6, 4, 5], [1], [2], [0]]
    assert chunks("image") == [[2, 3, 6, 4], [5, 1], [0]]
    assert chunks("study", 10) == [[3, 6, 4, 5, 1], [2], [0]]
    assert make_chunks([], [], [], []) == []
    with pytest.raises(UserError, match="sequence_unit 'visit' is none of study, image"):
        chunks("visit")


def test_every_film_is_in_one_chunk_of_one_patient() -> None:
    generator = np.random.default_rng(0)
    subject, study = generator.integers(0, 9, 80), generator.integers(0, 60, 80)
    time, view = (study * 37) % 60, generator.choice(["PA", "AP"], 80)
    for unit in ("study", "image"):
        found = make_chunks(subject, time, study, view, unit)
        assert sorted(np.concatenate(found)) == list(range(80))
        for rows in found:
            assert len(set(subject[rows])) == 1 and (np.diff(time[rows]) >= 0).all()
            assert unit == "image" or len(set(study[rows])) == len(rows)


def test_sequences_lead_a_batch() -> None:
    layout = lay_out([2, 4, 1, 3])
    assert layout.rows.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 6]
    assert layout.sequence.tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, -1]
    assert layout.step.tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 2, 0]
    assert layout.lateral.tolist() == layout.rows.tolist()
    published = lay_out([2, 4, 1, 3], shortest=4, align_laterals=False)
    assert published.rows.tolist() == [2, 3, 4, 5, 0, 1, 6, 7, 8, 9]
    assert published.lateral.tolist() == list(range(10))
    assert (published.sequence >= 0).sum() == 4


def test_what_short_reports_leave_behind() -> None:
    reports = [("a", {"impression": ""}), ("b", {"findings": "one two three four"})]
    assert all_texts(reports) == [("b", " one two three four ")]
    assert all_texts(reports, False) == [("b", "  one two three four ")]
