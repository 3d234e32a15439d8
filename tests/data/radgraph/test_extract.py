"""The rule-based extractor against annotations made by hand.

`sentences.json` was looked at while the rules were written; `held_out.json` was written afterwards
and not looked at since, so that its numbers are what other reports can expect.
"""

import json
from pathlib import Path

import pytest

from medjax.data.radgraph.agreement import agreement
from medjax.data.radgraph.annotation import LABELS
from medjax.data.radgraph.extract import extract, tokenize
from medjax.data.radgraph.rules import Rules, tools_of
from medjax.data.radgraph.statements import statements_of
from medjax.data.radgraph.triplets import STATUS, triplets_of
from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS

RULES = Rules()
SIGNS = {1: "+", 0: "-", 2: "?"}


def found_in(text):
    statements = statements_of(extract("r", text), RULES, tools_of(RULES))
    return {
        (POSITIONS[t.position], ENTITIES[t.entity], SIGNS[t.status])
        for t in triplets_of(statements, RULES)
    }


def measured(name, part):
    sentences = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    wanted = [[tuple(triplet.split()) for triplet in triplets] for _, triplets in sentences]
    wanted = [[(p, e, SIGNS[int(s)]) for p, e, s in triplets] for triplets in wanted]
    found = [found_in(text) for text, _ in sentences]
    return agreement(*([[part(t) for t in of] for of in lists] for lists in (found, wanted)))


def whole(triplet):
    return triplet


def without_place(triplet):
    return triplet[1:]


@pytest.mark.parametrize(
    ("name", "part", "precision", "recall"),
    [
        ("sentences", whole, 0.98, 1.0),
        ("held_out", whole, 0.71, 0.66),
        ("held_out", without_place, 0.92, 0.87),
    ],
)
def test_precision_and_recall_are_those_that_are_stated(name, part, precision, recall):
    counts = measured(name, part)
    assert counts.precision >= precision and counts.recall >= recall


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No focal consolidation, effusion, or pneumothorax.",
         "unspecified consolidation - unspecified effusion - unspecified pneumothorax -"),
        ("Pneumothorax is not seen.", "unspecified pneumothorax -"),
        ("Pneumonia cannot be excluded.", "unspecified pneumonia ?"),
        ("Heart is normal but the mediastinum is widened.",
         "heart_size normal + mediastinal widen +"),
        ("Left and right lower lobe opacities.",
         "lower_left_lobe opacity + lower_right_lobe opacity +"),
        ("Effusion on the left.", "left_lung_unspec effusion +"),
        ("Small pleural effusion on the right.", "right_pleural effusion +"),
        ("Atelectasis versus pneumonia at the left lung base.",
         "left_lower_lung atelectasis ? left_lower_lung pneumonia ?"),
        ("No change in the right effusion.",
         "right_lung_unspec effusion + right_lung_unspec excluded_obs -"),
    ],
)  # fmt: skip
def test_side_position_negation_and_doubt(text, expected):
    words = expected.split()
    assert found_in(text) == set(zip(words[::3], words[1::3], words[2::3]))


def test_an_annotation_counts_the_words_of_its_text():
    annotation = extract("r", "Small left effusion,\n no change (see above).  Heart: normal.")
    words = annotation.text.split()
    assert all(words[e.start] == e.tokens and e.label in LABELS for e in annotation.entities)
    known = {e.id for e in annotation.entities}
    assert len(known) == len(annotation.entities)
    assert {target for e in annotation.entities for _, target in e.relations} <= known


def test_words_and_punctuation_are_parted_but_numbers_kept():
    assert tokenize("A 2.5 cm mass; r/o ___ TB.") == [
        "A",
        "2.5",
        "cm",
        "mass",
        ";",
        "r",
        "/",
        "o",
        "TB",
        ".",
    ]
    assert extract("r", "").entities == () and extract("r", "...").entities == ()


def test_statuses_are_told_by_signs():
    assert set(SIGNS) == set(STATUS.values())
