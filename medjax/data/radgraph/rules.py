"""How annotations become statements and triplets, where the published pipeline can be bettered."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from medjax.data.radgraph.sentences import nltk_sentences
from medjax.data.radgraph.words import spacy_lemmatizer, table_lemma
from medjax.errors import UsageError


class Rules(NamedTuple):
    """The choices; the defaults are ours."""

    sentence_lookup: Literal["annotation", "recount"] = "annotation"
    """annotation: sentences are cut over the words that the annotation counts; recount: cut and
    counted anew by NLTK, which may drift."""
    lemmatizer: Literal["table", "spacy"] = "table"
    """table: our forms of the entities; spacy: en_core_web_sm."""
    anatomy_chain: Literal["all", "direct"] = "all"
    """all: the words of an anatomy are followed through all that modifies it; direct: one step."""
    suggestive_only_observation: Literal["unspecified", "dropped"] = "unspecified"
    """An observation that only suggests another: a statement without a place, or none at all."""
    cavoatrial_phrase: Literal["matches", "never"] = "matches"
    """Whether the cavoatrial junction is recognised."""


PUBLISHED = Rules("recount", "spacy", "direct", "dropped", "never")
"""What MedKLIP's scripts do."""
PRESETS = {"default": Rules(), "published": PUBLISHED}


class Tools(NamedTuple):
    """The language tools that rules ask for."""

    lemma: Callable[[str], str]
    """Words of an observation -> their lemmas."""
    recount: Callable[[str], Sequence[Sequence[str]]] | None
    """Text -> the words of each of its sentences; None: the annotation's own words are used."""


def tools_of(rules: Rules) -> Tools:
    """Return the tools of some rules.

    Raises:
        UserError: NLTK, spaCy or the model is asked for and not installed.
        UsageError: an unknown choice.
    """
    lemmas = {"table": lambda: table_lemma, "spacy": spacy_lemmatizer}
    lookups = {"annotation": lambda: None, "recount": nltk_sentences}
    for name, known in (("lemmatizer", lemmas), ("sentence_lookup", lookups)):
        if getattr(rules, name) not in known:
            raise UsageError(f"{name}={getattr(rules, name)!r}: expects {' or '.join(known)}")
    return Tools(lemmas[rules.lemmatizer](), lookups[rules.sentence_lookup]())
