"""What a report states: anatomy, observation, presence, and what modifies the observation.

The parser of MedKLIP's pre-processing (after AGXNet, Yu et al., MICCAI 2022): sentence by sentence,
every anatomy that belongs to no other is a root, the words that hang on it are its phrase, and the
observations located there are stated of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from medjax.data.radgraph.annotation import (
    ANATOMY,
    LOCATED_AT,
    MODIFY,
    PRESENT,
    SUGGESTIVE_OF,
    Annotation,
    Entity,
)
from medjax.data.radgraph.rules import Rules, Tools
from medjax.data.radgraph.sentences import sentence_numbers
from medjax.data.radgraph.vocabulary import UNSPECIFIED
from medjax.data.radgraph.words import NOTHING

NO_OBSERVATION = "OBS-NA"


class Row(NamedTuple):
    """An entity and one of its relations; an entity without any has one row."""

    source: str
    token: str
    label: str
    relation: str
    target: str


class Statement(NamedTuple):
    """One thing that a sentence says; "" for what it does not."""

    sentence: int
    """Number of the sentence, from 0."""
    anatomy: str
    """The root and the words that hang on it, joined by |, in small letters."""
    observation: str
    label: str
    """Of the observation, "" without one."""
    modifiers: str
    """What modifies the observation, joined by |."""
    suggested_by: str
    """What suggests the observation, joined by |."""
    lemma: str
    """Of the observation; "none" without one."""


def rows_of(entities: Iterable[Entity]) -> list[Row]:
    """Return a row for every relation, in order; empty relation and target where there is none."""
    return [
        Row(entity.id, entity.tokens, entity.label, *relation)
        for entity in entities
        for relation in entity.relations or (("", ""),)
    ]


def statements_of(annotation: Annotation, rules: Rules, tools: Tools) -> list[Statement]:
    """Return the statements of a report, sentence by sentence.

    Raises:
        UserError: see `sentence_numbers`.
    """
    sentences: dict[int, list[Entity]] = defaultdict(list)
    numbers = sentence_numbers(annotation, tools.recount)
    for number, entity in zip(numbers, annotation.entities):
        sentences[number].append(entity)
    return [
        statement
        for number in sorted(sentences)
        for statement in _Sentence(number, rows_of(sentences[number]), rules, tools).statements()
    ]


class _Sentence:
    """The rows of one sentence."""

    def __init__(self, number: int, rows: Sequence[Row], rules: Rules, tools: Tools) -> None:
        self._number, self._rows, self._rules, self._tools = number, rows, rules, tools
        self._pointing: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._pointing[row.target].append(row)

    def statements(self) -> list[Statement]:
        alone = [row for row in self._rows if row.label != ANATOMY and self._is_alone(row)]
        roots = [row for row in self._rows if row.label == ANATOMY and not row.target]
        if not roots:
            found = [self._state(UNSPECIFIED, row) for row in alone]
            return unique(found) or [self._state(UNSPECIFIED, None)]
        loose = [self._state(UNSPECIFIED, row) for row in alone]
        statements = []
        for root in roots:
            anatomy, sources = self._phrase(root)
            located = [
                self._state(anatomy, row)
                for row in self._rows
                if row.label != ANATOMY and row.relation == LOCATED_AT and row.target in sources
            ]
            statements += unique((located or [self._state(anatomy, None)]) + loose)
        return statements

    def _is_alone(self, row: Row) -> bool:
        """Whether an observation points at nothing; or suggests only, where that is no pointing."""
        if not row.target or self._rules.suggestive_only_observation == "dropped":
            return not row.target
        relations = {other.relation for other in self._rows if other.source == row.source}
        return relations == {SUGGESTIVE_OF}

    def _phrase(self, root: Row) -> tuple[str, set[str]]:
        """The words of an anatomy, joined, and the entities that it is made of."""
        words, sources = [root.token.lower()], {root.source}
        level = [root.source]
        while level:
            hanging = [
                row for target in level for row in self._pointing[target] if row.label == ANATOMY
            ]
            fresh = [row for row in hanging if row.source not in sources]
            words += [row.token.lower() for row in fresh]
            sources |= {row.source for row in fresh}
            level = [row.source for row in fresh] if self._rules.anatomy_chain == "all" else []
        return "|".join(words), sources

    def _state(self, anatomy: str, row: Row | None) -> Statement:
        if row is None:
            return Statement(self._number, anatomy, "", "", "", "", NOTHING)
        text = row.token.lower()
        modifiers, suggesting = (
            "|".join(
                other.token.lower()
                for other in self._pointing[row.source]
                if other.label == PRESENT and other.relation == relation
            )
            for relation in (MODIFY, SUGGESTIVE_OF)
        )
        lemma = self._tools.lemma(text)
        return Statement(self._number, anatomy, text, row.label, modifiers, suggesting, lemma)


def unique(statements: Iterable[Statement]) -> list[Statement]:
    """Return statements without repetition, in order of their first appearance."""
    return list(dict.fromkeys(statements))
