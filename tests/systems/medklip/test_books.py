"""Books: what they are made by, kept, packed, and what they say when they cannot be made."""

import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from medjax.data.radgraph.vocabulary import ENTITIES, POSITIONS
from medjax.errors import UserError
from medjax.systems.medklip import books as module
from medjax.systems.medklip.books import (
    Texts,
    make_books,
    pack_books,
    read_descriptions,
    unpack_books,
)

BERT = Path(__file__).parents[2] / "weights" / "recorded" / "tiny_bert"
REPORTS = ["Effusion on the left.", "The heart is enlarged.", "Clear lungs."]


def options(**changed) -> ConfigDict:
    section = {"encoder": "table", "bert_dir": None, "table": None, "dim": 16, "descriptions": None}
    section |= {"position_prompt": "blanks", "max_tokens": 32, "pooling": "first_token"}
    return ConfigDict(section | changed)


@pytest.fixture
def texts(tmp_path) -> Texts:
    return Texts(tmp_path / "text", REPORTS)


@pytest.mark.parametrize("encoder", ["table", "random"])
def test_a_vector_for_every_query_and_position(texts, encoder) -> None:
    added = [("covid", "opacity in both lungs")]
    books = make_books(options(encoder=encoder), texts, added)
    assert books.queries == (*ENTITIES, "covid")
    assert books.entity.shape == (76, 16) and books.position.shape == (len(POSITIONS), 16)
    without = make_books(options(encoder=encoder), texts)
    np.testing.assert_array_equal(without.entity, books.entity[:75])
    assert np.linalg.matrix_rank(books.position) > 8


def test_books_travel_with_weights_and_go_on_folding_in(texts, tmp_path) -> None:
    books = make_books(options(), texts)
    back = unpack_books(json.loads(json.dumps(pack_books(books))))
    np.testing.assert_array_equal(back.entity, books.entity)
    elsewhere = Texts(tmp_path / "other", (), back.table)
    again = make_books(options(), elsewhere, [("new", "a large effusion")])
    np.testing.assert_array_equal(again.entity[:75], books.entity)
    packed = pack_books(books)
    packed["entity"] = {**packed["entity"], "shape": [3, 5]}
    with pytest.raises(UserError, match="damaged"):
        unpack_books(packed)


def test_bert_is_asked_once(texts, monkeypatch) -> None:
    by_bert = options(encoder="bert", bert_dir=str(BERT), max_tokens=18)
    first = make_books(by_bert, texts)
    monkeypatch.setattr(module, "load_text_encoder", None)
    second = make_books(by_bert, texts)
    np.testing.assert_array_equal(first.entity, second.entity)
    assert first.table is None and first.method == "BERT (tiny_bert, first_token)"


def test_what_is_missing_is_named(texts, tmp_path) -> None:
    with pytest.raises(UserError, match=r"text\.bert_dir"):
        make_books(options(encoder="bert"), texts)
    path = tmp_path / "descriptions.json"
    path.write_text('{"normal": "as it should be"}')
    with pytest.raises(UserError, match="must hold 75 texts"):
        read_descriptions(str(path))
    with pytest.raises(UserError, match=r"none\.json cannot be read"):
        read_descriptions(str(tmp_path / "none.json"))
    path.write_text(json.dumps({name: f"about {name}" for name in ENTITIES}))
    assert read_descriptions(str(path))[1] == "about clear"
