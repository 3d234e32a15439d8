"""Words of tokenised texts: which pieces belong to one word, worked out once a text."""

import numpy as np

from medjax.errors import UserError
from medjax.text.wordpiece import END, PADDING, WordPiece

AGGREGATIONS = ("complete", "truncated")
CONTINUES = "##"
"""Begins a piece that belongs to the word before it."""
NO_WORD = -1


def word_rows(ids: np.ndarray, wordpiece: WordPiece, aggregation: str = "complete") -> np.ndarray:
    """Return the word that every token belongs to, int32 [text, token], counted from 0.

    [CLS] is word 0, the first [SEP] the last word; what follows it, and padding, is NO_WORD.

    Args:
        ids: token ids, int [text, token], filled up with [PAD].
        wordpiece: the tokeniser that made them.
        aggregation: "complete"; or "truncated": the last token is never visited, and where no
            [SEP] stands before it, the last word that was begun is lost (GLoRIA, MGCA, MedST).

    Raises:
        UserError: another `aggregation`.
    """
    if aggregation not in AGGREGATIONS:
        raise UserError(f"word_aggregation {aggregation!r} is none of {', '.join(AGGREGATIONS)}")
    rows = np.cumsum(~_continues(wordpiece)[ids], axis=1) - 1
    place, tokens = np.arange(ids.shape[1]), ids.shape[1]
    ends = ids == wordpiece.ids[END]
    end = np.where(ends.any(1), ends.argmax(1), tokens)[:, None]
    kept = (place <= end) & (ids != wordpiece.ids[PADDING])
    if aggregation == "truncated":
        visited = tokens - 1
        lost = (end >= visited) & (rows == rows[:, visited - 1 : visited])
        kept &= (place < visited) & ~lost
    return np.where(kept, rows, NO_WORD).astype(np.int32)


def word_texts(ids: np.ndarray, rows: np.ndarray, wordpiece: WordPiece) -> list[list[str]]:
    """Return the words of every text, their pieces joined; ids and rows as of `word_rows`."""
    tokens = {index: token for token, index in wordpiece.ids.items()}
    texts = []
    for of_text, of_rows in zip(ids.tolist(), rows.tolist(), strict=True):
        words = [""] * (max(of_rows, default=NO_WORD) + 1)
        for token, row in zip(of_text, of_rows):
            if row != NO_WORD:
                words[row] += tokens[token].removeprefix(CONTINUES)
        texts.append(words)
    return texts


def _continues(wordpiece: WordPiece) -> np.ndarray:
    """Return bool [token id], whether a token continues a word."""
    continues = np.zeros(max(wordpiece.ids.values()) + 1, bool)
    continues[[i for token, i in wordpiece.ids.items() if token.startswith(CONTINUES)]] = True
    return continues
