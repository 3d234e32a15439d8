"""How well two annotations of a report agree: RadGraph F1, and the triplets that both have."""

from collections.abc import Iterable, Sequence, Set
from typing import Any, NamedTuple

from medjax.data.radgraph.annotation import Annotation


class RadGraphF1(NamedTuple):
    """F1 of the entities of two annotations, by what must be equal."""

    simple: float
    """Words and label."""
    partial: float
    """Words, label, and whether there is a relation."""
    complete: float
    """Words, label, and each relation with the words that it points at."""


def radgraph_f1(hypothesis: Annotation, reference: Annotation) -> RadGraphF1:
    """Return the RadGraph F1 of a hypothesis, 0 where one of the two has no entity.

    As the package radgraph scores rewards (Delbrouck et al., arXiv 2210.12186): words keep their
    case, but for entities with relations in the third score.
    """
    pairs = zip(_sets(hypothesis), _sets(reference))
    return RadGraphF1(*(f1(*pair) for pair in pairs))


def _sets(annotation: Annotation) -> tuple[Set[Any], Set[Any], Set[Any]]:
    words = {entity.id: entity.tokens for entity in annotation.entities}
    simple: set[Any] = set()
    partial: set[Any] = set()
    complete: set[Any] = set()
    for entity in annotation.entities:
        simple.add((entity.tokens, entity.label))
        partial.add((entity.tokens, entity.label, bool(entity.relations)))
        if not entity.relations:
            complete.add((entity.tokens, entity.label))
        for relation, target in entity.relations:
            place = words[target].lower()
            complete.add((entity.tokens.lower(), entity.label, relation, place))
    return simple, partial, complete


def f1(found: Set[Any], wanted: Set[Any]) -> float:
    """Return the F1 of a set against another; 0 where one of them is empty."""
    both = len(found & wanted)
    return 2 * both / (len(found) + len(wanted)) if found and wanted else 0.0


class Agreement(NamedTuple):
    """Counts over reports of what is found, wanted, and both."""

    found: int
    wanted: int
    both: int

    @property
    def precision(self) -> float:
        """Share of what was found that is wanted; NaN without any."""
        return self.both / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of what is wanted that was found; NaN without any."""
        return self.both / self.wanted if self.wanted else float("nan")


def agreement(found: Iterable[Sequence[Any]], wanted: Iterable[Sequence[Any]]) -> Agreement:
    """Count over pairs of reports what each list holds once and both hold."""
    counts = [0, 0, 0]
    for ours, theirs in zip(found, wanted, strict=True):
        one, other = set(ours), set(theirs)
        for i, number in enumerate((len(one), len(other), len(one & other))):
            counts[i] += number
    return Agreement(*counts)
