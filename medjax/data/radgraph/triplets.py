"""Triplets (position, entity, status) of reports, and the matrix [position, entity] of a report."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from medjax.data.radgraph.annotation import ABSENT, PRESENT, UNCERTAIN, Annotation, study_of
from medjax.data.radgraph.positions import position_of
from medjax.data.radgraph.rules import Rules, Tools, tools_of
from medjax.data.radgraph.statements import Statement, statements_of
from medjax.data.radgraph.vocabulary import ENTITIES, EXCLUDED, POSITIONS, TAIL, read_resource

UNKNOWN = -1.0
STATUS = {ABSENT: 0, PRESENT: 1, UNCERTAIN: 2}
"""What the third number of a triplet means."""
Uncertain = Literal["ignore", "positive", "negative", "soft"]
CELL: Mapping[str, float | None] = {"ignore": None, "positive": 1.0, "negative": 0.0, "soft": 0.5}
"""Value that an uncertain triplet gives its cell; None: none."""


class Triplet(NamedTuple):
    """What a report says of an entity at a position."""

    position: int
    """Row of POSITIONS."""
    entity: int
    """Row of ENTITIES."""
    status: int
    """A value of STATUS."""


class _Synonyms(NamedTuple):
    canonical: Mapping[str, str]
    excluded: frozenset[str]


@functools.cache
def _synonyms() -> _Synonyms:
    table = read_resource("lemma_synonyms.json")
    return _Synonyms(table["lemma_to_canonical"], frozenset(table["excluded"]))


@functools.lru_cache(maxsize=1 << 16)
def entity_of(lemma: str) -> int:
    """Return the number of the entity of an observation's lemma."""
    synonyms = _synonyms()
    name = synonyms.canonical.get(lemma, lemma)
    if name in synonyms.excluded:
        name = EXCLUDED
    return ENTITIES.index(name if name in ENTITIES else TAIL)


def triplets_of(statements: Iterable[Statement], rules: Rules) -> list[Triplet]:
    """Return the different triplets of a report's statements, sorted."""
    found = {
        Triplet(
            position_of(statement.anatomy, rules.cavoatrial_phrase),
            entity_of(statement.lemma),
            STATUS[statement.label],
        )
        for statement in statements
        if statement.label
    }
    return sorted(found)


def annotated_triplets(
    annotations: Iterable[Annotation], rules: Rules, tools: Tools | None = None
) -> dict[str, list[Triplet]]:
    """Return report -> triplets, in order of first appearance.

    A report that is named as a file of MIMIC-CXR goes by the number of its study, and those of one
    study are joined; others go by their key.

    Raises:
        UserError: as `statements_of` and `tools_of` say.
    """
    tools = tools or tools_of(rules)
    found: dict[str, set[Triplet]] = {}
    for annotation in annotations:
        statements = statements_of(annotation, rules, tools)
        found.setdefault(study_of(annotation.key), set()).update(triplets_of(statements, rules))
    return {study: sorted(triplets) for study, triplets in found.items()}


def matrix_of(
    triplets: Sequence[Sequence[int]] | np.ndarray, uncertain: Uncertain = "ignore"
) -> np.ndarray:
    """Return the matrix float32 [51, 75] of a report: 1 present, 0 absent, -1 not mentioned.

    Present beats absent, whatever their order; an uncertain cell takes the value of CELL where that
    is larger than what is known.
    """
    matrix = np.full((len(POSITIONS), len(ENTITIES)), UNKNOWN, np.float32)
    values = {STATUS[ABSENT]: 0.0, STATUS[PRESENT]: 1.0, STATUS[UNCERTAIN]: CELL[uncertain]}
    for position, entity, status in triplets:
        value = values[int(status)]
        if value is not None:
            matrix[position, entity] = max(matrix[position, entity], value)
    return matrix


def triplets_of_matrix(matrix: np.ndarray) -> list[Triplet]:
    """Return the triplets of a published matrix [51, 75]; cells other than 0 and 1 are unknown."""
    rows, columns = np.nonzero((matrix == 0) | (matrix == 1))
    values = matrix[rows, columns].astype(int)
    return [Triplet(*map(int, triplet)) for triplet in zip(rows, columns, values)]
