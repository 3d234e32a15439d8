"""Texts as token ids with the word that each token belongs to, worked out once a text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.text.vocabulary import make_vocabulary
from medjax.text.wordpiece import WordPiece, make_wordpiece, pad_tokens, read_wordpiece
from medjax.text.words import word_rows


class TokenTable(NamedTuple):
    """Tokenised texts."""

    ids: np.ndarray
    """int32 [text, token]"""
    mask: np.ndarray
    """bool [text, token], False for padding."""
    words: np.ndarray
    """int32 [text, token], as `medjax.text.words.word_rows` gives it."""


class TextReader(NamedTuple):
    """How texts become tokens."""

    wordpiece: WordPiece
    max_tokens: int = 112
    """A longer text loses its end."""
    word_aggregation: str = "complete"
    """Of `word_rows`."""

    @property
    def vocabulary(self) -> list[str]:
        """The tokens in the order of their ids: a run keeps them beside its weights."""
        return sorted(self.wordpiece.ids, key=self.wordpiece.ids.__getitem__)

    def read(self, texts: Sequence[str]) -> TokenTable:
        """Tokenise texts; [CLS] stands before each, [SEP] behind."""
        rows = self.wordpiece.encode(list(texts), self.max_tokens)
        ids = pad_tokens(rows, self.max_tokens, self.wordpiece.padding)
        counts = np.array([len(row) for row in rows], np.int64)
        mask = np.arange(self.max_tokens) < counts[:, None]
        return TokenTable(ids, mask, word_rows(ids, self.wordpiece, self.word_aggregation))


def open_wordpiece(bert_dir: Path | None, texts: Iterable[str]) -> WordPiece:
    """Return the tokeniser of a model's folder; None: one made of the training split's `texts`."""
    if bert_dir is not None:
        return read_wordpiece(bert_dir)
    return make_wordpiece(make_vocabulary(texts))
