"""Which pieces belong to one word."""

import numpy as np
import pytest

from medjax.errors import UserError
from medjax.text.wordpiece import make_wordpiece, pad_tokens
from medjax.text.words import word_rows, word_texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = [*SPECIAL, "lung", "##s", "pneumo", "##thor", "##ax", "clear"]
WORDPIECE = make_wordpiece(VOCABULARY)
TEXT = "lungs clear pneumothorax"


def rows_of(tokens: int, aggregation: str):
    ids = pad_tokens(WORDPIECE.encode([TEXT], tokens), tokens, WORDPIECE.padding)
    rows = word_rows(ids, WORDPIECE, aggregation)
    return rows[0].tolist(), word_texts(ids, rows, WORDPIECE)[0]


@pytest.mark.parametrize("aggregation", ["complete", "truncated"])
def test_a_short_text_is_whole(aggregation) -> None:
    rows, words = rows_of(10, aggregation)
    assert rows == [0, 1, 1, 2, 3, 3, 3, 4, -1, -1]
    assert words == ["[CLS]", "lungs", "clear", "pneumothorax", "[SEP]"]


def test_where_the_text_fills_every_token_its_end_is_lost_when_truncated() -> None:
    assert rows_of(8, "complete") == (
        [0, 1, 1, 2, 3, 3, 3, 4],
        ["[CLS]", "lungs", "clear", "pneumothorax", "[SEP]"],
    )
    rows, words = rows_of(8, "truncated")
    assert rows == [0, 1, 1, 2, -1, -1, -1, -1]
    assert words == ["[CLS]", "lungs", "clear"]


def test_rows_of_padding_alone_have_no_words() -> None:
    ids = np.zeros((1, 4), np.int32)
    assert (word_rows(ids, WORDPIECE) == -1).all()
    with pytest.raises(UserError, match="word_aggregation 'whole' is none of complete, truncated"):
        word_rows(ids, WORDPIECE, "whole")
