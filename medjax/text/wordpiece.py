"""Word pieces of BERT: texts to token ids, by the `tokenizers` library."""

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece as WordPieceModel
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from medjax.errors import UserError

VOCABULARY_FILE = "vocab.txt"
TOKENIZER_FILE = "tokenizer.json"
OPTIONS_FILE = "tokenizer_config.json"
PADDING, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
SPECIAL = (PADDING, UNKNOWN, START, END, "[MASK]")
"""Tokens that a text may hold as they stand, whatever their case rules."""


class WordPiece(NamedTuple):
    """A tokeniser with its vocabulary."""

    tokenizer: Tokenizer
    ids: dict[str, int]
    """Of every token."""

    @property
    def padding(self) -> int:
        """The id that fills a row up."""
        return self.ids[PADDING]

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, add_special_tokens: bool = True
    ) -> list[list[int]]:
        """Return the token ids of each text, at most `max_tokens`.

        Args:
            texts: any; special tokens inside them are taken as such.
            max_tokens: a longer text loses its end.
            add_special_tokens: put [CLS] before and [SEP] behind, which are never cut off.
        """
        room = max_tokens - 2 * add_special_tokens
        rows = [row[:room] for row in self._pieces(texts)]
        if not add_special_tokens:
            return rows
        return [[self.ids[START], *row, self.ids[END]] for row in rows]

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of whole texts.

        No word piece reaches over a blank, so every different word is tokenised once: corpora
        repeat few words.
        """
        words = list(set(chain.from_iterable(text.split(" ") for text in texts)))
        encoded = self.tokenizer.encode_batch_fast(words)
        ids = {word: row.ids for word, row in zip(words, encoded)}
        return [[i for word in text.split(" ") for i in ids[word]] for text in texts]


def make_wordpiece(vocabulary: Sequence[str], lower_case: bool = True) -> WordPiece:
    """Make a tokeniser of the tokens in the order of their ids.

    Args:
        vocabulary: "##" begins a piece that continues a word.
        lower_case: bring texts to small letters and take accents off.

    Raises:
        UserError: [PAD], [UNK], [CLS] or [SEP] is missing.
    """
    ids = {token: index for index, token in enumerate(vocabulary)}
    for token in (PADDING, UNKNOWN, START, END):
        if token not in ids:
            raise UserError(f"the vocabulary lacks {token}, so it is not BERT's")
    tokenizer = Tokenizer(WordPieceModel(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(lowercase=lower_case)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    known = [token for token in SPECIAL if token in ids]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in known])
    return WordPiece(tokenizer, ids)


def read_wordpiece(folder: Path, lower_case: bool | None = None) -> WordPiece:
    """Read the tokeniser of a model's folder: vocab.txt, or tokenizer.json where that is all.

    Args:
        folder: of the model.
        lower_case: None: as tokenizer_config.json or tokenizer.json says, else True.

    Raises:
        UserError: a file is missing or damaged, or the vocabulary is not BERT's.
    """
    path = folder / VOCABULARY_FILE
    told: object = None
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: no readable list of tokens in UTF-8") from error
        vocabulary = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]
        told = _json(folder / OPTIONS_FILE).get("do_lower_case")
    else:
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise UserError(
                f"{folder}: neither {VOCABULARY_FILE} nor {TOKENIZER_FILE} is there; it comes with "
                "the model's weights"
            )
        vocabulary, told = _of_tokenizer_file(path)
    if lower_case is None:
        lower_case = told if isinstance(told, bool) else True
    try:
        return make_wordpiece(vocabulary, lower_case)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _of_tokenizer_file(path: Path) -> tuple[list[str], object]:
    """Return the vocabulary of tokenizer.json, and whether it asks for small letters."""
    content = _json(path)
    model, normalizer = content.get("model"), content.get("normalizer")
    ids = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(ids, dict) or not isinstance(model, dict) or model.get("type") != "WordPiece":
        raise UserError(f"{path}: it is no tokeniser of word pieces, so not BERT's")
    if sorted(map(str, ids.values())) != sorted(map(str, range(len(ids)))):
        raise UserError(f"{path}: the ids of its vocabulary are not 0, 1, 2, ...")
    lower = normalizer.get("lowercase") if isinstance(normalizer, dict) else None
    return sorted(ids, key=ids.__getitem__), lower


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON object; {} where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: no readable JSON ({str(error)[:80]})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: no JSON object")
    return content


def pad_tokens(rows: Sequence[Sequence[int]], tokens: int, padding: int) -> np.ndarray:
    """Return rows of token ids as int32 [rows, tokens], filled up with `padding`."""
    ids = np.full((len(rows), tokens), padding, np.int32)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
    return ids
