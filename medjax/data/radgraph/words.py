"""Lemmas of the words of an observation."""

import functools
from collections.abc import Callable

from medjax.data.radgraph.vocabulary import read_resource
from medjax.errors import UserError

NOTHING = "none"
"""The lemma of a missing observation."""


@functools.cache
def lemma_of_form() -> dict[str, str]:
    """Return form -> lemma of our table."""
    table = read_resource("word_forms.json")
    return {form: lemma for lemma, forms in table.items() for form in forms}


def table_lemma(text: str) -> str:
    """Return the lemmas of a text in small letters; words that the table lacks stay."""
    lemmas = lemma_of_form()
    return " ".join(lemmas.get(word, word) for word in text.lower().split())


def spacy_lemmatizer() -> Callable[[str], str]:
    """Return the lemmatiser of spaCy's en_core_web_sm, as published.

    Raises:
        UserError: spaCy or the model is not installed.
    """
    try:
        import spacy

        model = spacy.load("en_core_web_sm")
    except (ImportError, OSError) as e:
        raise UserError(
            "lemmatizer=spacy needs spaCy and its model: pip install spacy; "
            "python -m spacy download en_core_web_sm; or give --lemmatizer=table"
        ) from e

    @functools.cache
    def lemma(text: str) -> str:
        return " ".join(token.lemma_ for token in model(text))

    return lemma
