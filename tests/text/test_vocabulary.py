"""A vocabulary of texts: special tokens, characters, common words."""

from medjax.text.vocabulary import make_vocabulary
from medjax.text.wordpiece import SPECIAL, make_wordpiece


def test_common_words_are_tokens_and_others_are_spelled():
    texts = ["Stable effusion.", "stable effusion", "stable edema"]
    vocabulary = make_vocabulary(texts)
    assert vocabulary[: len(SPECIAL)] == list(SPECIAL) and vocabulary[-2:] == ["stable", "effusion"]
    assert len(set(vocabulary)) == len(vocabulary)
    (ids,) = make_wordpiece(vocabulary).encode(["stable edema."], 20)
    tokens = [vocabulary[i] for i in ids]
    assert tokens == ["[CLS]", "stable", "e", "##d", "##e", "##m", "##a", ".", "[SEP]"]


def test_the_vocabulary_is_no_longer_than_asked():
    texts = [f"w{i} w{i}" for i in range(50)]
    longest = make_vocabulary(texts, most=10_000)
    shorter = make_vocabulary(texts, most=len(longest) - 5)
    assert shorter == longest[:-5]
