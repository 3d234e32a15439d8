"""RadGraph annotations to statements, triplets and matrices, under our rules and the published."""

import json

import numpy as np
import pytest

from medjax.data.radgraph.agreement import agreement
from medjax.data.radgraph.annotation import (
    annotation_of,
    common_label,
    read_annotations,
    study_of,
    write_annotations,
)
from medjax.data.radgraph.positions import position_of, position_rules
from medjax.data.radgraph.rules import PUBLISHED, Rules, Tools, tools_of
from medjax.data.radgraph.sentences import count_sentences
from medjax.data.radgraph.statements import statements_of
from medjax.data.radgraph.triplets import (
    annotated_triplets,
    entity_of,
    matrix_of,
    triplets_of_matrix,
)
from medjax.data.radgraph.vocabulary import (
    CHESTXRAY14,
    ENTITIES,
    POSITIONS,
    RARE_CLASSES,
    entity_descriptions,
    position_sentence,
)
from medjax.data.radgraph.words import table_lemma
from medjax.errors import UserError

DIRECT = PUBLISHED._replace(sentence_lookup="annotation", lemmatizer="table")


def report(text, *entities, key="train/p7/s70.txt"):
    """Annotate a text: entities are (word, label, relation, number of the target, ...)."""
    words = text.split()
    listed = {}
    for number, (word, label, *relations) in enumerate(entities, start=1):
        at = words.index(word)
        pairs = [[r, str(t)] for r, t in zip(relations[::2], relations[1::2])]
        listed[str(number)] = {
            "tokens": word,
            "label": label,
            "start_ix": at,
            "end_ix": at,
            "relations": pairs,
        }
    return annotation_of(key, {"text": text, "entities": listed})


OURS = Rules()


def said(annotation, rules=OURS):
    return {(s.anatomy, s.observation) for s in statements_of(annotation, rules, tools_of(rules))}


CHAINED = report(
    "Opacity in the very lower lobe .",
    ("Opacity", "OBS-DP", "located_at", 3),
    ("lower", "ANAT-DP", "modify", 4),
    ("very", "ANAT-DP", "modify", 2),
    ("lobe", "ANAT-DP"),
)


def test_the_words_of_an_anatomy_are_followed_to_its_root():
    assert said(CHAINED) == {("lobe|lower|very", "opacity")}
    assert said(CHAINED, DIRECT) == {("lobe|lower", "")}


def test_an_anatomy_that_modifies_itself_ends():
    ring = report(
        "Opacity left right .",
        ("Opacity", "OBS-DP"),
        ("left", "ANAT-DP", "modify", 3),
        ("right", "ANAT-DP", "modify", 2),
    )
    assert said(ring) == {("unspecified", "opacity")}


def test_an_observation_that_only_suggests_stands_alone_unless_published():
    suggests = report(
        "Opacity means pneumonia .",
        ("Opacity", "OBS-DP", "suggestive_of", 2),
        ("pneumonia", "OBS-U"),
    )
    assert said(suggests) == {("unspecified", "opacity"), ("unspecified", "pneumonia")}
    assert said(suggests, DIRECT) == {("unspecified", "pneumonia")}


def test_a_modifier_is_no_statement():
    modified = report("small effusion .", ("small", "OBS-DP", "modify", 2), ("effusion", "OBS-DP"))
    assert said(modified) == {("unspecified", "effusion")}
    (statement,) = statements_of(modified, Rules(), tools_of(Rules()))
    assert statement.modifiers == "small"


def test_sentences_end_at_stops_but_not_inside_a_number():
    words = ["a", "2", ".", "5", "cm", "node", ".", "next", "?", "last"]
    assert count_sentences(words) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 2]


def test_a_recount_that_ends_too_early_names_the_report():
    tools = Tools(table_lemma, lambda text: [["one"]])
    with pytest.raises(UserError, match="p7/s70"):
        statements_of(CHAINED, PUBLISHED, tools)


def test_positions_by_words_phrases_and_fallbacks():
    expected = {
        "lobe|right|lower": "lower_right_lobe",
        "lung|left|base": "left_lower_lung",
        "lung|right": "right_lung_unspec",
        "pleural": "pleural_unspec",
        "bibasilar": "lung_bases",
        "lingula": "upper_left_lobe",
        "heart": "heart_size",
        "heart|border": "heart_border",
        "unspecified": "unspecified",
        "bones": "other",
    }
    assert {a: POSITIONS[position_of(a)] for a in expected} == expected
    assert POSITIONS[position_of("junction|cavoatrial")] == "cavoatrial_junction"
    assert POSITIONS[position_of("junction|cavoatrial", "never")] == "other"
    assert tuple(rule.position for rule in position_rules()) == POSITIONS[:49]


def test_entities_by_lemma_synonym_and_bucket():
    expected = {
        "effusions": "effusion",
        "opacified": "tail_abnorm_obs",
        "opacification": "opacity",
        "enlarged": "enlarge",
        "unchanged": "excluded_obs",
        "Pneumothoraces": "pneumothorax",
        "poorly seen": "tail_abnorm_obs",
    }
    assert {text: ENTITIES[entity_of(table_lemma(text))] for text in expected} == expected


def test_the_vocabulary_is_whole():
    assert (len(set(ENTITIES)), len(set(POSITIONS))) == (75, 51)
    assert tuple(entity_descriptions()) == ENTITIES
    assert {*CHESTXRAY14.values(), *RARE_CLASSES} <= set(ENTITIES)
    assert position_sentence("left_pleural") == "It is located at left pleural"
    assert position_sentence("left_pleural", underscores=True) == "It is located at left_pleural"


def test_present_beats_absent_and_uncertain_is_a_choice():
    cell, other = (4, 8), (5, 8)
    triplets = [(*cell, 1), (*cell, 0), (*other, 2), (*other, 0)]
    values = {
        choice: matrix_of(triplets, choice)[other]
        for choice in ("ignore", "positive", "negative", "soft")
    }
    assert values == {"ignore": 0, "positive": 1, "negative": 0, "soft": 0.5}
    matrix = matrix_of(triplets)
    assert matrix[cell] == 1 and (matrix == -1).sum() == matrix.size - 2
    assert np.array_equal(matrix_of(triplets_of_matrix(matrix)), matrix)


def test_reports_of_one_study_are_joined():
    one = report("effusion .", ("effusion", "OBS-DA"))
    two = report("edema .", ("edema", "OBS-DP"))
    joined = annotated_triplets([one, two], Rules())
    assert list(joined) == ["70"] and len(joined["70"]) == 2


def test_labels_of_later_releases_are_those_of_the_first():
    assert common_label("Observation::definitely absent") == "OBS-DA"
    assert common_label("Observation::uncertain") == "OBS-U"
    assert common_label("Anatomy::uncertain") == "ANAT-DP"
    assert common_label("Observation::measurement::definitely present") is None
    with pytest.raises(KeyError):
        common_label("Device::definitely present")


def test_a_measured_size_is_left_out_with_the_relations_to_it():
    entity = {"start_ix": 0, "end_ix": 0}
    annotation = annotation_of(
        "0",
        {
            "text": "5 cm mass",
            "entities": {
                "1": {**entity, "tokens": "5 cm", "relations": [["modify", "2"]],
                      "label": "Observation::measurement::definitely present"},
                "2": {**entity, "tokens": "mass", "relations": [["modify", "1"], [None]],
                      "label": "Observation::definitely present"},
            },
        },
    )  # fmt: skip
    assert [(e.tokens, e.relations) for e in annotation.entities] == [("mass", ())]


def test_annotations_are_written_and_read_back(tmp_path):
    write_annotations(tmp_path / "a.json", [CHAINED])
    assert read_annotations(tmp_path / "a.json") == [CHAINED]
    assert study_of(CHAINED.key) == "70" and study_of("17") == "17"
    assert study_of("images/a/b.jpg") == "images/a/b.jpg"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[]", "not a JSON object"),
        ("{", "not a readable JSON"),
        (json.dumps({"r": {"text": ""}}), "'r' is no RadGraph annotation: it lacks 'entities'"),
        (json.dumps({"r": "Edema."}), "an object of text and entities"),
        (
            json.dumps({"r": {"text": "a", "entities": {"1": {"label": "OBS-XX"}}}}),
            "entity 1 has 'OBS-XX', no label of RadGraph",
        ),
        (
            json.dumps(
                {"r": {"text": "a", "entities": {"1": {
                    "tokens": "a", "label": "OBS-DP", "start_ix": 0, "end_ix": 0,
                    "relations": [["modify", "9"]]}}}}
            ),
            "points at no entity 9",
        ),
    ],
)  # fmt: skip
def test_a_file_that_holds_none_is_named(tmp_path, content, expected):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=expected) as error:
        read_annotations(tmp_path / "a.json")
    assert "a.json" in str(error.value)


def test_agreement_counts_what_two_lists_share():
    counts = agreement([[1, 2, 2], []], [[2, 3], [4]])
    assert counts == (2, 3, 1)
    assert (counts.precision, counts.recall) == (0.5, pytest.approx(1 / 3))
