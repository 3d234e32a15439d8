"""A rule-based extractor: a raw report -> an annotation in the form of RadGraph.

Nothing is downloaded. Words are known by a lexicon; an observation is absent or uncertain in the
scope of a cue in its clause, and located at the anatomy beside it, behind a preposition, or before
a verb. Against hand annotations of 40 sentences that the rules had not seen: precision 0.92 and
recall 0.87 of (entity, status), 0.71 and 0.66 of (position, entity, status); see
`tests/data/radgraph`. A trained recogniser does better where it is at hand (`--annotations`,
`--extractor=radgraph`).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from medjax.data.radgraph.annotation import (
    ABSENT,
    ANATOMY,
    LOCATED_AT,
    MODIFY,
    PRESENT,
    SUGGESTIVE_OF,
    UNCERTAIN,
    Annotation,
    Entity,
)
from medjax.data.radgraph.lexicon import Lexicon, is_device, lexicon
from medjax.data.radgraph.sentences import count_sentences

PARTED = re.compile(r"([/,:;.!?()\[\]\"])")
JOINING = frozenset((",", "and", "or", "and/or", "/"))
SIDES = ("left", "right")
VOLUME_LOSS = ("volume", "loss")
"""No anatomy, though one of its words is."""


class Phrase(NamedTuple):
    """An anatomy phrase: places of its words in the clause."""

    start: int
    end: int
    """Behind its last word."""
    root: int
    others: tuple[int, ...]


class Clause(NamedTuple):
    """Words of one clause, and the number of the first in the report."""

    words: tuple[str, ...]
    """In small letters."""
    first: int


def tokenize(text: str) -> list[str]:
    """Cut a text into words and punctuation, as RadGraph's release does; hyphens stay."""
    spaced = PARTED.sub(r" \1 ", text.replace("___", " "))
    return re.sub(r"(\d) \. (?=\d)", r"\1.", spaced).split()


def extract(key: str, text: str) -> Annotation:
    """Annotate a report."""
    tokens = tokenize(text)
    words = lexicon()
    entities: list[Entity] = []
    for clause in clauses_of(tokens, words):
        entities += _ClauseReader(clause, tokens, words, len(entities)).entities()
    return Annotation(key, " ".join(tokens), tuple(entities))


def clauses_of(tokens: Sequence[str], words: Lexicon) -> list[Clause]:
    """Cut a report into sentences, and those where another thing begins to be told."""
    lower = [token.lower() for token in tokens]
    numbers = count_sentences(tokens)
    starts = [0]
    for i in range(1, len(lower)):
        joined = lower[i - 1] in (",", "and") and lower[i] in words.openers
        if numbers[i] != numbers[i - 1] or lower[i] in words.ends or joined:
            starts.append(i)
    ends = [*starts[1:], len(lower)]
    return [Clause(tuple(lower[a:b]), a) for a, b in zip(starts, ends) if b > a]


def phrases_of(clause: tuple[str, ...], words: Lexicon) -> list[Phrase]:
    """Find the anatomy phrases of a clause.

    Heads joined by "and" are phrases of their own ("cardiac and mediastinal contours"); both sides
    of one head give two phrases ("left and right lower lobes").
    """
    anatomy = words.anatomy | words.anatomy_modifier
    found: list[Phrase] = []
    i = 0
    while i < len(clause):
        if clause[i] not in anatomy or clause[i : i + 2] == VOLUME_LOSS:
            i += 1
            continue
        end = i + 1
        while end < len(clause) and (
            clause[end] in anatomy
            or (clause[end] in JOINING and end + 1 < len(clause) and clause[end + 1] in anatomy)
        ):
            end += 1
        found += _split_run(clause, i, end, words)
        i = end
    return found


def _split_run(clause: Sequence[str], start: int, end: int, words: Lexicon) -> list[Phrase]:
    """Cut a run of anatomy words into phrases."""
    pieces, begin = [], start
    for i in range(start, end):
        head_before = any(clause[j] in words.anatomy for j in range(begin, i))
        behind = clause[i + 1 : end]
        if clause[i] in JOINING and head_before and any(w in words.anatomy for w in behind):
            pieces.append((begin, i))
            begin = i + 1
    pieces.append((begin, end))
    phrases = []
    for a, b in pieces:
        places = [i for i in range(a, b) if clause[i] not in JOINING]
        heads = [i for i in places if clause[i] in words.anatomy]
        root = heads[-1] if heads else places[-1]
        sides = [i for i in places if clause[i] in SIDES and i != root]
        different = {clause[i] for i in sides}
        for side in sides if len(different) == 2 else [None]:
            others = tuple(
                i for i in places if i != root and (side is None or i == side or i not in sides)
            )
            phrases.append(Phrase(a, b, root, others))
    return phrases


class _ClauseReader:
    """Reads the observations of one clause and where they are."""

    def __init__(self, clause: Clause, tokens: Sequence[str], words: Lexicon, before: int) -> None:
        self._clause, self._tokens, self._lexicon, self._before = clause, tokens, words, before
        self._words = clause.words
        self._phrases = phrases_of(self._words, words)
        taken = {i for phrase in self._phrases for i in range(phrase.start, phrase.end)}
        self._all = [i for i, w in enumerate(self._words) if self._observes(i) and i not in taken]

    def _observes(self, i: int) -> bool:
        word, following = self._words[i], self._words[i + 1 : i + 2]
        if word == "free":
            return following not in (("of",), ("from",)) and following != ()
        if word in ("lead", "leads") and following in (("to",),):
            return False
        if word in ("finding", "findings"):
            before = self._words[max(i - 1, 0) : i]
            return bool(set(before) & (self._lexicon.modifier | self._lexicon.negation))
        return word in self._lexicon.observation

    def _modifies(self, i: int) -> int | None:
        """The observation that an observation only modifies, if it does."""
        words, lexicon_ = self._words, self._lexicon
        j = i + 1
        while j < len(words) and words[j] in lexicon_.modifier and j not in self._all:
            j += 1
        if j in self._all and not (is_device(words[i]) and is_device(words[j])):
            return j
        phrase = next((p for p in self._phrases if p.start == j), None)
        behind = phrase.end if phrase else None
        if words[i] in lexicon_.adjective and behind in self._all:
            return behind
        if words[i] in lexicon_.state:
            others = [k for k in self._all if k != i and words[k] not in lexicon_.state]
            return min(others, key=lambda k: abs(k - i)) if others else None
        return None

    def entities(self) -> list[Entity]:
        """Return the entities of the clause, anatomy first."""
        modifying = {i: target for i in self._all if (target := self._modifies(i)) is not None}
        observed = [i for i in self._all if i not in modifying]
        labels = {i: self._label(i, observed) for i in observed}
        located = {i: self._place(i, observed) for i in observed}
        numbers: dict[tuple[str, int], str] = {}

        def number(kind: str, i: int) -> str:
            return numbers.setdefault((kind, i), str(self._before + len(numbers) + 1))

        found = []
        for k, phrase in enumerate(self._phrases):
            root = number(f"root {k}", phrase.root)
            found.append(self._entity(root, phrase.root, ANATOMY, ()))
            for i in phrase.others:
                relation = ((MODIFY, root),)
                found.append(self._entity(number(f"part {k}", i), i, ANATOMY, relation))
        for i in observed:
            places = tuple(
                (LOCATED_AT, number(f"root {k}", self._phrases[k].root)) for k in located[i]
            )
            suggested = tuple(
                (SUGGESTIVE_OF, number("seen", j)) for j in self._suggested(i, observed)
            )
            found.append(self._entity(number("seen", i), i, labels[i], places + suggested))
            for j in self._modifiers(i, modifying):
                label = ABSENT if labels[i] == ABSENT else PRESENT
                relation = ((MODIFY, number("seen", i)),)
                found.append(self._entity(number("modifier", j), j, label, relation))
        return found

    def _entity(
        self, number: str, i: int, label: str, relations: tuple[tuple[str, str], ...]
    ) -> Entity:
        at = self._clause.first + i
        return Entity(number, self._tokens[at], label, at, at, relations)

    def _modifiers(self, i: int, modifying: dict[int, int]) -> list[int]:
        """What modifies an observation: words right before it, and observations that say so."""
        places = [j for j, target in modifying.items() if target == i]
        j = i - 1
        while j >= 0 and (self._words[j] in self._lexicon.modifier or self._in_phrase(j)):
            if not self._in_phrase(j) and j not in modifying:
                places.append(j)
            j -= 1
        return sorted(places)

    def _in_phrase(self, i: int) -> bool:
        return any(phrase.start <= i < phrase.end for phrase in self._phrases)

    def _suggested(self, i: int, observed: Sequence[int]) -> list[int]:
        """The observations that this one suggests: those behind the next word that says so."""
        following = [j for j in observed if j > i]
        if not following:
            return []
        between = self._words[i + 1 : following[0]]
        return following if self._lexicon.suggests & set(between) else []

    def _label(self, i: int, observed: Sequence[int]) -> str:
        """Present, absent or uncertain, by the cues of the clause."""
        words, lexicon_ = self._words, self._lexicon
        label = PRESENT
        for j in range(i - 1, -1, -1):
            if words[j] in lexicon_.negation and self._denies(j, i, observed):
                return ABSENT
            if words[j] in lexicon_.uncertainty or words[j] in lexicon_.either:
                label = UNCERTAIN
        behind = words[i + 1 :]
        for j, word in enumerate(behind):
            at = i + 1 + j
            if word in ("excluded", "suspected", "possible", "questioned") and self._predicate(at):
                return UNCERTAIN
            if word in lexicon_.either and not any(i < k < at for k in observed):
                label = UNCERTAIN
            negated = word in ("absent", "resolved", "cleared") and self._predicate(at)
            if negated or (word in lexicon_.seen and self._denied(at)):
                return ABSENT
        return label

    def _predicate(self, at: int) -> bool:
        """Whether a word is said of what stands before: a verb or "not" comes shortly before it."""
        before = self._words[max(at - 3, 0) : at]
        return bool(set(before) & (self._lexicon.verbs | {"not", "cannot"}))

    def _denied(self, at: int) -> bool:
        """Whether "not" or "no longer" stands shortly before a word such as "seen"."""
        before = self._words[max(at - 3, 0) : at]
        return "not" in before or ("no" in before and "longer" in before)

    def _denies(self, cue: int, i: int, observed: Sequence[int]) -> bool:
        """Whether a cue of negation reaches an observation behind it."""
        words, between = self._words, self._words[cue + 1 : i]
        if words[cue] in ("free", "negative") and not {"of", "for", "from"} & set(between[:2]):
            return False
        if words[cue] in ("absent", "resolved", "cleared"):
            return False
        if words[cue] == "not" and self._lexicon.seen & set(between[:2]):
            return False
        if {"exclude", "excluded"} & set(words[cue + 1 : cue + 4]):
            return False
        passed = [j for j in observed if cue < j < i]
        changes = [j for j in range(cue + 1, i) if words[j] in ("change", "changes", "longer")]
        return not changes and not (passed and "with" in between)

    def _place(self, i: int, observed: Sequence[int]) -> list[int]:
        """The numbers of the phrases where an observation is."""
        beside = self._before_it(i) or self._adjective_place(i)
        behind = self._behind_it(i)
        whole = [k for k in behind if self._has_head(k)]
        if whole and is_device(self._words[i]):
            return whole
        if beside:
            return self._merge(beside, [k for k in behind if self._is_side(k)])
        sides = [k for k in behind if self._is_side(k)]
        return whole or self._subject(i, observed) or sides

    def _before_it(self, i: int) -> list[int]:
        j = i
        while j > 0 and (self._words[j - 1] in self._lexicon.modifier or j - 1 in self._all):
            j -= 1
        return [k for k, phrase in enumerate(self._phrases) if phrase.end == j]

    def _adjective_place(self, i: int) -> list[int]:
        if self._words[i] not in self._lexicon.adjective:
            return []
        j = i + 1
        while j < len(self._words) and self._words[j] in self._lexicon.modifier | {"the"}:
            j += 1
        return [k for k, phrase in enumerate(self._phrases) if phrase.start == j]

    def _behind_it(self, i: int) -> list[int]:
        """The phrases right behind the next preposition, "and" between them."""
        words, lexicon_ = self._words, self._lexicon
        for at in range(i + 1, len(words)):
            told = words[at + 1 : at + 3] and lexicon_.seen & set(words[at + 1 : at + 3])
            if words[at] in lexicon_.verbs - {"within"} and not told:
                return []
            if is_device(words[i]) and at in self._all and is_device(words[at]):
                return []
            if words[at] not in lexicon_.prepositions:
                continue
            j = at + 1
            while j < len(words) and words[j] in lexicon_.determiners | lexicon_.modifier:
                j += 1
            first = [k for k, phrase in enumerate(self._phrases) if phrase.start == j]
            if first:
                return self._joined_to(first)
        return []

    def _joined_to(self, first: list[int]) -> list[int]:
        """Phrases, and those that "and" or a comma joins to them."""
        found, end = list(first), self._phrases[first[0]].end
        while True:
            joined = end
            while joined < len(self._words) and (
                self._words[joined] in JOINING | self._lexicon.determiners
            ):
                joined += 1
            more = [k for k, p in enumerate(self._phrases) if p.start == joined > end]
            if not more or self._phrases[more[0]].end in self._all:
                return found
            found += more
            end = self._phrases[more[0]].end

    def _subject(self, i: int, observed: Sequence[int]) -> list[int]:
        """The phrases before the verb of which the observation is said."""
        words = self._words
        verbs = [j for j in range(i) if words[j] in self._lexicon.verbs]
        if not verbs or any(j < verbs[0] for j in observed):
            return []
        if self._lexicon.suggests & set(words[verbs[0] : i]):
            return []
        return [k for k, phrase in enumerate(self._phrases) if phrase.end <= verbs[0]]

    def _has_head(self, k: int) -> bool:
        """Whether a phrase names a part of the body, not only a side or a size."""
        phrase = self._phrases[k]
        return any(self._words[j] in self._lexicon.anatomy for j in (phrase.root, *phrase.others))

    def _is_side(self, k: int) -> bool:
        phrase = self._phrases[k]
        words = {self._words[j] for j in (phrase.root, *phrase.others)}
        return bool(words & {*SIDES, "bilaterally"}) and not self._has_head(k)

    def _merge(self, beside: list[int], sides: list[int]) -> list[int]:
        """Let the side that is told behind belong to the phrase before ("effusion on the left")."""
        for k in sides:
            target = self._phrases[beside[0]]
            phrase = self._phrases[k]
            self._phrases[beside[0]] = target._replace(
                others=(*target.others, phrase.root, *phrase.others)
            )
        return beside
