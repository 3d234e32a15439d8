"""Which of the 51 positions an anatomy phrase means."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from medjax.data.radgraph.vocabulary import OTHER, POSITIONS, UNSPECIFIED, read_resource

CAVOATRIAL = "cavoatrial_junction"


class PositionRule(NamedTuple):
    """Takes an anatomy that has a base word and, as its form says, modifiers; or a whole phrase."""

    position: str
    form: str
    """m0: the base alone. Else m1 and m2, each followed by + (present) or - (absent)."""
    base: frozenset[str]
    modifier1: frozenset[str]
    modifier2: frozenset[str]
    phrases: frozenset[str]

    def takes(self, anatomy: str, words: frozenset[str]) -> bool:
        """Whether the rule takes an anatomy of these words."""
        if anatomy in self.phrases:
            return True
        if not words & self.base:
            return False
        modifiers = {"m1": self.modifier1, "m2": self.modifier2}
        return all(
            bool(words & of) == (f"{name}+" in self.form)
            for name, of in modifiers.items()
            if name in self.form
        )


@functools.cache
def position_rules(cavoatrial_phrase: str = "matches") -> tuple[PositionRule, ...]:
    """Return the rules in their order.

    cavoatrial_phrase: "matches": the base of that rule, two words of which no anatomy has both as
    one, is read as the first of them.
    """
    rules = []
    for position, rule in read_resource("position_rules.json").items():
        if position == CAVOATRIAL and cavoatrial_phrase == "matches":
            rule = {**rule, "base": [*rule["base"], *(base.split()[0] for base in rule["base"])]}
        rules.append(_read(position, rule))
    return tuple(rules)


def _read(position: str, rule: Mapping[str, Any]) -> PositionRule:
    words = (frozenset(rule[name]) for name in ("base", "modifier1", "modifier2", "phrases"))
    return PositionRule(position, rule["rule"], *words)


@functools.lru_cache(maxsize=1 << 16)
def position_of(anatomy: str, cavoatrial_phrase: str = "matches") -> int:
    """Return the number of the position of an anatomy phrase, words joined by |, root first."""
    words = frozenset(anatomy.split("|"))
    for rule in position_rules(cavoatrial_phrase):
        if rule.takes(anatomy, words):
            return POSITIONS.index(rule.position)
    return POSITIONS.index(UNSPECIFIED if anatomy == UNSPECIFIED else OTHER)
