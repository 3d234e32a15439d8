"""Which sentence of its report an entity stands in."""

from collections.abc import Callable, Sequence

from medjax.data.radgraph.annotation import Annotation
from medjax.errors import UserError

ENDS = frozenset(".?!")


def count_sentences(words: Sequence[str]) -> list[int]:
    """Return the number of the sentence of every word, from 0.

    A sentence ends with a full stop, question or exclamation mark; a point between two numbers ends
    none.
    """
    numbers, sentence = [], 0
    for i, word in enumerate(words):
        numbers.append(sentence)
        inside = 0 < i < len(words) - 1 and words[i - 1].isdigit() and words[i + 1].isdigit()
        if word in ENDS and not (word == "." and inside):
            sentence += 1
    return numbers


def sentence_numbers(
    annotation: Annotation, recount: Callable[[str], Sequence[Sequence[str]]] | None = None
) -> list[int]:
    """Return the number of the sentence of every entity, from 0.

    Args:
        annotation: a report.
        recount: text -> words of each sentence, counted anew; None: the words of the annotation.

    Raises:
        UserError: an entity stands beyond the words that were counted.
    """
    if recount is None:
        numbers = count_sentences(annotation.text.split())
    else:
        sentences = recount(annotation.text)
        numbers = [i for i, words in enumerate(sentences) for _ in words]
    try:
        return [numbers[entity.start] for entity in annotation.entities]
    except IndexError:
        raise UserError(
            f"report {annotation.key!r}: an entity stands beyond its {len(numbers)} words"
            + ("" if recount is None else "; sentence_lookup=annotation does not count anew")
        ) from None


def nltk_sentences() -> Callable[[str], Sequence[Sequence[str]]]:
    """Return NLTK's cutting of a text into sentences and words, as published.

    Raises:
        UserError: NLTK or its model is not installed.
    """
    try:
        from nltk.tokenize import sent_tokenize, word_tokenize

        sent_tokenize("One. Two.")
    except (ImportError, LookupError) as e:
        raise UserError(
            "sentence_lookup=recount needs NLTK and its model: pip install nltk; "
            "python -m nltk.downloader punkt_tab; or give --sentence_lookup=annotation"
        ) from e
    return lambda text: [word_tokenize(sentence) for sentence in sent_tokenize(text)]
