"""The words by which the extractor knows anatomy, observations, negation and doubt."""

import functools
from typing import NamedTuple

from medjax.data.radgraph.vocabulary import ABNORMAL, NORMAL, read_resource
from medjax.data.radgraph.words import lemma_of_form, table_lemma


class Lexicon(NamedTuple):
    """Sets of words in small letters."""

    anatomy: frozenset[str]
    """Heads of an anatomy phrase."""
    anatomy_modifier: frozenset[str]
    modifier: frozenset[str]
    """Of observations."""
    state: frozenset[str]
    """Observations that say how another one has changed, where there is one."""
    adjective: frozenset[str]
    """Observations that may stand before their anatomy."""
    observation: frozenset[str]
    negation: frozenset[str]
    seen: frozenset[str]
    """After "not" these deny what stands before."""
    uncertainty: frozenset[str]
    suggests: frozenset[str]
    """What stands before suggests what stands behind."""
    either: frozenset[str]
    """Both sides are in doubt."""
    ends: frozenset[str]
    """A new clause begins."""
    openers: frozenset[str]
    """A new clause begins behind "and" or a comma."""
    verbs: frozenset[str]
    prepositions: frozenset[str]
    determiners: frozenset[str]


@functools.cache
def lexicon() -> Lexicon:
    """Return the words of the table, with all forms of the entities and of their synonyms."""
    table = {
        name: frozenset(words) for name, words in read_resource("extraction_lexicon.json").items()
    }
    synonyms = read_resource("lemma_synonyms.json")["lemma_to_canonical"]
    lemmas = {*NORMAL, *ABNORMAL, *(word for word in synonyms if word.isalpha())}
    forms = {form.lower() for form, lemma in lemma_of_form().items() if lemma in lemmas}
    observation = (lemmas | forms | table["other_observation"]) - table["anatomy_modifier"]
    known = {name: words for name, words in table.items() if name in Lexicon._fields}
    return Lexicon(**known, observation=frozenset(observation - table["anatomy"]))


def is_device(word: str) -> bool:
    """Whether a word names a device, which keeps its own place beside another one."""
    return table_lemma(word) in DEVICES


DEVICES = frozenset(
    ("tube", "line", "tip", "catheter", "lead", "device", "picc", "clip", "wire", "pacemaker")
    + ("pacer", "stent", "hardware")
)
