"""A small vocabulary of word pieces made of texts, for encoders that start from nothing."""

import re
import string
from collections import Counter
from collections.abc import Iterable

from medjax.text.wordpiece import SPECIAL

_WORD = re.compile(r"\w+|[^\w\s]")
_CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def make_vocabulary(texts: Iterable[str], least: int = 2, most: int = 8192) -> list[str]:
    """Return special tokens, characters to spell any other word, and the commonest words.

    Args:
        texts: brought to small letters.
        least: how often a word must occur.
        most: tokens of the vocabulary.
    """
    counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    tokens = [*SPECIAL, *_CHARACTERS, *(f"##{c}" for c in _CHARACTERS)]
    known = set(tokens)
    words = [w for w, n in counts.items() if n >= least and w not in known]
    words.sort(key=lambda word: (-counts[word], word))
    return [*tokens, *words[: max(most - len(tokens), 0)]]
